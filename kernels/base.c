#define _GNU_SOURCE
#include "base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* --- errors ------------------------------------------------------------------------------------------------------ */

int error_set(struct error *e, int code, const char *format, ...)
{
    if (!e)
        return code;
    char raw[768];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    size_t out = 0;
    e->code = code;
    for (const char *p = raw, *end = raw + used; p < end && out + 5 < sizeof e->message;) {
        const char *start = p;
        int32_t c = utf8_next(&p, end);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
            (c >= 0x2066 && c <= 0x2069))
            for (const char *b = start; b < p && out + 5 < sizeof e->message; b++)
                out += (size_t)snprintf(e->message + out, sizeof e->message - out, "\\x%02x", (unsigned char)*b);
        else
            for (const char *b = start; b < p; b++)
                e->message[out++] = *b;
    }
    e->message[out] = '\0';
    return code;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static void *checked(void *p, size_t bytes)
{
    if (p || !bytes)
        return p;
    fprintf(stderr, "espalier: out of memory (asked for %zu bytes)\n", bytes);
    exit(ERROR_ENGINE);
}

void *xmalloc(size_t bytes)
{
    return checked(malloc(bytes), bytes);
}

void *xcalloc(size_t count, size_t bytes)
{
    return checked(calloc(count, bytes), count * bytes);
}

void *xrealloc(void *p, size_t bytes)
{
    return checked(realloc(p, bytes), bytes);
}

char *xstrndup(const char *s, size_t n)
{
    char *copy = xmalloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *xstrdup(const char *s)
{
    return s ? xstrndup(s, strlen(s)) : NULL;
}

char *xasprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return checked(n < 0 ? NULL : text, 1);
}

void *input_alloc(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    return calloc(1, total ? total : 1);
}

void *aligned_xmalloc(size_t bytes)
{
    size_t rounded = (bytes + 63) & ~(size_t)63;
    return checked(aligned_alloc(64, rounded ? rounded : 64), rounded);
}

/* Only what fills large pages is asked for in them: the rest of the last one would be memory for nothing. */
void *large_alloc(size_t bytes)
{
    const size_t page = (size_t)2 << 20, large = bytes / page * page;
    if (bytes > SIZE_MAX - page)
        return NULL;
    void *p = aligned_alloc(large ? page : 64, large ? (bytes + page - 1) / page * page : (bytes + 63) & ~(size_t)63);
#ifdef MADV_HUGEPAGE
    if (p && large)
        madvise(p, large, MADV_HUGEPAGE); /* a system that has none goes on with small ones */
#endif
    return p;
}

/* Not getrusage: its peak includes that of the program this process was before exec. */
size_t memory_peak(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    size_t kilobytes = 0;
    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %zu", &kilobytes) != 1) {
    }
    if (f)
        fclose(f);
    return kilobytes * 1024;
}

/* --- byte strings ------------------------------------------------------------------------------------------------ */

void string_append(struct string *s, const char *bytes, size_t n)
{
    if (s->length + n + 1 > s->capacity) {
        s->capacity = (s->length + n + 1) * 2;
        s->text = xrealloc(s->text, s->capacity);
    }
    if (n)
        memcpy(s->text + s->length, bytes, n);
    s->length += n;
    s->text[s->length] = '\0';
}

void string_add(struct string *s, const char *text)
{
    string_append(s, text, strlen(text));
}

void string_addf(struct string *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int n = vasprintf(&text, format, args);
    va_end(args);
    checked(n < 0 ? NULL : text, 1);
    string_append(s, text, (size_t)n);
    free(text);
}

void string_clear(struct string *s)
{
    s->length = 0;
    if (s->text)
        s->text[0] = '\0';
}

void string_free(struct string *s)
{
    free(s->text);
    *s = (struct string){0};
}

const char *string_text(const struct string *s)
{
    return s->text ? s->text : "";
}

/* --- UTF-8 ------------------------------------------------------------------------------------------------------- */

int32_t utf8_next(const char **p, const char *end)
{
    const unsigned char *s = (const unsigned char *)*p;
    size_t left = (size_t)(end - *p);
    int need = s[0] < 0x80 ? 0 : s[0] >= 0xc2 && s[0] < 0xe0 ? 1 : (s[0] & 0xf0) == 0xe0 ? 2 : s[0] >= 0xf0 && s[0] < 0xf5 ? 3 : -1;
    *p += 1;
    if (need <= 0)
        return need == 0 ? s[0] : -1;
    if (left < (size_t)need + 1)
        return -1;
    int32_t c = s[0] & (0x3f >> need);
    for (int i = 1; i <= need; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (s[i] & 0x3f);
    }
    if ((need == 2 && c < 0x800) || (need == 3 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return -1;
    *p += need;
    return c;
}

/* Characters that draw nothing but change how what follows is drawn, or that end a line where we did not ask for it. */
static int is_hostile(int32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff) ||
           (c & 0xfffe) == 0xfffe;
}

size_t utf8_unfinished(const char *bytes, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char c = (unsigned char)bytes[n - back];
        if (c >= 0xc0)
            return back < (size_t)(c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2) ? back : 0;
        if (c < 0x80)
            return 0;
    }
    return 0;
}

void utf8_sanitize(struct string *out, const char *text, size_t n, int keep_layout)
{
    for (const char *p = text, *end = text + n; p < end;) {
        const char *start = p;
        int32_t c = utf8_next(&p, end);
        if (c < 0 || is_hostile(c))
            string_append(out, "\xef\xbf\xbd", 3);
        else if (!keep_layout && (c == '\n' || c == '\t'))
            string_append(out, " ", 1);
        else
            string_append(out, start, (size_t)(p - start));
    }
}

/* --- random numbers ---------------------------------------------------------------------------------------------- */

void random_block(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1], c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

double random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t out[4], key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
    random_block(key, counter, out);
    return (double)(((uint64_t)out[0] << 32 | out[1]) >> 11) * 0x1p-53;
}

static uint64_t splitmix(uint64_t z)
{
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t random_stream(uint64_t a, uint64_t b, uint64_t c)
{
    return splitmix(splitmix(splitmix(a) ^ b) ^ c);
}

uint64_t hash_bytes(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
