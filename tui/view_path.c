/* The thoughts from the problem to the selected one, as one text. */
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 300 }; /* thoughts: of a longer path the last ones */

static void write_thought(struct tui_screen *s, struct tui_paper *p, int node)
{
    const struct search_node *n = tui_screen_node(s, node);
    int number_width = 4;
    char number[32], score[32];
    snprintf(number, sizeof number, "%d", node);
    tui_paper_putf(p, tui_style(TUI_DIM), "%-*s", number_width, node ? number : "");
    p->x = p->x < number_width ? number_width : p->x;
    p->indent = number_width;
    struct tui_style style = tui_style(node == s->selected ? TUI_TITLE : n->state == SEARCH_ILLEGAL ? TUI_ILLEGAL : TUI_TEXT);
    tui_paper_wrap(p, style, search_node_text(&s->tree, node));
    if (n->judgement && s->known.judged) {
        char *value = xasprintf(" · %s", tui_score(n->value, score));
        tui_paper_wrap(p, tui_style(TUI_DIM), value);
        free(value);
    }
    p->indent = 0;
    tui_paper_newline(p);
}

static void write_end(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_event *thought = tui_screen_node(s, s->selected)->thought;
    if (!thought || !thought->thought.answer)
        return;
    int correct = thought->thought.correct;
    tui_paper_heading(p, "answer");
    tui_paper_put(p, tui_style(correct == 1 ? TUI_RIGHT : correct == 0 ? TUI_WRONG : TUI_BEST), thought->thought.answer);
    tui_paper_put(p, tui_style(TUI_TEXT), correct == 1 ? " ✓ right" : correct == 0 ? " ✗ wrong" : "");
    tui_paper_newline(p);
}

static void write_path(struct tui_screen *s, struct tui_paper *p)
{
    int path[MOST], count = 0, node = s->selected;
    for (; node >= 0 && count < MOST; node = tui_screen_node(s, node)->parent)
        path[count++] = node;
    if (node >= 0) {
        tui_paper_putf(p, tui_style(TUI_DIM), "… %d thoughts before these", tui_screen_node(s, node)->depth + 1);
        tui_paper_newline(p);
    }
    while (count)
        write_thought(s, p, path[--count]);
    write_end(s, p);
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    struct tui_paper p;
    char more[48] = "";
    if (s->tree.count)
        snprintf(more, sizeof more, "%d thought%s to %d", tui_screen_node(s, s->selected)->depth, tui_screen_node(s, s->selected)->depth == 1 ? "" : "s", s->selected);
    tui_sheet_title(s, &tui_view_path, r, "path", more);
    if (!s->tree.count) {
        tui_sheet_says(s, r, "Nothing has been thought yet: what leads to the selected thought will stand here as one text.");
        return;
    }
    uint64_t stamp = tui_sheet_stamp(s, 0);
    int moved = s->path.stamp != stamp; /* then the end is what one wants to see */
    if (!tui_sheet_kept(&s->path, s, r, stamp)) {
        tui_sheet_begin(&s->path, s, r, &p);
        write_path(s, &p);
        tui_sheet_write(&s->path, &p, stamp);
    }
    if (moved)
        s->path.top = s->path.lines;
    tui_sheet_end(&s->path, s, r);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    return tui_sheet_key(&s->path, k, count);
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = tui_sheet_hints(&s->path, out);
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

const struct tui_view tui_view_path = {
    .name = "path", .letter = 'p', .about = "from the problem to the selected thought, as one text", .help = tui_help_pages, .draw = draw, .key = key, .hints = hints,
};
