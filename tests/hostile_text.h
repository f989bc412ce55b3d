/* What a stranger may have put into a thought: bytes that a terminal would act on, that are no text, or that terminals find different widths for. */
#ifndef ESPALIER_TESTS_HOSTILE_TEXT_H
#define ESPALIER_TESTS_HOSTILE_TEXT_H

#include "kernels/kernels.h"

#include <string.h>

/* Into `out`, of `most` bytes with the 0 at its end; returns its length. */
static inline size_t hostile_text(uint64_t seed, char *out, size_t most)
{
    static const char *const pieces[] = {
        "\033[2J", "\033]0;title\007", "\x9b" "31m", "\xc2\x9b" "0m", "\b\b", "\r", "\n", "\t", "\x7f", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x80\x8d",
        "\xef\xb8\x8f", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7", "e\xcc\x81\xcc\x82\xcc\x83\xcc\x84\xcc\x85", "\xcc\x81", "\xe4\xb8\xad\xe6\x96\x87",
        "\xed\xa0\x80", "\xc0\xaf", "\xf5\x80\x80\x80", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xd7\xa9\xd7\x9c", "\xe0\xa4\x95\xe0\xa4\xbf",
        "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa", "\xe2\x80\xa8", "\xc2\xad", "plain", " ", "(left: 5 6)", "\xef\xbf\xbf", "\xf3\xa0\x81\x81", "\xe3\x85\xa4",
    };
    size_t n = 0;
    for (uint64_t i = 0; n + 16 < most; i++) {
        double r = random_uniform(99, seed, i);
        if (r < 0.2)
            break;
        if (r < 0.5) {
            out[n++] = (char)(1 + random_uniform(98, seed, i) * 255);
        } else {
            const char *p = pieces[(size_t)(random_uniform(97, seed, i) * (sizeof pieces / sizeof *pieces))];
            memcpy(out + n, p, strlen(p));
            n += strlen(p);
        }
    }
    out[n] = '\0';
    return n;
}

#endif
