/* A race side by side: what each search answers, what it cost, what is left to it; and the best it found against its tokens. All of it is of now,
 * whatever moment a search shows. */
#include "tui/plot.h"
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 4, NAME = 9, LEAST_COLUMN = 11, MOST_POINTS = 48, PLOT_LEAST = 9 };

/* Which of the searches have a column: as many as fit, the one shown among them. */
static int choose_columns(const struct tui_screen *s, int width, int *first)
{
    int fits = (width - NAME) / LEAST_COLUMN, own = (int)(s - s->race);
    fits = fits > MOST ? MOST : fits < 1 ? 1 : fits;
    fits = fits > s->race_count ? s->race_count : fits;
    *first = own < fits ? 0 : own - fits + 1;
    return fits;
}

static void write_row(struct tui_screen *s, struct tui_paper *p, const char *name, int first, int count,
                      enum tui_role (*cell)(const struct tui_screen *racer, char out[80]))
{
    int w = (p->canvas->w - NAME) / count;
    tui_paper_put(p, tui_style(TUI_DIM), name);
    for (int i = 0; i < count; i++) {
        char text[80] = "";
        enum tui_role role = cell(&s->race[first + i], text);
        tui_canvas_cut(p->canvas, NAME + i * w, p->y, w - 1, tui_style(role), text);
    }
    p->x = p->canvas->w;
    tui_paper_newline(p);
}

/* --- the cells --------------------------------------------------------------------------------------------------- */

/* Its letter says it where there are no colours. */
static enum tui_role role_of(const struct tui_screen *racer)
{
    return (enum tui_role)(TUI_COMPARE + (racer - racer->race) % (TUI_COMPARE_LAST - TUI_COMPARE + 1));
}

static enum tui_role name_cell(const struct tui_screen *racer, char out[80])
{
    snprintf(out, 80, "%c %.70s", tui_plot_letter((int)(racer - racer->race)), tui_screen_strategy(racer, tui_past_latest(racer)));
    return role_of(racer);
}

static enum tui_role answer_cell(const struct tui_screen *racer, char out[80])
{
    const struct search_event *result = racer->now.state == TUI_DONE ? tui_past_latest(racer)->result : NULL;
    int correct = result ? result->result.correct : -1;
    if (!result) {
        snprintf(out, 80, "%s", racer->now.state == TUI_PAUSED ? "paused" : "…");
        return TUI_DIM;
    }
    snprintf(out, 80, "%s%.70s", correct == 1 ? "✓ " : correct == 0 ? "✗ " : "", result->result.answer ? result->result.answer : "none");
    return correct == 1 ? TUI_RIGHT : correct == 0 ? TUI_WRONG : TUI_BEST;
}

static enum tui_role tokens_cell(const struct tui_screen *racer, char out[80])
{
    char a[32];
    snprintf(out, 80, "%s", tui_number(tui_tokens_spent(tui_past_latest(racer)), a));
    return TUI_TEXT;
}

static enum tui_role flops_cell(const struct tui_screen *racer, char out[80])
{
    tui_flops(tui_past_latest(racer)->usage.flops, out);
    return TUI_TEXT;
}

static enum tui_role time_cell(const struct tui_screen *racer, char out[80])
{
    if (racer->now.worked > 0)
        snprintf(out, 80, "%.1f s", racer->now.worked);
    else
        snprintf(out, 80, "-");
    return TUI_TEXT;
}

static enum tui_role thoughts_cell(const struct tui_screen *racer, char out[80])
{
    char a[32];
    int count = tui_past_latest(racer)->count;
    snprintf(out, 80, "%s", tui_number(count ? count - 1 : 0, a));
    return TUI_TEXT;
}

static enum tui_role budget_cell(const struct tui_screen *racer, char out[80])
{
    const struct search_tree *t = tui_past_latest(racer);
    int64_t budget = t->session ? t->session->session.budget_tokens : 0, spent = tui_tokens_spent(t);
    char a[32];
    if (!budget)
        snprintf(out, 80, "none");
    else
        snprintf(out, 80, "%s left", tui_number(budget > spent ? budget - spent : 0, a));
    return budget && spent >= budget ? TUI_ERROR : TUI_TEXT;
}

static enum tui_role best_cell(const struct tui_screen *racer, char out[80])
{
    char a[32];
    snprintf(out, 80, "%s", tui_past_known(racer)->progress_count ? tui_probability(tui_past_known(racer)->best, a) : "-");
    return TUI_TEXT;
}

