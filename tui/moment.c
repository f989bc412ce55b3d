/* Another tree for the screen: a moment of the log, now again, or now after an event that changed its past. At a million nodes that takes seconds:
 * it is made in slices between two keys, and what is shown stays until it is there. Events come in order: once one has to wait, so do those after it. */
#include "tui/screen.h"

#include <limits.h>
#include <stdlib.h>

/* --- giving back ------------------------------------------------------------------------------------------------- */

static void give_back(struct tui_screen *s, struct search_tree *tree, struct tui_outline *outline)
{
    struct tui_moment *m = &s->moment;
    ARRAY_RESERVE(m->old, m->old_count, m->old_capacity);
    m->old[m->old_count++] = (struct tui_old){*tree, *outline};
    *tree = (struct search_tree){0};
    *outline = (struct tui_outline){0};
}

static void shed(struct tui_moment *m, int steps)
{
    if (!m->old_count)
        return;
    struct tui_old *old = &m->old[m->old_count - 1];
    if (!search_tree_shed(&old->tree, steps) && !tui_outline_shed(&old->outline, steps))
        m->old_count--;
}

/* --- beginning --------------------------------------------------------------------------------------------------- */

static void give_up(struct tui_screen *s)
{
    struct tui_moment *m = &s->moment;
    struct tui_outline outline = {0};
    if (s->outline.heir)
        tui_outline_disinherit(&s->outline, &outline);
    search_refold_end(&m->fold);
    give_back(s, &m->fold.tree, &outline);
    m->fold = (struct search_refold){0};
    tui_known_free(&m->known);
    m->what = TUI_MAKES_NOTHING;
}

void tui_moment_make(struct tui_screen *s, enum tui_making what, int64_t count)
{
    struct tui_moment *m = &s->moment;
    const struct search_tree *latest = tui_past_latest(s);
    if (m->what)
        give_up(s);
    m->what = what;
    m->count = count;
    m->known_to = 0;
    m->known = (struct tui_known){.right_at = -1};
    if (what == TUI_MAKES_PAST)
        search_refold_begin(&m->fold, latest, count, NULL);
    else if (what == TUI_MAKES_ANEW)
        search_refold_begin(&m->fold, latest, count, m->waiting[m->first]);
}

/* --- going on ---------------------------------------------------------------------------------------------------- */

/* Another tree stands where the one before did, which is given back; NULL: that one is the log's still. */
static void show(struct tui_screen *s, struct search_tree *before)
{
    struct tui_moment *m = &s->moment;
    struct tui_outline old;
    struct search_tree none = {0};
    tui_outline_inherit(&s->outline, &s->tree, &old);
    give_back(s, before ? before : &none, &old);
    tui_known_free(&s->known);
    s->known = m->known;
    m->known = (struct tui_known){.right_at = -1};
    m->fold = (struct search_refold){0};
    m->what = TUI_MAKES_NOTHING;
    tui_screen_after(s);
}

static void follow_latest(struct tui_screen *s)
{
    if (s->tree.event_count)
        tui_screen_follow(s, s->tree.events[s->tree.event_count - 1]);
}

static struct search_event *next_waiting(struct tui_moment *m)
{
    struct search_event *event = m->waiting[m->first++];
    if (m->first == m->waiting_count)
        m->first = m->waiting_count = 0;
    return event;
}

static void show_past(struct tui_screen *s)
{
    struct search_tree before = {0};
    tui_screen_before(s);
    if (s->past.on)
        before = s->tree;
    else
        tui_past_enter(s);
    s->tree = s->moment.fold.tree;
    show(s, &before);
    follow_latest(s);
}

static void show_now(struct tui_screen *s)
{
    struct search_tree before = s->tree;
    tui_screen_before(s);
    tui_past_leave(s);
    show(s, &before);
    follow_latest(s);
}

/* The event that waited for it has become one of the tree's. */
static void show_anew(struct tui_screen *s)
{
    struct tui_moment *m = &s->moment;
    struct search_event *event = next_waiting(m);
    struct search_tree before = s->past.on ? s->past.latest : s->tree;
    tui_screen_took(s, event);
    search_event_release(event);
    if (s->past.on) { /* the picture stays */
        struct tui_outline none = {0};
        s->past.latest = m->fold.tree;
        tui_known_free(&s->past.known);
        s->past.known = m->known;
        m->known = (struct tui_known){.right_at = -1};
        m->fold = (struct search_refold){0};
        m->what = TUI_MAKES_NOTHING;
        give_back(s, &before, &none);
        return;
    }
    const int line = tui_screen_line(s);
    tui_screen_before(s);
    s->tree = m->fold.tree;
    show(s, &before);
    tui_screen_keep_line(s, line);
}

