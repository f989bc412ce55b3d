/* One thought: its tokens coloured by probability, and below them everything that was said about it. The text keeps the upper part
 * of the pane and the rest the lower; each scrolls by itself, so the token under the cursor and its alternatives are seen together.
 */
#include "tui/paper.h"
#include "tui/screen.h"
#include "tui/spelling.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the upper part: what it is, and its text -------------------------------------------------------------------- */

/* What became of it, in words. */
static struct tui_style state_text(struct tui_screen *s, const struct search_node *n, struct string *out)
{
    char number[32];
    if (search_tree_is_pruned(&s->tree, s->selected)) {
        string_add(out, n->pruned ? "pruned" : "below a pruned thought");
        return tui_style(TUI_PRUNED);
    }
    if (n->state == SEARCH_ILLEGAL) {
        const char *why = n->thought ? n->thought->thought.why : NULL;
        string_addf(out, why ? "illegal: %s" : "illegal", why);
        return tui_style(TUI_WRONG);
    }
    if (n->thought && n->thought->thought.answer) {
        int correct = n->thought->thought.correct;
        string_addf(out, "answer %s%s", n->thought->thought.answer, correct == 1 ? " ✓ right" : correct == 0 ? " ✗ wrong" : "");
        return tui_style(correct == 1 ? TUI_RIGHT : correct == 0 ? TUI_WRONG : TUI_BEST);
    }
    if (n->state == SEARCH_EXPANDING) {
        string_add(out, "being grown");
        return tui_style(TUI_EXPANDING);
    }
    if (tui_screen_is_lost(n)) {
        string_add(out, "lost: no answer below");
        return tui_style(TUI_LOST);
    }
    if (n->state == SEARCH_FINAL)
        string_add(out, "ends here without an answer");
    else if (n->children)
        string_addf(out, "%s thought%s below", tui_number(n->descendants, number), n->descendants == 1 ? "" : "s");
    else
        string_add(out, n->state == SEARCH_FRONTIER ? "not grown yet" : "nothing grew here");
    return tui_style(TUI_DIM);
}

static void write_status(struct tui_screen *s, struct tui_paper *p, const struct search_node *n)
{
    struct string text = {0};
    char number[32], tokens[80] = "";
    struct tui_style style = state_text(s, n, &text);
    tui_paper_wrap(p, style, string_text(&text));
    if (n->tokens)
        snprintf(tokens, sizeof tokens, "%d token%s, mean prob %s", n->tokens, n->tokens == 1 ? "" : "s",
                 tui_probability(exp(n->logprob / n->tokens), number));
    if (*tokens && p->x + 3 + (int)strlen(tokens) <= p->canvas->w)
        tui_paper_put(p, tui_style(TUI_DIM), " · ");
    else if (*tokens)
        tui_paper_newline(p);
    tui_paper_put(p, tui_style(TUI_DIM), tokens);
    tui_paper_newline(p);
    string_free(&text);
}

/* What the user did with it. */
static void write_marks(struct tui_paper *p, const struct search_node *n)
{
    const struct search_event *thought = n->thought;
    if (thought && thought->thought.by_user) {
        tui_paper_put(p, tui_style(TUI_FOCUS), "✎ your own");
        if (thought->thought.replaces > 0) {
            char replaces[48];
            snprintf(replaces, sizeof replaces, ", in place of thought %d", thought->thought.replaces);
            tui_paper_wrap(p, tui_style(TUI_DIM), replaces);
        }
        tui_paper_newline(p);
    }
    if (n->training) {
        tui_paper_put(p, tui_style(TUI_KEPT), "◆ kept to learn from");
        tui_paper_newline(p);
    }
    if (n->excluded) {
        tui_paper_put(p, tui_style(TUI_WRONG), "⊘ has no vote");
        tui_paper_newline(p);
    }
}

