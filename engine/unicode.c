#include "engine/unicode.h"

#include <stdlib.h>
#include <utf8proc.h>

/* How many of the bytes are whole characters in UTF-8, up to the first that is none; *plain: all of them are ASCII. */
static size_t valid(const utf8proc_uint8_t *text, size_t n, int *plain)
{
    utf8proc_int32_t c;
    size_t at = 0;
    *plain = 1;
    while (at < n) {
        const utf8proc_ssize_t length = utf8proc_iterate(text + at, (utf8proc_ssize_t)(n - at), &c);
        if (length <= 0)
            break;
        *plain = *plain && c < 0x80;
        at += (size_t)length;
    }
    return at;
}

void engine_unicode_compose(const char *text, size_t n, struct string *out)
{
    while (n) {
        utf8proc_uint8_t *composed = NULL;
        int plain;
        const size_t length = valid((const utf8proc_uint8_t *)text, n, &plain);
        const utf8proc_ssize_t got = plain ? -1 : utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &composed,
                                                               UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        if (got < 0)
            string_append(out, text, length);
        else
            string_append(out, (const char *)composed, (size_t)got);
        free(composed);
        text += length;
        n -= length;
        if (n) { /* the byte that is no character's */
            string_append(out, text, 1);
            text++;
            n--;
        }
    }
}

/* The length of the character at the beginning where it is white space; 0. */
static size_t space(const char *text, size_t n)
{
    utf8proc_int32_t c;
    const utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &c);
    if (length <= 0)
        return 0;
    const utf8proc_category_t kind = utf8proc_category(c);
    const int control = (c >= '\t' && c <= '\r') || c == 0x85;
    const int separator = kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
    return control || separator ? (size_t)length : 0;
}

size_t engine_unicode_space_first(const char *text, size_t n)
{
    size_t at = 0;
    for (size_t length; at < n && (length = space(text + at, n - at));)
        at += length;
    return at;
}

size_t engine_unicode_space_last(const char *text, size_t n)
{
    size_t end = n;
    while (end) {
        size_t at = end - 1;
        while (at && end - at < 4 && ((unsigned char)text[at] & 0xc0) == 0x80)
            at--;
        if (space(text + at, end - at) != end - at)
            break;
        end = at;
    }
    return n - end;
}
