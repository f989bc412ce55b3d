/* The selected thought among those it was chosen from: what the strategy goes by, number by number, and where each comes from. */
#include "tui/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N, Q, U, PRIOR, SUM, VALUE, VOTES, COLUMNS };
_Static_assert((int)COLUMNS == (int)TUI_SIBLING_COLUMNS, "a bookmark says which");
enum { LEAST_TEXT = 10, WIDE = 60 };

static const struct {
    const char *name, *what;
} columns[COLUMNS] = {
    [N] = {"N", "how often the search passed through it"},
    [Q] = {"Q", "what was found below it"},
    [U] = {"U", "what is hoped for, being seen little"},
    [PRIOR] = {"prior", "how probable the model thinks it is"},
    [SUM] = {"Q+U", "what it is chosen by"},
    [VALUE] = {"value", "the judge's score"},
    [VOTES] = {"votes", "how many named it, or came to its answer"},
};

/* --- the numbers ------------------------------------------------------------------------------------------------- */

static int searches(const struct tui_screen *s)
{
    return s->tree.visits || tui_screen_strategy_is(s, "mcts") || tui_screen_strategy_is(s, "ab-mcts");
}

static const struct search_tally *tally_of(const struct tui_screen *s, const struct search_node *n)
{
    const struct search_event *d = s->tree.latest_decision;
    const char *answer = n->thought ? n->thought->thought.answer : NULL;
    for (int i = 0; d && answer && i < d->decision.tally_count; i++)
        if (d->decision.tally[i].answer && !strcmp(d->decision.tally[i].answer, answer))
            return &d->decision.tally[i];
    return NULL;
}

/* NAN: there is none. */
static double number_of(const struct tui_screen *s, int node, const struct search_terms *t, int column)
{
    const struct search_node *n = tui_screen_node(s, node);
    const struct search_tally *tally;
    int voted = n->judgement && n->judgement->judgement.purpose == SEARCH_VOTE;
    switch (column) {
    case N:
        return t->there ? t->visits : s->tree.visits ? n->visits : NAN;
    case Q:
        return t->there ? t->q : NAN;
    case U:
        return t->there ? t->u : NAN;
    case PRIOR:
        return t->there && t->form == SEARCH_PUCT ? t->prior : NAN;
    case SUM:
        return t->there ? t->total : NAN;
    case VALUE:
        return voted ? NAN : n->value;
    default:
        tally = tally_of(s, n);
        return voted ? n->value : tally ? tally->votes : NAN;
    }
}

static const char *number_text(int column, double number, char out[32])
{
    if (!isfinite(number))
        return "-";
    if (column == N)
        return tui_number((int64_t)number, out);
    return column == PRIOR ? tui_probability(number, out) : tui_score(number, out);
}

/* --- where a number comes from ----------------------------------------------------------------------------------- */

static void explain_q(const struct search_node *n, const struct search_terms *t, struct string *out)
{
    char a[32], b[32];
    if (t->form == SEARCH_THOMPSON || (t->visits && !t->greatest))
        string_addf(out, "Q = rewards backed up / N = %s / %d = %s", tui_score(n->reward_sum, a), t->visits, tui_score(t->q, b));
    else if (t->visits)
        string_addf(out, "Q = the greatest reward found below = %s (of %d)", tui_score(t->q, a), t->visits);
    else if (t->form == SEARCH_PUCT)
        string_add(out, "Q = 0: it was never visited");
    else
        string_addf(out, "Q = its own reward = %s: it was never visited", tui_score(t->q, a));
}

static void explain_draw(const struct search_terms *t, struct string *out)
{
    const struct search_posterior *p = &t->posterior;
    char a[32], b[32], c[32];
    if (p->beta)
        string_addf(out, "drawn from Beta(.5 + rewards, .5 + N - rewards) = Beta(%s, %s): %s", tui_score(p->a, a), tui_score(p->b, b), tui_score(t->total, c));
    else
        string_addf(out, "mean drawn from the posterior NIχ²(m %s, κ %.0f, ν %.0f, τ² %s): %s", tui_score(p->m, a), p->kappa, p->nu,
                    tui_score(p->tau_squared, b), tui_score(t->total, c));
}

