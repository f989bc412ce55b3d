#include "engine/grammar.h"

#include <stdlib.h>
#include <string.h>

/* What a matcher may need at most, which only a grammar of very many ways comes to. */
enum { MOST_BYTES = 64 << 20 };

/* A stack, top first: a node to go on at, and the stack that its rule returns to. Equal stacks are one frame: they are
 * found by a hash table. Frame 0 is the empty stack: the text may end. Invariant: a parent has a lower number. */
struct frame {
    int parent, node;
};

/* A set of stacks, all of whose tops take a byte; DEAD is the empty one. */
struct state {
    int first, count; /* in lists: frames, ascending */
    int can_end;
    int mask; /* in masks; -1: not made */
};
enum { DEAD = 0, UNKNOWN = -1 };

struct mask {
    uint64_t *bits;
    int allowed;
};

struct table { /* open addressing; 0: free, else the number + 1 */
    int *slots;
    size_t size; /* a power of two */
};

struct engine_matcher {
    const struct engine_grammar *g;
    size_t memory;
    struct frame *frames;
    int frame_count, frame_capacity;
    struct table frame_table;
    struct state *states;
    int state_count, state_capacity;
    struct table state_table;
    int *lists; /* of all states */
    int list_count, list_capacity;
    int *next; /* [state][class] */
    size_t next_capacity;
    struct mask *masks;
    int mask_count, mask_capacity;
    int now;

    /* The set being made. */
    int *queue, queued, queue_capacity;
    unsigned *seen; /* of frames: the set in which it was last met */
    int seen_capacity;
    unsigned set;
    int too_many;
    int *walk; /* states on the way through the trie */
};

/* --- stacks ------------------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t hash_frame(struct frame f)
{
    return mix((uint64_t)(unsigned)f.parent << 32 | (unsigned)f.node);
}

static void put_in(struct table *t, uint64_t hash, int number)
{
    size_t slot = (size_t)hash & (t->size - 1);
    while (t->slots[slot])
        slot = (slot + 1) & (t->size - 1);
    t->slots[slot] = number + 1;
}

/* Doubles a table that is half full; the caller puts everything in again. */
static int grow(struct table *t, int count)
{
    if ((size_t)count * 2 < t->size)
        return 0;
    t->size = t->size ? t->size * 2 : 64;
    free(t->slots);
    t->slots = xcalloc(t->size, sizeof *t->slots);
    return 1;
}

static int frame_of(struct engine_matcher *m, int parent, int node)
{
    struct frame wanted = {parent, node};
    uint64_t hash = hash_frame(wanted);
    for (size_t slot = (size_t)hash & (m->frame_table.size - 1); m->frame_table.slots[slot];
         slot = (slot + 1) & (m->frame_table.size - 1)) {
        int f = m->frame_table.slots[slot] - 1;
        if (m->frames[f].parent == parent && m->frames[f].node == node)
            return f;
    }
    ARRAY_RESERVE(m->frames, m->frame_count, m->frame_capacity);
    m->frames[m->frame_count++] = wanted;
    if (grow(&m->frame_table, m->frame_count))
        for (int f = 1; f < m->frame_count; f++)
            put_in(&m->frame_table, hash_frame(m->frames[f]), f);
    else
        put_in(&m->frame_table, hash, m->frame_count - 1);
    if (m->seen_capacity < m->frame_capacity) {
        m->seen = xrealloc(m->seen, (size_t)m->frame_capacity * sizeof *m->seen);
        memset(m->seen + m->seen_capacity, 0, (size_t)(m->frame_capacity - m->seen_capacity) * sizeof *m->seen);
        m->seen_capacity = m->frame_capacity;
    }
    return m->frame_count - 1;
}

/* --- sets of stacks ---------------------------------------------------------------------------------------------- */

/* Go on at a node over a stack. However often that comes up, it is in a set once. */
static void meet(struct engine_matcher *m, int parent, int node)
{
    if (node == 0 && parent != 0) { /* the rule is over: on in the one that called it */
        struct frame up = m->frames[parent];
        parent = up.parent;
        node = up.node;
    }
    int f = node ? frame_of(m, parent, node) : 0;
    if (m->seen[f] == m->set)
        return;
    if (m->queued >= ENGINE_GRAMMAR_STACKS) {
        m->too_many = 1;
        return;
    }
    m->seen[f] = m->set;
    ARRAY_RESERVE(m->queue, m->queued, m->queue_capacity);
    m->queue[m->queued++] = f;
}

