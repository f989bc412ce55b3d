/* The tree as an outline: a row for each thought, with what is left after it, its score, and what became of it. */
#include "tui/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where the columns of the pane stand, after the text: state, probability, bar, score, signs. w = 0: not shown. */
struct columns {
    struct { int x, w; } text, state, probability, bar, score, signs;
    int end; /* of the pane */
};

enum { SIGNS = 3, SCORE = 5, BAR = 6, LEAST_STATE = 6, MOST_STATE = 16, LEAST_TEXT = 24 };

/* The columns take what they need, the text the rest; but they stay near it where it needs less. */
static struct columns place_columns(const struct tui_screen *s, struct tui_rect r)
{
    struct columns c = {.end = r.x + r.w - 1};
    char number[32];
    int copies = s->outline.most_copies, marks = copies ? 3 + (int)strlen(tui_number(copies + 1, number)) : 0;
    int rest = r.w - (1 + SIGNS) - SCORE - 1;
    c.signs.w = SIGNS;
    c.score.w = SCORE;
    if (r.w >= (s->known.judged && !marks ? 40 : 56)) /* where there is little room, how often is worth more than a bar beside its number */
        rest -= (c.bar.w = BAR) + 1;
    if (r.w >= 64 && s->known.judged)
        rest -= (c.probability.w = SCORE) + 2;
    int most = rest * (s->has_states ? 4 : 3) / 10, state = s->state_width > MOST_STATE ? MOST_STATE : s->state_width;
    state = state > most ? most : state < LEAST_STATE ? LEAST_STATE : state;
    if (s->state_width && most >= LEAST_STATE)
        rest -= (c.state.w = state) + 2;
    int text = s->text_width + marks < LEAST_TEXT ? LEAST_TEXT : s->text_width + marks;
    c.text.x = r.x, c.text.w = text < rest ? text : rest;
    int x = c.text.x + c.text.w;
    if (c.state.w)
        c.state.x = x + 2, x += 2 + c.state.w;
    if (c.probability.w)
        c.probability.x = x + 2, x += 2 + c.probability.w;
    if (c.bar.w)
        c.bar.x = x + 1, x += 1 + c.bar.w;
    c.score.x = x + (c.bar.w ? 0 : 1), x = c.score.x + c.score.w;
    c.signs.x = x + 1;
    return c;
}

static void draw_title(struct tui_screen *s, struct tui_rect r, const struct columns *c)
{
    struct tui_style title = tui_style(s->focus == &tui_view_tree ? TUI_FOCUS : TUI_TITLE);
    int y = r.y - 1;
    int used = tui_canvas_text(&s->canvas, r.x, y, r.w, title, " tree "), rows = tui_outline_rows(&s->outline);
    if (s->find.text) {
        char text[96];
        tui_find_text(s, text);
        used += tui_canvas_cut(&s->canvas, r.x + used, y, c->text.x + c->text.w - r.x - used, tui_style(TUI_FOCUS), text);
    }
    if (rows > r.h) {
        char place[80], a[32], b[32];
        const int row = tui_outline_row(&s->outline, s->selected);
        snprintf(place, sizeof place, "%s%s of %s ", s->find.text ? "· " : "", tui_number(row + 1, a), tui_number(rows, b));
        const char *over = s->has_states ? " left " : " answer "; /* the states: it stands at their right end */
        const int end = c->state.w ? c->state.x + c->state.w + 1 - (int)strlen(over) : c->text.x + c->text.w;
        if (r.x + used + tui_width(place, strlen(place)) <= end) /* a number that is cut is another */
            tui_canvas_text(&s->canvas, r.x + used, y, end - r.x - used, tui_style(TUI_DIM), place);
    }
    if (!s->tree.count)
        return;
    if (c->state.w)
        tui_canvas_right(&s->canvas, c->state.x - 1, y, c->state.w + 2, tui_style(TUI_DIM), s->has_states ? " left " : " answer ");
    if (c->probability.w)
        tui_canvas_right(&s->canvas, c->probability.x - 1, y, c->probability.w + 2, tui_style(TUI_DIM), " prob ");
    tui_canvas_right(&s->canvas, c->score.x - 2, y, c->score.w + 3, tui_style(TUI_DIM),
                     !s->known.judged ? " prob " : s->known.voted ? " votes " : " value ");
}

/* --- a row ------------------------------------------------------------------------------------------------------- */

