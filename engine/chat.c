#include "engine/chat.h"

#include <string.h>

/* A family is known by the control token its turns begin with. */
static const struct {
    const char *name, *mark;
} families[] = {
    [ENGINE_CHAT_NONE] = {"none", ""},
    [ENGINE_CHAT_CHATML] = {"chatml", "<|im_start|>"},
};
enum { FAMILIES = sizeof families / sizeof *families };

static const char *find(struct engine_text text, size_t from, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = from; i + n <= text.length; i++)
        if (!memcmp(text.bytes + i, what, n))
            return text.bytes + i;
    return NULL;
}

enum engine_chat_family engine_chat_family_of(struct engine_text template)
{
    for (int i = 1; i < FAMILIES; i++)
        if (find(template, 0, families[i].mark))
            return (enum engine_chat_family)i;
    return ENGINE_CHAT_NONE;
}

const char *engine_chat_family_name(enum engine_chat_family family)
{
    return families[family].name;
}

/* --- the system message a template says itself ------------------------------------------------------------------- */

static int begins(const char *p, const char *end, const char *what)
{
    return (size_t)(end - p) >= strlen(what) && !memcmp(p, what, strlen(what));
}

/* One character of a template's literal at *p: itself, or in a quoted literal what its backslash escape stands for. */
static char literal_next(const char **p, const char *end, char quote)
{
    static const char escapes[][2] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}};
    char c = *(*p)++;
    if (!quote || c != '\\' || *p == end)
        return c;
    c = *(*p)++;
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (escapes[i][0] == c)
            return escapes[i][1];
    return c;
}

/* The literal from p to <|im_end|>, or 0 when it ends before that or holds something the template puts in. */
static int literal_message(const char *p, const char *end, char quote, struct string *out)
{
    while (p < end && !begins(p, end, "<|im_end|>")) {
        if (quote ? *p == quote : begins(p, end, "{{") || begins(p, end, "{%"))
            return 0;
        char c = literal_next(&p, end, quote);
        string_append(out, &c, 1);
    }
    return p < end;
}

void engine_chat_default_system(struct engine_text template, struct string *out)
{
    static const char mark[] = "<|im_start|>system";
    const char *end = template.bytes + template.length;
    for (size_t from = 0;;) {
        const char *start = find(template, from, mark), *p;
        if (!start)
            return;
        from = (size_t)(start - template.bytes) + 1;
        char quote = start > template.bytes && (start[-1] == '\'' || start[-1] == '"') ? start[-1] : '\0';
        struct string message = {0};
        p = start + strlen(mark);
        if (p < end && literal_next(&p, end, quote) == '\n' && literal_message(p, end, quote, &message)) {
            string_append(out, string_text(&message), message.length);
            from = template.length;
        }
        string_free(&message);
    }
}
