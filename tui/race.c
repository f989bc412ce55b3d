#include "tui/race.h"

#include <stdlib.h>

void tui_race_open(struct tui_race *r, int count)
{
    *r = (struct tui_race){.screens = xcalloc((size_t)count, sizeof *r->screens), .count = count};
    for (int i = 0; i < count; i++) {
        tui_screen_open(&r->screens[i]);
        r->screens[i].race = r->screens;
        r->screens[i].race_count = count;
    }
}

const char *tui_race_token(const void *engine, int id, size_t *bytes)
{
    return engine ? engine_token_text(engine, id, bytes) : NULL;
}

void tui_race_free(struct tui_race *r)
{
    for (int i = 0; i < r->count; i++)
        tui_screen_free(&r->screens[i]);
    free(r->screens);
    *r = (struct tui_race){0};
}

struct tui_screen *tui_race_shown(const struct tui_race *r)
{
    return &r->screens[r->shown];
}

/* Where the user is goes with them: the panes, which of them has the keys, and the commands of before. */
static void turn(struct tui_race *r, int by)
{
    struct tui_screen *from = tui_race_shown(r), *to;
    r->shown = (r->shown + by + r->count) % r->count;
    to = tui_race_shown(r);
    struct tui_ask ask = from->ask;
    from->ask = to->ask;
    to->ask = ask;
    to->places = from->places;
    to->focus = from->focus;
    to->notice[0] = '\0';
    to->thought.forking = to->count = to->interrupted = to->mark_asked = 0;
    from->thought.forking = from->count = 0;
}

void tui_race_show(struct tui_race *r, int which)
{
    if (which != r->shown)
        turn(r, which - r->shown);
}

struct tui_action tui_race_key(struct tui_race *r, int32_t key)
{
    struct tui_screen *s = tui_race_shown(r);
    if (r->count > 1 && (key == 'c' || key == 'C') && !s->ask.what && !s->overlay && !s->pasting) {
        turn(r, key == 'c' ? 1 : -1);
        return (struct tui_action){0};
    }
    struct tui_action action = tui_screen_key(s, key);
    action.search = r->shown;
    return action;
}

struct tui_action tui_race_mouse(struct tui_race *r, struct tui_mouse mouse)
{
    struct tui_action action = tui_screen_mouse(tui_race_shown(r), mouse);
    action.search = r->shown;
    return action;
}

void tui_race_notice(struct tui_race *r, const char *text)
{
    tui_screen_notice(tui_race_shown(r), text);
}