/* It stands for others that read the same, or reads as another does. */
static void write_copies(struct tui_screen *s, struct tui_paper *p)
{
    const struct tui_outline *o = &s->outline;
    int copies = tui_outline_copies(o, s->selected), first = tui_outline_first(o, s->selected), named = p->canvas->w / 8; /* two lines of it */
    struct string text = {0};
    char number[32];
    if (copies)
        string_addf(&text, "written %s times (thoughts %d", tui_number(copies + 1, number), s->selected);
    else if (first != s->selected)
        string_addf(&text, "written before, as thought %d", first);
    for (int copy = s->selected, i = 0; i < copies && i < named; i++)
        string_addf(&text, ", %d", copy = tui_outline_next_copy(o, copy));
    if (copies)
        string_add(&text, copies > named ? ", ...)" : ")");
    if (text.length) {
        if (p->x)
            tui_paper_newline(p);
        tui_paper_wrap(p, tui_style(TUI_DIM), text.text);
        tui_paper_newline(p);
    }
    string_free(&text);
}

/* Returns how many are being written here. */
static int write_live(struct tui_screen *s, struct tui_paper *p)
{
    int written = 0;
    for (int i = 0; i < s->now.live.count; i++) {
        const struct tui_live *live = &s->now.live.list[i];
        if (live->node != s->selected)
            continue;
        char heading[64];
        snprintf(heading, sizeof heading, tui_screen_writes_below(live) ? "being written, sample %d" : "the judge writes, sample %d",
                 live->sample + 1);
        tui_paper_heading(p, heading);
        struct tui_spelling text;
        tui_spell(s, live->tokens, live->count, &text);
        tui_spelling_write(p, &text);
        tui_spelling_free(&text);
        written++;
    }
    return written;
}

static int write_text(struct tui_screen *s, struct tui_paper *p, const struct search_node *n)
{
    int count;
    const struct engine_token *tokens = tui_screen_tokens(s, s->selected, &count);
    write_status(s, p, n);
    write_marks(p, n);
    s->thought.cell_count = count;
    while (s->thought.cell_capacity < count) {
        s->thought.cell_capacity = s->thought.cell_capacity ? 2 * s->thought.cell_capacity : 64;
        s->thought.cells = xrealloc(s->thought.cells, (size_t)s->thought.cell_capacity * sizeof *s->thought.cells);
    }
    for (int i = 0; i < count; i++)
        s->thought.cells[i].x = s->thought.cells[i].y = -1;
    if (!count) {
        tui_paper_wrap(p, tui_style(TUI_TEXT), search_node_text(&s->tree, s->selected));
    } else {
        if (s->thought.token >= count)
            s->thought.token = count - 1;
        struct tui_spelling text;
        tui_spell(s, tokens, count, &text);
        text.cells = s->thought.cells;
        text.cursor = s->thought.token;
        tui_spelling_write(p, &text);
        tui_spelling_free(&text);
        for (int i = count - 1; i >= 0; i--) /* those that show nothing are where the next one is */
            if (s->thought.cells[i].y < 0)
                s->thought.cells[i] = i + 1 < count ? s->thought.cells[i + 1] : (struct tui_token_cell){p->x, p->y};
    }
    write_copies(s, p);
    return write_live(s, p);
}

/* --- the lower part: what was said about it ---------------------------------------------------------------------- */

/* aimed: the one that enter forks at. */
static void write_choice(struct tui_screen *s, struct tui_paper *p, int id, double probability, int chosen, int aimed)
{
    char number[32], *text = tui_spelling_quoted(s, id);
    int w = p->canvas->w, names = w / 2 - 6 < 20 ? w / 2 - 6 : 20, bar = w - names - 10;
    struct tui_style figure = chosen ? tui_style_level(TUI_PROBABILITY, probability) : tui_style(TUI_DIM);
    tui_paper_put(p, tui_style(TUI_FOCUS), chosen ? "▸ " : "  ");
    tui_canvas_cut(p->canvas, 2, p->y, names, tui_style(chosen ? TUI_FOCUS : TUI_TEXT), text);
    tui_canvas_right(p->canvas, 3 + names, p->y, 5, figure, tui_probability(probability, number));
    tui_canvas_bar(p->canvas, 9 + names, p->y, bar < 40 ? bar : 40, figure, probability);
    if (aimed) {
        tui_canvas_text(p->canvas, 0, p->y, 1, tui_style(TUI_FOCUS), "→");
        tui_canvas_ground(p->canvas, 0, p->y, w, TUI_SELECTION);
    }
    tui_paper_newline(p);
    free(text);
}