static int ascending(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

static uint64_t hash_state(const struct engine_matcher *m, const struct state *s)
{
    return mix(hash_bytes(m->lists + s->first, (size_t)s->count * sizeof *m->lists) + (uint64_t)s->can_end);
}

static int find_state(const struct engine_matcher *m, const struct state *wanted, uint64_t hash)
{
    const struct table *t = &m->state_table;
    for (size_t slot = (size_t)hash & (t->size - 1); t->slots[slot]; slot = (slot + 1) & (t->size - 1)) {
        const struct state *s = &m->states[t->slots[slot] - 1];
        if (s->count == wanted->count && s->can_end == wanted->can_end &&
            !memcmp(m->lists + s->first, m->lists + wanted->first, (size_t)s->count * sizeof *m->lists))
            return t->slots[slot] - 1;
    }
    return -1;
}

static int add_state(struct engine_matcher *m, struct state s, uint64_t hash)
{
    size_t classes = (size_t)m->g->classes, need = ((size_t)m->state_count + 1) * classes;
    ARRAY_RESERVE(m->states, m->state_count, m->state_capacity);
    if (need > m->next_capacity) {
        m->next_capacity = 2 * need;
        m->next = xrealloc(m->next, m->next_capacity * sizeof *m->next);
    }
    for (size_t i = 0; i < classes; i++)
        m->next[need - classes + i] = UNKNOWN;
    m->states[m->state_count++] = s;
    if (grow(&m->state_table, m->state_count))
        for (int i = 0; i < m->state_count; i++)
            put_in(&m->state_table, hash_state(m, &m->states[i]), i);
    else
        put_in(&m->state_table, hash, m->state_count - 1);
    return m->state_count - 1;
}

static void begin_set(struct engine_matcher *m)
{
    m->queued = 0;
    if (!++m->set) { /* wrapped around */
        memset(m->seen, 0, (size_t)m->seen_capacity * sizeof *m->seen);
        m->set = 1;
    }
}

/* Follow all that takes no byte; what remains is a state. -1 when there are too many ways. */
static int end_set(struct engine_matcher *m)
{
    const struct engine_grammar *g = m->g;
    struct state s = {.first = m->list_count, .mask = -1};
    for (int i = 0; i < m->queued && !m->too_many; i++) {
        int f = m->queue[i];
        struct frame frame = m->frames[f];
        const struct engine_grammar_node *node = &g->nodes[frame.node];
        switch (node->kind) {
        case ENGINE_GRAMMAR_RETURN:
            s.can_end = 1;
            break;
        case ENGINE_GRAMMAR_SPLIT:
            meet(m, frame.parent, node->a);
            meet(m, frame.parent, node->b);
            break;
        case ENGINE_GRAMMAR_CALL: /* one that ends its rule returns to where that returns to */
            meet(m, node->b ? frame_of(m, frame.parent, node->b) : frame.parent, g->entries[node->a]);
            break;
        default:
            ARRAY_RESERVE(m->lists, m->list_count, m->list_capacity);
            m->lists[m->list_count++] = f;
        }
    }
    s.count = m->list_count - s.first;
    m->list_count = s.first; /* kept only when the state is new */
    if (m->too_many || engine_matcher_bytes(m) > MOST_BYTES) {
        m->too_many = 1;
        return -1;
    }
    if (s.count > 1)
        qsort(m->lists + s.first, (size_t)s.count, sizeof *m->lists, ascending);
    uint64_t hash = hash_state(m, &s);
    int found = find_state(m, &s, hash);
    if (found >= 0)
        return found;
    m->list_count += s.count;
    return add_state(m, s, hash);
}

/* The state after a byte; -1 when there are too many ways. */
static int step(struct engine_matcher *m, int state, unsigned char byte)
{
    const struct engine_grammar *g = m->g;
    size_t at = (size_t)state * (size_t)g->classes + g->class_of[byte];
    if (m->next[at] != UNKNOWN)
        return m->next[at];
    begin_set(m);
    for (int i = 0; i < m->states[state].count; i++) {
        struct frame frame = m->frames[m->lists[m->states[state].first + i]];
        const struct engine_grammar_node *node = &g->nodes[frame.node];
        for (int k = node->a; k < node->a + node->b; k++)
            if (g->edges[k].low <= byte && byte <= g->edges[k].high)
                meet(m, frame.parent, g->edges[k].next);
    }
    int next = end_set(m);
    if (next >= 0)
        m->next[at] = next;
    return next;
}

/* --- remembering and forgetting ---------------------------------------------------------------------------------- */

size_t engine_matcher_bytes(const struct engine_matcher *m)
{
    size_t trie = m->g->trie ? (size_t)m->g->trie->vocabulary / 8 : 0;
    return (size_t)m->frame_count * (sizeof *m->frames + sizeof *m->seen + 2 * sizeof(int)) +
           (size_t)m->state_count * (sizeof *m->states + ((size_t)m->g->classes + 2) * sizeof(int)) +
           (size_t)m->list_count * sizeof *m->lists + (size_t)m->mask_count * (sizeof *m->masks + trie);
}

static void free_memory(struct engine_matcher *m)
{
    for (int i = 0; i < m->mask_count; i++)
        free(m->masks[i].bits);
    void *all[] = {m->frames, m->frame_table.slots,
                   m->states, m->state_table.slots,
                   m->lists,  m->next,
                   m->masks,  m->queue,
                   m->seen,   m->walk};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void begin_memory(struct engine_matcher *m, const struct engine_grammar *g, size_t memory)
{
    *m = (struct engine_matcher){.g = g, .memory = memory};
    m->frame_capacity = m->seen_capacity = 64;
    m->frames = xcalloc(64, sizeof *m->frames);
    m->seen = xcalloc(64, sizeof *m->seen);
    m->list_capacity = 64;
    m->lists = xcalloc(64, sizeof *m->lists);
    m->frame_count = 1;
    grow(&m->frame_table, 1);
    grow(&m->state_table, 1);
    if (g->trie)
        m->walk = xcalloc((size_t)g->trie->deepest + 1, sizeof *m->walk);
    add_state(m, (struct state){.mask = -1}, hash_state(m, &(struct state){.mask = -1}));
    for (int i = 0; i < g->classes; i++)
        m->next[i] = DEAD;
}

/* Keep n states, which get new numbers, and forget the rest. One of them is where the text stands. */
static void forget(struct engine_matcher *m, int *keep, int n)
{
    struct engine_matcher old = *m;
    int *place = xcalloc((size_t)old.frame_count, sizeof *place), now = -1;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < old.states[keep[k]].count; i++)
            place[old.lists[old.states[keep[k]].first + i]] = 1;
    for (int f = old.frame_count - 1; f > 0; f--)
        if (place[f])
            place[old.frames[f].parent] = 1;
    begin_memory(m, old.g, old.memory);
    free(m->walk);
    m->walk = old.walk; /* keep may lie in it */
    old.walk = NULL;
    place[0] = 0;
    for (int f = 1; f < old.frame_count; f++)
        if (place[f])
            place[f] = frame_of(m, place[old.frames[f].parent], old.frames[f].node);
    for (int k = 0; k < n; k++) {
        const struct state *s = &old.states[keep[k]];
        begin_set(m);
        for (int i = 0; i < s->count; i++) {
            struct frame frame = old.frames[old.lists[s->first + i]];
            meet(m, place[frame.parent], frame.node);
        }
        if (s->can_end)
            meet(m, 0, 0);
        int state = end_set(m);
        if (keep[k] == old.now)
            now = state;
        keep[k] = state;
    }
    m->now = now;
    free(place);
    free_memory(&old);
}

static void make_room(struct engine_matcher *m, size_t most, int *keep, int n)
{
    if (engine_matcher_bytes(m) > most)
        forget(m, keep, n);
}

struct engine_matcher *engine_matcher_create(const struct engine_grammar *g, size_t memory)
{
    struct engine_matcher *m = xcalloc(1, sizeof *m);
    begin_memory(m, g, memory);
    begin_set(m);
    meet(m, 0, g->entries[g->root]);
    m->now = end_set(m);
    return m;
}

void engine_matcher_free(struct engine_matcher *m)
{
    if (!m)
        return;
    free_memory(m);
    free(m);
}

/* --- what is asked of it ----------------------------------------------------------------------------------------- */

static int too_many(struct engine_matcher *m, struct error *e)
{
    m->too_many = 0;
    return error_set(
        e, ERROR_INPUT,
        "the grammar is too ambiguous: there are more than %d ways to read the text so far; make it say the same "
        "with fewer alternatives that begin alike",
        ENGINE_GRAMMAR_STACKS);
}

int engine_matcher_take(struct engine_matcher *m, const char *bytes, size_t n, struct error *e)
{
    if (m->now < 0)
        return too_many(m, e);
    int state = m->now;
    for (size_t i = 0; i < n; i++) {
        int keep[2] = {m->now, state};
        make_room(m, m->memory, keep, 2);
        state = step(m, keep[1], (unsigned char)bytes[i]);
        if (state < 0)
            return too_many(m, e);
        if (state == DEAD) {
            int most = n - i < 40 ? (int)(n - i) : 40;
            return error_set(e, ERROR_INPUT, "the grammar does not allow `%.*s` after byte %zu of this text", most,
                             bytes + i, i);
        }
    }
    m->now = state;
    return OK;
}

int engine_matcher_can_end(const struct engine_matcher *m)
{
    return m->now >= 0 && m->states[m->now].can_end;
}

int engine_matcher_can_go_on(const struct engine_matcher *m)
{
    return m->now >= 0 && m->states[m->now].count > 0;
}

static void allow(struct mask *mask, int id)
{
    mask->bits[id / 64] |= (uint64_t)1 << id % 64;
    mask->allowed++;
}

/* Down the tree of all tokens, past what is below a byte that does not fit. */
static int walk(struct engine_matcher *m, struct mask *mask)
{
    const struct engine_trie *t = m->g->trie;
    int states = m->state_count;
    m->walk[0] = m->now;
    for (int i = 1; i < t->count;) {
        const struct engine_trie_node *node = &t->nodes[i];
        if (m->state_count != states) {
            make_room(m, 4 * m->memory, m->walk, node->depth);
            states = m->state_count;
        }
        int state = step(m, m->walk[node->depth - 1], node->byte);
        if (state < 0)
            return ERROR_INPUT;
        if (state == DEAD) {
            i = node->end;
            continue;
        }
        m->walk[node->depth] = state;
        for (int k = node->first; k < node[1].first; k++)
            allow(mask, t->ids[k]);
        i++;
    }
    return OK;
}

int engine_matcher_mask(struct engine_matcher *m, const uint64_t **bits, int *allowed, struct error *e)
{
    const struct engine_trie *t = m->g->trie;
    if (m->now < 0)
        return too_many(m, e);
    make_room(m, m->memory, &(int){m->now}, 1);
    if (m->states[m->now].mask < 0) {
        struct mask mask = {xcalloc((size_t)t->vocabulary / 64 + 1, sizeof *mask.bits), 0};
        if (walk(m, &mask)) {
            free(mask.bits);
            return too_many(m, e);
        }
        for (int i = 0; m->states[m->now].can_end && i < t->ending_count; i++)
            allow(&mask, t->endings[i]);
        ARRAY_RESERVE(m->masks, m->mask_count, m->mask_capacity);
        m->masks[m->mask_count] = mask;
        m->states[m->now].mask = m->mask_count++;
    }
    const struct mask *mask = &m->masks[m->states[m->now].mask];
    *bits = mask->bits;
    *allowed = mask->allowed;
    return OK;
}

static void add_byte(struct string *out, int byte)
{
    if (byte == '\n')
        string_add(out, "a line end");
    else if (byte == ' ')
        string_add(out, "a blank");
    else
        string_addf(out, byte > 0x20 && byte < 0x7f ? "'%c'" : "byte %02X", (unsigned)byte);
}

void engine_matcher_expected(const struct engine_matcher *m, struct string *out)
{
    const struct engine_grammar *g = m->g;
    char can[257] = {0};
    for (int i = 0; m->now >= 0 && i < m->states[m->now].count; i++) {
        const struct engine_grammar_node *node = &g->nodes[m->frames[m->lists[m->states[m->now].first + i]].node];
        for (int k = node->a; k < node->a + node->b; k++)
            memset(can + g->edges[k].low, 1, (size_t)g->edges[k].high - g->edges[k].low + 1);
    }
    for (int b = 0, any = 0; b < 256; b++) {
        int first = b;
        if (!can[b])
            continue;
        while (can[b + 1])
            b++;
        string_add(out, any++ ? ", " : "");
        add_byte(out, first);
        if (b > first) {
            string_add(out, " to ");
            add_byte(out, b);
        }
    }
}

/* --- grammars ---------------------------------------------------------------------------------------------------- */

/* Read it, and see that a text can begin. */
static int read_grammar(struct engine_grammar *g, const char *text, size_t *offset, struct error *e)
{
    int code = engine_grammar_parse(g, text, offset, e);
    if (code)
        return code;
    struct engine_matcher *m = engine_matcher_create(g, ENGINE_MATCHER_MEMORY);
    if (m->now < 0) {
        code = too_many(m, e);
        engine_grammar_clear(g);
    }
    engine_matcher_free(m);
    return code;
}

int engine_grammar_check(const char *text, size_t *offset, struct error *e)
{
    struct engine_grammar g;
    size_t nowhere;
    int code = read_grammar(&g, text, offset ? offset : &nowhere, e);
    if (!code)
        engine_grammar_clear(&g);
    return code;
}

int engine_grammar_create(struct engine_grammar **out, const struct engine_trie *trie, const char *text,
                          struct error *e)
{
    struct engine_grammar g;
    struct error what;
    size_t offset;
    int line = 1, column = 1, code = read_grammar(&g, text, &offset, &what);
    if (code) {
        for (size_t i = 0; i < offset; i++) {
            line += text[i] == '\n';
            column = text[i] == '\n' ? 1 : column + ((text[i] & 0xc0) != 0x80);
        }
        return error_set(e, code, "grammar:%d:%d: %s", line, column, what.message);
    }
    g.trie = trie;
    *out = xmalloc(sizeof **out);
    **out = g;
    return OK;
}

void engine_grammar_free(struct engine_grammar *grammar)
{
    if (!grammar)
        return;
    engine_grammar_clear(grammar);
    free(grammar);
}