/* Guides down to depth; those that do not fit give way to an ellipsis. Returns the column after them. */
static int draw_guides(struct tui_screen *s, int y, const struct columns *c, struct tui_outline_place place, int depth)
{
    int shown = depth > c->text.w / 3 ? c->text.w / 3 : depth, x = c->text.x + shown;
    if (!shown)
        return x;
    tui_canvas_text(&s->canvas, x - 1, y, 1, tui_style(TUI_BORDER), tui_outline_is_last(&s->outline, place) ? "└" : "├");
    struct tui_outline_place above = {place.live >= 0 ? place.node : tui_screen_node(s, place.node)->parent, -1};
    for (int i = x - 2; i >= c->text.x; i--) {
        if (!tui_outline_is_last(&s->outline, above))
            tui_canvas_text(&s->canvas, i, y, 1, tui_style(TUI_BORDER), "│");
        above.node = tui_screen_node(s, above.node)->parent;
    }
    if (shown < depth)
        tui_canvas_text(&s->canvas, c->text.x, y, 1, tui_style(TUI_DIM), "…");
    return x;
}

static int is_judged_now(const struct tui_screen *s, int node)
{
    for (int i = 0; i < s->now.live.count; i++)
        if (s->now.live.list[i].node == node && !tui_screen_writes_below(&s->now.live.list[i]))
            return 1;
    return 0;
}

static struct tui_style text_style(const struct tui_screen *s, int node)
{
    const struct search_node *n = tui_screen_node(s, node);
    if (search_tree_is_pruned(&s->tree, node))
        return tui_style(TUI_PRUNED);
    if (n->state == SEARCH_ILLEGAL)
        return tui_style(TUI_ILLEGAL);
    if (n->on_best_path)
        return tui_style(TUI_BEST);
    return tui_style(n->state == SEARCH_FRONTIER ? TUI_FRONTIER : TUI_TEXT);
}

static void draw_signs(struct tui_screen *s, int y, const struct columns *c, int node)
{
    const struct search_node *n = tui_screen_node(s, node);
    if (n->state == SEARCH_EXPANDING || is_judged_now(s, node))
        tui_canvas_text(&s->canvas, c->signs.x, y, 1, tui_style(TUI_EXPANDING), "»");
    if (search_node_is_kept(n))
        tui_canvas_text(&s->canvas, c->signs.x + 1, y, 1, tui_style(n->decision == s->tree.latest_decision ? TUI_KEPT : TUI_DIM), "★");
    if (n->thought && n->thought->thought.final && n->thought->thought.correct >= 0)
        tui_canvas_text(&s->canvas, c->signs.x + 2, y, 1, tui_style(n->thought->thought.correct ? TUI_RIGHT : TUI_WRONG),
                        n->thought->thought.correct ? "✓" : "✗");
}

static void draw_state(struct tui_screen *s, int y, const struct columns *c, const struct search_node *n, struct tui_style style)
{
    if (!c->state.w || !n->thought)
        return;
    const char *answer = n->thought->thought.answer, *state = n->thought->thought.state;
    if (answer) {
        int fits = tui_width(answer, strlen(answer)) + 2 <= c->state.w;
        char *text = fits || !s->has_states ? xasprintf("= %s", answer) : xstrdup("answer");
        const struct search_event *d = s->tree.latest_decision;
        const int votes = d && d->decision.tally_count && !n->excluded, correct = n->thought->thought.correct;
        enum tui_role role = correct == 1 ? TUI_RIGHT : correct == 0 ? TUI_WRONG : votes ? TUI_VOTED : TUI_TEXT;
        tui_canvas_right(&s->canvas, c->state.x, y, c->state.w, tui_style(role), text);
        free(text);
    } else if (state) {
        tui_canvas_right(&s->canvas, c->state.x, y, c->state.w, style.role == TUI_BEST ? style : tui_style(TUI_DIM), state);
    }
}