/* The token under the cursor and what the model might have written in its place, in about so many lines. */
static void write_token(struct tui_screen *s, struct tui_paper *p, int lines)
{
    int count, among = 0;
    const struct engine_token *tokens = tui_screen_tokens(s, s->selected, &count);
    if (!count)
        return;
    const struct engine_token *token = &tokens[s->thought.token];
    char heading[64];
    snprintf(heading, sizeof heading, s->thought.forking ? "token %d of %d: fork with which in its place?" : "token %d of %d, and what else it might have been",
             s->thought.token + 1, count);
    if (p->canvas->w < (int)strlen(heading) + 4)
        snprintf(heading, sizeof heading, "token %d of %d", s->thought.token + 1, count);
    tui_paper_heading(p, heading);
    double rest = 1;
    int shown = lines - 1 < ENGINE_TOP && !s->thought.forking ? lines - 1 : ENGINE_TOP;
    for (int i = 0; i < ENGINE_TOP; i++)
        among |= token->top[i].id == token->id;
    if (!among)
        write_choice(s, p, token->id, exp(token->logprob), 1, 0);
    for (int i = 0; i < shown && token->top[i].id >= 0; i++) {
        int aimed = s->thought.forking && s->thought.choice == i;
        if (aimed)
            s->thought.choice_line = p->y;
        write_choice(s, p, token->top[i].id, exp(token->top[i].logprob), token->top[i].id == token->id, aimed);
        rest -= exp(token->top[i].logprob);
    }
    if (shown == ENGINE_TOP && lines > ENGINE_TOP + 1 && rest > 0.0005) {
        char number[32];
        tui_paper_putf(p, tui_style(TUI_DIM), "  all others %s", tui_probability(rest, number));
        tui_paper_newline(p);
    }
}

/* What a tree search found by way of it. */
static void write_visits(struct tui_screen *s, struct tui_paper *p, const struct search_node *n)
{
    char visits[32], all[32], q[32];
    if (!n->visits)
        return;
    const struct search_terms t = tui_siblings_terms(s);
    tui_paper_putf(p, tui_style(TUI_TEXT), "N %s of %s visits, %s %s", tui_number(n->visits, visits), tui_number(s->tree.visits, all),
                   t.there ? "Q" : "mean reward", tui_score(t.there ? t.q : n->reward_sum / n->visits, q));
    tui_paper_newline(p);
}

/* Of a thought what stands there is about that thought, or nothing does. */
static void write_decision(struct tui_screen *s, struct tui_paper *p, const struct search_node *n)
{
    const struct search_event *d = s->selected ? tui_screen_decision(s, s->selected) : s->tree.latest_decision;
    if (!d)
        return;
    tui_paper_heading(p, !s->selected             ? "latest decision"
                         : search_node_is_kept(n) ? "decision: kept ★"
                         : n->decision            ? "latest visit"
                                                  : "decision: not kept");
    if (s->selected)
        write_visits(s, p, n);
    tui_paper_wrap(p, tui_style(TUI_TEXT), d->decision.why ? d->decision.why : "");
    tui_paper_newline(p);
}

enum { FACT_NAME = 10 };

static void write_answer(struct tui_paper *p, const struct search_event *result)
{
    int correct = result->result.correct;
    struct tui_style style = tui_style(correct == 1 ? TUI_RIGHT : correct == 0 ? TUI_WRONG : result->result.answer ? TUI_BEST : TUI_TEXT);
    tui_paper_heading(p, "answer");
    tui_paper_put(p, style, result->result.answer ? result->result.answer : "none");
    tui_paper_put(p, style, correct == 1 ? " ✓ right" : correct == 0 ? " ✗ wrong" : "");
    tui_paper_newline(p);
    tui_paper_wrap(p, tui_style(TUI_DIM), result->result.why ? result->result.why : "");
    tui_paper_newline(p);
}

