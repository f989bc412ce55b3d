/* What one engine is made of; shared by engine.c, which opens it, and schedule.c, which runs its requests. */
#ifndef ESPALIER_ENGINE_STATE_H
#define ESPALIER_ENGINE_STATE_H

#include "engine/engine.h"
#include "engine/forward.h"
#include "engine/kv.h"
#include "engine/model.h"
#include "engine/trie.h"
#include "engine/vocabulary.h"

struct engine_schedule;

/* With vocabulary_only everything from pool on is NULL. */
struct engine {
    struct engine_info info;
    char *path, *name, *prompts;
    struct engine_file *file;
    struct engine_vocabulary *vocabulary;
    struct engine_trie_holder *trie; /* of the vocabulary, for grammars */
    const struct kernel_set *set;
    enum kernel_type cache; /* of keys and values */
    struct kernel_pool *pool;
    struct engine_model *model;
    struct engine_forward *forward;
    struct engine_kv *kv;
    struct engine_schedule *schedule;
};

enum { ENGINE_LOGITS = 32 }; /* rows that go through the vocabulary product at once */

size_t engine_schedule_scratch_bytes(const struct engine *engine);
struct engine_schedule *engine_schedule_create(const struct engine *engine);
void engine_schedule_free(struct engine_schedule *schedule);

#endif