static void draw_scores(struct tui_screen *s, int y, const struct columns *c, const struct search_node *n)
{
    char number[32];
    double p = n->tokens ? exp(n->logprob / n->tokens) : NAN;
    double score = s->known.judged ? n->value : p, part = s->known.judged ? score / (s->value_most > 0 ? s->value_most : 1) : score;
    enum tui_role gradient = s->known.judged ? TUI_VALUE : TUI_PROBABILITY;
    if (c->probability.w && isfinite(p))
        tui_canvas_right(&s->canvas, c->probability.x, y, c->probability.w, tui_style_level(TUI_PROBABILITY, p), tui_probability(p, number));
    if (!isfinite(score))
        return;
    if (s->known.judged && tui_screen_is_lost(n)) {
        tui_canvas_right(&s->canvas, c->score.x, y, c->score.w, tui_style(TUI_LOST), "lost");
        return;
    }
    if (c->bar.w)
        tui_canvas_bar(&s->canvas, c->bar.x, y, c->bar.w, tui_style_level(gradient, part), part);
    tui_canvas_right(&s->canvas, c->score.x, y, c->score.w, tui_style_level(gradient, part),
                     s->known.judged ? tui_score(score, number) : tui_probability(score, number));
}

/* Why a row has no numbers, in their place. Returns the column where the thought before it, of `thought` columns, must end. */
static int draw_reason(struct tui_screen *s, int y, const struct columns *c, int from, int thought, const char *word, const char *why,
                       struct tui_style style)
{
    char *text = why ? xasprintf("%s: %s", word, why) : xstrdup(word);
    int least = (int)strlen(word), x = from + thought + 2, column = c->text.x + c->text.w + 2;
    if (x < column)
        x = column;
    if (x > c->end - least)
        x = c->end - least;
    int whole = c->end - x >= least + 6; /* enough of the reason to mean something */
    tui_canvas_cut(&s->canvas, x, y, c->end - x, style, whole ? text : word);
    free(text);
    return x - 1;
}

/* What the user did with it, before its text. Returns the columns used. */
static int draw_marks(struct tui_screen *s, int x, int y, const struct search_node *n)
{
    const struct { int is; const char *sign; enum tui_role role; } marks[] = {
        {n->training, "◆ ", TUI_KEPT}, {n->thought && n->thought->thought.by_user, "✎ ", TUI_FOCUS}, {n->excluded, "⊘ ", TUI_WRONG},
    };
    int from = x;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (marks[i].is)
            x += tui_canvas_text(&s->canvas, x, y, 2, tui_style(marks[i].role), marks[i].sign);
    return x - from;
}

static void draw_node(struct tui_screen *s, int y, const struct columns *c, int node)
{
    const struct search_node *n = tui_screen_node(s, node);
    int x = draw_guides(s, y, c, (struct tui_outline_place){node, -1}, n->depth);
    const struct tui_outline_node *outline = &s->outline.nodes[node];
    if (n->first_child >= 0 || outline->live)
        tui_canvas_text(&s->canvas, x, y, 1, tui_style(TUI_BORDER), outline->open ? "▾" : "▸");
    x += 2;
    x += draw_marks(s, x, y, n);
    struct tui_style style = text_style(s, node);
    const char *text = search_node_text(&s->tree, node), *why = n->thought ? n->thought->thought.why : NULL;
    size_t length = strlen(text);
    char copies[40];
    int end = n->thought ? c->text.x + c->text.w : c->signs.x - 1; /* the problem has no figures */
    int mark = tui_screen_copies_text(s, node, copies), more = mark ? 2 + mark : 0;
    if (style.role == TUI_ILLEGAL) {
        end = draw_reason(s, y, c, x, tui_width(text, length) + more, "illegal", why, style);
    } else if (n->pruned) {
        end = draw_reason(s, y, c, x, tui_width(text, length), "pruned", NULL, style);
    } else {
        if (c->state.w && n->thought && n->thought->thought.state)
            length = tui_length_without_state(text, n->thought->thought.state);
        draw_state(s, y, c, n, style);
        draw_scores(s, y, c, n);
    }
    if (!n->pruned)
        draw_signs(s, y, c, node);
    char *shown = xstrndup(text, length);
    x += tui_find_draw(s, x, y, end - x - more, style, shown);
    free(shown);
    if (mark)
        x += 2 + tui_canvas_text(&s->canvas, x + 2, y, mark, tui_style(TUI_DIM), copies);
    if (!outline->open && n->descendants && end - x > 6) {
        char count[48], number[32];
        snprintf(count, sizeof count, "  %s below", tui_number(n->descendants, number));
        tui_canvas_cut(&s->canvas, x, y, end - x, tui_style(TUI_DIM), count);
    }
}

/* --- a thought being written ------------------------------------------------------------------------------------- */