/* Of the whole search, at the problem: its answer, its cost, its terms. */
static void write_search(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_tree *t = &s->tree;
    const struct search_event *session = t->session;
    char a[32], b[32], line[160];
    if (t->result)
        write_answer(p, t->result);
    tui_paper_heading(p, "cost");
    snprintf(line, sizeof line, "%s tokens, %s cached", tui_number(t->usage.prompt, a), tui_number(t->usage.cached, b));
    tui_sheet_fact(p, FACT_NAME, "prompts", line);
    snprintf(line, sizeof line, "%s tokens", tui_number(t->usage.completion, a));
    tui_sheet_fact(p, FACT_NAME, "written", line);
    tui_sheet_fact(p, FACT_NAME, "computed", tui_flops(t->usage.flops, line));
    snprintf(line, sizeof line, "%s, %s illegal", tui_number(t->count - 1, a), tui_number(t->illegal, b));
    tui_sheet_fact(p, FACT_NAME, "thoughts", line);
    tui_paper_heading(p, "search");
    tui_sheet_fact(p, FACT_NAME, "task", session->session.task ? session->session.task : "");
    char *strategy = xstrdup(session->session.strategy ? session->session.strategy : "");
    for (char *c = strategy; *c; c++)
        if (*c == ',')
            *c = ' ';
    tui_paper_putf(p, tui_style(TUI_DIM), "%-*s", FACT_NAME, "strategy");
    p->indent = 2; /* a long parameter has room in a line of its own */
    tui_paper_wrap(p, tui_style(TUI_TEXT), strategy);
    p->indent = 0;
    tui_paper_newline(p);
    free(strategy);
    tui_sheet_fact(p, FACT_NAME, "model", session->session.model ? session->session.model : "");
    struct engine_sampling sampling = session->session.sampling;
    snprintf(line, sizeof line, "temperature %g, top-k %d, top-p %g, min-p %g", (double)sampling.temperature, sampling.top_k,
             (double)sampling.top_p, (double)sampling.min_p);
    tui_sheet_fact(p, FACT_NAME, "sampling", line);
    snprintf(line, sizeof line, "%llu", (unsigned long long)session->session.seed);
    tui_sheet_fact(p, FACT_NAME, "seed", line);
    if (session->session.expected)
        tui_sheet_fact(p, FACT_NAME, "expected", session->session.expected);
}

static void write_detail(struct tui_screen *s, struct tui_paper *p, const struct search_node *n, int lines)
{
    const struct search_event *d = s->tree.latest_decision;
    if (d && d->decision.tally_count && (!s->selected || (n->thought && n->thought->thought.answer)) && !tui_screen_shows(s, &tui_view_votes))
        tui_votes_write(s, p);
    if (!tui_screen_shows(s, &tui_view_judge))
        tui_judge_write(s, p, n);
    write_decision(s, p, n);
    s->thought.token_line = p->y;
    write_token(s, p, lines - p->y > 4 ? lines - p->y : 4);
    if (!s->selected)
        write_search(s, p);
}

/* --- the pane ---------------------------------------------------------------------------------------------------- */

static void draw_title(struct tui_screen *s, struct tui_rect r)
{
    struct tui_style style = tui_style(s->focus == &tui_view_thought ? TUI_FOCUS : TUI_TITLE);
    char title[48] = " problem ";
    if (s->selected)
        snprintf(title, sizeof title, " thought %d ", s->selected);
    int x = tui_canvas_text(&s->canvas, r.x, r.y - 1, r.w, style, title);
    if (s->tree.count && s->selected) {
        char step[48];
        snprintf(step, sizeof step, " depth %d ", tui_screen_node(s, s->selected)->depth);
        tui_canvas_right(&s->canvas, r.x + x, r.y - 1, r.w - x, tui_style(TUI_DIM), step);
    }
}

