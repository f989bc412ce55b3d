/* The lines around the panes: what is asked and how, what happens now and what was decided, what it costs, what keys there are. */
#include "tui/paper.h"
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

/* --- header ------------------------------------------------------------------------------------------------------ */

/* Of "tot,b=3,...": the bytes up to the comma that ends its first part; "\," is no end. */
static size_t part_length(const char *spec)
{
    size_t n = 0;
    while (spec[n] && (spec[n] != ',' || (n && spec[n - 1] == '\\')))
        n++;
    return n;
}

/* Some part of the specification is for the same parameter. */
static int names(const char *spec, const char *part, size_t n)
{
    const char *equals = memchr(part, '=', n);
    const size_t name = equals ? (size_t)(equals - part) + 1 : n;
    for (size_t k; k = part_length(spec), k; spec += k + (spec[k] == ','))
        if (!strncmp(spec, part, name) && (equals || k == n))
            return 1;
    return 0;
}

/* Append those of its parts that `but` does not name. Adapters stand beside the model where that is shown. */
static void add_parts(const struct tui_screen *s, const char *spec, const char *but, struct string *out)
{
    for (size_t n; n = part_length(spec), n; spec += n + (spec[n] == ',')) {
        if (names(but, spec, n) || (s->layout.wide && !strncmp(spec, "adapter=", 8)))
            continue;
        string_add(out, out->length ? " " : "");
        string_append(out, spec, n);
    }
}

/* What was asked for comes first: the rest is cut where there is no room. */
static char *strategy_text(const struct tui_screen *s)
{
    const struct search_event *session = s->tree.session;
    const char *asked = tui_screen_strategy(s, &s->tree);
    struct string out = {0};
    add_parts(s, session ? asked : "", "", &out);
    add_parts(s, session && session->session.strategy ? session->session.strategy : "", asked, &out);
    char *text = xstrdup(string_text(&out));
    string_free(&out);
    return text;
}

/* " nf4 + game24.lora:0.5", "". */
static char *adapted_text(const struct tui_screen *s)
{
    const struct search_event *session = s->tree.session;
    struct string out = {0};
    if (s->quant)
        string_addf(&out, " %s", s->quant);
    for (int i = 0; session && i < session->session.adapter_count; i++) {
        const struct search_adapter *a = &session->session.adapters[i];
        const char *slash = strrchr(a->path, '/');
        string_addf(&out, " + %s", slash && slash[1] ? slash + 1 : a->path);
        if (a->weight != 1)
            string_addf(&out, ":%g", (double)a->weight);
    }
    char *text = xstrdup(string_text(&out));
    string_free(&out);
    return text;
}

/* At the right end, each in a quarter of the line at most. Returns the columns. */
static int draw_model(struct tui_screen *s, int end, const char *model)
{
    char *adapted = adapted_text(s);
    const int most = s->layout.header.w / 4;
    int w = tui_width(model, strlen(model)), more = tui_width(adapted, strlen(adapted));
    w = w > most ? most : w;
    more = more > most ? most : more;
    const int label = w ? 6 : 0, x = end - more - w;
    tui_canvas_text(&s->canvas, x - label, s->layout.header.y, label, tui_style(TUI_DIM), "model");
    tui_canvas_cut(&s->canvas, x, s->layout.header.y, w, tui_style(TUI_TEXT), model);
    tui_canvas_cut(&s->canvas, end - more, s->layout.header.y, more, tui_style(TUI_TEXT), adapted);
    free(adapted);
    return label + w + more;
}

void tui_draw_header(struct tui_screen *s)
{
    const struct search_event *session = s->tree.session;
    struct tui_rect r = s->layout.header;
    const char *problem = session && session->session.problem ? session->session.problem : s->asked;
    const char *model = session && session->session.model ? session->session.model : s->model;
    char *strategy = strategy_text(s);
    if (s->race_count > 1) {
        char *place = xasprintf(s->layout.wide ? "%d of %d: %s" : "%d/%d %s", (int)(s - s->race) + 1, s->race_count, strategy);
        free(strategy);
        strategy = place;
    }
    int wide = s->layout.wide, x = r.x + 1, end = r.x + r.w - 1;
    if (wide)
        end -= draw_model(s, end, model) + 2;
    if (session && session->session.task)
        x += tui_canvas_cut(&s->canvas, x, r.y, (end - x) / 3, tui_style(TUI_DIM), session->session.task) + 1;
    int w = tui_width(problem, strlen(problem)), most = (end - x) * (wide ? 3 : s->race_count > 1 ? 1 : 2) / (wide ? 5 : s->race_count > 1 ? 2 : 3);
    x += tui_canvas_cut(&s->canvas, x, r.y, w > most ? most : w, tui_style(TUI_TITLE), problem) + 2;
    tui_canvas_cut(&s->canvas, x, r.y, end - x, tui_style(TUI_DIM), strategy);
    free(strategy);
}

