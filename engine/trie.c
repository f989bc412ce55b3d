#include "engine/trie.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct engine_trie_holder {
    const struct engine_vocabulary *vocabulary;
    pthread_mutex_t lock;
    struct engine_trie trie; /* without nodes: not built yet */
};

struct text {
    const char *bytes;
    size_t length;
    int id;
};

static int by_bytes(const void *a, const void *b)
{
    const struct text *x = a, *y = b;
    size_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->bytes, y->bytes, n);
    if (order)
        return order;
    return x->length != y->length ? (x->length < y->length ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

/* The tokens that are text, sorted; the endings go to their own list. */
static int gather(struct engine_trie *t, const struct engine_vocabulary *v, struct text *out)
{
    struct string said = {0};
    int n = 0;
    for (int id = 0; id < t->vocabulary; id++) {
        if (engine_vocabulary_ends(v, id)) {
            t->endings[t->ending_count++] = id;
            continue;
        }
        string_clear(&said);
        engine_vocabulary_detokenize(v, &id, 1, 0, &said);
        if (!said.length)
            continue;
        out[n].bytes = engine_vocabulary_text(v, id, &out[n].length);
        out[n++].id = id;
    }
    string_free(&said);
    if (n)
        qsort(out, (size_t)n, sizeof *out, by_bytes);
    return n;
}

static size_t common(const struct text *a, const struct text *b)
{
    size_t n = 0;
    while (n < a->length && n < b->length && a->bytes[n] == b->bytes[n])
        n++;
    return n;
}

static void add_node(struct engine_trie *t, int *capacity, struct engine_trie_node node)
{
    ARRAY_RESERVE(t->nodes, t->count, *capacity);
    t->nodes[t->count++] = node;
}

static void build(struct engine_trie *t, const struct engine_vocabulary *v)
{
    t->vocabulary = engine_vocabulary_count(v);
    struct text *texts = xcalloc((size_t)t->vocabulary + 1, sizeof *texts);
    t->ids = xcalloc((size_t)t->vocabulary + 1, sizeof *t->ids);
    t->endings = xcalloc((size_t)t->vocabulary + 1, sizeof *t->endings);
    int n = gather(t, v, texts), capacity = 0;
    add_node(t, &capacity, (struct engine_trie_node){0});
    for (int i = 0; i < n; i++) {
        size_t shared = i ? common(&texts[i - 1], &texts[i]) : 0;
        for (size_t d = shared; d < texts[i].length; d++)
            add_node(
                t, &capacity,
                (struct engine_trie_node){.first = i, .depth = (int)d + 1, .byte = (unsigned char)texts[i].bytes[d]});
        t->ids[i] = texts[i].id;
        if ((int)texts[i].length > t->deepest)
            t->deepest = (int)texts[i].length;
    }
    int count = t->count;
    add_node(t, &capacity, (struct engine_trie_node){.first = n});
    t->count = count;
    /* Backwards: what is not below node i begins at the first later node that is no deeper. */
    for (int i = count - 1; i >= 0; i--) {
        int end = i + 1;
        while (end < count && t->nodes[end].depth > t->nodes[i].depth)
            end = t->nodes[end].end;
        t->nodes[i].end = end;
    }
    free(texts);
}

struct engine_trie_holder *engine_trie_hold(const struct engine_vocabulary *v)
{
    struct engine_trie_holder *holder = xcalloc(1, sizeof *holder);
    holder->vocabulary = v;
    pthread_mutex_init(&holder->lock, NULL);
    return holder;
}

const struct engine_trie *engine_trie_get(struct engine_trie_holder *holder)
{
    pthread_mutex_lock(&holder->lock);
    if (!holder->trie.nodes)
        build(&holder->trie, holder->vocabulary);
    pthread_mutex_unlock(&holder->lock);
    return &holder->trie;
}

void engine_trie_free(struct engine_trie_holder *holder)
{
    if (!holder)
        return;
    free(holder->trie.nodes);
    free(holder->trie.ids);
    free(holder->trie.endings);
    pthread_mutex_destroy(&holder->lock);
    free(holder);
}
