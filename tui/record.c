#include "tui/record.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int tui_record_open(struct tui_record **out, const char *path, struct error *e)
{
    FILE *file = fopen(path, "wx");
    if (!file && errno == EEXIST)
        return error_set(e, ERROR_INPUT, "--record %s: it is there already; give another name, or remove it", path);
    if (!file)
        return error_set(e, ERROR_INPUT, "--record %s: it cannot be written: %s", path, strerror(errno));
    *out = xcalloc(1, sizeof **out);
    **out = (struct tui_record){.file = file, .path = xstrdup(path), .begun = clock_seconds()};
    return OK;
}

void tui_record_begin(struct tui_record *r, FILE *file, const double *clock)
{
    *r = (struct tui_record){.file = file, .clock = clock, .begun = *clock};
}

/* One line; releases it. Flushed, since it may be the last. */
static void put(struct tui_record *r, json_t *line)
{
    if (!r->failed && (json_dumpf(line, r->file, JSON_COMPACT | JSON_REAL_PRECISION(9)) || putc('\n', r->file) == EOF || fflush(r->file)))
        r->failed = errno ? errno : EIO;
    json_decref(line);
}

static void put_event(struct tui_record *r, const char *kind, json_t *text)
{
    put(r, json_pack("[f, s, o]", (r->clock ? *r->clock : clock_seconds()) - r->begun, kind, text));
}

/* By a clock from outside it is made, not seen: by the same session always the same bytes, on whatever terminal, at whatever time. */
static void put_header(struct tui_record *r, int columns, int rows)
{
    const char *term = r->clock ? "xterm-256color" : getenv("TERM");
    json_t *header = json_pack("{s:i, s:i, s:i}", "version", 2, "width", columns, "height", rows);
    if (!r->clock)
        json_object_set_new(header, "timestamp", json_integer((json_int_t)time(NULL)));
    json_object_set_new(header, "env", json_pack("{s:s}", "TERM", term ? term : ""));
    put(r, header);
}

void tui_record_size(struct tui_record *r, int columns, int rows)
{
    if (columns == r->columns && rows == r->rows)
        return;
    if (!r->columns) {
        put_header(r, columns, rows);
    } else {
        char *size = xasprintf("%dx%d", columns, rows);
        put_event(r, "r", json_string(size));
        free(size);
    }
    r->columns = columns;
    r->rows = rows;
}

void tui_record_write(struct tui_record *r, const char *bytes, size_t n)
{
    struct string all = {0}, clean = {0};
    if (!n)
        return;
    string_append(&all, r->cut, r->cut_length);
    string_append(&all, bytes, n);
    r->cut_length = utf8_unfinished(all.text, all.length);
    all.length -= r->cut_length;
    memcpy(r->cut, all.text + all.length, r->cut_length);
    for (const char *p = all.text, *end = p + all.length; p < end;) { /* what is no UTF-8 is shown as such */
        const char *start = p;
        if (utf8_next(&p, end) < 0)
            string_append(&clean, "\xef\xbf\xbd", 3);
        else
            string_append(&clean, start, (size_t)(p - start));
    }
    if (clean.length)
        put_event(r, "o", json_stringn(clean.text, clean.length));
    string_free(&all);
    string_free(&clean);
}

int tui_record_close(struct tui_record *r, struct error *e)
{
    int code = OK;
    if (!r)
        return OK;
    if (fclose(r->file) && !r->failed)
        r->failed = errno;
    if (!r->columns) /* nothing was shown */
        unlink(r->path);
    if (r->failed)
        code = error_set(e, ERROR_INPUT, "--record %s: it ends early, what came after could not be written: %s", r->path, strerror(r->failed));
    free(r->path);
    free(r);
    return code;
}