/* How many of the pane's rows the text gets: all it needs when the rest has room enough too, two fifths at least. */
static int text_rows(int rows, int text, int detail)
{
    int least = rows * 2 / 5;
    if (text + detail <= rows || text <= least)
        return text;
    return rows - detail > least ? rows - detail : least;
}

static void scroll(int *top, int lines, int page)
{
    if (*top > lines - page)
        *top = lines - page;
    if (*top < 0)
        *top = 0;
}

static void show_cursor(struct tui_screen *s)
{
    int page = s->thought.text_page;
    if (s->focus != &tui_view_thought || s->thought.token >= s->thought.cell_count)
        return;
    int y = s->thought.cells[s->thought.token].y;
    if (y < s->thought.text_top)
        s->thought.text_top = y;
    if (y >= s->thought.text_top + page)
        s->thought.text_top = y - page + 1;
}

/* Say that there is more than is shown, at the right end of the last row. */
static void draw_more(struct tui_screen *s, struct tui_rect r, int top, int page, int lines)
{
    if (lines > top + page && page > 0)
        tui_sheet_more(s, (struct tui_rect){r.x, r.y + page - 1, r.w, 1}, lines - top - page);
}

static void turn_to_selected(struct tui_screen *s)
{
    if (s->thought.node == s->selected)
        return;
    s->thought.node = s->selected;
    s->thought.token = s->thought.text_top = s->thought.detail_top = s->thought.forking = 0;
    s->thought.cell_count = 0; /* not drawn yet */
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    struct tui_paper text, detail;
    draw_title(s, r);
    if (!s->tree.count)
        return;
    turn_to_selected(s);
    const struct search_node *n = tui_screen_node(s, s->selected);
    struct tui_rect in = {r.x + 1, r.y, r.w - 2, r.h};
    tui_paper_open(&text, &s->thought.text, in.w, s->canvas.ascii);
    int written = write_text(s, &text, n);
    int lines = tui_paper_lines(&text);
    tui_paper_open(&detail, &s->thought.detail, in.w, s->canvas.ascii);
    int room = in.h - lines > in.h * 3 / 5 ? in.h - lines : in.h - in.h * 2 / 5;
    write_detail(s, &detail, n, room);
    int details = tui_paper_lines(&detail);

    s->thought.lines = lines;
    s->thought.detail_lines = details;
    s->thought.text_page = text_rows(in.h, lines, details);
    s->thought.detail_page = in.h - s->thought.text_page;
    if (s->follow && s->focus != &tui_view_thought) /* the end is where it is being written */
        s->thought.text_top = written ? lines : 0;
    scroll(&s->thought.text_top, lines, s->thought.text_page);
    show_cursor(s);
    if (s->thought.token_moved) /* its alternatives are what one moves for */
        s->thought.detail_top = s->thought.token_line + 4 > s->thought.detail_page ? s->thought.token_line : 0;
    if (s->thought.token_moved && s->thought.forking && s->thought.choice_line >= s->thought.detail_top + s->thought.detail_page - 1)
        s->thought.detail_top = s->thought.choice_line - s->thought.detail_page + 2; /* the last row may say that there is more */
    s->thought.token_moved = 0;
    scroll(&s->thought.detail_top, details, s->thought.detail_page);
    struct tui_rect upper = {in.x, in.y, in.w, s->thought.text_page}, lower = {in.x, in.y + s->thought.text_page, in.w, s->thought.detail_page};
    tui_canvas_paste(&s->canvas, upper, &s->thought.text, s->thought.text_top);
    tui_canvas_paste(&s->canvas, lower, &s->thought.detail, s->thought.detail_top);
    draw_more(s, upper, s->thought.text_top, s->thought.text_page, lines);
    draw_more(s, lower, s->thought.detail_top, s->thought.detail_page, details);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static void move_token(struct tui_screen *s, int by)
{
    int count;
    tui_screen_tokens(s, s->selected, &count);
    int last = count - 1, token = s->thought.token + by;
    s->thought.token = token > last ? last : token;
    if (s->thought.token < 0)
        s->thought.token = 0;
    s->thought.token_moved = 1;
}

/* To the token on the next line, as near to the column as there is one; where there is no line, scroll. */
static void move_line(struct tui_screen *s, int by)
{
    if (s->thought.token < s->thought.cell_count) {
        int x = s->thought.cells[s->thought.token].x, y = s->thought.cells[s->thought.token].y, best = -1;
        int last = s->thought.cells[s->thought.cell_count - 1].y, target = y + by;
        target = target > last ? last : target;
        for (int i = 0; i < s->thought.cell_count; i++)
            if (s->thought.cells[i].y == target && (best < 0 || abs(s->thought.cells[i].x - x) < abs(s->thought.cells[best].x - x)))
                best = i;
        if (best >= 0 && target != y) {
            move_token(s, best - s->thought.token);
            if (target == s->thought.cells[0].y) /* and what stands above the first line */
                s->thought.text_top = 0;
            return;
        }
    }
    s->thought.text_top += by;
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    int times = count ? count : 1, page = s->thought.detail_page > 2 ? s->thought.detail_page - 1 : 1;
    if (!s->tree.count)
        return 0;
    turn_to_selected(s);
    switch (k) {
    case 'l':
    case TUI_KEY_RIGHT:
        move_token(s, times);
        break;
    case 'h':
    case TUI_KEY_LEFT:
        move_token(s, -times);
        break;
    case 'j':
    case TUI_KEY_DOWN:
        move_line(s, times);
        break;
    case 'k':
    case TUI_KEY_UP:
        move_line(s, -times);
        break;
    case 'g':
    case TUI_KEY_HOME:
        s->thought.token = s->thought.text_top = 0;
        break;
    case 'G':
    case TUI_KEY_END:
        move_token(s, INT_MAX / 2);
        if (!s->thought.cell_count)
            s->thought.text_top = s->thought.lines;
        break;
    case TUI_KEY_PAGE_DOWN:
        s->thought.detail_top += page;
        break;
    case TUI_KEY_PAGE_UP:
        s->thought.detail_top -= page;
        break;
    default:
        return 0;
    }
    s->follow = 0; /* whoever reads here wants it to stay */
    return 1;
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    if (s->thought.forking) {
        out[n++] = (struct tui_hint){"enter", "fork here"};
        out[n++] = (struct tui_hint){"j k", "which"};
        out[n++] = (struct tui_hint){"h l", "token"};
        out[n++] = (struct tui_hint){"esc", "leave"};
        return n;
    }
    if (s->thought.cell_count)
        out[n++] = (struct tui_hint){"h l", "token"};
    if (s->thought.lines > s->thought.text_page || s->thought.cell_count)
        out[n++] = (struct tui_hint){"j k", "line"};
    if (s->thought.detail_lines > s->thought.detail_page)
        out[n++] = (struct tui_hint){"pgdn", "more"};
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

static void scroll_detail(struct tui_screen *s, int lines)
{
    int below = s->thought.detail_lines > s->thought.detail_page;
    *(below ? &s->thought.detail_top : &s->thought.text_top) += lines;
    s->follow = 0;
}

/* To the token there, the last one that begins at or before the cell. */
static void click(struct tui_screen *s, int x, int y)
{
    int best = -1;
    turn_to_selected(s);
    if (y >= s->thought.text_page)
        return;
    for (int i = 0; i < s->thought.cell_count; i++)
        if (s->thought.cells[i].y == y + s->thought.text_top && s->thought.cells[i].x <= x - 1)
            best = i;
    if (best >= 0)
        move_token(s, best - s->thought.token);
    s->follow = 0;
}

const struct tui_view tui_view_thought = {
    .name = "thought", .letter = 'h', .about = "the selected thought, its tokens and their probabilities", .help = "the thought",
    .draw = draw, .key = key, .hints = hints, .click = click, .scroll = scroll_detail,
};
