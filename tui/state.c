#include "tui/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 16 };

static char *state_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state == '/')
        return xasprintf("%s/espalier/explorer", state);
    return home && *home ? xasprintf("%s/.local/state/espalier/explorer", home) : NULL;
}

int tui_state_read(struct string *out)
{
    char *path = state_path(), buffer[4096];
    FILE *f = path ? fopen(path, "r") : NULL;
    int code = f ? 0 : ENOENT;
    if (f) {
        for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0 && out->length < MOST_BYTES;)
            string_append(out, buffer, n);
        fclose(f);
    }
    free(path);
    return code;
}

/* The folders above the file, for its user alone. */
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* what is there already, or cannot be, shows when the file is opened */
        *slash = '/';
    }
}

int tui_state_write(const char *text)
{
    char *path = state_path();
    if (!path)
        return ENOENT;
    make_folders(path);
    char *fresh = xasprintf("%s.XXXXXX", path);
    int fd = mkstemp(fresh), code = fd < 0 ? errno : 0;
    size_t n = strlen(text);
    if (!code) {
        if (write(fd, text, n) != (ssize_t)n)
            code = EIO;
        if (close(fd) || (!code && rename(fresh, path)))
            code = errno;
        if (code)
            unlink(fresh);
    }
    free(fresh);
    free(path);
    return code;
}
