#include "search/adapters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t search_spec_piece(const char *spec)
{
    size_t n = 0;
    while (spec[n] && spec[n] != ',')
        n += spec[n] == '\\' && spec[n + 1] ? 2 : 1;
    return n;
}

int search_adapter_parse(const char *text, char **path, float *weight, struct error *e)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    const float number = colon && colon != text && colon[1] ? strtof(colon + 1, &end) : 1;
    const int weighed = end && end != colon + 1 && !*end;
    *weight = weighed ? number : 1;
    *path = xstrndup(text, weighed ? (size_t)(colon - text) : strlen(text));
    if (**path && isfinite(*weight))
        return OK;
    free(*path);
    *path = NULL;
    return error_set(e, ERROR_USAGE, "adapter '%.200s': expected FILE or FILE:WEIGHT", text);
}

/* Of a piece "adapter=...", without its backslashes; NULL: it is another. */
static char *value_of(const char *piece, size_t n)
{
    static const char name[] = "adapter=";
    const size_t length = sizeof name - 1;
    if (n < length || strncmp(piece, name, length))
        return NULL;
    struct string value = {0};
    string_append(&value, "", 0);
    for (size_t i = length; i < n; i++) {
        i += piece[i] == '\\' && i + 1 < n;
        string_append(&value, &piece[i], 1);
    }
    return value.text ? value.text : xstrdup("");
}

int search_adapters_of(const char *spec, struct search_adapter **out, int *count, int *given, struct error *e)
{
    int capacity = 0, code = OK;
    *out = NULL;
    *count = *given = 0;
    for (spec += search_spec_piece(spec); *spec == ',' && !code; spec += search_spec_piece(spec)) {
        char *value = value_of(spec + 1, search_spec_piece(spec + 1));
        spec++;
        *given = *given || value;
        if (value && strcmp(value, "none")) {
            struct search_adapter one = {0};
            code = search_adapter_parse(value, &one.path, &one.weight, e);
            if (!code) {
                ARRAY_RESERVE(*out, *count, capacity);
                (*out)[(*count)++] = one;
            }
        }
        free(value);
    }
    if (code) {
        search_adapters_free(*out, *count);
        *out = NULL;
        *count = 0;
    }
    return code;
}

/* In as few digits as read back as the same number. */
static void add_weight(struct string *out, float weight)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)weight);
        if (strtof(text, NULL) == weight)
            break;
    }
    string_addf(out, ":%s", text);
}

void search_adapters_append(struct string *spec, const struct search_adapter *list, int count)
{
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        float weight = 0;
        string_add(spec, ",adapter=");
        for (const char *p = list[i].path; *p; p++) {
            if (*p == ',' || *p == '\\')
                string_add(spec, "\\");
            string_append(spec, p, 1);
        }
        /* A path that ends in a colon and a number needs its weight said. */
        search_adapter_parse(list[i].path, &path, &weight, NULL);
        if (list[i].weight != 1 || !path || strcmp(path, list[i].path))
            add_weight(spec, list[i].weight);
        free(path);
    }
}

struct search_adapter *search_adapters_copy(const struct search_adapter *list, int count)
{
    struct search_adapter *copy = count ? xcalloc((size_t)count, sizeof *copy) : NULL;
    for (int i = 0; i < count; i++) {
        copy[i] = list[i];
        copy[i].path = xstrdup(list[i].path);
    }
    return copy;
}

void search_adapters_free(struct search_adapter *list, int count)
{
    for (int i = 0; i < count; i++)
        free(list[i].path);
    free(list);
}

int search_adapters_same(const struct search_setting *a, const struct search_setting *b)
{
    int same = a->adapter_count == b->adapter_count;
    for (int i = 0; i < a->adapter_count && same; i++)
        same = !strcmp(a->adapters[i].path, b->adapters[i].path) && a->adapters[i].weight == b->adapters[i].weight &&
               a->adapters[i].sum == b->adapters[i].sum;
    return same;
}

static int is_open(const struct search_adapter *a, const struct engine *engine, int *id)
{
    for (*id = engine_adapters(engine) - 1; *id >= 0 && a->sum; --*id)
        if (engine_adapter_about(engine, *id)->sum == a->sum && !strcmp(engine_adapter_about(engine, *id)->path, a->path))
            return 1;
    return 0;
}

int search_adapters_open(struct search_adapter *list, int count, struct engine *engine, int *mix, struct error *e)
{
    struct engine_adapter_use *uses = count ? xcalloc((size_t)count, sizeof *uses) : NULL;
    int code = OK;
    *mix = 0;
    for (int i = 0; i < count && !code; i++) {
        uses[i].weight = list[i].weight;
        if (is_open(&list[i], engine, &uses[i].adapter)) /* whatever became of its file since */
            continue;
        if ((code = engine_adapter_open(engine, list[i].path, &uses[i].adapter, e)))
            break;
        const uint64_t sum = engine_adapter_about(engine, uses[i].adapter)->sum;
        if (!list[i].sum)
            list[i].sum = sum;
        else if (list[i].sum != sum)
            code = error_set(e, ERROR_INPUT, "the adapter %.300s is not as it was when the session used it; put that back, or begin another session",
                             list[i].path);
    }
    if (!code && count)
        code = engine_mix(engine, uses, count, mix, e);
    free(uses);
    return code;
}