/* An event after the other, where it is shown, as long as each changes little. */
static void go_further(struct tui_screen *s, int steps)
{
    struct tui_moment *m = &s->moment;
    const struct search_tree *latest = &s->past.latest;
    tui_screen_before(s);
    for (; steps > 0 && s->tree.event_count < m->count; steps--) {
        struct search_event *event = latest->events[s->tree.event_count];
        if (!tui_screen_takes(&s->tree, event)) {
            tui_moment_make(s, TUI_MAKES_PAST, m->count);
            return;
        }
        tui_screen_fold(s, event);
    }
    tui_screen_after(s);
    if (s->tree.event_count < m->count)
        return;
    m->what = TUI_MAKES_NOTHING;
    follow_latest(s);
}

/* The tree, its outline, what is known of it: each after the other. */
static void go_on(struct tui_screen *s, int steps)
{
    struct tui_moment *m = &s->moment;
    const struct search_tree *tree = m->what == TUI_MAKES_NOW ? &s->past.latest : &m->fold.tree;
    if (m->what == TUI_MAKES_FURTHER) {
        go_further(s, steps);
        return;
    }
    if (m->what != TUI_MAKES_NOW && search_refold_go_on(&m->fold, steps))
        return;
    const int hidden = m->what == TUI_MAKES_ANEW && s->past.on;
    if (!hidden && !s->outline.heir)
        tui_outline_begin_heir(&s->outline, &m->outline, tree);
    if (!hidden && tui_outline_grow_heir(&m->outline, steps))
        return;
    for (; steps > 0 && m->known_to < tree->event_count; steps--, m->known_to++)
        if (tree->out[m->known_to])
            tui_known_pass(&m->known, tree->events[m->known_to]);
        else
            tui_known_take(hidden ? NULL : s, &m->known, tree, tree->events[m->known_to]);
    if (m->known_to < tree->event_count)
        return;
    if (m->what == TUI_MAKES_PAST)
        show_past(s);
    else if (m->what == TUI_MAKES_NOW)
        show_now(s);
    else
        show_anew(s);
}

/* Those that waited for what is there now. */
static void take_waiting(struct tui_screen *s, int steps)
{
    struct tui_moment *m = &s->moment;
    for (; steps > 0 && m->waiting_count && !m->what; steps--) {
        if (!tui_screen_takes(tui_past_latest(s), m->waiting[m->first])) {
            tui_moment_make(s, TUI_MAKES_ANEW, tui_past_count(s) + 1);
            return;
        }
        struct search_event *event = next_waiting(m);
        tui_screen_take(s, event);
        search_event_release(event);
    }
}

int tui_moment_work(struct tui_screen *s, int steps)
{
    struct tui_moment *m = &s->moment;
    shed(m, steps);
    if (!m->what)
        take_waiting(s, steps);
    if (m->what)
        go_on(s, steps);
    return m->what || m->waiting_count || m->old_count;
}

int tui_moment_holds(struct tui_screen *s, struct search_event *event)
{
    struct tui_moment *m = &s->moment;
    const int first = !m->waiting_count;
    if (first && m->what != TUI_MAKES_NOW && tui_screen_takes(tui_past_latest(s), event))
        return 0;
    ARRAY_RESERVE(m->waiting, m->waiting_count, m->waiting_capacity);
    m->waiting[m->waiting_count++] = search_event_keep(event);
    if (first)
        s->busy |= tui_moment_work(s, TUI_SLICE); /* of a small tree it is there at once */
    return 1;
}

void tui_moment_free(struct tui_screen *s)
{
    struct tui_moment *m = &s->moment;
    if (m->what)
        give_up(s);
    while (m->old_count)
        shed(m, 1 << 24);
    while (m->waiting_count)
        search_event_release(next_waiting(m));
    free(m->waiting);
    free(m->old);
    tui_known_free(&m->known);
}
