/* The screen's knowledge and the keys that no pane claims. */
#include "tui/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void tui_snapshot_free(struct tui_snapshot *s)
{
    for (int i = 0; i < s->live_count; i++)
        free(s->live[i].tokens);
    free(s->live);
    *s = (struct tui_snapshot){0};
}

void tui_screen_open(struct tui_screen *s)
{
    *s = (struct tui_screen){.asked = "", .model = "", .follow = 1, .focus = &tui_view_tree};
    tui_outline_open(&s->outline, &s->tree);
}

void tui_screen_free(struct tui_screen *s)
{
    tui_outline_free(&s->outline);
    tui_snapshot_free(&s->now);
    tui_canvas_free(&s->canvas);
    tui_canvas_free(&s->overlay_text);
    tui_canvas_free(&s->thought.text);
    tui_canvas_free(&s->thought.detail);
    free(s->thought.cells);
    free(s->decisions);
    search_tree_free(&s->tree);
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

int tui_screen_writes_below(const struct tui_live *live)
{
    return live->purpose == SEARCH_SAMPLE || live->purpose == SEARCH_PROPOSE;
}

/* The first decision since the node came to be. */
const struct search_event *tui_screen_decision(const struct tui_screen *s, int node)
{
    const struct search_event *thought = tui_screen_node(s, node)->thought;
    int low = 0, high = s->decision_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (!thought || s->decisions[middle]->number < thought->number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->decision_count ? s->decisions[low] : NULL;
}

int tui_decision_keeps(const struct search_event *decision, int node)
{
    for (int i = 0; i < decision->decision.kept_count; i++)
        if (decision->decision.kept[i] == node)
            return 1;
    return 0;
}

static void open_above(struct tui_screen *s, int node)
{
    for (int n = tui_screen_node(s, node)->parent; n >= 0; n = tui_screen_node(s, n)->parent)
        tui_outline_set_open(&s->outline, n, 1);
}

void tui_screen_select(struct tui_screen *s, int node)
{
    open_above(s, node);
    s->selected = node;
    s->follow = 0;
}

static void follow(struct tui_screen *s, int node)
{
    if (!s->follow || node < 0 || node >= s->tree.count)
        return;
    open_above(s, node);
    s->selected = node;
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

static void note_thought(struct tui_screen *s, const struct search_event *event)
{
    const char *text = event->thought.text, *state = event->thought.state, *answer = event->thought.answer;
    if (state && !s->has_states) /* the column is for states: answers stand in it where there are none */
        s->state_width = 0;
    s->has_states |= state != NULL;
    int w = state ? tui_width(state, strlen(state)) : answer && !s->has_states ? 2 + tui_width(answer, strlen(answer)) : 0;
    if (w > s->state_width)
        s->state_width = w;
    w = 2 + tui_screen_node(s, event->thought.node)->depth + tui_width(text, state ? tui_length_without_state(text, state) : strlen(text));
    if (w > s->text_width && !event->thought.illegal)
        s->text_width = w;
}

static void note_scores(struct tui_screen *s, const struct search_event *event)
{
    s->judged = 1;
    s->voted = event->judgement.purpose == SEARCH_VOTE;
    for (int i = 0; i < event->judgement.count; i++)
        if (event->judgement.scores[i] > s->value_most)
            s->value_most = event->judgement.scores[i];
}

/* A completion that has become an event is being written no more, whatever the latest snapshot says. */
static void drop_live(struct tui_screen *s, int item, int sample)
{
    for (int i = 0; i < s->now.live_count; i++) {
        struct tui_live *live = &s->now.live[i];
        if (live->item != item || live->sample != sample)
            continue;
        if (tui_screen_writes_below(live))
            tui_outline_set_live(&s->outline, live->node, s->outline.nodes[live->node].live - 1);
        free(live->tokens);
        memmove(live, live + 1, (size_t)(--s->now.live_count - i) * sizeof *live);
        return;
    }
}

/* Rows that come and go above the selection must not move it on the screen. */
static int line_of_selection(const struct tui_screen *s)
{
    return s->tree.count ? tui_outline_row(&s->outline, s->selected) - s->top : 0;
}

static void keep_line(struct tui_screen *s, int line)
{
    if (s->tree.count && !s->follow)
        s->top = tui_outline_row(&s->outline, s->selected) - line;
}

void tui_screen_event(struct tui_screen *s, struct search_event *event)
{
    int line = line_of_selection(s);
    search_tree_fold(&s->tree, event);
    tui_outline_grow(&s->outline);
    switch (event->kind) {
    case SEARCH_EVENT_PLAN:
        s->written = s->to_write = 0;
        for (int i = 0; i < event->plan.count; i++)
            s->to_write += event->plan.items[i].samples;
        if (event->plan.count && event->plan.items[0].count)
            follow(s, event->plan.items[0].nodes[0]);
        break;
    case SEARCH_EVENT_COMPLETION:
        s->written++;
        drop_live(s, event->completion.item, event->completion.sample);
        break;
    case SEARCH_EVENT_THOUGHT:
        note_thought(s, event);
        follow(s, event->thought.node);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        note_scores(s, event);
        if (event->judgement.count)
            follow(s, event->judgement.nodes[0]);
        break;
    case SEARCH_EVENT_DECISION:
        ARRAY_RESERVE(s->decisions, s->decision_count, s->decision_capacity);
        s->decisions[s->decision_count++] = event; /* the tree keeps it alive */
        if (event->decision.kept_count)
            follow(s, event->decision.kept[0]);
        break;
    case SEARCH_EVENT_RESULT:
        follow(s, event->result.node < 0 ? 0 : event->result.node); /* without an answer: where the cost is told */
        break;
    default:
        break;
    }
    keep_line(s, line);
}

static void note_rate(struct tui_screen *s)
{
    int64_t rows = s->now.statistics.decode_rows + s->now.statistics.prompt_rows;
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
    for (int i = 0; i < s->now.live_count; i++) {
        const struct tui_live *live = &s->now.live[i];
        if (tui_screen_writes_below(live))
            tui_outline_set_live(&s->outline, live->node, s->outline.nodes[live->node].live + sign);
    }
}

/* What belongs to nodes we were not told of stays out. */
static void drop_unknown(struct tui_screen *s)
{
    int kept = 0;
    for (int i = 0; i < s->now.live_count; i++) {
        if (s->now.live[i].node >= 0 && s->now.live[i].node < s->tree.count)
            s->now.live[kept++] = s->now.live[i];
        else
            free(s->now.live[i].tokens);
    }
    s->now.live_count = kept;
}

void tui_screen_snapshot(struct tui_screen *s, struct tui_snapshot *snapshot)
{
    int line = line_of_selection(s);
    set_live_rows(s, -1);
    if (snapshot->state != s->now.state)
        s->rate_count = 0;
    tui_snapshot_free(&s->now);
    s->now = *snapshot;
    *snapshot = (struct tui_snapshot){0};
    drop_unknown(s);
    set_live_rows(s, 1);
    note_rate(s);
    keep_line(s, line);
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

static struct tui_action prune(struct tui_screen *s)
{
    if (!s->tree.count)
        return (struct tui_action){0};
    if (s->selected == 0)
        tui_screen_notice(s, "the problem itself cannot be pruned; select a thought below it");
    else if (search_tree_is_pruned(&s->tree, s->selected))
        tui_screen_notice(s, "pruned already; u takes back the latest pruning");
    else
        return (struct tui_action){TUI_ACT_PRUNE, s->selected};
    return (struct tui_action){0};
}

static struct tui_action do_key(struct tui_screen *s, int32_t key, int count)
{
    switch (key) {
    case ' ':
        return (struct tui_action){is_running(s) ? TUI_ACT_PAUSE : TUI_ACT_RUN, 0};
    case 's':
        return (struct tui_action){TUI_ACT_STEP, count ? count : 1};
    case 'p':
        return prune(s);
    case 'u':
        return (struct tui_action){TUI_ACT_UNDO, 0};
    case 'U':
        return (struct tui_action){TUI_ACT_REDO, 0};
    case '.':
        s->follow = 1;
        if (s->tree.count) /* at once, not at the next event */
            follow(s, s->now.live_count ? s->now.live[0].node : s->tree.result && s->tree.result->result.node >= 0 ? s->tree.result->result.node : s->tree.count - 1);
        break;
    case TUI_KEY_TAB:
    case TUI_KEY_BACK_TAB:
        s->focus = s->focus == &tui_view_tree ? &tui_view_thought : &tui_view_tree;
        break;
    case TUI_KEY_ENTER:
        s->focus = &tui_view_thought;
        break;
    case TUI_KEY_ESCAPE:
        s->focus = &tui_view_tree;
        break;
    case '?':
        s->overlay = &tui_view_help;
        s->overlay_top = 0;
        break;
    case 'q':
        return (struct tui_action){TUI_ACT_QUIT, 0};
    case 'C' - TUI_KEY_CONTROL:
        s->interrupted++;
        return (struct tui_action){is_running(s) && s->interrupted < 2 ? TUI_ACT_PAUSE : TUI_ACT_QUIT, 0};
    case 'Z' - TUI_KEY_CONTROL:
        return (struct tui_action){TUI_ACT_SUSPEND, 0};
    case 'L' - TUI_KEY_CONTROL:
        return (struct tui_action){TUI_ACT_REPAINT, 0};
    default:
        break;
    }
    return (struct tui_action){0};
}

struct tui_action tui_screen_key(struct tui_screen *s, int32_t key)
{
    struct tui_action action = {0};
    s->notice[0] = '\0';
    if (key != 'C' - TUI_KEY_CONTROL)
        s->interrupted = 0;
    if (key >= '0' + !s->count && key <= '9') {
        if (s->count < 1000000)
            s->count = s->count * 10 + (int)(key - '0');
        return action;
    }
    int count = s->count;
    s->count = 0;
    const struct tui_view *view = s->overlay ? s->overlay : s->focus;
    if (key == TUI_KEY_RESIZE || view->key(s, key, count, &action))
        return action;
    return do_key(s, key, count);
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

struct tui_style tui_style(enum tui_role role)
{
    return (struct tui_style){.role = (uint8_t)role};
}

const char *tui_number(int64_t n, char out[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0 && digits[i - 1] != '-')
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *tui_score(double score, char out[32])
{
    if (!isfinite(score))
        snprintf(out, 32, "-");
    else if (fabs(score - round(score)) < 0.005 && (fabs(score) >= 1 || score == 0))
        snprintf(out, 32, "%.0f", score);
    else if (fabs(score) >= 10)
        snprintf(out, 32, "%.1f", score);
    else
        snprintf(out, 32, fabs(score) < 0.095 ? "%.3f" : "%.2f", score);
    if (out[0] == '0' && out[1] == '.') /* ".92": the place is dear */
        memmove(out, out + 1, strlen(out));
    return out;
}

const char *tui_probability(double p, char out[32])
{
    if (p >= 0.9995)
        snprintf(out, 32, "1.00");
    else if (!(p >= 0.0005))
        snprintf(out, 32, "<.001");
    else
        snprintf(out, 32, ".%03d", (int)(p * 1000 + 0.5));
    return out;
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

static void draw_frame(struct tui_screen *s)
{
    const struct tui_layout *l = &s->layout;
    int end = l->now.y + l->now.h;
    draw_rule(s, l->top, "┌", "┬", "┐");
    draw_rule(s, l->middle, "├", "┴", "┤");
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
        if (y < l->middle)
            tui_canvas_text(&s->canvas, l->split, y, 1, tui_style(TUI_BORDER), "│");
    }
}

void tui_screen_draw(struct tui_screen *s, int columns, int rows)
{
    tui_canvas_size(&s->canvas, columns, rows);
    s->layout = tui_layout(columns, rows, s->focus == &tui_view_thought);
    if (s->layout.too_small) {
        draw_too_small(s);
        return;
    }
    draw_frame(s);
    tui_draw_header(s);
    if (s->layout.tree.w)
        tui_view_tree.draw(s, s->layout.tree);
    if (s->layout.thought.w)
        tui_view_thought.draw(s, s->layout.thought);
    tui_draw_now(s);
    tui_draw_status(s);
    tui_draw_keys(s);
    if (s->overlay)
        s->overlay->draw(s, (struct tui_rect){0, s->layout.top + 1, columns, s->layout.keys.y - s->layout.top - 1});
}