/* --- race -------------------------------------------------------------------------------------------------------- */

static void draw_racer(struct tui_screen *s, int y, const struct tui_screen *racer)
{
    const struct search_tree *t = tui_past_latest(racer);
    const struct search_event *result = racer->now.state == TUI_DONE ? t->result : NULL;
    char a[32], b[32], place[24];
    int number = (int)(racer - s->race) + 1, right = result ? result->result.correct : -1, end = s->canvas.w - 1;
    int64_t tokens = t->usage.prompt - t->usage.cached + t->usage.completion;
    char *cost = xasprintf("%8s thought%s %10s tokens", tui_number(t->count ? t->count - 1 : 0, a), t->count == 2 ? " " : "s", tui_number(tokens, b));
    const char *answer = !result ? (racer->now.state == TUI_PAUSED ? "paused" : "…") : result->result.answer ? result->result.answer : "no answer";
    char *outcome = xasprintf("%s%s", right == 1 ? "✓ " : right == 0 ? "✗ " : result && result->result.answer ? "= " : "", answer);
    int rest = end / 4, w = (int)strlen(cost), names = 0;
    snprintf(place, sizeof place, "%s%d ", racer == s ? "▸ " : "  ", number);
    int x = tui_canvas_text(&s->canvas, 0, y, end, tui_style(racer == s ? TUI_FOCUS : TUI_DIM), place);
    if (end - rest - w - 2 - x < 8) { /* narrow: the tokens alone */
        free(cost);
        cost = xasprintf("%7s tok", tui_number(tokens, b));
        w = (int)strlen(cost);
    }
    for (int i = 0; i < s->race_count; i++) { /* short names leave the answers more room */
        const char *name = tui_screen_strategy(&s->race[i], tui_past_latest(&s->race[i]));
        const int width = tui_width(name, strlen(name));
        names = width > names ? width : names;
    }
    names = names < end - rest - w - 2 - x ? names : end - rest - w - 2 - x;
    tui_canvas_cut(&s->canvas, x, y, names, tui_style(racer == s ? TUI_TITLE : TUI_TEXT), tui_screen_strategy(racer, t));
    x += names + 2;
    tui_canvas_text(&s->canvas, x, y, w, tui_style(TUI_DIM), cost);
    x += w + 2;
    tui_canvas_cut(&s->canvas, x, y, end - x, tui_style(right == 1 ? TUI_RIGHT : right == 0 ? TUI_WRONG : result ? TUI_BEST : TUI_DIM), outcome);
    free(cost);
    free(outcome);
}

void tui_draw_race(struct tui_screen *s)
{
    for (int i = 0; i < s->layout.race.h; i++)
        draw_racer(s, s->layout.race.y + i, &s->race[i]);
}

/* --- now --------------------------------------------------------------------------------------------------------- */

static void draw_line(struct tui_screen *s, int y, const char *label, enum tui_role role, const char *text)
{
    struct tui_rect r = s->layout.now;
    int x = r.x + 1;
    tui_canvas_text(&s->canvas, x, y, 8, tui_style(TUI_DIM), label);
    x += 8;
    tui_canvas_cut(&s->canvas, x, y, r.x + r.w - 1 - x, tui_style(role), text);
}

static char *plan_text(const struct tui_screen *s)
{
    const char *why = s->tree.latest_plan && s->tree.latest_plan->plan.why ? s->tree.latest_plan->plan.why : "";
    if (s->known.to_write <= 1)
        return xasprintf("%s", why);
    return xasprintf("%s · %d of %d written", why, s->known.written, s->known.to_write);
}

static char *result_text(const struct search_event *result)
{
    int correct = result->result.correct;
    const char *why = result->result.why ? result->result.why : "";
    if (!result->result.answer)
        return xasprintf("no answer: %s", why);
    return xasprintf("%s%s: %s", result->result.answer, correct == 1 ? " ✓ right" : correct == 0 ? " ✗ wrong" : "", why);
}