static void explain_u(const struct search_terms *t, struct string *out)
{
    char a[32], b[32], c[32];
    tui_score(t->weight, a);
    tui_score(t->u, b);
    if (t->form == SEARCH_PUCT)
        string_addf(out, "U = c × prior × √N(parent) / (1 + N) = %s × %s × √%d / %d = %s; c = w × (ln((%d + 19653) / 19652) + 1.25)", a,
                    tui_probability(t->prior, c), t->above, 1 + t->visits, b, t->above);
    else if (t->form == SEARCH_THOMPSON)
        string_addf(out, "U = what was drawn - Q = %s - %s = %s", tui_score(t->total, c), tui_score(t->q, a), b);
    else if (t->above > 0)
        string_addf(out, "U = w × √(ln N(parent) / max(1, N)) = %s × √(ln %d / %d) = %s", a, t->above, t->visits > 1 ? t->visits : 1, b);
    else
        string_add(out, "U = 0: the thought above was never visited");
}

static void explain_value(const struct search_node *n, struct string *out)
{
    const struct search_event *j = n->judgement;
    char a[32], b[32];
    if (!j) {
        string_add(out, "no judge has scored it");
        return;
    }
    string_addf(out, "%s by %s", tui_score(n->value, a), search_purpose_name(j->judgement.purpose));
    if (j->judgement.purpose == SEARCH_VALUE && j->judgement.samples) {
        string_add(out, ", the sum of the weights of what it said:");
        for (int i = 0; i < j->judgement.samples; i++)
            string_addf(out, "%s %s", i ? "," : "", j->judgement.labels[i] ? j->judgement.labels[i] : "(unreadable)");
    }
    if (j->judgement.most > 0)
        string_addf(out, "; of %s at most", tui_score(j->judgement.most, b));
    if (j->judgement.cached)
        string_add(out, "; judged before");
}

static void explain_votes(const struct tui_screen *s, const struct search_node *n, struct string *out)
{
    const struct search_tally *tally = tally_of(s, n);
    char a[32];
    if (n->judgement && n->judgement->judgement.purpose == SEARCH_VOTE)
        string_addf(out, "%s of %d votes named it", tui_score(n->value, a), n->judgement->judgement.samples);
    else if (tally)
        string_addf(out, "%d path%s came to its answer, %.60s", tally->votes, tally->votes == 1 ? "" : "s", tally->answer);
    else
        string_add(out, "nobody voted about it");
}

/* The formula with the numbers filled in, or why there is none. */
static void explain(const struct tui_screen *s, int node, const struct search_terms *t, int column, struct string *out)
{
    const struct search_node *n = tui_screen_node(s, node);
    char a[32], b[32], c[32];
    if (column == VALUE)
        explain_value(n, out);
    else if (column == VOTES)
        explain_votes(s, n, out);
    else if (column == N)
        string_addf(out, s->tree.visits ? "N = %d of the %d visits so far passed through it" : "this strategy makes no visits", n->visits, s->tree.visits);
    else if (!t->there)
        string_add(out, searches(s)
                            ? "not to be chosen now: it is an end, pruned, illegal, a copy, or one of these is yet to be judged"
                            : "only tree searches (mcts, ab-mcts) go by this number");
    else if (column == Q)
        explain_q(n, t, out);
    else if (column == U)
        explain_u(t, out);
    else if (column == PRIOR && t->form == SEARCH_PUCT)
        string_addf(out, "prior = its exp(mean log-probability %s) over the sum of all siblings' = %s",
                    tui_score(n->tokens ? n->logprob / n->tokens : 0, a), tui_probability(t->prior, b));
    else if (column == PRIOR)
        string_add(out, "only mcts,select=puct goes by a prior");
    else if (t->form == SEARCH_THOMPSON)
        explain_draw(t, out);
    else
        string_addf(out, "Q+U = %s + %s = %s: the greatest is gone down to", tui_score(t->q, a), tui_score(t->u, b), tui_score(t->total, c));
}

/* --- the table --------------------------------------------------------------------------------------------------- */

