/* Several searches on the same engines: each does what needs no pass until all of them wait for one; then there is one
 * pass for all. What a search asks for and records follows from its own log, so the company changes nothing in it. */
#include "search/run.h"

#include <stdlib.h>
#include <string.h>

struct member {
    struct search *search;
    int held, done;
};

struct search_group {
    struct member *list;
    int count, capacity, turn;
};

struct search_group *search_group_open(void)
{
    return xcalloc(1, sizeof(struct search_group));
}

void search_group_close(struct search_group *group)
{
    if (group)
        free(group->list);
    free(group);
}

static struct member *find(const struct search_group *group, const struct search *search)
{
    for (int i = 0; i < group->count; i++)
        if (group->list[i].search == search)
            return &group->list[i];
    return NULL;
}

void search_group_add(struct search_group *group, struct search *search)
{
    ARRAY_RESERVE(group->list, group->count, group->capacity);
    group->list[group->count++] = (struct member){.search = search};
}

void search_group_remove(struct search_group *group, struct search *search)
{
    struct member *m = find(group, search);
    if (!m)
        return;
    group->count--;
    memmove(m, m + 1, (size_t)(group->list + group->count - m) * sizeof *m);
    group->turn = 0;
}

void search_group_hold(struct search_group *group, struct search *search, int held)
{
    find(group, search)->held = held;
    search_rest(search);
}

/* --- a pass for all ---------------------------------------------------------------------------------------------- */

static int pass(struct search_group *group, struct engine *engine, int *live, struct error *e)
{
    struct engine_result result;
    int still = 0, code = engine_step(engine, &still, e);
    while (!code && engine_result(engine, &result)) {
        int taken = 0;
        for (int i = 0; i < group->count && !taken; i++)
            taken = search_work_take(group->list[i].search, engine, &result);
        if (!taken)
            engine_result_free(&result);
        *live = 1; /* something came of it */
    }
    *live = *live || still;
    return code;
}

/* Each engine once. */
static int pass_all(struct search_group *group, struct error *e)
{
    int live = 0, code = OK;
    for (int i = 0; i < 2 * group->count && !code; i++) {
        const struct search_ground *g = &group->list[i / 2].search->g;
        struct engine *engine = i % 2 ? g->judge : g->engine;
        int seen = !engine;
        for (int k = 0; k < i && !seen; k++) {
            const struct search_ground *before = &group->list[k / 2].search->g;
            seen = engine == (k % 2 ? before->judge : before->engine);
        }
        if (!seen)
            code = pass(group, engine, &live, e);
    }
    for (int i = 0; i < group->count; i++)
        live |= search_work_poll(group->list[i].search, live ? 0 : .005);
    return code || live ? code : error_set(e, ERROR_ENGINE, "the engine has nothing to do, but searches wait for it");
}

int search_group_advance(struct search_group *group, struct search **moved, enum search_status *status, struct error *e)
{
    const struct search_job *waits;
    int waiting = 0;
    *moved = NULL;
    *status = SEARCH_DONE;
    for (int i = 0; i < group->count; i++) {
        struct member *m = &group->list[group->turn];
        if (!m->held) {
            int code = search_try(m->search, status, &waits, e);
            if (code || (!waits && *status != SEARCH_DONE) || (*status == SEARCH_DONE && !m->done)) {
                m->done = *status == SEARCH_DONE;
                *moved = m->search;
                return code;
            }
            waiting += waits != NULL;
        }
        group->turn = (group->turn + 1) % group->count;
    }
    *status = waiting ? SEARCH_WORKING : SEARCH_DONE;
    return waiting ? pass_all(group, e) : OK;
}
