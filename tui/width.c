#include "tui/width.h"
#include "kernels/kernels.h"

#include <utf8proc.h>

enum { REPLACEMENT = 0xfffd };

/* A scalar as it may be shown. The bytes go through utf8_sanitize one scalar at a time, so that what is measured here and
 * what other floors write to files can never disagree. */
static int32_t clean_scalar(const char *start, const char *end, int32_t scalar)
{
    if (scalar >= ' ' && scalar < 0x7f)
        return scalar;
    char buffer[64]; /* one scalar becomes at most three bytes: the string never grows */
    struct string s = {buffer, 0, sizeof buffer};
    utf8_sanitize(&s, start, (size_t)(end - start), 0);
    const char *p = s.text;
    return s.length ? utf8_next(&p, s.text + s.length) : REPLACEMENT;
}

/* 0: a mark that joins what stands before it. */
static int scalar_width(int32_t *scalar)
{
    int32_t c = *scalar;
    if (c < 0x7f)
        return 1;
    if ((c >= 0x1160 && c <= 0x11ff) || (c >= 0xd7b0 && c <= 0xd7ff)) /* vowels and finals of a Hangul syllable */
        return 0;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
        return 0;
    case UTF8PROC_CATEGORY_MC: /* terminals give a spacing mark a cell of its own */
        return 1;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        *scalar = REPLACEMENT;
        return 1;
    default:
        return utf8proc_charwidth(c) == 2 ? 2 : 1;
    }
}

void tui_cluster_next(const char **p, const char *end, struct tui_cluster *out)
{
    const char *start = *p;
    int32_t c = utf8_next(p, end);
    c = clean_scalar(start, *p, c);
    out->width = scalar_width(&c);
    if (!out->width) { /* a mark with nothing to stand on */
        c = REPLACEMENT;
        out->width = 1;
    }
    out->scalars[0] = c;
    out->count = 1;
    while (*p < end && (unsigned char)**p >= 0x80) {
        start = *p;
        const char *next = start;
        c = utf8_next(&next, end);
        c = clean_scalar(start, next, c);
        if (scalar_width(&c))
            return;
        if (out->count < TUI_CLUSTER)
            out->scalars[out->count++] = c;
        *p = next;
    }
}

int tui_width(const char *text, size_t n)
{
    int used;
    tui_width_fit(text, n, INT32_MAX, &used);
    return used;
}

size_t tui_width_fit(const char *text, size_t n, int columns, int *used)
{
    const char *p = text, *end = text + n;
    int total = 0;
    while (p < end) {
        struct tui_cluster cluster;
        const char *next = p;
        tui_cluster_next(&next, end, &cluster);
        if (cluster.width > columns - total)
            break;
        total += cluster.width;
        p = next;
    }
    if (used)
        *used = total;
    return (size_t)(p - text);
}

size_t tui_width_tail(const char *text, size_t n, int columns)
{
    const char *p = text, *end = text + n;
    for (int excess = tui_width(text, n) - columns; excess > 0;) {
        struct tui_cluster cluster;
        tui_cluster_next(&p, end, &cluster);
        excess -= cluster.width;
    }
    return (size_t)(p - text);
}