static int past_lines(const struct tui_screen *s, struct tui_now_line out[TUI_NOW_LINES])
{
    char *next = tui_past_next(s);
    out[0] = (struct tui_now_line){"event", TUI_KEPT, tui_past_text(s)};
    out[1] = (struct tui_now_line){"then", TUI_TEXT, next};
    return next ? 2 : 1;
}

/* What happens, and what was decided last. */
int tui_now_lines(const struct tui_screen *s, int most, struct tui_now_line out[TUI_NOW_LINES])
{
    const struct search_tree *t = &s->tree;
    int n = 0;
    if (s->past.on)
        return past_lines(s, out);
    if (s->now.state == TUI_FAILED)
        out[n++] = (struct tui_now_line){"failed", TUI_ERROR, xstrdup(s->now.failure.message)};
    else if (s->now.state == TUI_LOADING)
        out[n++] = (struct tui_now_line){"loading", TUI_TEXT, xasprintf("the model %s", s->model)};
    else if (s->now.state == TUI_DONE && t->result)
        out[n++] = (struct tui_now_line){"answer", t->result->result.correct == 0 ? TUI_WRONG : t->result->result.answer ? TUI_BEST : TUI_TEXT,
                                 result_text(t->result)};
    else if (s->now.broke)
        out[n++] = (struct tui_now_line){"stopped", TUI_KEPT, xstrdup(s->now.broke)};
    else if (t->step_open)
        out[n++] = (struct tui_now_line){s->now.state == TUI_PAUSED ? "stopped" : "doing", TUI_TEXT, plan_text(s)};
    else if (most > 1 || !t->latest_decision)
        out[n++] = (struct tui_now_line){"next", TUI_TEXT,
                                 xstrdup(t->steps ? "the step is done; space goes on, s makes one more" : "space begins, s makes one step")};
    if (s->now.state != TUI_LOADING)
        out[n++] = (struct tui_now_line){"chose", TUI_TEXT,
                                 xstrdup(t->latest_decision && t->latest_decision->decision.why ? t->latest_decision->decision.why : "nothing yet")};
    return n;
}

void tui_draw_now(struct tui_screen *s)
{
    struct tui_rect r = s->layout.now;
    struct tui_now_line lines[TUI_NOW_LINES];
    char label[40];
    int x = r.x;
    x += tui_canvas_text(&s->canvas, x, s->layout.middle, r.w, tui_style(s->past.on ? TUI_KEPT : TUI_TITLE), s->past.on ? " the past " : " now ");
    if (s->moment.what && s->moment.what != TUI_MAKES_ANEW) {
        snprintf(label, sizeof label, s->moment.what == TUI_MAKES_NOW ? "… to now " : "… to %lld ", (long long)tui_past_at(s) - 1);
        x += tui_canvas_text(&s->canvas, x, s->layout.middle, r.x + r.w - x, tui_style(TUI_KEPT), label);
    } else if (s->moment.what) {
        x += tui_canvas_text(&s->canvas, x, s->layout.middle, r.x + r.w - x, tui_style(TUI_KEPT), "… ");
    }
    const int steps = search_tree_steps(&s->tree);
    if (steps) {
        snprintf(label, sizeof label, " step %d ", steps);
        tui_canvas_right(&s->canvas, x, s->layout.middle, r.x + r.w - x, tui_style(TUI_DIM), label);
    }
    const int n = tui_now_lines(s, r.h, lines);
    for (int i = 0; i < n; i++) {
        if (i < r.h)
            draw_line(s, r.y + i, lines[i].label, lines[i].role, lines[i].text);
        free(lines[i].text);
    }
}

/* --- status ------------------------------------------------------------------------------------------------------ */

enum { MOST_PARTS = 10 };
struct part {
    char text[64];
    enum tui_role role;
};

