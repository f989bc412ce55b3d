/* Searching the thoughts for a text, in slices; a filter that leaves only those that have it; marks one comes back to. */
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE = 2048 }; /* thoughts looked at between two keys */

void tui_find_free(struct tui_find *f)
{
    free(f->text);
    *f = (struct tui_find){0};
}

/* --- does a text hold it ------------------------------------------------------------------------------------------- */

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

/* The first place of it at or after `from`; NULL. Without capitals in it, capitals do not matter. */
static const char *find(const struct tui_find *f, const char *from)
{
    size_t n = strlen(f->text);
    if (!f->fold)
        return strstr(from, f->text);
    for (; *from; from++) {
        size_t i = 0;
        while (i < n && lower((unsigned char)from[i]) == (unsigned char)f->text[i])
            i++;
        if (i == n)
            return from;
    }
    return NULL;
}

static int holds(const struct tui_screen *s, int node)
{
    return !s->tree.nodes[node].gone && find(&s->find, search_node_text(&s->tree, node)) != NULL;
}

int tui_find_draw(struct tui_screen *s, int x, int y, int limit, struct tui_style style, const char *text)
{
    int used = tui_canvas_cut(&s->canvas, x, y, limit, style, text);
    if (!s->find.text)
        return used;
    for (const char *at = text; (at = find(&s->find, at)); at += strlen(s->find.text)) {
        int from = tui_width(text, (size_t)(at - text)), w = tui_width(at, strlen(s->find.text));
        if (from >= used)
            break;
        tui_canvas_ground(&s->canvas, x + from, y, from + w > used ? used - from : w, TUI_CURSOR);
    }
    return used;
}

/* --- the order of the rows, all of them unfolded --------------------------------------------------------------------- */

static int after(const struct tui_screen *s, int node)
{
    const struct search_node *n = tui_screen_node(s, node);
    if (n->first_child >= 0)
        return n->first_child;
    while (n->parent >= 0 && n->next_sibling < 0)
        n = tui_screen_node(s, n->parent);
    return n->next_sibling >= 0 ? n->next_sibling : 0;
}

static int end_below(const struct tui_screen *s, int node)
{
    while (tui_screen_node(s, node)->last_child >= 0)
        node = tui_screen_node(s, node)->last_child;
    return node;
}

static int before(const struct tui_screen *s, int node)
{
    int parent = tui_screen_node(s, node)->parent, place = s->outline.nodes[node].place;
    if (parent < 0)
        return end_below(s, 0);
    return place ? end_below(s, tui_outline_child(&s->outline, parent, place - 1)) : parent;
}

/* --- searching --------------------------------------------------------------------------------------------------- */

/* From the last node to the first: what is below one is known before it is. */
static void begin_count(struct tui_screen *s)
{
    struct tui_find *f = &s->find;
    f->from = f->to = s->tree.count;
    f->count = f->running = 0;
    f->renewed = s->outline.renewed;
}

static void set_text(struct tui_screen *s, const char *text)
{
    struct tui_find *f = &s->find;
    free(f->text);
    f->text = xstrdup(text);
    f->fold = 1;
    for (const char *c = text; *c; c++)
        f->fold = f->fold && !(*c >= 'A' && *c <= 'Z');
    begin_count(s);
}

static void go(struct tui_screen *s, int by)
{
    struct tui_find *f = &s->find;
    if (!f->text || !s->tree.count) {
        tui_screen_notice(s, f->text ? "nothing has been thought yet" : "nothing is searched for: / asks what");
        return;
    }
    f->running = by < 0 ? -1 : 1;
    f->times = abs(by);
    f->at = s->selected;
    f->left = s->tree.count;
}

static void found(struct tui_screen *s, int node)
{
    struct tui_find *f = &s->find;
    f->running = 0;
    tui_marks_jump(s, node);
}

static void not_found(struct tui_screen *s)
{
    char text[120];
    s->find.running = 0;
    snprintf(text, sizeof text, "no thought says \"%.80s\"", s->find.text);
    tui_screen_notice(s, text);
}

/* One slice of what is under way. */
static void search(struct tui_screen *s)
{
    struct tui_find *f = &s->find;
    for (int i = 0; i < SLICE && f->running; i++) {
        f->at = f->running > 0 ? after(s, f->at) : before(s, f->at);
        if (holds(s, f->at) && !s->outline.nodes[f->at].copy && --f->times <= 0) /* who stands for a copy has it, too */
            found(s, f->at);
        else if (--f->left <= 0 && f->running)
            not_found(s);
    }
}

