/* The screen's knowledge and the keys that no pane claims. */
#include "tui/keymap.h"
#include "tui/tour.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t tui_tokens_spent(const struct search_tree *tree)
{
    return tree->usage.prompt - tree->usage.cached + tree->usage.completion;
}

void tui_lives_drop(struct tui_lives *l, int i)
{
    memmove(l->list + 1, l->list, (size_t)i * sizeof *l->list);
    l->list++;
    l->gone++;
    l->count--;
}

void tui_lives_free(struct tui_lives *l)
{
    if (l->list)
        free(l->list - l->gone);
    free(l->tokens);
    *l = (struct tui_lives){0};
}

void tui_snapshot_free(struct tui_snapshot *s)
{
    tui_lives_free(&s->live);
    free(s->breakpoints);
    free(s->broke);
    *s = (struct tui_snapshot){0};
}

void tui_screen_open(struct tui_screen *s)
{
    *s = (struct tui_screen){.asked = "", .model = "", .follow = 1, .focus = &tui_view_tree, .dragged = -1, .known = {.right_at = -1}};
    tui_places_open(&s->places);
    tui_outline_open(&s->outline, &s->tree);
    tui_tidy_open(&s->drawn.tidy, &s->outline);
}

void tui_screen_free(struct tui_screen *s)
{
    tui_tidy_free(&s->drawn.tidy);
    free(s->drawn.memo);
    tui_outline_free(&s->outline);
    tui_find_free(&s->find);
    tui_snapshot_free(&s->now);
    tui_canvas_free(&s->canvas);
    tui_canvas_free(&s->overlay_text);
    tui_canvas_free(&s->thought.text);
    tui_canvas_free(&s->thought.detail);
    tui_canvas_free(&s->judge.text);
    tui_canvas_free(&s->path.text);
    tui_canvas_free(&s->votes.text);
    tui_canvas_free(&s->statistics.text);
    tui_canvas_free(&s->compare.text);
    tui_canvas_free(&s->why.text);
    free(s->thought.cells);
    tui_moment_free(s);
    tui_known_free(&s->known);
    tui_known_free(&s->past.known);
    free(s->moments);
    tui_ask_free(&s->ask);
    string_free(&s->words);
    free(s->wanted.path);
    search_tree_free(&s->tree);
    search_tree_free(&s->past.latest);
    tui_lives_free(&s->past.live);
}

/* --- knowledge --------------------------------------------------------------------------------------------------- */

const struct search_node *tui_screen_node(const struct tui_screen *s, int node)
{
    return &s->tree.nodes[node];
}

const char *tui_screen_token(const struct tui_screen *s, int id, size_t *bytes)
{
    const char *text = s->token_text ? s->token_text(s->token_owner, id, bytes) : NULL;
    if (!text)
        *bytes = 0;
    return text ? text : "";
}

/* The tokens a thought was cut from. */
const struct engine_token *tui_screen_tokens(const struct tui_screen *s, int node, int *count)
{
    const struct search_node *n = tui_screen_node(s, node);
    *count = 0;
    if (!n->thought || !n->completion || n->thought->thought.first < 0 ||
        n->thought->thought.first + n->thought->thought.count > n->completion->completion.count)
        return NULL;
    *count = n->thought->thought.count;
    return n->completion->completion.tokens + n->thought->thought.first;
}

const char *tui_screen_strategy(const struct tui_screen *s, const struct search_tree *tree)
{
    const char *asked = s->asked_strategy ? s->asked_strategy : "", *now = tree->session ? tree->session->session.strategy : NULL;
    const char *first = now && tree->events[0]->kind == SEARCH_EVENT_SESSION ? tree->events[0]->session.strategy : NULL;
    return *asked && (!now || (first && !strcmp(first, now))) ? asked : now ? now : "";
}

struct tui_style tui_style(enum tui_role role)
{
    return (struct tui_style){.role = (uint8_t)role};
}

