#include "tui/copy.h"

#include <stdlib.h>
#include <string.h>

/* --- what ---------------------------------------------------------------------------------------------------------- */

static void add_path(const struct tui_screen *s, int node, struct string *out)
{
    int *path = NULL, count = 0, capacity = 0;
    for (; node >= 0; node = tui_screen_node(s, node)->parent) {
        ARRAY_RESERVE(path, count, capacity);
        path[count++] = node;
    }
    while (count) {
        string_add(out, out->length ? "\n" : "");
        string_add(out, search_node_text(&s->tree, path[--count]));
    }
    free(path);
}

/* The first sample of an item holds the prompt of all. */
static int add_prompt(const struct tui_screen *s, int node, struct string *out)
{
    const struct search_event *written = tui_screen_node(s, node)->completion;
    for (int64_t i = written ? written->number : -1; i >= 0; i--) {
        const struct search_event *e = s->tree.events[i];
        if (e->step != written->step || e->kind == SEARCH_EVENT_PLAN)
            break;
        if (e->kind != SEARCH_EVENT_COMPLETION || e->completion.item != written->completion.item)
            continue;
        for (int k = 0; k < e->completion.prompt_count && e->completion.prompt; k++) {
            size_t bytes;
            const char *token = tui_screen_token(s, e->completion.prompt[k], &bytes);
            string_append(out, token, bytes);
        }
        if (e->completion.prompt)
            return out->length > 0;
    }
    return 0;
}

int tui_copy_text(struct tui_screen *s, const char *what, struct string *out)
{
    struct string raw = {0};
    if (!s->tree.count)
        tui_screen_notice(s, "there is nothing to copy yet");
    else if (!strcmp(what, "path"))
        add_path(s, s->selected, &raw);
    else if (!strcmp(what, "prompt") && !add_prompt(s, s->selected, &raw))
        tui_screen_notice(s, "no model was asked for this thought, or its prompt is not kept");
    else if (!*what || !strcmp(what, "thought"))
        string_add(&raw, search_node_text(&s->tree, s->selected));
    else if (strcmp(what, "prompt"))
        tui_screen_notice(s, "copy: expected thought, path or prompt");
    utf8_sanitize(out, string_text(&raw), raw.length, 1);
    string_free(&raw);
    return out->length > 0;
}

/* --- how ----------------------------------------------------------------------------------------------------------- */

static void add_base64(struct string *out, const unsigned char *in, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const unsigned more = n - i > 1 ? in[i + 1] : 0, most = n - i > 2 ? in[i + 2] : 0, x = (unsigned)in[i] << 16 | more << 8 | most;
        const char four[4] = {digits[x >> 18], digits[x >> 12 & 63], n - i > 1 ? digits[x >> 6 & 63] : '=', n - i > 2 ? digits[x & 63] : '='};
        string_append(out, four, 4);
    }
}

size_t tui_copy_sequence(const struct string *text, int tmux, struct string *out)
{
    struct string base64 = {0};
    size_t n = text->length > TUI_COPY_MOST ? TUI_COPY_MOST : text->length;
    while (n < text->length && n && ((unsigned char)text->text[n] & 0xc0) == 0x80)
        n--;
    add_base64(&base64, (const unsigned char *)string_text(text), n);
    string_addf(out, "\033]52;c;%s\a", string_text(&base64));
    if (tmux)
        string_addf(out, "\033Ptmux;\033\033]52;c;%s\a\033\\", string_text(&base64));
    string_free(&base64);
    return n;
}