/* Parts in order of importance: the last ones give way when the line is short. */
static int status_parts(const struct tui_screen *s, struct part out[MOST_PARTS])
{
    static const struct { const char *text; enum tui_role role; } states[] = {
        [TUI_LOADING] = {"… loading", TUI_EXPANDING}, [TUI_RUNNING] = {"▸ running", TUI_EXPANDING}, [TUI_STEPPING] = {"▸ stepping", TUI_EXPANDING},
        [TUI_PAUSED] = {"❚❚ paused", TUI_KEPT},       [TUI_DONE] = {"■ done", TUI_RIGHT},           [TUI_FAILED] = {"✗ failed", TUI_ERROR},
    };
    const struct search_tree *t = &s->tree;
    const struct engine_statistics *e = &s->now.statistics;
    char a[32];
    int n = 0;
    snprintf(out[n].text, sizeof out[n].text, "%s", states[s->now.state].text);
    out[n++].role = states[s->now.state].role;
    if (*s->training) {
        snprintf(out[n].text, sizeof out[n].text, "%s", s->training);
        out[n++].role = TUI_EXPANDING;
    }
    if (s->now.breakpoints) {
        snprintf(out[n].text, sizeof out[n].text, "! %.60s", s->now.breakpoints);
        out[n++].role = TUI_KEPT;
    }
    if (!t->session)
        return n;
    int64_t spent = t->usage.prompt - t->usage.cached + t->usage.completion, budget = t->session->session.budget_tokens;
    int writing = 0;
    for (int i = 0; i < s->now.live.count; i++)
        writing += s->now.live.list[i].count;
    snprintf(out[n].text, sizeof out[n].text, writing ? "%s + %d tokens" : "%s tokens", tui_number(spent, a), writing);
    out[n++].role = TUI_TEXT;
    if (s->rate_count > 1) {
        double seconds = s->rates[s->rate_count - 1].time - s->rates[0].time;
        int64_t rows = s->rates[s->rate_count - 1].rows - s->rates[0].rows;
        if (seconds > 0.2 && (s->now.state == TUI_RUNNING || s->now.state == TUI_STEPPING)) {
            snprintf(out[n].text, sizeof out[n].text, "%.0f tok/s", (double)rows / seconds);
            out[n++].role = TUI_TEXT;
        }
    }
    if (budget)
        snprintf(out[n].text, sizeof out[n].text, "%s left", tui_number(budget > spent ? budget - spent : 0, a));
    else
        snprintf(out[n].text, sizeof out[n].text, "no budget");
    out[n++].role = budget && spent >= budget ? TUI_ERROR : TUI_TEXT;
    if (e->kv_limit) {
        int giga = e->kv_limit >= 1000000000;
        snprintf(out[n].text, sizeof out[n].text, "KV %.1f%s of %.*f %s", (double)e->kv_used / 1e6, giga ? " MB" : "", giga,
                 (double)e->kv_limit / (giga ? 1e9 : 1e6), giga ? "GB" : "MB");
        out[n++].role = TUI_TEXT;
        snprintf(out[n].text, sizeof out[n].text, "%d branch%s", e->live, e->live == 1 ? "" : "es");
        out[n++].role = TUI_TEXT;
    }
    snprintf(out[n].text, sizeof out[n].text, "seed %llu", (unsigned long long)t->session->session.seed);
    out[n++].role = TUI_TEXT;
    return n;
}

