#include "engine/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct engine_draft {
    char *path, *beside; /* beside: NULL once it is in its place */
    FILE *file;
    int why; /* errno of the first thing that went wrong */
};

int engine_draft_create(const char *path, char **beside, struct error *e)
{
    *beside = xasprintf("%s.XXXXXX", path); /* where mkstemp puts six letters */
    const int fd = mkstemp(*beside);
    if (fd < 0) {
        int why = errno;
        free(*beside);
        *beside = NULL;
        error_set(e, ERROR_INPUT, "%.300s: %s; expected a place in a folder that can be written to", path, strerror(why));
        return -1;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask); /* mkstemp's is for its owner alone */
    return fd;
}

int engine_draft_open(struct engine_draft **out, const char *path, struct error *e)
{
    struct stat there;
    *out = NULL;
    if (!stat(path, &there) && !S_ISREG(there.st_mode))
        return error_set(e, ERROR_INPUT, "%.300s: is not a plain file; expected the name of a file to write", path);
    struct engine_draft *d = xcalloc(1, sizeof *d);
    d->path = xstrdup(path);
    const int fd = engine_draft_create(path, &d->beside, e);
    if (fd < 0) {
        engine_draft_free(d);
        return ERROR_INPUT;
    }
    d->file = fdopen(fd, "wb");
    if (!d->file) {
        d->why = errno;
        close(fd);
    }
    *out = d;
    return OK;
}

void engine_draft_add(struct engine_draft *d, const void *bytes, size_t n)
{
    if (!d->why && n && fwrite(bytes, 1, n, d->file) != n)
        d->why = errno ? errno : EIO;
}

int engine_draft_finish(struct engine_draft *d, struct error *e)
{
    if (!d->why && (fflush(d->file) || fsync(fileno(d->file))))
        d->why = errno;
    if (d->file && fclose(d->file) && !d->why)
        d->why = errno;
    d->file = NULL;
    if (!d->why && rename(d->beside, d->path))
        d->why = errno;
    if (d->why)
        return error_set(e, ERROR_INPUT, "%.300s: cannot be written: %s; make room, or choose another place", d->path, strerror(d->why));
    free(d->beside);
    d->beside = NULL;
    return OK;
}

void engine_draft_free(struct engine_draft *d)
{
    if (!d)
        return;
    if (d->file)
        fclose(d->file);
    if (d->beside)
        unlink(d->beside);
    free(d->beside);
    free(d->path);
    free(d);
}