static int is_voted(const struct tui_screen *s)
{
    const struct search_event *d = s->tree.latest_decision;
    return s->known.voted || (d && d->decision.tally_count);
}

/* The number that the strategy goes by. */
static int deciding_column(const struct tui_screen *s)
{
    return searches(s) ? SUM : is_voted(s) ? VOTES : VALUE;
}

static int column_at(const struct tui_screen *s)
{
    return s->siblings.column ? s->siblings.column - 1 : deciding_column(s);
}

static int says_something(const struct tui_screen *s, int column)
{
    const char *strategy = s->tree.session ? s->tree.session->session.strategy : NULL;
    switch (column) {
    case PRIOR:
        return searches(s) && strategy && strstr(strategy, "select=puct");
    case VALUE:
        return s->known.judged && !s->known.voted;
    case VOTES:
        return is_voted(s);
    default:
        return searches(s);
    }
}

/* A blank, and the longest of its numbers or its name. What Thompson sampling draws may be below 0. */
static int width_of(const struct tui_screen *s, int column)
{
    char number[32];
    const int digits = (int)strlen(tui_number(s->tree.visits, number));
    if (column == N)
        return 1 + (digits < 3 ? 3 : digits);
    return column == Q || ((column == U || column == SUM) && !tui_screen_strategy_is(s, "ab-mcts")) ? 5 : 6;
}

/* Which columns there is room for: the one that decides, then those that say something here; the others only where the thoughts do not need
 * the room. The one the cursor is on is seen. Returns how many; *width: of all. */
static int choose_columns(const struct tui_screen *s, int room, int shown[COLUMNS], int *width)
{
    static const int order[COLUMNS] = {N, Q, U, VALUE, PRIOR, VOTES, SUM};
    int at = column_at(s), deciding = deciding_column(s), there[COLUMNS] = {0}, n = 0;
    there[at] = there[deciding] = 1;
    *width = width_of(s, at) + (at == deciding ? 0 : width_of(s, deciding));
    if (*width > room - LEAST_TEXT && at != deciding) {
        there[deciding] = 0;
        *width = width_of(s, at);
    }
    for (int empty = 0; empty < (room < WIDE ? 1 : 2); empty++)
        for (int i = 0; i < COLUMNS; i++) {
            const int column = order[i];
            if (there[column] || says_something(s, column) == empty || *width + width_of(s, column) > room - LEAST_TEXT)
                continue;
            there[column] = 1;
            *width += width_of(s, column);
        }
    for (int i = 0; i < COLUMNS; i++)
        if (there[i])
            shown[n++] = i;
    return n;
}

static void draw_header(struct tui_screen *s, struct tui_rect r, const int *shown, int count, int width)
{
    int x = r.x + r.w - 1 - width;
    for (int i = 0; i < count; i++) {
        int at = s->focus == &tui_view_siblings && shown[i] == column_at(s), w = width_of(s, shown[i]);
        tui_canvas_right(&s->canvas, x, r.y, w, tui_style(at ? TUI_FOCUS : TUI_DIM), columns[shown[i]].name);
        x += w;
    }
}

