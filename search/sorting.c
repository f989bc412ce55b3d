/* Sorting by swaps: `swap 7 and 2` exchanges two numbers of the list. It is legal when both are there and the greater one stands first; a
 * list after it, `(now: 2 9 7 4)`, may be left out, and must be exactly what the exchange makes where it is not. Every legal swap leaves
 * fewer pairs out of order, so every path gets there; how soon is what a search can be good at. The path ends when the numbers ascend, or
 * at an answer line, `Answer: 2 4 7 9`. The state is the list; no number is there twice.
 */
#include "search/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct numbers {
    int list[SEARCH_MAX_NUMBERS];
    int count;
};

static int is_between(char c)
{
    return isspace((unsigned char)c) || c == ',' || c == ';';
}

/* A whole number of at most six digits at *p, which moves past it and the blanks before it. */
static int read_number(const char **p, const char *end, int *out)
{
    const char *s = *p;
    while (s < end && is_between(*s))
        s++;
    const char *digits = s;
    for (*out = 0; s < end && isdigit((unsigned char)*s) && s - digits < 6; s++)
        *out = 10 * *out + (*s - '0');
    if (s == digits || (s < end && (isalnum((unsigned char)*s) || *s == '/')))
        return 0;
    *p = s;
    return 1;
}

/* Numbers as long as there are any; 0 when there are more than a problem may have. */
static int read_numbers(const char **p, const char *end, struct numbers *out)
{
    int number;
    for (out->count = 0; read_number(p, end, &number);) {
        if (out->count == SEARCH_MAX_NUMBERS)
            return 0;
        out->list[out->count++] = number;
    }
    return 1;
}

static struct numbers numbers_of(const char *state)
{
    struct numbers n;
    if (!read_numbers(&state, state + strlen(state), &n))
        n.count = 0;
    return n;
}

static char *numbers_text(const struct numbers *n)
{
    struct string text = {0};
    string_add(&text, "");
    for (int i = 0; i < n->count; i++)
        string_addf(&text, "%s%d", i ? " " : "", n->list[i]);
    return text.text;
}

static int place_of(const struct numbers *n, int number)
{
    for (int i = 0; i < n->count; i++)
        if (n->list[i] == number)
            return i;
    return -1;
}

static int is_sorted(const struct numbers *n)
{
    for (int i = 1; i < n->count; i++)
        if (n->list[i - 1] > n->list[i])
            return 0;
    return 1;
}

static int same(const struct numbers *a, const struct numbers *b)
{
    return a->count == b->count && !memcmp(a->list, b->list, (size_t)a->count * sizeof *a->list);
}

/* The word at *p, whatever its letters' case; *p moves past it and the blanks before it. */
static int skip_word(const char **p, const char *end, const char *word)
{
    const char *s = *p;
    size_t n = strlen(word);
    while (s < end && is_between(*s))
        s++;
    if ((size_t)(end - s) < n || strncasecmp(s, word, n))
        return 0;
    *p = s + n;
    return 1;
}

static int is_end(const char *p, const char *end)
{
    while (p < end && (isspace((unsigned char)*p) || *p == '.' || *p == ')'))
        p++;
    return p == end;
}

/* What is wrong with a swap after which the list should be *there; or NULL, with the list as it is then in *there. */
static char *wrong_swap(const char *p, const char *end, struct numbers *there)
{
    int pair[2], place[2];
    struct numbers now;
    if (!skip_word(&p, end, "swap") || !read_number(&p, end, &pair[0]))
        return xstrdup("not a step such as swap 7 and 2");
    if (!skip_word(&p, end, "and"))
        skip_word(&p, end, "with");
    if (!read_number(&p, end, &pair[1]))
        return xstrdup("not a step such as swap 7 and 2");
    for (int i = 0; i < 2; i++)
        if ((place[i] = place_of(there, pair[i])) < 0)
            return xasprintf("%d is not there", pair[i]);
    if (place[0] == place[1])
        return xasprintf("%d cannot be swapped with itself", pair[0]);
    if ((place[0] < place[1]) == (pair[0] < pair[1]))
        return xasprintf("%d and %d are in order already", pair[0], pair[1]);
    there->list[place[0]] = pair[1];
    there->list[place[1]] = pair[0];
    if (is_end(p, end))
        return NULL;
    while (p < end && (is_between(*p) || strchr("(:=->", *p)))
        p++;
    skip_word(&p, end, "now");
    while (p < end && (is_between(*p) || *p == ':'))
        p++;
    int readable = read_numbers(&p, end, &now);
    if (readable && (!now.count || same(&now, there)))
        return now.count && is_end(p, end) ? NULL : xstrdup("more text follows the step");
    char *text = numbers_text(there), *why = xasprintf("now should be %s", text);
    free(text);
    return why;
}

/* `Answer: 2 4 7 9` */
static void verify_answer(const struct search_path *path, const char *p, const char *end, struct search_verdict *out)
{
    struct numbers said, all = numbers_of(path->problem->state);
    if (!read_numbers(&p, end, &said) || !said.count || !is_end(p, end)) {
        out->illegal = 1;
        out->why = xstrdup("not a list of numbers");
        return;
    }
    out->final = 1;
    out->answer = numbers_text(&said);
    out->state = xstrdup(out->answer);
    out->correct = !strcmp(out->answer, path->problem->expected);
    if (out->correct)
        return;
    for (int i = 0; i < said.count && !out->why; i++)
        if (place_of(&all, said.list[i]) < 0)
            out->why = xasprintf("%d is not among the numbers", said.list[i]);
    for (int i = 0; i < all.count && !out->why; i++)
        if (place_of(&said, all.list[i]) < 0)
            out->why = xasprintf("%d is missing", all.list[i]);
    if (!out->why)
        out->why = xstrdup(said.count > all.count ? "a number is there twice" : "it does not ascend");
}

void search_sorting_verify(const struct search_task *task, const struct search_path *path, const char *text, size_t n,
                           struct search_verdict *out)
{
    struct search_cut cut;
    if (search_patterns_find(&task->answer, text, n, NULL, &cut)) {
        verify_answer(path, text + cut.first, text + cut.first + cut.length, out);
        return;
    }
    struct numbers there = numbers_of(path->state ? path->state : path->problem->state);
    if ((out->why = wrong_swap(text, text + n, &there))) {
        out->illegal = 1;
        return;
    }
    out->state = numbers_text(&there);
    if (!is_sorted(&there))
        return;
    out->final = out->correct = 1;
    out->answer = xstrdup(out->state);
}
