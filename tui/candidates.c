#include "tui/candidates.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

void tui_candidate(struct tui_candidates *c, const char *text)
{
    if (strncmp(text, c->prefix, strlen(c->prefix)))
        return;
    for (int i = 0; i < c->count; i++)
        if (!strcmp(c->list[i], text))
            return;
    ARRAY_RESERVE(c->list, c->count, c->capacity);
    c->list[c->count++] = xstrdup(text);
}

void tui_candidates_words(struct tui_candidates *c, const char *words)
{
    for (size_t n; *words; words += n) {
        words += strspn(words, " ");
        n = strcspn(words, " ");
        char *word = xasprintf("%.*s", (int)n, words);
        if (n)
            tui_candidate(c, word);
        free(word);
    }
}

void tui_candidates_names(struct tui_candidates *c, char **names)
{
    for (char **n = names; n && *n; n++) {
        tui_candidate(c, *n);
        free(*n);
    }
    free(names);
}

static int ends(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && !strcmp(path + n - m, ending);
}

void tui_candidates_files(struct tui_candidates *c, const char *ending)
{
    struct string pattern = {0};
    glob_t found;
    for (const char *p = c->prefix; *p; p++) { /* what is typed is itself, not a pattern */
        if (strchr("*?[]\\", *p))
            string_append(&pattern, "\\", 1);
        string_append(&pattern, p, 1);
    }
    string_append(&pattern, "*", 1);
    if (!glob(string_text(&pattern), GLOB_MARK, NULL, &found)) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (!ending || ends(found.gl_pathv[i], "/") || ends(found.gl_pathv[i], ending))
                tui_candidate(c, found.gl_pathv[i]);
        globfree(&found);
    }
    string_free(&pattern);
}

size_t tui_candidates_common(const struct tui_candidates *c)
{
    size_t n = c->count ? strlen(c->list[0]) : 0;
    for (int i = 1; i < c->count; i++)
        while (strncmp(c->list[0], c->list[i], n))
            n--;
    while (n && (c->list[0][n] & 0xc0) == 0x80) /* not in the middle of a character */
        n--;
    return n;
}

void tui_candidates_free(struct tui_candidates *c)
{
    for (int i = 0; i < c->count; i++)
        free(c->list[i]);
    free(c->list);
    *c = (struct tui_candidates){0};
}