int tui_screen_is_lost(const struct search_node *n)
{
    const struct search_event *j = n->judgement;
    return j && j->judgement.purpose == SEARCH_ORACLE && j->judgement.samples && j->judgement.labels && j->judgement.labels[0] &&
           !strcmp(j->judgement.labels[0], "lost");
}

int tui_screen_strategy_is(const struct tui_screen *s, const char *name)
{
    const char *strategy = s->tree.session && s->tree.session->session.strategy ? s->tree.session->session.strategy : "";
    size_t n = strlen(name);
    return !strncmp(strategy, name, n) && (!strategy[n] || strategy[n] == ',');
}

int tui_screen_writes_below(const struct tui_live *live)
{
    return live->purpose == SEARCH_SAMPLE || live->purpose == SEARCH_PROPOSE;
}

/* The first decision since the thought came to be. */
static const struct search_event *first_decision(const struct tui_screen *s, const struct search_event *thought)
{
    int low = 0, high = s->known.decision_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (s->known.decisions[middle]->number < thought->number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->known.decision_count ? s->known.decisions[low] : NULL;
}

/* The latest that kept it or visited it. What was never among those is told of the decision that passed it over; a visit passes nothing over, nor
 * does a decision on what was thought below it since. */
const struct search_event *tui_screen_decision(const struct tui_screen *s, int node)
{
    const struct search_node *n = tui_screen_node(s, node);
    const struct search_event *below = n->first_child < 0 ? NULL : tui_screen_node(s, n->first_child)->thought;
    const struct search_event *first = n->decision || !n->thought ? NULL : first_decision(s, n->thought);
    if (!first || first->decision.backup_count || (below && below->number < first->number))
        return n->decision;
    return first;
}

static void select_node(struct tui_screen *s, int node)
{
    tui_outline_select(&s->outline, node);
    s->selected = node;
}

void tui_screen_select(struct tui_screen *s, int node)
{
    select_node(s, node);
    s->follow = 0;
}

int tui_screen_go(struct tui_screen *s, int node)
{
    if (node <= 0 || node >= s->tree.count || tui_screen_node(s, node)->gone)
        return 0;
    tui_screen_select(s, node);
    return 1;
}

/* Copies come and go behind the one that stands for them; a thought that was undone is nowhere. */
static void follow(struct tui_screen *s, int node)
{
    if (s->follow && node >= 0 && node < s->tree.count && !tui_screen_node(s, node)->gone)
        select_node(s, tui_outline_first(&s->outline, node));
}

size_t tui_length_without_state(const char *text, const char *state)
{
    size_t n = strlen(text), m = strlen(state);
    if (n < m + 2 || text[n - 1] != ')' || memcmp(text + n - 1 - m, state, m))
        return n;
    size_t at = n - 1 - m;
    while (at > 0 && text[at - 1] != '(')
        at--;
    while (at > 0 && (text[at - 1] == '(' || text[at - 1] == ' '))
        at--;
    return at ? at : n;
}

static int newest(const struct tui_screen *s)
{
    int node = s->tree.count - 1;
    while (node > 0 && tui_screen_node(s, node)->gone)
        node--;
    return node;
}

/* A completion that has become an event is being written no more, whatever the latest snapshot says. */
static void drop_live(struct tui_screen *s, int item, int sample)
{
    for (int i = 0; i < s->now.live.count; i++) {
        const struct tui_live *live = &s->now.live.list[i];
        if (live->item != item || live->sample != sample)
            continue;
        if (tui_screen_writes_below(live))
            tui_outline_set_live(&s->outline, live->node, s->outline.nodes[live->node].live - 1);
        tui_lives_drop(&s->now.live, i);
        return;
    }
}

/* Rows that come and go above the selection must not move it on the screen. */
int tui_screen_line(const struct tui_screen *s)
{
    return s->tree.count ? tui_outline_row(&s->outline, s->selected) - s->top : 0;
}

void tui_screen_keep_line(struct tui_screen *s, int line)
{
    if (s->tree.count && !s->follow)
        s->top = tui_outline_row(&s->outline, s->selected) - line;
}

void tui_screen_follow(struct tui_screen *s, const struct search_event *event)
{
    switch (event->kind) {
    case SEARCH_EVENT_PLAN:
        if (event->plan.count && event->plan.items[0].count)
            follow(s, event->plan.items[0].nodes[0]);
        break;
    case SEARCH_EVENT_THOUGHT:
        follow(s, event->thought.node);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        if (event->judgement.count)
            follow(s, event->judgement.nodes[0]);
        break;
    case SEARCH_EVENT_DECISION:
        if (event->decision.kept_count)
            follow(s, event->decision.kept[0]);
        break;
    case SEARCH_EVENT_RESULT:
        follow(s, event->result.node < 0 ? 0 : event->result.node); /* without an answer: where the cost is told */
        break;
    default:
        break;
    }
}

/* The user's own thought, or what a fork came to, is what they want to see, where they stood at the place it was for. */
static void select_own(struct tui_screen *s, const struct search_event *event)
{
    const struct search_event *plan = s->tree.latest_plan, *from = tui_screen_node(s, s->selected)->completion;
    const int64_t fork = plan && plan->plan.ask && plan->plan.count ? plan->plan.items[0].fork : 0;
    if (event->thought.by_user ? s->selected == event->thought.parent || s->selected == event->thought.replaces : fork && from && from->number == fork)
        select_node(s, event->thought.node);
}

/* What the time line marks. The log only grows. */
static void note_moment(struct tui_screen *s, const struct search_event *event)
{
    int64_t at = tui_past_count(s);
    if (event->kind == SEARCH_EVENT_SESSION || event->kind == SEARCH_EVENT_COMPLETION || event->kind == SEARCH_EVENT_JUDGEMENT ||
        (event->kind == SEARCH_EVENT_THOUGHT && !event->thought.by_user))
        return;
    ARRAY_RESERVE(s->moments, s->moment_count, s->moment_capacity);
    s->moments[s->moment_count++] = at;
}

/* The act that the event undoes, or does again, is a tombstone, a mark or a breakpoint: nothing but its node looks otherwise. NULL: it is not. */
static const struct search_event *undone_mark(const struct search_tree *tree, const struct search_event *event)
{
    if (event->kind != SEARCH_EVENT_UNDO && event->kind != SEARCH_EVENT_REDO)
        return NULL;
    const int64_t i = event->undo.target;
    const struct search_event *act = i >= 0 && i < tree->event_count && tree->events[i]->number == i ? tree->events[i] : NULL;
    const enum search_event_kind kind = act ? act->kind : SEARCH_EVENT_BACK;
    return kind == SEARCH_EVENT_PRUNE || kind == SEARCH_EVENT_RESTORE || kind == SEARCH_EVENT_KEEP || kind == SEARCH_EVENT_BREAK ? act : NULL;
}

int tui_screen_takes(const struct search_tree *tree, const struct search_event *event)
{
    const int again = event->kind == SEARCH_EVENT_UNDO || event->kind == SEARCH_EVENT_REDO;
    if (!again)
        return event->kind != SEARCH_EVENT_BACK;
    return !tree->backups && undone_mark(tree, event);
}

void tui_screen_fold(struct tui_screen *s, struct search_event *event)
{
    const struct search_event *act = undone_mark(&s->tree, event);
    search_tree_fold(&s->tree, event);
    tui_outline_take(&s->outline, act ? act : event);
    if (event->kind == SEARCH_EVENT_COMPLETION)
        drop_live(s, event->completion.item, event->completion.sample);
    tui_known_take(s, &s->known, &s->tree, event);
}

void tui_screen_take(struct tui_screen *s, struct search_event *event)
{
    note_moment(s, event);
    if (!s->tree.count && !strcmp(s->notice, tui_not_begun))
        s->notice[0] = '\0';
    if (s->past.on) { /* the picture stays */
        search_tree_fold(&s->past.latest, event);
        tui_known_take(NULL, &s->past.known, &s->past.latest, event);
        return;
    }
    int line = tui_screen_line(s);
    tui_screen_fold(s, event);
    tui_screen_follow(s, event);
    if (event->kind == SEARCH_EVENT_THOUGHT)
        select_own(s, event);
    tui_screen_keep_line(s, line);
}

/* The log has it, and in its place stands what is folded of it already. */
void tui_screen_took(struct tui_screen *s, const struct search_event *event)
{
    note_moment(s, event);
}

void tui_screen_event(struct tui_screen *s, struct search_event *event)
{
    if (!tui_moment_holds(s, event))
        tui_screen_take(s, event);
}

static void note_speed(struct tui_screen *s, int64_t rows)
{
    double seconds = s->now.time - s->second.time;
    if (seconds >= 1 && s->second.time > 0) {
        if (s->speed_count == TUI_SPEEDS)
            memmove(s->speeds, s->speeds + 1, (size_t)--s->speed_count * sizeof *s->speeds);
        s->speeds[s->speed_count++] = (int)((double)(rows - s->second.rows) / seconds);
    }
    if (seconds >= 1 || s->second.time <= 0) {
        s->second.time = s->now.time;
        s->second.rows = rows;
    }
}

static void note_rate(struct tui_screen *s)
{
    int64_t rows = s->now.statistics.decode_rows + s->now.statistics.prompt_rows;
    note_speed(s, rows);
    int old = 0;
    while (old < s->rate_count && (s->rate_count - old == TUI_RATES || s->rates[old].time < s->now.time - 1))
        old++;
    s->rate_count -= old;
    memmove(s->rates, s->rates + old, (size_t)s->rate_count * sizeof *s->rates);
    s->rates[s->rate_count].time = s->now.time;
    s->rates[s->rate_count++].rows = rows;
}

static void set_live_rows(struct tui_screen *s, int sign)
{
    for (int i = 0; i < s->now.live.count; i++) {
        const struct tui_live *live = &s->now.live.list[i];
        if (tui_screen_writes_below(live))
            tui_outline_set_live(&s->outline, live->node, s->outline.nodes[live->node].live + sign);
    }
}

/* What belongs to nodes we were not told of stays out. */
static void drop_unknown(struct tui_screen *s)
{
    struct tui_lives *live = &s->now.live;
    int kept = 0;
    for (int i = 0; i < live->count; i++) {
        const int node = live->list[i].node;
        if (node >= 0 && node < s->tree.count && !s->tree.nodes[node].gone)
            live->list[kept++] = live->list[i];
    }
    live->count = kept;
}

void tui_screen_snapshot(struct tui_screen *s, struct tui_snapshot *snapshot)
{
    int line = tui_screen_line(s), hit = snapshot->broke && snapshot->hits > s->now.hits;
    set_live_rows(s, -1);
    if (snapshot->state != s->now.state)
        s->rate_count = 0;
    tui_snapshot_free(&s->now);
    s->now = *snapshot;
    *snapshot = (struct tui_snapshot){0};
    if (s->past.on) { /* what is being written is not of that moment */
        tui_lives_free(&s->past.live);
        s->past.live = s->now.live;
        s->now.live = (struct tui_lives){0};
    }
    drop_unknown(s);
    set_live_rows(s, 1);
    note_rate(s);
    tui_screen_keep_line(s, line);
    if (hit && s->past.on)
        tui_screen_notice(s, s->now.broke);
    else if (hit && s->now.broke_at < s->tree.count && !tui_screen_node(s, s->now.broke_at)->gone)
        select_node(s, tui_outline_first(&s->outline, s->now.broke_at));
}

/* --- another tree ------------------------------------------------------------------------------------------------ */

void tui_screen_before(struct tui_screen *s)
{
    if (!s->tree.count || (s->wanted.count && s->selected == s->wanted.selected))
        return;
    s->wanted.count = 0;
    for (int n = s->selected; n >= 0; n = tui_screen_node(s, n)->parent) {
        ARRAY_RESERVE(s->wanted.path, s->wanted.count, s->wanted.capacity);
        s->wanted.path[s->wanted.count++] = n;
    }
}

/* The one the user was at, or the nearest above it that is there. */
static void select_wanted(struct tui_screen *s)
{
    int i = 0;
    while (i < s->wanted.count - 1 && (s->wanted.path[i] >= s->tree.count || tui_screen_node(s, s->wanted.path[i])->gone))
        i++;
    s->selected = s->wanted.selected = s->wanted.count ? s->wanted.path[i] : 0;
    if (s->tree.count)
        select_node(s, s->selected);
}

void tui_screen_after(struct tui_screen *s)
{
    drop_unknown(s);
    set_live_rows(s, 1);
    s->thought.forking = 0;
    select_wanted(s);
}

void tui_screen_notice(struct tui_screen *s, const char *text)
{
    snprintf(s->notice, sizeof s->notice, "%s", text);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static int is_running(const struct tui_screen *s)
{
    return s->now.state == TUI_RUNNING || s->now.state == TUI_STEPPING;
}

static int refused_in_past(struct tui_screen *s)
{
    if (s->past.on)
        tui_screen_notice(s, tui_past_refusal);
    return s->past.on;
}

/* What cannot be seen can be stopped, but not begun. */
static struct tui_action run_or_pause(struct tui_screen *s)
{
    if (is_running(s))
        return (struct tui_action){.act = TUI_ACT_PAUSE};
    return (struct tui_action){.act = refused_in_past(s) ? TUI_ACT_NONE : TUI_ACT_RUN};
}

void tui_screen_copies(struct tui_screen *s)
{
    int line = tui_screen_line(s), on = !s->outline.unfolded;
    tui_outline_unfold(&s->outline, on);
    s->busy |= tui_outline_refold(&s->outline, TUI_SLICE);
    tui_screen_keep_line(s, line);
    tui_screen_notice(s, on ? "each copy has a row: * folds them again" : "×9 stands for nine that read the same; * shows each");
}

static struct tui_action do_key(struct tui_screen *s, int32_t key, int count)
{
    switch (key) {
    case ' ':
        return run_or_pause(s);
    case 's':
        return refused_in_past(s) ? (struct tui_action){0} : (struct tui_action){TUI_ACT_STEP, count ? count : 1, NULL, 0};
    case 'c': /* in a race it is the next search */
        if (is_running(s))
            tui_screen_notice(s, "it goes on already; space pauses it");
        else
            return (struct tui_action){.act = refused_in_past(s) ? TUI_ACT_NONE : TUI_ACT_RUN};
        break;
    case 'o':
        return (struct tui_action){.act = refused_in_past(s) ? TUI_ACT_NONE : TUI_ACT_FINISH};
    case '[':
        tui_past_move(s, -(count ? count : 1));
        break;
    case ']':
        tui_past_move(s, count ? count : 1);
        break;
    case '{':
        tui_past_move(s, -INT_MAX);
        break;
    case '}':
        tui_past_go(s, tui_past_count(s));
        break;
    case 'B':
        return tui_past_go_on(s);
    case ':':
        tui_ask_open(s, TUI_ASKS_COMMAND, 0, "");
        break;
    case 'y':
    case 'Y':
        return (struct tui_action){.act = TUI_ACT_COPY, .words = key == 'y' ? "thought" : "path"};
    case '!':
        tui_ask_open(s, TUI_ASKS_COMMAND, 0, "break ");
        tui_breakpoints_tell(s);
        break;
    case '.':
        s->follow = 1;
        if (s->tree.count) /* at once, not at the next event */
            follow(s, s->now.live.count ? s->now.live.list[0].node : s->tree.result && s->tree.result->result.node >= 0 ? s->tree.result->result.node : newest(s));
        break;
    case '*':
        tui_screen_copies(s);
        break;
    case TUI_KEY_ENTER:
        tui_screen_focus(s, &tui_view_thought);
        break;
    case TUI_KEY_ESCAPE:
        if (s->focus == s->places.views[0] && s->find.text)
            tui_find_end(s);
        s->focus = s->places.views[0];
        s->places.arrangement.zoom = 0;
        break;
    case '?':
        s->overlay = &tui_view_help;
        s->overlay_top = 0;
        break;
    case 'W':
        tui_why_open(s);
        break;
    case 'q':
        return (struct tui_action){.act = TUI_ACT_QUIT};
    case 'C' - TUI_KEY_CONTROL:
        s->interrupted++;
        return (struct tui_action){.act = is_running(s) && s->interrupted < 2 ? TUI_ACT_PAUSE : TUI_ACT_QUIT, .number = 1};
    case 'Z' - TUI_KEY_CONTROL:
        return (struct tui_action){.act = TUI_ACT_SUSPEND};
    case 'L' - TUI_KEY_CONTROL:
        return (struct tui_action){.act = TUI_ACT_REPAINT};
    default:
        tui_key_refuse(key, s->notice, sizeof s->notice);
        break;
    }
    return (struct tui_action){0};
}

/* What is typed after these is text: wherever one is, they open their line. */
static int begins_text(int32_t key)
{
    return key == ':' || key == '/' || key == '\\' || key == '!' || key == 'e' || key == 'E' || key == 'a';
}

int tui_screen_takes_letter(const struct tui_screen *s)
{
    return s->ask.what || s->pasting || s->mark_asked || s->overlay == &tui_view_list;
}

/* Whatever lies over the panes does not take these. */
static int is_everywhere(int32_t key)
{
    return key == 'q' || key == 'C' - TUI_KEY_CONTROL || key == 'Z' - TUI_KEY_CONTROL || key == 'L' - TUI_KEY_CONTROL;
}

struct tui_action tui_screen_key(struct tui_screen *s, int32_t key)
{
    struct tui_action action = {0};
    if (key == TUI_KEY_RESIZE)
        return action;
    if (s->tour && tui_tour_key(s, key))
        return action;
    s->notice[0] = '\0';
    if (key != 'C' - TUI_KEY_CONTROL)
        s->interrupted = 0;
    if (s->pasting || key == TUI_KEY_PASTE_BEGINS) {
        s->pasting = key != TUI_KEY_PASTE_ENDS;
        if (s->ask.what) { /* elsewhere a paste is no command */
            tui_line_key(&s->ask.line, key);
            tui_line_tell(&s->ask.line, s->notice, sizeof s->notice);
        }
        return action;
    }
    if (s->ask.what && tui_ask_key(s, key, &action))
        return action;
    if (s->thought.forking && !s->overlay && tui_fork_key(s, key, &action))
        return action;
    if (s->mark_asked && tui_find_key(s, key, 0))
        return action;
    if (key >= '0' + !s->count && key <= '9') {
        if (s->count < 1000000)
            s->count = s->count * 10 + (int)(key - '0');
        return action;
    }
    int count = s->count;
    s->count = 0;
    s->scrolled = 0;
    if (s->overlay && is_everywhere(key))
        return do_key(s, key, count);
    if (s->overlay && s->overlay->key(s, key, count, &action))
        return action;
    if (s->overlay) { /* any other key closes it */
        s->overlay = NULL;
        if (!begins_text(key))
            return action;
    }
    if (s->focus->key(s, key, count, &action) || tui_act_key(s, key, &action) || tui_places_key(s, key, count) ||
        tui_find_key(s, key, count))
        return action;
    return do_key(s, key, count);
}

/* --- the mouse --------------------------------------------------------------------------------------------------- */

static void wheel(struct tui_screen *s, const struct tui_view *view, int lines)
{
    struct tui_action none = {0};
    if (view->scroll)
        view->scroll(s, lines);
    else
        view->key(s, lines < 0 ? TUI_KEY_UP : TUI_KEY_DOWN, abs(lines), &none);
}

static void press(struct tui_screen *s, int pane, int x, int y)
{
    if (pane < 0)
        return;
    const struct tui_view *view = s->places.views[pane];
    s->thought.forking = 0;
    s->focus = view;
    if (view->click)
        view->click(s, x - s->layout.panes[pane].x, y - s->layout.panes[pane].y);
}

/* It never acts on the search: what is costly is done by keys alone. */
struct tui_action tui_screen_mouse(struct tui_screen *s, struct tui_mouse m)
{
    struct tui_action none = {0};
    int pane = tui_layout_pane(&s->layout, m.x, m.y), lines = m.what == TUI_MOUSE_WHEEL_UP ? -3 : 3;
    if (s->ask.what || s->layout.too_small || m.what == TUI_MOUSE_NOTHING)
        return none;
    if (m.what == TUI_MOUSE_DRAG) {
        tui_layout_move(&s->places.arrangement, &s->layout, s->dragged, m.x, m.y);
        return none;
    }
    s->dragged = -1;
    if (m.what == TUI_MOUSE_RELEASE)
        return none;
    s->notice[0] = '\0';
    s->count = 0;
    if (m.what != TUI_MOUSE_PRESS) {
        if (s->overlay || pane >= 0)
            wheel(s, s->overlay ? s->overlay : s->places.views[pane], lines);
        return none;
    }
    if (s->overlay) {
        if (s->overlay->click)
            s->overlay->click(s, m.x, m.y - s->layout.top - 1);
        else
            s->overlay = NULL;
        return none;
    }
    s->dragged = tui_layout_line(&s->layout, m.x, m.y);
    const struct tui_rect *now = &s->layout.now;
    if (m.y >= now->y && m.y < now->y + now->h)
        tui_why_open(s);
    else if (s->dragged < 0)
        press(s, pane, m.x, m.y);
    return none;
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

static void draw_too_small(struct tui_screen *s)
{
    struct tui_canvas *c = &s->canvas;
    char needed[64], is[64];
    int y = c->h > 2 ? c->h / 2 - 1 : 0;
    snprintf(needed, sizeof needed, "%d×%d needed", TUI_LEAST_COLUMNS, TUI_LEAST_ROWS);
    snprintf(is, sizeof is, "this is %d×%d", c->w, c->h);
    int x = tui_canvas_text(c, 0, y, c->w, tui_style(TUI_ERROR), "too small");
    if (c->w >= TUI_LEAST_COLUMNS) {
        x += tui_canvas_text(c, x, y, c->w - x, tui_style(TUI_TEXT), ": ");
        x += tui_canvas_text(c, x, y, c->w - x, tui_style(TUI_TEXT), needed);
        x += tui_canvas_text(c, x, y, c->w - x, tui_style(TUI_TEXT), ", ");
        tui_canvas_text(c, x, y, c->w - x, tui_style(TUI_TEXT), is);
        return;
    }
    tui_canvas_text(c, 0, y + 1, c->w, tui_style(TUI_TEXT), needed);
    tui_canvas_text(c, 0, y + 2, c->w, tui_style(TUI_TEXT), is);
}

static void draw_rule(struct tui_screen *s, int y, const char *left, const char *cross, const char *right)
{
    const struct tui_layout *l = &s->layout;
    tui_canvas_fill(&s->canvas, (struct tui_rect){0, y, s->canvas.w, 1}, tui_style(TUI_BORDER), 0x2500);
    if (!l->wide)
        return;
    tui_canvas_text(&s->canvas, 0, y, 1, tui_style(TUI_BORDER), left);
    tui_canvas_text(&s->canvas, s->canvas.w - 1, y, 1, tui_style(TUI_BORDER), right);
    if (*cross)
        tui_canvas_text(&s->canvas, l->split, y, 1, tui_style(TUI_BORDER), cross);
}

/* The rules above panes that stand below others. */
static void draw_stack(struct tui_screen *s)
{
    const struct tui_layout *l = &s->layout;
    for (int i = 2; i < TUI_PANES; i++) {
        const struct tui_rect *r = &l->panes[i];
        if (!r->w || r->y - 1 == l->top)
            continue;
        tui_canvas_fill(&s->canvas, (struct tui_rect){r->x, r->y - 1, r->w, 1}, tui_style(TUI_BORDER), 0x2500);
        tui_canvas_text(&s->canvas, l->split, r->y - 1, 1, tui_style(TUI_BORDER), "├");
        tui_canvas_text(&s->canvas, r->x + r->w, r->y - 1, 1, tui_style(TUI_BORDER), "┤");
    }
}

static void draw_frame(struct tui_screen *s)
{
    const struct tui_layout *l = &s->layout;
    int end = l->now.y + l->now.h;
    draw_rule(s, l->top, "┌", l->split < 0 ? "" : "┬", "┐");
    draw_rule(s, l->middle, "├", l->split < 0 ? "" : "┴", "┤");
    if (l->bottom >= 0)
        draw_rule(s, l->bottom, "└", "", "┘");
    else
        end = l->wide ? end : l->middle;
    if (!l->wide)
        return;
    for (int y = l->top + 1; y < end; y++) {
        if (y == l->middle)
            continue;
        tui_canvas_text(&s->canvas, 0, y, 1, tui_style(TUI_BORDER), "│");
        tui_canvas_text(&s->canvas, s->canvas.w - 1, y, 1, tui_style(TUI_BORDER), "│");
        if (y < l->middle && l->split >= 0)
            tui_canvas_text(&s->canvas, l->split, y, 1, tui_style(TUI_BORDER), "│");
    }
    draw_stack(s);
}

/* Copies that are folded or unfolded and a filter take rows away and give them back, while the user goes on. One thing in a slice: else it would be
 * as long as all of theirs. */
static void go_on(struct tui_screen *s)
{
    s->busy = tui_moment_work(s, TUI_SLICE);
    if (s->busy)
        return;
    const int line = tui_screen_line(s), selected = s->selected;
    s->busy = tui_outline_refold(&s->outline, TUI_SLICE) || tui_find_work(s);
    if (s->selected == selected)
        tui_screen_keep_line(s, line);
}

void tui_screen_work(struct tui_screen *s)
{
    go_on(s);
    if (!s->busy && tui_screen_shows(s, &tui_view_drawn)) /* what is hidden or shown meanwhile would have it begin again */
        s->busy = tui_drawn_work(s);
}

void tui_screen_draw(struct tui_screen *s, int columns, int rows)
{
    const int below = s->tour ? tui_tour_rows(s, columns, rows) : 0, both = rows - below >= TUI_LEAST_ROWS;
    go_on(s);
    tui_canvas_size(&s->canvas, columns, rows);
    tui_places_arrange(s, columns, both ? rows - below : rows);
    s->layout = tui_layout(columns, both ? rows - below : rows, &s->places.arrangement, s->race_count);
    if (s->layout.too_small) {
        draw_too_small(s);
        return;
    }
    draw_frame(s);
    tui_draw_header(s);
    tui_draw_race(s);
    for (int i = 0; i < TUI_PANES; i++)
        if (s->layout.panes[i].w)
            s->places.views[i]->draw(s, s->layout.panes[i]);
    tui_draw_now(s);
    tui_draw_status(s);
    s->notice_long = 0;
    if (s->ask.what)
        tui_ask_draw(s);
    else
        tui_draw_keys(s);
    if (s->overlay)
        s->overlay->draw(s, (struct tui_rect){0, s->layout.top + 1, columns, s->layout.keys.y - s->layout.top - 1});
    tui_draw_notice(s);
    if (s->tour && (both || !s->overlay))
        tui_tour_draw(s, both ? rows - below : rows - 1 - below);
}
