/* The ground every floor stands on: errors a user can act on, memory, byte strings, counter-based random numbers.
 *
 * Nothing here knows of models or screens. It lives in kernels/ because that is the lowest floor; kernels.h includes it.
 */
#ifndef ESPALIER_BASE_H
#define ESPALIER_BASE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What a fallible call returns: 0, or one of these. They are the program's exit codes. */
enum {
    OK = 0,
    ERROR_NO_ANSWER = 1, /* the search ended without an answer */
    ERROR_USAGE = 2,     /* the command line is wrong */
    ERROR_INPUT = 3,     /* a file, a problem, a task or a theme is wrong */
    ERROR_ENGINE = 4,    /* the engine or the machine failed */
};

/* One line for a person: what, where, what was expected, what to do. Owned by the caller, filled by the callee. */
struct error {
    int code; /* one of the codes above */
    char message[1024];
};

/* Fill *e and return code, so that a failure is one statement: return error_set(e, ERROR_INPUT, "%s: ...", path);
 * e may be NULL. Control bytes in the arguments are shown as \xNN: a message is always one line, safe for a terminal. */
int error_set(struct error *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Memory for our own small structures; running out ends the program with one line and exit code 4. Sizes that come
 * from input use input_alloc, which returns NULL instead (and refuses a product that overflows). */
void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes);
void *xrealloc(void *p, size_t bytes);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *input_alloc(size_t count, size_t bytes);
void *aligned_xmalloc(size_t bytes); /* 64-byte aligned; free() frees it */
/* Memory that is gone through over and over (weights, keys), in the large pages of the machine where it has them: with
 * small ones a processor spends much of that time looking up where each is. 64-byte aligned; NULL when there is none; free()
 * frees it. */
void *large_alloc(size_t bytes);
size_t memory_peak(void); /* the most bytes of this process that were in memory at once; 0 where the system does not say */

/* Grow an array so that one more element fits: ARRAY_RESERVE(a, count, capacity). */
#define ARRAY_RESERVE(array, count, capacity)                                                                          \
    do {                                                                                                               \
        if ((count) >= (capacity)) {                                                                                   \
            (capacity) = (capacity) ? (capacity)*2 : 8;                                                                \
            (array) = xrealloc((array), (size_t)(capacity) * sizeof *(array));                                         \
        }                                                                                                              \
    } while (0)

/* A growing byte string. Invariant: text[length] == '\0' whenever text is not NULL. {0} is an empty one. */
struct string {
    char *text;
    size_t length, capacity;
};
void string_append(struct string *s, const char *bytes, size_t n);
void string_add(struct string *s, const char *text);
void string_addf(struct string *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void string_clear(struct string *s); /* keeps the memory */
void string_free(struct string *s);
const char *string_text(const struct string *s); /* never NULL */

/* UTF-8. utf8_next decodes one scalar at *p (< end), advances *p and returns it, or returns -1 on an invalid byte and
 * advances by one (Unicode's rules: no surrogates, no overlong forms, at most U+10FFFF). */
int32_t utf8_next(const char **p, const char *end);
size_t utf8_unfinished(const char *bytes, size_t n); /* how many at the end begin a character that they do not end */
/* Append the text with everything a terminal, a log or a JSON string must not see made visible or replaced: invalid
 * bytes by U+FFFD, and, unless keep_layout is set, newline and tab by one blank. Control bytes (C0 but \n and \t, DEL,
 * C1), bidi controls, ZWJ, VS1-16 and other invisible formatting characters become U+FFFD. */
void utf8_sanitize(struct string *out, const char *text, size_t n, int keep_layout);

/* Counter-based random numbers: no state, so a draw depends only on what it is for, never on who drew before.
 * (Philox 4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".) */
void random_block(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
/* A number in [0, 1) with 53 bits for draw `index` of stream (seed, stream). */
double random_uniform(uint64_t seed, uint64_t stream, uint64_t index);
/* Mixes numbers into one stream name (splitmix64 steps); order matters. */
uint64_t random_stream(uint64_t a, uint64_t b, uint64_t c);

uint64_t hash_bytes(const void *bytes, size_t n); /* FNV-1a, 64 bits */
double clock_seconds(void);                       /* monotonic */

#endif
