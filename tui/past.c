/* Where in time the screen is: now, or at a moment of the log, of which it then shows the tree as it was. */
#include "tui/screen.h"

#include <limits.h>
#include <stdlib.h>

const char tui_past_refusal[] = "this is the past: } to now, or B to go on from here";

const struct search_tree *tui_past_latest(const struct tui_screen *s)
{
    return s->past.on ? &s->past.latest : &s->tree;
}

const struct tui_known *tui_past_known(const struct tui_screen *s)
{
    return s->past.on ? &s->past.known : &s->known;
}

int64_t tui_past_count(const struct tui_screen *s)
{
    return tui_past_latest(s)->event_count;
}

/* The moments one steps through are those before a plan or a decision: where the search can go on from. */
int tui_past_is_place(const struct search_tree *tree, int64_t count)
{
    if (count < 1 || count >= tree->event_count)
        return 0;
    return tree->events[count]->kind == SEARCH_EVENT_PLAN || tree->events[count]->kind == SEARCH_EVENT_DECISION;
}

/* --- moving ------------------------------------------------------------------------------------------------------ */

void tui_past_enter(struct tui_screen *s)
{
    s->past.on = 1;
    s->past.latest = s->tree;
    s->tree = (struct search_tree){0};
    s->past.known = s->known;
    s->known = (struct tui_known){.right_at = -1};
    s->past.live = s->now.live;
    s->now.live = (struct tui_lives){0};
}

void tui_past_leave(struct tui_screen *s)
{
    s->tree = s->past.latest;
    s->now.live = s->past.live;
    tui_known_free(&s->past.known);
    s->past = (struct tui_past){0};
}

int64_t tui_past_at(const struct tui_screen *s)
{
    switch (s->moment.what) {
    case TUI_MAKES_PAST:
    case TUI_MAKES_FURTHER:
        return s->moment.count;
    case TUI_MAKES_NOW:
        return tui_past_count(s);
    default:
        return s->tree.event_count;
    }
}

void tui_past_go(struct tui_screen *s, int64_t count)
{
    const int64_t all = tui_past_count(s);
    const enum tui_making making = s->moment.what;
    count = count < 1 ? 1 : count;
    if (!all || (count >= all && !s->past.on && making != TUI_MAKES_PAST))
        return;
    if (count >= all)
        tui_moment_make(s, s->past.on ? TUI_MAKES_NOW : TUI_MAKES_NOTHING, all);
    else
        tui_moment_make(s, s->past.on && count >= s->tree.event_count ? TUI_MAKES_FURTHER : TUI_MAKES_PAST, count);
    s->busy |= tui_moment_work(s, TUI_SLICE); /* of a small tree it is there at once */
}

int tui_past_moment(const struct tui_screen *s, int64_t event)
{
    int low = 0, high = s->moment_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (s->moments[middle] < event)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void tui_past_move(struct tui_screen *s, int steps)
{
    const struct search_tree *tree = tui_past_latest(s);
    const int64_t at = tui_past_at(s);
    int64_t to = at;
    for (int i = tui_past_moment(s, at) - 1; steps < 0 && i >= 0; i--)
        if (tui_past_is_place(tree, s->moments[i])) {
            to = s->moments[i];
            steps++;
        }
    for (int i = tui_past_moment(s, at + 1); steps > 0; i++) {
        to = i < s->moment_count ? s->moments[i] : tree->event_count;
        if (i >= s->moment_count)
            break;
        steps -= tui_past_is_place(tree, to);
    }
    if (to == at)
        tui_screen_notice(s, at < tree->event_count ? "this is the beginning" : steps > 0 ? "this is now" : "nothing has been done yet");
    else
        tui_past_go(s, to);
}

/* --- going on from there ----------------------------------------------------------------------------------------- */

struct tui_action tui_past_go_on(struct tui_screen *s)
{
    const struct search_tree *tree = tui_past_latest(s);
    int64_t place = tui_past_at(s);
    if (place >= tree->event_count) {
        tui_screen_notice(s, "this is now; [ goes a step into the past, b takes one back");
        return (struct tui_action){0};
    }
    while (place > 0 && !tui_past_is_place(tree, place)) /* in the middle of a step: from its beginning */
        place--;
    if (!place || tree->out[place]) {
        tui_screen_notice(s, place ? "the search took this step back since: } to now, then u undoes that" : "nothing had been done yet");
        return (struct tui_action){0};
    }
    int64_t number = tree->events[place]->number;
    tui_past_go(s, tui_past_count(s));
    return tui_act(s, "back %lld", (long long)number);
}

/* --- in words ---------------------------------------------------------------------------------------------------- */

static const char *why_of(const struct search_event *event)
{
    const char *why = event->kind == SEARCH_EVENT_PLAN ? event->plan.why : event->decision.why;
    return why ? why : "";
}

char *tui_past_text(const struct tui_screen *s)
{
    const struct search_tree *tree = &s->tree;
    int64_t i = tree->event_count - 1;
    char a[32], b[32];
    tui_number(i, a);
    tui_number(s->past.latest.event_count - 1, b);
    while (i > 0 && (!tui_past_is_place(tree, i) || tree->out[i]))
        i--;
    return xasprintf("%s of %s: %s", a, b, i > 0 ? why_of(tree->events[i]) : "the beginning");
}

char *tui_past_next(const struct tui_screen *s)
{
    const struct search_tree *tree = tui_past_latest(s);
    int64_t at = s->tree.event_count;
    return tui_past_is_place(tree, at) ? xstrdup(why_of(tree->events[at])) : NULL;
}
