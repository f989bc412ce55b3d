/* A file that is read again as it is saved. The kernel tells (inotify): while nothing is saved nothing wakes. */
#ifndef ESPALIER_TUI_WATCH_H
#define ESPALIER_TUI_WATCH_H

struct tui_watch {
    int fd;     /* readable when something in its folder was saved; -1: it is not watched */
    char *name; /* the file's in the folder */
};
/* Where it cannot be watched the file is as it was. path may be NULL. Editors save by writing or by renaming: both are seen. */
void tui_watch_open(struct tui_watch *w, const char *path);
int tui_watch_saved(struct tui_watch *w); /* 1: the file was, since the last call */
void tui_watch_close(struct tui_watch *w);

#endif