/* Count the node, and let the filter have it. Returns what that took, in thoughts looked at. */
static int look(struct tui_screen *s, int node)
{
    struct tui_find *f = &s->find;
    const int has = holds(s, node);
    f->count += has;
    return 1 + (!f->filter ? 0 : has ? tui_outline_let_through(&s->outline, node) : tui_outline_hide(&s->outline, node));
}

static void count(struct tui_screen *s)
{
    struct tui_find *f = &s->find;
    int left = SLICE;
    while (left > 0 && f->to < s->tree.count)
        left -= look(s, f->to++);
    while (left > 0 && f->from > 0)
        left -= look(s, --f->from);
}

static int is_counted(const struct tui_screen *s)
{
    return s->find.from == 0 && s->find.to == s->tree.count;
}

int tui_find_work(struct tui_screen *s)
{
    struct tui_find *f = &s->find;
    const int hidden = tui_outline_reveal(&s->outline, SLICE);
    if (!f->text || !s->tree.count)
        return hidden;
    if (f->to > s->tree.count || f->renewed != s->outline.renewed) /* another moment: all over again */
        begin_count(s);
    search(s);
    count(s);
    return hidden || f->running || !is_counted(s);
}

/* --- what the user says ------------------------------------------------------------------------------------------- */

void tui_find_begin(struct tui_screen *s, const char *text)
{
    if (!*text && !s->find.text)
        tui_screen_notice(s, "nothing is searched for");
    if (*text)
        set_text(s, text);
    if (s->find.text)
        go(s, 1);
}

void tui_find_end(struct tui_screen *s)
{
    if (s->find.filter)
        tui_outline_filter(&s->outline, 0);
    tui_find_free(&s->find);
}

void tui_find_filter(struct tui_screen *s, const char *text)
{
    if (!*text) {
        tui_find_end(s);
        return;
    }
    s->find.filter = 1;
    tui_outline_filter(&s->outline, 1);
    set_text(s, text);
}

/* For a title: what is searched for, and how often it is there; or "". */
void tui_find_text(const struct tui_screen *s, char out[96])
{
    const struct tui_find *f = &s->find;
    char number[32];
    out[0] = '\0';
    if (f->text)
        snprintf(out, 96, "%s%.40s · %s%s ", f->filter ? "\\" : "/", f->text, tui_number(f->count, number), is_counted(s) ? "" : "…");
}

/* --- marks ------------------------------------------------------------------------------------------------------- */

/* Where one was before the jump is what '' goes back to. */
void tui_marks_jump(struct tui_screen *s, int node)
{
    s->mark_before = 1 + s->selected;
    tui_screen_select(s, node);
}

static int letter_index(int32_t key)
{
    return key >= 'a' && key <= 'z' ? (int)(key - 'a') : key >= 'A' && key <= 'Z' ? (int)(26 + key - 'A') : -1;
}

/* The key after m or '. */
void tui_marks_take(struct tui_screen *s, int32_t asked, int32_t key)
{
    int at = letter_index(key), node;
    char text[80];
    if (asked == '\'' && key == '\'') {
        node = s->mark_before - 1;
    } else if (at < 0) {
        if (key != TUI_KEY_ESCAPE)
            tui_screen_notice(s, "a mark is a letter");
        return;
    } else if (asked == 'm') {
        s->marks[at] = 1 + s->selected;
        snprintf(text, sizeof text, "mark %c is thought %d: '%c comes back to it", (char)key, s->selected, (char)key);
        tui_screen_notice(s, text);
        return;
    } else {
        node = s->marks[at] - 1;
    }
    if (node < 0 || node >= s->tree.count || s->tree.nodes[node].gone)
        tui_screen_notice(s, node < 0 ? "there is no such mark: m and a letter set it" : "what was marked is not in the tree now");
    else
        tui_marks_jump(s, node);
}

int tui_find_key(struct tui_screen *s, int32_t key, int count)
{
    int times = count ? count : 1;
    if (s->mark_asked) {
        int32_t asked = s->mark_asked;
        s->mark_asked = 0;
        if (s->tree.count)
            tui_marks_take(s, asked, key);
        return 1;
    }
    switch (key) {
    case '/':
        tui_ask_open(s, TUI_ASKS_FIND, 0, "");
        return 1;
    case '\\':
        tui_ask_open(s, TUI_ASKS_FILTER, 0, s->find.text && !s->find.filter ? s->find.text : "");
        if (s->find.filter)
            tui_screen_notice(s, "nothing: all thoughts again");
        return 1;
    case 'n':
    case 'N':
        go(s, key == 'n' ? times : -times);
        return 1;
    case 'm':
    case '\'':
        s->mark_asked = key;
        tui_screen_notice(s, key == 'm' ? "mark: which letter?" : "go to which mark? ' again: where you were before");
        return 1;
    default:
        return 0;
    }
}