static void draw_row(struct tui_screen *s, struct tui_rect r, int y, int node, const struct search_terms *t, const int *shown, int count, int width)
{
    const struct search_node *n = tui_screen_node(s, node);
    int own = node == s->selected, end = r.x + r.w - 1 - width;
    enum tui_role role = search_tree_is_pruned(&s->tree, node) ? TUI_PRUNED : n->state == SEARCH_ILLEGAL ? TUI_ILLEGAL : n->on_best_path ? TUI_BEST : TUI_TEXT;
    int x = r.x + 1 + tui_canvas_text(&s->canvas, r.x + 1, y, 2, tui_style(TUI_FOCUS), own ? "▸ " : search_node_is_kept(n) ? "★ " : "  ");
    const char *mark = n->pruned ? "✂ " : n->excluded ? "⊘ " : role == TUI_ILLEGAL ? "✗ " : "";
    x += tui_canvas_text(&s->canvas, x, y, end - x, tui_style(TUI_WRONG), mark);
    const char *text = search_node_text(&s->tree, node), *state = n->thought ? n->thought->thought.state : NULL;
    char *shown_text = xstrndup(text, state ? tui_length_without_state(text, state) : strlen(text));
    tui_find_draw(s, x, y, end - x, tui_style(role), shown_text);
    free(shown_text);
    if (own)
        tui_canvas_ground(&s->canvas, r.x, y, r.w, s->focus == &tui_view_siblings ? TUI_SELECTION : TUI_SELECTION_BLURRED);
    x = end;
    for (int i = 0; i < count; i++) {
        char number_out[32];
        double number = number_of(s, node, t, shown[i]);
        struct tui_style style = tui_style(!isfinite(number) ? TUI_DIM : shown[i] == VOTES ? TUI_VOTED : TUI_TEXT);
        int at = own && s->focus == &tui_view_siblings && shown[i] == column_at(s), w = width_of(s, shown[i]);
        style.ground = at ? TUI_CURSOR : own ? s->focus == &tui_view_siblings ? TUI_SELECTION : TUI_SELECTION_BLURRED : TUI_PLAIN;
        tui_canvas_right(&s->canvas, x + 1, y, w - 1, style, number_text(shown[i], number, number_out));
        x += w;
    }
}

/* Whose children they are. The problem has no siblings: there the first thoughts are shown, and none of them is selected. */
static int parent_of(const struct tui_screen *s)
{
    return s->selected > 0 ? tui_screen_node(s, s->selected)->parent : 0;
}

static void write_formula(const struct tui_screen *s, const struct search_terms *t, struct tui_paper *p)
{
    struct string text = {0};
    const int column = column_at(s);
    string_addf(&text, "%s: %s\n", columns[column].name, columns[column].what);
    explain(s, s->selected, t, column, &text);
    tui_paper_wrap(p, tui_style(TUI_TEXT), string_text(&text));
    string_free(&text);
}

struct search_terms tui_siblings_terms(const struct tui_screen *s)
{
    struct search_terms t = {0};
    if (s->selected && tui_screen_node(s, parent_of(s))->children <= TUI_MOST_TERMS)
        search_tree_terms(&s->tree, s->selected, &t);
    return t;
}

int tui_siblings_write(const struct tui_screen *s, struct tui_paper *p)
{
    if (!s->selected || !s->tree.count)
        return 0;
    const struct search_terms t = tui_siblings_terms(s);
    write_formula(s, &t, p);
    return 1;
}

/* The formula of the number under the cursor, in the lowest rows. Returns how many it takes. */
static int draw_formula(struct tui_screen *s, struct tui_rect r, const struct search_terms *t)
{
    struct tui_canvas lines = {0};
    struct tui_paper p;
    tui_paper_open(&p, &lines, r.w - 2, s->canvas.ascii);
    write_formula(s, t, &p);
    const int all = tui_paper_lines(&p), most = r.h - 2 < 1 ? 0 : r.h - 2, rows = all > most ? most : all;
    tui_canvas_paste(&s->canvas, (struct tui_rect){r.x + 1, r.y + r.h - rows, r.w - 2, rows}, &lines, 0);
    if (rows && rows < all)
        tui_canvas_right(&s->canvas, r.x, r.y + r.h - 1, r.w - 1, tui_style(TUI_KEY), " … W");
    tui_canvas_free(&lines);
    return rows;
}

static int place_of(const struct tui_screen *s)
{
    return s->selected > 0 ? s->outline.nodes[s->selected].place : -1;
}

