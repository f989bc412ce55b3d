/* Reads the files of reference log-probabilities and continuations (their heads say the format). */
#ifndef ESPALIER_TESTS_REFERENCE_TEXT_H
#define ESPALIER_TESTS_REFERENCE_TEXT_H

#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One record. A text has logprobs[count] (the first NAN), top and margins; a continuation next[next_count] and, for
 * each, how far the runner-up is below it. */
struct reference_text {
    char *name;
    int *ids, *top, *next;
    float *logprobs, *margins;
    int count, next_count;
};
struct reference_file {
    struct reference_text *texts;
    int count, capacity;
};

static inline char *reference_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    struct string s = {0};
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        string_append(&s, part, n);
    fclose(f);
    return s.text;
}

/* Numbers divided by blanks; "null" is NAN, of "id:x" the x. */
static inline float *reference_numbers(const char *line, int *count)
{
    float *out = NULL;
    int capacity = 0;
    *count = 0;
    while (*line) {
        size_t n = strcspn(line, " ");
        const char *colon = memchr(line, ':', n);
        ARRAY_RESERVE(out, *count, capacity);
        out[(*count)++] = strncmp(line, "null", 4) ? strtof(colon ? colon + 1 : line, NULL) : NAN;
        line += n + (line[n] == ' ');
    }
    return out;
}

static inline int *reference_integers(const char *line, int *count)
{
    float *numbers = reference_numbers(line, count); /* ids are small enough to be exact */
    int *out = xmalloc(((size_t)*count + 1) * sizeof *out);
    for (int i = 0; i < *count; i++)
        out[i] = (int)numbers[i];
    free(numbers);
    return out;
}

/* 0 when the file is not there. */
static inline int reference_load(const char *path, struct reference_file *out)
{
    *out = (struct reference_file){0};
    char *all = reference_read(path), *save = NULL;
    for (char *line = all ? strtok_r(all, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');
        if (line[0] == '#' || !value)
            continue;
        *value++ = '\0';
        if (!strcmp(line, "text") || !strcmp(line, "prompt")) {
            ARRAY_RESERVE(out->texts, out->count, out->capacity);
            out->texts[out->count++] = (struct reference_text){.name = xstrdup(value)};
        }
        struct reference_text *t = &out->texts[out->count - 1];
        int n;
        if (!strcmp(line, "ids"))
            t->ids = reference_integers(value, &t->count);
        else if (!strcmp(line, "top"))
            t->top = reference_integers(value, &n);
        else if (!strcmp(line, "next"))
            t->next = reference_integers(value, &t->next_count);
        else if (!strcmp(line, "logprobs") || !strcmp(line, "next_logprobs"))
            t->logprobs = reference_numbers(value, &n);
        else if (!strcmp(line, "margins"))
            t->margins = reference_numbers(value, &n);
        else if (!strcmp(line, "second")) {
            t->margins = reference_numbers(value, &n);
            for (int i = 0; i < n; i++)
                t->margins[i] = t->logprobs[i] - t->margins[i];
        }
    }
    free(all);
    return out->count > 0;
}

static inline void reference_free(struct reference_file *f)
{
    for (int i = 0; i < f->count; i++) {
        struct reference_text *t = &f->texts[i];
        free(t->name), free(t->ids), free(t->top), free(t->next), free(t->logprobs), free(t->margins);
    }
    free(f->texts);
}

#endif
