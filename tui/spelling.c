#include "tui/spelling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void tui_spell(const struct tui_screen *s, const struct engine_token *tokens, int count, struct tui_spelling *out)
{
    *out = (struct tui_spelling){.tokens = tokens, .count = count, .cursor = -1, .styled = -1, .starts = xmalloc((size_t)(count + 1) * sizeof *out->starts)};
    for (int i = 0; i < count; i++) {
        size_t bytes;
        const char *text = tui_screen_token(s, tokens[i].id, &bytes);
        out->starts[i] = out->text.length;
        string_append(&out->text, text, bytes);
    }
    out->starts[count] = out->text.length;
}

void tui_spelling_free(struct tui_spelling *s)
{
    string_free(&s->text);
    free(s->starts);
}

static struct tui_style token_style(void *context, size_t offset, int x, int y)
{
    struct tui_spelling *s = context;
    while (s->at + 1 < s->count && s->starts[s->at + 1] <= offset + s->skipped)
        s->at++;
    if (s->at != s->styled) /* once a token, not once a character */
        s->style = tui_style_level(TUI_TOKEN, exp(s->tokens[s->at].logprob));
    s->styled = s->at;
    struct tui_style style = s->style;
    if (s->cells && s->at < s->count && s->cells[s->at].y < 0) {
        s->cells[s->at].x = x;
        s->cells[s->at].y = y;
    }
    if (s->at == s->cursor)
        style.ground = TUI_CURSOR;
    return style;
}

/* Newlines before the first word would be empty lines: they are left out. */
void tui_spelling_write(struct tui_paper *p, struct tui_spelling *s)
{
    s->skipped = strspn(string_text(&s->text), "\n");
    tui_paper_wrap_styled(p, string_text(&s->text) + s->skipped, s->text.length - s->skipped, token_style, s);
}

char *tui_spelling_quoted(const struct tui_screen *s, int id)
{
    size_t bytes;
    const char *text = tui_screen_token(s, id, &bytes), *end = text + bytes;
    struct string out = {0};
    string_add(&out, "\"");
    for (const char *p = text, *start = p; p < end; start = p) {
        int32_t c = utf8_next(&p, end);
        if (c < 0)
            string_addf(&out, "\\x%02x", (unsigned char)*start);
        else if (c == '\n' || c == '\t')
            string_add(&out, c == '\n' ? "\\n" : "\\t");
        else
            string_append(&out, start, (size_t)(p - start));
    }
    string_add(&out, "\"");
    return out.text;
}

