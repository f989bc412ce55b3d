#include "tui/watch.h"
#include "kernels/kernels.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* The folder is watched: a file that takes the place of another is another to the kernel. */
void tui_watch_open(struct tui_watch *w, const char *path)
{
    char *real = path ? realpath(path, NULL) : NULL, *slash = real ? strrchr(real, '/') : NULL;
    *w = (struct tui_watch){.fd = -1};
    if (slash) {
        w->name = xstrdup(slash + 1);
        slash[slash == real] = '\0';
        w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (w->fd >= 0 && inotify_add_watch(w->fd, real, IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
            close(w->fd);
            w->fd = -1;
        }
    }
    free(real);
}

int tui_watch_saved(struct tui_watch *w)
{
    _Alignas(struct inotify_event) char buffer[sizeof(struct inotify_event) + NAME_MAX + 1];
    int saved = 0;
    for (ssize_t n; w->fd >= 0 && (n = read(w->fd, buffer, sizeof buffer)) > 0;)
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;
            saved |= event->mask & IN_Q_OVERFLOW || (event->len && !strcmp(event->name, w->name));
            p += sizeof *event + event->len;
        }
    return saved;
}

void tui_watch_close(struct tui_watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    free(w->name);
    *w = (struct tui_watch){.fd = -1};
}
