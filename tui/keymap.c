#include "tui/keymap.h"
#include "tui/words.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const struct {
    const char *name;
    int32_t key;
} names[] = {
    {"space", ' '}, {"enter", TUI_KEY_ENTER}, {"escape", TUI_KEY_ESCAPE}, {"tab", TUI_KEY_TAB}, {"back-tab", TUI_KEY_BACK_TAB},
    {"backspace", TUI_KEY_BACKSPACE}, {"delete", TUI_KEY_DELETE}, {"up", TUI_KEY_UP}, {"down", TUI_KEY_DOWN}, {"left", TUI_KEY_LEFT},
    {"right", TUI_KEY_RIGHT}, {"home", TUI_KEY_HOME}, {"end", TUI_KEY_END}, {"page-up", TUI_KEY_PAGE_UP}, {"page-down", TUI_KEY_PAGE_DOWN},
};
static const char expected[] = "expected a character, space, enter, escape, tab, back-tab, backspace, delete, up, down, left, right, home, end, "
                               "page-up, page-down, f1 to f12, or ctrl- (or ^) and a letter";

/* "ctrl-n", or as the help writes it "^N"; 0: it is neither. Terminals tell ctrl-i, ctrl-m and ctrl-[ from no other key. */
static int32_t control_of(const char *text)
{
    const size_t n = !strncmp(text, "ctrl-", 5) ? 5 : text[0] == '^' ? 1 : 0;
    const char letter = n && text[n] && !text[n + 1] ? text[n] : '\0', small = n == 1 && letter >= 'A' && letter <= 'Z' ? (char)(letter + 32) : letter;
    return small >= 'a' && small <= 'z' && small != 'i' && small != 'm' ? small - 'a' + 1 : 0;
}

/* A key by its name, which is all of the text; 0: it is none. */
static int32_t key_of(const char *text)
{
    const char *p = text, *end = text + strlen(text);
    int32_t scalar = utf8_next(&p, end);
    if (p == end && scalar > ' ' && scalar != 0x7f && !(scalar >= 0x80 && scalar < 0xa0))
        return scalar;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, text))
            return names[i].key;
    if (*text == 'f' && strspn(text + 1, "0123456789") == strlen(text) - 1 && strlen(text) <= 3 && atoi(text + 1) >= 1 && atoi(text + 1) <= 12)
        return TUI_KEY_F1 + atoi(text + 1) - 1;
    return control_of(text);
}

const char *tui_key_name(int32_t key, char out[16])
{
    out[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].key == key)
            snprintf(out, 16, "%s", names[i].name);
    if (out[0])
        return out;
    if (key > 0 && key < ' ')
        snprintf(out, 16, "^%c", (char)(key + TUI_KEY_CONTROL));
    else if (key >= TUI_KEY_F1 && key <= TUI_KEY_F12)
        snprintf(out, 16, "f%d", (int)(key - TUI_KEY_F1 + 1));
    else if (key > ' ' && key != 0x7f && key < TUI_KEY_UP)
        out[utf8proc_encode_char(key, (utf8proc_uint8_t *)out)] = '\0';
    return out;
}

void tui_key_refuse(int32_t key, char *out, size_t size)
{
    char name[16];
    const int is_one = key != TUI_KEY_NONE && key != TUI_KEY_PASTE_ENDS;
    snprintf(out, size, is_one ? "%s is no key here; ? shows them" : "", *tui_key_name(key, name) ? name : "this");
}

/* Keys that must do what they do, or one could be locked in. */
static int is_reserved(int32_t key)
{
    return key == 'C' - TUI_KEY_CONTROL || key == 'Z' - TUI_KEY_CONTROL || key == TUI_KEY_ESCAPE;
}

static int read_keys(struct tui_binding *b, const char *text, const struct search_yaml *node, struct error *e)
{
    const char *end = text + strlen(text);
    int32_t key = key_of(text);
    if (!strcmp(text, "none"))
        return OK;
    if (key) {
        b->keys = xmalloc(sizeof *b->keys);
        b->keys[b->count++] = key;
        return OK;
    }
    b->keys = xcalloc(strlen(text) + 1, sizeof *b->keys);
    for (const char *p = text; p < end;) {
        key = utf8_next(&p, end);
        if (key < ' ' || (key >= 0x7f && key < 0xa0))
            return search_yaml_error(node, e, "no key is written so; expected keys in a row, as in 10j, the name of one, none, or \":command\" in quotes");
        b->keys[b->count++] = key;
    }
    return OK;
}

/* What may be wrong in its arguments depends on the search, and is told when it is pressed. */
static int read_command(struct tui_binding *b, const char *text, const struct search_yaml *node, struct error *e)
{
    text += strspn(text, " ");
    const size_t n = strcspn(text, " ");
    if (!tui_word_find(text, n)) {
        struct string all = {0};
        for (const struct tui_word *w = tui_words; w->verb; w++)
            string_addf(&all, " %s", w->verb);
        const int code = search_yaml_error(node, e, "no command \"%.*s\"; there are%s", n > 40 ? 40 : (int)n, text, all.text);
        string_free(&all);
        return code;
    }
    b->command = xstrdup(text);
    return OK;
}

static int read_binding(struct tui_keymap *m, const struct search_yaml *from, const struct search_yaml *to, struct error *e)
{
    const char *text = NULL;
    struct tui_binding b = {.key = key_of(from->text)};
    if (!b.key)
        return search_yaml_error(from, e, "no key \"%s\"; %s", from->text, expected);
    if (is_reserved(b.key))
        return search_yaml_error(from, e, "escape, ctrl-c and ctrl-z stay what they are");
    if (tui_keymap_find(m, b.key))
        return search_yaml_error(from, e, "the key \"%s\" is bound twice", from->text);
    int code = search_yaml_string(to, &text, e);
    if (code)
        return code;
    if (text[0] == ':' && text[1])
        code = read_command(&b, text + 1, to, e);
    else
        code = read_keys(&b, text, to, e);
    b.from = xstrdup(from->text);
    b.to = xstrdup(text);
    ARRAY_RESERVE(m->list, m->count, m->capacity);
    m->list[m->count++] = b;
    return code;
}

int tui_keymap_read(struct tui_keymap *m, const struct search_yaml *node, struct error *e)
{
    int code = search_yaml_expect(node, SEARCH_YAML_MAP, e);
    for (int i = 0; !code && i < node->count; i++)
        code = read_binding(m, node->keys[i], node->values[i], e);
    return code;
}

const struct tui_binding *tui_keymap_find(const struct tui_keymap *m, int32_t key)
{
    for (int i = 0; i < m->count; i++)
        if (m->list[i].key == key)
            return &m->list[i];
    return NULL;
}

void tui_keymap_free(struct tui_keymap *m)
{
    for (int i = 0; i < m->count; i++) {
        free(m->list[i].keys);
        free(m->list[i].command);
        free(m->list[i].from);
        free(m->list[i].to);
    }
    free(m->list);
    *m = (struct tui_keymap){0};
}
