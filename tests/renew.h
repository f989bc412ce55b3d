/* An outline whose tree became another one: as the screen does it, a few nodes at a time. */
#ifndef ESPALIER_TESTS_RENEW_H
#define ESPALIER_TESTS_RENEW_H

#include "tui/outline.h"

static inline void renew(struct tui_outline *o)
{
    struct tui_outline heir, old;
    tui_outline_begin_heir(o, &heir, o->tree);
    while (tui_outline_grow_heir(&heir, 7)) {
    }
    tui_outline_inherit(o, o->tree, &old);
    while (tui_outline_shed(&old, 7)) {
    }
}

#endif