/* From how many tokens on its answer is the right one. */
static enum tui_role right_cell(const struct tui_screen *racer, char out[80])
{
    const int64_t at = tui_past_known(racer)->right_at;
    char a[32];
    if (at < 0)
        snprintf(out, 80, "-");
    else
        snprintf(out, 80, "%s tokens", tui_number(at, a));
    return at < 0 ? TUI_DIM : TUI_RIGHT;
}

/* --- the plot ---------------------------------------------------------------------------------------------------- */

/* The points where it became better, thinned out where they are many, and one for how it stands. */
static int points_of(const struct tui_screen *racer, struct tui_plot_point out[MOST_POINTS + 1])
{
    const struct tui_known *known = tui_past_known(racer);
    int count = known->progress_count, shown = count > MOST_POINTS ? MOST_POINTS : count, n = 0;
    int64_t now = tui_tokens_spent(tui_past_latest(racer));
    for (int i = 0; i < shown; i++) {
        const struct tui_progress *point = &known->progress[(int64_t)i * count / shown];
        out[n++] = (struct tui_plot_point){(double)point->tokens, point->best, point->best, point->best};
    }
    if (count && now > known->progress[count - 1].tokens)
        out[n++] = (struct tui_plot_point){(double)now, known->best, known->best, known->best};
    return n;
}

static void write_plot(struct tui_screen *s, struct tui_paper *p, int rows)
{
    struct tui_plot_point points[8][MOST_POINTS + 1];
    struct tui_plot_series series[8];
    struct tui_canvas plot = {.ascii = s->canvas.ascii};
    int count = s->race_count > 8 ? 8 : s->race_count, all = 0;
    for (int i = 0; i < count; i++) {
        series[i] = (struct tui_plot_series){points[i], points_of(&s->race[i], points[i]), role_of(&s->race[i])};
        all += series[i].count;
    }
    if (!all || p->canvas->w < 24)
        return;
    rows = rows > 16 ? 16 : rows;
    tui_canvas_size(&plot, p->canvas->w, rows);
    tui_plot_draw(series, count, "tokens", &plot);
    const struct tui_rect room = {0, p->y, plot.w, rows};
    for (int i = 0; i < rows; i++)
        tui_paper_newline(p);
    tui_canvas_paste(p->canvas, room, &plot, 0);
    tui_canvas_free(&plot);
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    struct tui_paper p;
    char more[80] = "";
    int first, count;
    if (s->race_count < 2) {
        tui_sheet_title(s, &tui_view_compare, r, "compare", NULL);
        tui_sheet_says(s, r, "There is one search. Several race side by side, in one batch, when -s is given more than once: -s greedy -s tot,b=5. V and t: the tree in its place.");
        s->compare.lines = 0;
        return;
    }
    count = choose_columns(s, r.w - 2, &first);
    if (count < s->race_count)
        snprintf(more, sizeof more, "%d to %d of %d: c to the next", first + 1, first + count, s->race_count);
    tui_sheet_title(s, &tui_view_compare, r, "compare", more);
    tui_sheet_begin(&s->compare, s, r, &p);
    write_row(s, &p, "", first, count, name_cell);
    write_row(s, &p, "answer", first, count, answer_cell);
    write_row(s, &p, "right at", first, count, right_cell);
    write_row(s, &p, "best", first, count, best_cell);
    write_row(s, &p, "tokens", first, count, tokens_cell);
    write_row(s, &p, "budget", first, count, budget_cell);
    write_row(s, &p, "computed", first, count, flops_cell);
    write_row(s, &p, "time", first, count, time_cell);
    write_row(s, &p, "thoughts", first, count, thoughts_cell);
    tui_paper_heading(&p, "best so far: value or votes"); /* in parts of the most there is, of all there are */
    const int rows = r.h - p.y - 2; /* its border */
    write_plot(s, &p, rows < PLOT_LEAST ? PLOT_LEAST : rows);
    tui_sheet_write(&s->compare, &p, 0);
    tui_sheet_end(&s->compare, s, r);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    return tui_sheet_key(&s->compare, k, count);
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = tui_sheet_hints(&s->compare, out);
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

const struct tui_view tui_view_compare = {
    .name = "compare", .letter = 'c', .about = "a race side by side: answers, tokens, time, and a plot", .help = tui_help_pages,
    .draw = draw, .key = key, .hints = hints,
};
