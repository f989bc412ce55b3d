#include "tui/replay.h"

#include <stdlib.h>

/* Nothing in a log says when it happened: the same seed gives the same log on a slow machine. So a thought takes as long as one needs to
 * see it, and a decision as long as one needs to read it. */
static double seconds_of(const struct search_event *event)
{
    switch (event->kind) {
    case SEARCH_EVENT_PLAN:
        return 0.6;
    case SEARCH_EVENT_COMPLETION:
        return event->completion.count < 40 ? 0.02 * event->completion.count : 0.8;
    case SEARCH_EVENT_THOUGHT:
        return 0.25;
    case SEARCH_EVENT_DECISION:
        return 1.2;
    case SEARCH_EVENT_RESULT:
        return 1;
    default:
        return 0.15;
    }
}

static int is_over(const struct tui_replayed *t)
{
    return t->at >= t->tree->event_count;
}

static void set_due(const struct tui_replay *r, struct tui_replayed *t, double now)
{
    if (!is_over(t))
        t->due = now + seconds_of(t->tree->events[t->at]) / r->speed;
}

void tui_replay_race(struct tui_race *race, const struct search_tree *const *trees, int count, int ascii)
{
    tui_race_open(race, count);
    for (int i = 0; i < count; i++) {
        race->screens[i].asked_strategy = trees[i]->session ? trees[i]->events[0]->session.strategy : NULL;
        race->screens[i].token_text = tui_race_token;
        race->screens[i].canvas.ascii = ascii;
    }
}

struct engine *tui_replay_tokens(const struct tui_options *o, const char *path)
{
    struct error e;
    struct engine *engine = NULL;
    struct search_journal *journal = NULL;
    char *model = search_journal_open(&journal, path, 0, &e) ? NULL : search_journal_get(journal, "model");
    if (model && tui_engine_open_at(o, model, TUI_TOKENS, &engine, &e))
        engine = NULL;
    search_journal_close(journal);
    free(model);
    return engine;
}

void tui_replay_open(struct tui_replay *r, const struct search_tree *const *trees, int count, double speed, int paused, double now)
{
    *r = (struct tui_replay){.trees = xcalloc((size_t)count, sizeof *r->trees), .count = count, .speed = speed, .running = !paused};
    for (int i = 0; i < count; i++)
        r->trees[i] = (struct tui_replayed){.tree = trees[i], .due = now};
}

void tui_replay_free(struct tui_replay *r)
{
    free(r->trees);
    *r = (struct tui_replay){0};
}

double tui_replay_wait(const struct tui_replay *r, double now)
{
    double least = -1;
    for (int i = 0; i < r->count; i++) {
        const struct tui_replayed *t = &r->trees[i];
        const double wait = t->steps || t->due < now ? 0 : t->due - now;
        if (!is_over(t) && (r->running || t->steps || !t->at) && (least < 0 || wait < least))
            least = wait;
    }
    return least;
}

static enum tui_state state_of(const struct tui_replay *r, const struct tui_replayed *t)
{
    return is_over(t) ? (t->tree->result ? TUI_DONE : TUI_PAUSED) : r->running ? TUI_RUNNING : TUI_PAUSED; /* it may have been left unfinished */
}

/* Screens are told when the state is another, not each time: there are no figures of an engine. */
static void tell(struct tui_replay *r, struct tui_screen *s, const struct tui_replayed *t, double now)
{
    if (s->now.state == state_of(r, t) && s->token_owner == r->engine)
        return;
    struct tui_snapshot snapshot = {.state = state_of(r, t), .engine = r->engine, .time = now};
    s->token_owner = r->engine;
    tui_screen_snapshot(s, &snapshot);
}

/* The first event is the session: without it there is nothing to see. A step ends before the next plan, decision or result. */
static int is_due(const struct tui_replay *r, const struct tui_replayed *t, double now)
{
    return !is_over(t) && (!t->at || t->steps || (r->running && t->due <= now));
}

static int is_step(const struct search_event *event)
{
    return event->kind == SEARCH_EVENT_PLAN || event->kind == SEARCH_EVENT_DECISION || event->kind == SEARCH_EVENT_RESULT;
}

static int begins_step(const struct tui_replayed *t)
{
    return !is_over(t) && is_step(t->tree->events[t->at]);
}

int tui_replay_go_on(struct tui_replay *r, struct tui_race *race, double now)
{
    int changed = 0;
    for (int i = 0; i < r->count; i++) {
        struct tui_replayed *t = &r->trees[i];
        struct tui_screen *s = &race->screens[i];
        while (is_due(r, t, now)) {
            const double due = t->steps ? now : t->due;
            tui_screen_event(s, t->tree->events[t->at++]);
            set_due(r, t, due > now - 1 ? due : now); /* asleep for a while: it goes on from here */
            if (t->steps && (begins_step(t) || is_over(t)))
                t->steps--;
            changed = 1;
        }
        const enum tui_state before = s->now.state;
        tell(r, s, t, now);
        changed |= s->now.state != before;
    }
    return changed;
}

/* How many steps until the next thought after which nothing follows is there. */
static int steps_to_end_of_path(const struct tui_replayed *t)
{
    int steps = 1;
    for (int64_t i = t->at; i < t->tree->event_count; i++) {
        const struct search_event *event = t->tree->events[i];
        if (event->kind == SEARCH_EVENT_THOUGHT && event->thought.final && !event->thought.illegal)
            break;
        steps += i > t->at && is_step(event);
    }
    return steps;
}

void tui_replay_command(struct tui_replay *r, struct tui_race *race, struct tui_action action, double now)
{
    struct tui_replayed *t = &r->trees[action.search];
    if (action.act == TUI_ACT_RUN || action.act == TUI_ACT_PAUSE) {
        r->running = action.act == TUI_ACT_RUN;
        for (int i = 0; i < r->count; i++)
            r->trees[i].due = now;
    } else if (action.act == TUI_ACT_STEP || action.act == TUI_ACT_FINISH) {
        r->running = 0;
        t->steps += action.act == TUI_ACT_STEP ? action.number : steps_to_end_of_path(t);
    } else {
        tui_race_notice(race, "this is a replay: espalier --session NAME goes on with the search itself");
    }
    if (is_over(t) && action.act != TUI_ACT_PAUSE && action.act != TUI_ACT_DO)
        tui_race_notice(race, "that was all; { and [ go back in time");
}

void tui_replay_speed(struct tui_replay *r, double factor, double now)
{
    r->speed *= factor;
    r->speed = r->speed < 0.01 ? 0.01 : r->speed > 1000 ? 1000 : r->speed;
    for (int i = 0; i < r->count; i++)
        set_due(r, &r->trees[i], now);
}
