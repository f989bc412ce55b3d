/* Driving an engine in a test: what fails there fails the test. Included after cmocka. */
#ifndef ESPALIER_TESTS_DRIVEN_H
#define ESPALIER_TESTS_DRIVEN_H

#include "engine/engine.h"

static inline int submit(struct engine *engine, const struct engine_request *q)
{
    struct error e;
    int id;
    if (engine_submit(engine, q, &id, &e))
        fail_msg("%s", e.message);
    return id;
}

static inline int step(struct engine *engine)
{
    struct error e;
    int live;
    if (engine_step(engine, &live, &e))
        fail_msg("%s", e.message);
    return live;
}

static inline void run(struct engine *engine)
{
    while (step(engine)) {
    }
}

#endif