static const struct tui_live *find_live(const struct tui_screen *s, struct tui_outline_place place)
{
    int left = place.live;
    for (int i = 0; i < s->now.live.count; i++)
        if (s->now.live.list[i].node == place.node && tui_screen_writes_below(&s->now.live.list[i]) && !left--)
            return &s->now.live.list[i];
    return NULL;
}

static void draw_live(struct tui_screen *s, int y, const struct columns *c, struct tui_outline_place place)
{
    const struct tui_live *live = find_live(s, place);
    int x = draw_guides(s, y, c, place, tui_screen_node(s, place.node)->depth + 1);
    tui_canvas_text(&s->canvas, x, y, 1, tui_style(TUI_EXPANDING), "»");
    x += 2;
    if (!live || !live->count) {
        tui_canvas_cut(&s->canvas, x, y, c->end - x, tui_style(TUI_DIM), "reading the prompt");
        return;
    }
    struct string text = {0};
    for (int i = 0; i < live->count; i++) {
        size_t bytes;
        const char *token = tui_screen_token(s, live->tokens[i].id, &bytes);
        string_append(&text, token, bytes);
    }
    const char *start = string_text(&text), *end = start + text.length;
    while (end > start && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    if (live->purpose == SEARCH_PROPOSE) /* a thought a line: the one at hand */
        for (const char *p = start; p < end; p++)
            if (*p == '\n')
                start = p + 1;
    int room = c->end - x;
    size_t skip = tui_width_tail(start, (size_t)(end - start), room);
    if (skip) {
        x += tui_canvas_text(&s->canvas, x, y, 1, tui_style(TUI_DIM), "…");
        skip = tui_width_tail(start, (size_t)(end - start), --room);
    }
    tui_canvas_bytes(&s->canvas, x, y, room, tui_style(TUI_LIVE), start + skip, (size_t)(end - start) - skip);
    string_free(&text);
}

/* --- the pane ---------------------------------------------------------------------------------------------------- */

static void scroll_to_selection(struct tui_screen *s)
{
    int rows = tui_outline_rows(&s->outline), row = tui_outline_row(&s->outline, s->selected);
    int margin = s->page >= 8 ? 2 : 0, below = row;
    if (s->follow) { /* what is being written below it matters more than what stands above */
        const struct tui_outline_node *n = &s->outline.nodes[s->selected];
        below = row + (n->open && n->live ? n->rows - 1 : 0);
        if (below - row > s->page - 1 - margin)
            below = row + s->page - 1 - margin;
    }
    if (below + margin >= s->top + s->page)
        s->top = below + margin - s->page + 1;
    if (row - margin < s->top)
        s->top = row - margin;
    if (s->top > rows - s->page)
        s->top = rows - s->page;
    if (s->top < 0)
        s->top = 0;
}

static void draw_loading(struct tui_screen *s, struct tui_rect r)
{
    if (s->now.state == TUI_LOADING && r.h > 2) {
        int x = r.x + 2 + tui_canvas_text(&s->canvas, r.x + 2, r.y + 1, r.w - 4, tui_style(TUI_DIM), "loading ");
        tui_canvas_cut(&s->canvas, x, r.y + 1, r.x + r.w - 2 - x, tui_style(TUI_TEXT), s->model);
    }
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    struct columns c = place_columns(s, r);
    draw_title(s, r, &c);
    s->page = r.h;
    if (!s->tree.count) {
        draw_loading(s, r);
        return;
    }
    if (!s->scrolled)
        scroll_to_selection(s);
    int rows = tui_outline_rows(&s->outline);
    for (int i = 0; i < r.h && s->top + i < rows; i++) {
        struct tui_outline_place place = tui_outline_at(&s->outline, s->top + i);
        if (place.live >= 0)
            draw_live(s, r.y + i, &c, place);
        else
            draw_node(s, r.y + i, &c, place.node);
        if (place.live < 0 && place.node == s->selected)
            tui_canvas_ground(&s->canvas, r.x, r.y + i, r.w, s->focus == &tui_view_tree ? TUI_SELECTION : TUI_SELECTION_BLURRED);
    }
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

/* To the node on that row; rows of thoughts being written are passed over in the direction of the move. */
static void move_to_row(struct tui_screen *s, int row, int direction)
{
    int rows = tui_outline_rows(&s->outline);
    row = row < 0 ? 0 : row >= rows ? rows - 1 : row;
    struct tui_outline_place place = tui_outline_at(&s->outline, row);
    while (place.live >= 0 && row + direction >= 0 && row + direction < rows)
        place = tui_outline_at(&s->outline, row += direction);
    while (place.live >= 0) /* nothing but those to the end */
        place = tui_outline_at(&s->outline, --row);
    tui_screen_select(s, place.node);
}

static void move(struct tui_screen *s, int by)
{
    int row = tui_outline_row(&s->outline, s->selected), rows = tui_outline_rows(&s->outline);
    move_to_row(s, by > rows ? rows : by < -rows ? 0 : row + by, by < 0 ? -1 : 1);
}

static void go_left(struct tui_screen *s)
{
    const struct search_node *n = tui_screen_node(s, s->selected);
    if (n->first_child >= 0 && s->outline.nodes[s->selected].open)
        tui_outline_set_open(&s->outline, s->selected, 0);
    else if (n->parent >= 0)
        tui_screen_select(s, n->parent);
    s->follow = 0;
}

static void go_right(struct tui_screen *s)
{
    const struct search_node *n = tui_screen_node(s, s->selected);
    if (!s->outline.nodes[s->selected].open)
        tui_outline_set_open(&s->outline, s->selected, 1);
    else if (n->first_child >= 0)
        tui_screen_select(s, n->first_child);
    s->follow = 0;
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    int times = count ? count : 1;
    if (!s->tree.count)
        return 0;
    switch (k) {
    case 'j':
    case TUI_KEY_DOWN:
        move(s, times);
        return 1;
    case 'k':
    case TUI_KEY_UP:
        move(s, -times);
        return 1;
    case TUI_KEY_PAGE_DOWN:
        move(s, times * (s->page > 2 ? s->page - 2 : 1));
        return 1;
    case TUI_KEY_PAGE_UP:
        move(s, -times * (s->page > 2 ? s->page - 2 : 1));
        return 1;
    case 'h':
    case TUI_KEY_LEFT:
        go_left(s);
        return 1;
    case 'l':
    case TUI_KEY_RIGHT:
        go_right(s);
        return 1;
    case 'g':
    case TUI_KEY_HOME:
        move_to_row(s, 0, 1);
        return 1;
    case 'G':
    case TUI_KEY_END:
        if (!tui_screen_go(s, count))
            move_to_row(s, tui_outline_rows(&s->outline) - 1, -1);
        return 1;
    default:
        return 0;
    }
}

static void scroll(struct tui_screen *s, int lines)
{
    int last = tui_outline_rows(&s->outline) - s->page;
    s->scrolled = 1;
    s->follow = 0;
    s->top += lines;
    s->top = s->top > last ? last : s->top;
    s->top = s->top < 0 ? 0 : s->top;
}

/* On a thought: select it; on its sign: fold or unfold it, too. */
static void click(struct tui_screen *s, int x, int y)
{
    if (s->top + y >= tui_outline_rows(&s->outline))
        return;
    struct tui_outline_place place = tui_outline_at(&s->outline, s->top + y);
    int depth = tui_screen_node(s, place.node)->depth, sign = x >= depth && x <= depth + 1;
    if (place.live >= 0)
        return;
    if (sign && tui_screen_node(s, place.node)->first_child >= 0)
        tui_outline_set_open(&s->outline, place.node, !s->outline.nodes[place.node].open);
    s->scrolled = 1; /* what was clicked on stays where it is, though a copy that was selected folds */
    tui_screen_select(s, place.node);
    s->top = tui_outline_row(&s->outline, place.node) - y;
    s->top = s->top < 0 ? 0 : s->top;
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    if (s->tree.count) {
        int open = s->outline.nodes[s->selected].open && tui_screen_node(s, s->selected)->first_child >= 0;
        if (!s->layout.panes[1].w) /* nothing else says that there is more than the tree */
            out[n++] = (struct tui_hint){"enter", "thought"};
        out[n++] = (struct tui_hint){"j k", "move"};
        out[n++] = (struct tui_hint){"h l", open ? "fold" : "open"};
        if (s->layout.panes[1].w)
            out[n++] = (struct tui_hint){"enter", "thought"};
        if (tui_outline_copies(&s->outline, s->selected))
            out[n++] = (struct tui_hint){"*", "copies"};
    }
    return n;
}

const struct tui_view tui_view_tree = {
    .name = "tree", .letter = 't', .about = "the outline: a row for each thought", .help = "the tree",
    .draw = draw, .key = key, .hints = hints, .click = click, .scroll = scroll,
};