static void remember(struct tui_screen *s, int parent, int rows)
{
    const struct search_node *above = tui_screen_node(s, parent);
    int place = s->selected > 0 ? place_of(s) : 0;
    if (place < s->siblings.top || rows < 1)
        s->siblings.top = place;
    if (rows >= 1 && place >= s->siblings.top + rows)
        s->siblings.top = place - rows + 1;
    if (s->siblings.top > above->children - rows)
        s->siblings.top = above->children - rows;
    if (s->siblings.top < 0)
        s->siblings.top = 0;
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    int parent = s->tree.count ? parent_of(s) : -1, shown[COLUMNS], nodes[200], width;
    if (parent < 0 || !tui_screen_node(s, parent)->children) {
        tui_sheet_title(s, &tui_view_siblings, r, "siblings", NULL);
        tui_sheet_says(s, r, "Nothing has been thought yet: the thoughts that the strategy chooses from will stand here, with the numbers it goes by.");
        return;
    }
    int all = tui_screen_node(s, parent)->children, count = choose_columns(s, r.w, shown, &width), known = all <= TUI_MOST_TERMS;
    char title[48], more[48] = "", number[32];
    snprintf(title, sizeof title, s->selected ? "siblings: %s" : "first thoughts: %s", tui_number(all, number));
    if (!known)
        snprintf(more, sizeof more, "too many for Q, U");
    tui_sheet_title(s, &tui_view_siblings, r, title, more);
    struct search_terms own = tui_siblings_terms(s), terms[200] = {{0}};
    int formula = s->selected && (s->focus == &tui_view_siblings || r.h > 5) ? draw_formula(s, r, &own) : 0, rows = r.h - 1 - formula;
    rows = rows > 200 ? 200 : rows;
    remember(s, parent, rows);
    int n = 0, node = tui_outline_child(&s->outline, parent, s->siblings.top);
    for (; n < rows && node >= 0 && node < s->outline.count; node = tui_screen_node(s, node)->next_sibling)
        nodes[n++] = node;
    if (known)
        search_tree_terms_list(&s->tree, nodes, n, terms);
    draw_header(s, r, shown, count, width);
    for (int i = 0; i < n; i++)
        draw_row(s, r, r.y + 1 + i, nodes[i], &terms[i], shown, count, width);
    s->siblings.rows = rows;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static void go_to(struct tui_screen *s, int64_t place)
{
    int parent = parent_of(s), last = tui_screen_node(s, parent)->children - 1;
    int node = tui_outline_child(&s->outline, parent, (int)(place < 0 ? 0 : place > last ? last : place));
    if (node >= 0)
        tui_screen_select(s, node);
}

static void move_column(struct tui_screen *s, int by)
{
    int to = column_at(s) + by;
    s->siblings.column = 1 + (to < 0 ? 0 : to >= COLUMNS ? COLUMNS - 1 : to);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    const int times = count ? count : 1;
    int64_t to;
    (void)action;
    if (!s->tree.count || !tui_screen_node(s, parent_of(s))->children)
        return 0;
    to = tui_key_place(k, count, s->siblings.rows, place_of(s), tui_screen_node(s, parent_of(s))->children - 1);
    if (to >= 0) {
        go_to(s, to);
        return 1;
    }
    switch (k) {
    case 'l':
    case TUI_KEY_RIGHT:
        move_column(s, times > COLUMNS ? COLUMNS : times);
        return 1;
    case 'h':
    case TUI_KEY_LEFT:
        move_column(s, times > COLUMNS ? -COLUMNS : -times);
        return 1;
    default:
        return 0;
    }
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    if (s->tree.count > 1) {
        out[n++] = (struct tui_hint){"j k", "sibling"};
        out[n++] = (struct tui_hint){"h l", "number"};
    }
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

static void click(struct tui_screen *s, int x, int y)
{
    int shown[COLUMNS], width, pane = tui_screen_pane(s, &tui_view_siblings), w = s->layout.panes[pane].w;
    if (!s->tree.count || !tui_screen_node(s, parent_of(s))->children)
        return;
    int count = choose_columns(s, w, shown, &width), at = w - 1 - width;
    if (y >= 1 && y <= s->siblings.rows && s->siblings.top + y - 1 < tui_screen_node(s, parent_of(s))->children)
        go_to(s, s->siblings.top + y - 1);
    for (int i = 0; i < count; at += width_of(s, shown[i]), i++)
        if (x >= at && x < at + width_of(s, shown[i])) {
            s->siblings.column = 1 + shown[i];
            break;
        }
}

const struct tui_view tui_view_siblings = {
    .name = "siblings", .letter = 's', .about = "the thoughts it was chosen from, each number with its formula", .help = "siblings",
    .draw = draw, .key = key, .hints = hints, .click = click,
};