void tui_draw_status(struct tui_screen *s)
{
    struct part parts[MOST_PARTS];
    struct tui_rect r = s->layout.status;
    int count = status_parts(s, parts), x = r.x + 1;
    for (int i = 0; i < count; i++) {
        int w = tui_width(parts[i].text, strlen(parts[i].text));
        if (x + w > r.x + r.w)
            break;
        tui_canvas_text(&s->canvas, x, r.y, w, tui_style(parts[i].role), parts[i].text);
        x += w + 3;
    }
    tui_canvas_ground(&s->canvas, r.x, r.y, r.w, TUI_STATUS);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

enum { MOST_NOTICE = 6 }; /* rows */

static int draw_hint(struct tui_screen *s, int x, int y, struct tui_hint hint)
{
    x += tui_canvas_text(&s->canvas, x, y, s->canvas.w - x, tui_style(TUI_KEY), hint.key) + 1;
    return x + tui_canvas_text(&s->canvas, x, y, s->canvas.w - x, tui_style(TUI_DIM), hint.does) + 2;
}

static int hint_width(struct tui_hint hint)
{
    return tui_width(hint.key, strlen(hint.key)) + 1 + tui_width(hint.does, strlen(hint.does)) + 2;
}

static int search_hints(const struct tui_screen *s, struct tui_hint *out)
{
    if (s->past.on) {
        int narrow = s->layout.keys.w < 60, n = 0;
        if (!narrow)
            out[n++] = (struct tui_hint){"[", "earlier"};
        out[n++] = (struct tui_hint){"]", "later"};
        out[n++] = (struct tui_hint){"}", "now"};
        out[n++] = (struct tui_hint){"B", narrow ? "go on here" : "go on from here"};
        return n;
    }
    if (s->thought.forking)
        return 0;
    int n = 0, running = s->now.state == TUI_RUNNING || s->now.state == TUI_STEPPING;
    if (running || s->now.state == TUI_PAUSED)
        out[n++] = (struct tui_hint){"space", running ? "pause" : "run"};
    if (s->now.state == TUI_PAUSED)
        out[n++] = (struct tui_hint){"s", "step"};
    if (s->now.state == TUI_FAILED)
        return n;
    if (s->tree.count && s->selected && !search_tree_is_pruned(&s->tree, s->selected))
        out[n++] = (struct tui_hint){"p", "prune"};
    else if (s->tree.count && s->selected)
        out[n++] = (struct tui_hint){"P", "restore"};
    if (s->tree.undo_count)
        out[n++] = (struct tui_hint){"u", "undo"};
    if (s->tree.redo_count)
        out[n++] = (struct tui_hint){"U", "redo"};
    if (s->race_count > 1)
        out[n++] = (struct tui_hint){"c", "the next"};
    return n;
}

/* As many rows as it takes; what even these have no room for ends in an ellipsis. */
void tui_draw_notice(struct tui_screen *s)
{
    const struct tui_layout *l = &s->layout;
    if (!s->notice_long || !s->notice[0])
        return;
    const int end = s->overlay ? l->keys.y : l->middle, room = end - l->top - 1, left = l->now.x, w = l->now.w;
    struct tui_canvas text = {0};
    struct tui_paper p;
    tui_paper_open(&p, &text, w - 2, s->canvas.ascii);
    tui_paper_wrap(&p, tui_style(TUI_KEPT), s->notice);
    const int lines = tui_paper_lines(&p), most = room < MOST_NOTICE ? room : MOST_NOTICE, rows = lines < most ? lines : most;
    const struct tui_rect r = {left, end - rows, w, rows};
    tui_canvas_fill(&s->canvas, r, tui_style(TUI_TEXT), ' ');
    tui_canvas_paste(&s->canvas, (struct tui_rect){r.x + 1, r.y, r.w - 2, r.h}, &text, 0);
    if (lines > rows)
        tui_canvas_right(&s->canvas, r.x + 1, end - 1, r.w - 2, tui_style(TUI_KEPT), " …");
    for (int y = r.y; y < end; y++)
        tui_canvas_ground(&s->canvas, r.x, y, r.w, TUI_STATUS);
    tui_canvas_free(&text);
}

void tui_draw_keys(struct tui_screen *s)
{
    static const struct tui_hint last[] = {{"?", "help"}, {"q", "quit"}};
    struct tui_rect r = s->layout.keys;
    s->notice_long = tui_width(s->notice, strlen(s->notice)) > r.w - 2 || strchr(s->notice, '\n');
    if ((s->notice[0] && !s->notice_long) || s->count) {
        char count[32];
        snprintf(count, sizeof count, "%d", s->count);
        tui_canvas_cut(&s->canvas, r.x + 1, r.y, r.w - 2, tui_style(TUI_KEPT), s->count ? count : s->notice);
        return;
    }
    struct tui_hint hints[2 * TUI_HINTS + 2];
    const struct tui_view *view = s->overlay ? s->overlay : s->focus;
    int n = s->overlay ? 0 : search_hints(s, hints);
    n += view->hints(s, hints + n);
    if (!s->follow && !s->overlay && s->tree.count)
        hints[n++] = (struct tui_hint){".", "follow"};
    if (!s->overlay && s->tree.count)
        hints[n++] = (struct tui_hint){"V", "views"};
    int from = s->overlay != NULL || (s->past.on && r.w < 60) ? 1 : 0; /* of `last`: B is what one would not guess */
    int x = r.x + 1, end = r.x + r.w + 1 - (from ? 0 : hint_width(last[0])) - hint_width(last[1]);
    for (int i = 0; i < n; i++) /* one that does not fit gives way to a shorter one */
        if (x + hint_width(hints[i]) <= end)
            x = draw_hint(s, x, r.y, hints[i]);
    for (int i = from; i < 2; i++)
        x = draw_hint(s, x, r.y, last[i]);
}
