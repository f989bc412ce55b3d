/* The log as it is: an event a line, the newest last. */
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[SEARCH_EVENT_KINDS] = {
    [SEARCH_EVENT_SESSION] = "session", [SEARCH_EVENT_PLAN] = "plan", [SEARCH_EVENT_COMPLETION] = "completion", [SEARCH_EVENT_THOUGHT] = "thought",
    [SEARCH_EVENT_JUDGEMENT] = "judgement", [SEARCH_EVENT_DECISION] = "decision", [SEARCH_EVENT_PRUNE] = "prune", [SEARCH_EVENT_UNDO] = "undo",
    [SEARCH_EVENT_REDO] = "redo", [SEARCH_EVENT_RESULT] = "result", [SEARCH_EVENT_KEEP] = "keep", [SEARCH_EVENT_REVOTE] = "revote",
    [SEARCH_EVENT_SETTING] = "setting", [SEARCH_EVENT_BACK] = "back", [SEARCH_EVENT_ASK] = "ask",
    [SEARCH_EVENT_RESTORE] = "restore", [SEARCH_EVENT_BREAK] = "break",
};

/* Where there is little room. */
static const char *const short_kinds[SEARCH_EVENT_KINDS] = {
    [SEARCH_EVENT_SESSION] = "begin", [SEARCH_EVENT_PLAN] = "plan", [SEARCH_EVENT_COMPLETION] = "text", [SEARCH_EVENT_THOUGHT] = "new",
    [SEARCH_EVENT_JUDGEMENT] = "judge", [SEARCH_EVENT_DECISION] = "chose", [SEARCH_EVENT_PRUNE] = "prune", [SEARCH_EVENT_UNDO] = "undo",
    [SEARCH_EVENT_REDO] = "redo", [SEARCH_EVENT_RESULT] = "end", [SEARCH_EVENT_KEEP] = "keep", [SEARCH_EVENT_REVOTE] = "vote",
    [SEARCH_EVENT_SETTING] = "set", [SEARCH_EVENT_BACK] = "back", [SEARCH_EVENT_ASK] = "ask",
    [SEARCH_EVENT_RESTORE] = "regrow", [SEARCH_EVENT_BREAK] = "break",
};

const char *tui_event_name(const struct search_event *e)
{
    return kinds[e->kind];
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* What an undo or a redo is of: "prune 12 and all below it". */
static char *text_of_target(const struct search_tree *tree, int64_t target)
{
    const struct search_event *e = target >= 0 && target < tree->event_count ? tree->events[target] : NULL;
    if (!e || e->number != target || e->kind == SEARCH_EVENT_UNDO || e->kind == SEARCH_EVENT_REDO)
        return xasprintf("of event %lld", (long long)target);
    char *text = tui_event_text(tree, e), *both = xasprintf("%s %s", tui_event_name(e), text);
    free(text);
    return both;
}

char *tui_event_text(const struct search_tree *tree, const struct search_event *e)
{
    char a[32];
    switch (e->kind) {
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
        return xasprintf("%s: %s", or_empty(e->session.strategy), or_empty(e->session.problem));
    case SEARCH_EVENT_PLAN:
        return xstrdup(or_empty(e->plan.why));
    case SEARCH_EVENT_COMPLETION:
        return xasprintf("item %d sample %d, %d tokens: %s", e->completion.item, e->completion.sample, e->completion.count, or_empty(e->completion.text));
    case SEARCH_EVENT_THOUGHT:
        return xasprintf("%d below %d%s: %s", e->thought.node, e->thought.parent, e->thought.illegal ? ", illegal" : e->thought.by_user ? ", the user's own" : "",
                         or_empty(e->thought.text));
    case SEARCH_EVENT_JUDGEMENT:
        return xasprintf("%s of %d: %s%s%s", search_purpose_name(e->judgement.purpose), e->judgement.count ? e->judgement.nodes[0] : 0,
                         e->judgement.count ? tui_score(e->judgement.scores[0], a) : "-", e->judgement.count > 1 ? ", and others" : "",
                         e->judgement.cached ? ", judged before" : "");
    case SEARCH_EVENT_DECISION:
        return xstrdup(or_empty(e->decision.why));
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
        return xasprintf("%d and all below it", e->prune.node);
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
        return text_of_target(tree, e->undo.target);
    case SEARCH_EVENT_BACK:
        return xasprintf("to before event %lld", (long long)e->back.target);
    case SEARCH_EVENT_RESULT:
        return xasprintf("%s: %s", e->result.answer ? e->result.answer : "no answer", or_empty(e->result.why));
    case SEARCH_EVENT_KEEP:
        return xasprintf("%d%s", e->keep.node, e->keep.on ? "" : " no longer");
    case SEARCH_EVENT_REVOTE:
        return xasprintf("%d without a vote%s%s", e->revote.count, e->revote.weight ? ", by " : "", or_empty(e->revote.weight));
    case SEARCH_EVENT_BREAK:
        return *e->stops.rules ? xasprintf("stops at %s", e->stops.rules) : xstrdup("stops nowhere by itself");
    case SEARCH_EVENT_ASK:
        return xasprintf(e->ask.item && e->ask.item->purpose >= SEARCH_VALUE ? "the judge again, of %d" : "one more at %d",
                         e->ask.item && e->ask.item->count ? e->ask.item->nodes[0] : 0);
    default:
        return xstrdup("");
    }
}

int tui_event_node(const struct search_event *e)
{
    switch (e->kind) {
    case SEARCH_EVENT_THOUGHT:
        return e->thought.node;
    case SEARCH_EVENT_JUDGEMENT:
        return e->judgement.count ? e->judgement.nodes[0] : -1;
    case SEARCH_EVENT_DECISION:
        return e->decision.kept_count ? e->decision.kept[0] : -1;
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
        return e->prune.node;
    case SEARCH_EVENT_KEEP:
        return e->keep.node;
    case SEARCH_EVENT_RESULT:
        return e->result.node;
    case SEARCH_EVENT_PLAN:
        return e->plan.count && e->plan.items[0].count ? e->plan.items[0].nodes[0] : -1;
    default:
        return -1;
    }
}

/* --- the view ---------------------------------------------------------------------------------------------------- */

static enum tui_role role_of(const struct search_event *e)
{
    switch (e->kind) {
    case SEARCH_EVENT_PLAN:
        return TUI_EXPANDING;
    case SEARCH_EVENT_DECISION:
        return TUI_KEPT;
    case SEARCH_EVENT_RESULT:
        return TUI_BEST;
    case SEARCH_EVENT_COMPLETION:
    case SEARCH_EVENT_THOUGHT:
    case SEARCH_EVENT_JUDGEMENT:
    case SEARCH_EVENT_SESSION:
        return TUI_DIM;
    default:
        return TUI_FOCUS; /* the user's acts */
    }
}

static void draw_event(struct tui_screen *s, struct tui_rect r, int y, int64_t i)
{
    const struct search_tree *tree = tui_past_latest(s);
    const struct search_event *e = tree->events[i];
    int moment = i == s->tree.event_count - 1 && s->past.on, end = r.x + r.w - 1, out = tree->out[i], x = r.x + 1;
    char number[32], *text = tui_event_text(tree, e);
    for (char *c = text; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    int narrow = r.w < 56, digits = (int)strlen(tui_number(tui_past_count(s), number));
    tui_canvas_right(&s->canvas, x, y, digits, tui_style(TUI_DIM), tui_number(i, number));
    x += digits + 1;
    tui_canvas_text(&s->canvas, x, y, 1, tui_style(TUI_FOCUS), moment ? "◍" : out ? "×" : " ");
    x += 2;
    tui_canvas_text(&s->canvas, x, y, 10, tui_style(out ? TUI_PRUNED : role_of(e)), (narrow ? short_kinds : kinds)[e->kind]);
    x += narrow ? 6 : 11;
    tui_find_draw(s, x, y, end - x, tui_style(out ? TUI_PRUNED : TUI_TEXT), text);
    if (i == s->log.at)
        tui_canvas_ground(&s->canvas, r.x, y, r.w, s->focus == &tui_view_log ? TUI_SELECTION : TUI_SELECTION_BLURRED);
    free(text);
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    int64_t count = tui_past_count(s);
    char more[48] = "", a[32];
    if (count)
        snprintf(more, sizeof more, "%s events", tui_number(count, a));
    tui_sheet_title(s, &tui_view_log, r, "log", more);
    if (!count) {
        tui_sheet_says(s, r, "Nothing has happened yet: each plan, completion, thought, judgement, decision and act will be a line here.");
        return;
    }
    if (!s->log.held || s->log.at >= count)
        s->log.at = count - 1;
    if (s->log.at < s->log.top)
        s->log.top = s->log.at;
    if (s->log.at >= s->log.top + r.h)
        s->log.top = s->log.at - r.h + 1;
    if (s->log.top > count - r.h)
        s->log.top = count - r.h;
    if (s->log.top < 0)
        s->log.top = 0;
    s->log.rows = r.h;
    for (int i = 0; i < r.h && s->log.top + i < count; i++)
        draw_event(s, r, r.y + i, s->log.top + i);
}

/* To that event, and to the thought it is about, where that is in the tree. */
static void go_to(struct tui_screen *s, int64_t at)
{
    int64_t last = tui_past_count(s) - 1;
    s->log.at = at < 0 ? 0 : at > last ? last : at;
    s->log.held = at < last;
    int node = tui_event_node(tui_past_latest(s)->events[s->log.at]);
    if (node >= 0 && node < s->tree.count && !s->tree.nodes[node].gone)
        tui_screen_select(s, node);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    if (!tui_past_count(s))
        return 0;
    if (k == TUI_KEY_ENTER) { /* the tree as it was then */
        tui_past_go(s, s->log.at + 1);
        return 1;
    }
    const int64_t last = tui_past_count(s) - 1, named = (k == 'G' || k == TUI_KEY_END) && count ? count : -1; /* events are numbered from 0 */
    const int64_t to = named >= 0 ? named : tui_key_place(k, count, s->log.rows, s->log.at, last);
    if (to >= 0)
        go_to(s, to);
    return to >= 0;
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    if (tui_past_count(s)) {
        out[n++] = (struct tui_hint){"j k", "event"};
        out[n++] = (struct tui_hint){"enter", "the tree then"};
    }
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

static void click(struct tui_screen *s, int x, int y)
{
    (void)x;
    if (s->log.top + y < tui_past_count(s))
        go_to(s, s->log.top + y);
}

const struct tui_view tui_view_log = {
    .name = "log", .letter = 'l', .about = "every event, a line each; enter: the tree as it was then", .help = "time, log",
    .draw = draw, .key = key, .hints = hints, .click = click,
};
