/* The cache: random forks, appends, departures, forgetting and eviction against a model that copies whole paths, and
 * against one that counts everything anew; what is shared, what is freed, and who is evicted first, by hand. */
#include "engine/kv.h"
#include "naive_kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A cell holds the hash of the tokens up to and with its position: whoever reads a wrong cell reads a wrong number. */
enum { BLOCK_BYTES = KERNEL_CELLS * 8 };

static uint64_t draws, seed;

static int below(int n)
{
    return (int)(random_uniform(seed, 0, draws++) * n);
}

struct path {
    int *ids;
    int count, branch; /* branch: -1 for a path that was left */
};

static struct path path_copy(const int *ids, int n)
{
    struct path p = {xmalloc(((size_t)n + 1) * sizeof *p.ids), n, -1};
    memcpy(p.ids, ids, (size_t)n * sizeof *ids);
    return p;
}

static struct engine_kv_usage usage(const struct engine_kv *kv)
{
    struct engine_kv_usage u;
    engine_kv_usage(kv, &u);
    return u;
}

static uint64_t prefix_hash(const struct path *p, int position)
{
    return hash_bytes(p->ids, (size_t)(position + 1) * sizeof *p->ids);
}

/* The runs of a branch are its positions in order, and every cell holds what was written for these tokens. */
static void check_branch(const struct engine_kv *kv, const struct path *p)
{
    int count, position = 0;
    const struct kernel_run *runs = engine_kv_runs(kv, p->branch, &count);
    assert_int_equal(engine_kv_length(kv, p->branch), p->count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(runs[i].cell, position % KERNEL_CELLS);
        assert_true(runs[i].count > 0 && runs[i].cell + runs[i].count <= KERNEL_CELLS);
        for (int c = 0; c < runs[i].count; c++, position++) {
            uint64_t held;
            memcpy(&held, runs[i].block + (size_t)(runs[i].cell + c) * sizeof held, sizeof held);
            assert_true(held == prefix_hash(p, position));
        }
    }
    assert_int_equal(position, p->count);
}

static int append(struct engine_kv *kv, struct path *p, const int *ids, int n)
{
    if (!engine_kv_reserve(kv, p->branch, p->count + n))
        return 0;
    engine_kv_append(kv, p->branch, ids, n);
    p->ids = xrealloc(p->ids, ((size_t)p->count + (size_t)n + 1) * sizeof *p->ids);
    for (int i = 0; i < n; i++) {
        p->ids[p->count] = ids[i];
        uint64_t hash = prefix_hash(p, p->count);
        memcpy(engine_kv_block(kv, p->branch, p->count) + (size_t)(p->count % KERNEL_CELLS) * sizeof hash, &hash,
               sizeof hash);
        p->count++;
    }
    return 1;
}

static int is_prefix(const struct path *a, const struct path *b)
{
    return a->count <= b->count && !memcmp(a->ids, b->ids, (size_t)a->count * sizeof *a->ids);
}

static int common(const struct path *a, const int *ids, int n)
{
    int i = 0;
    while (i < n && i < a->count && a->ids[i] == ids[i])
        i++;
    return i;
}

enum { PATHS = 64, LONGEST = 120 };

/* With much memory the model knows exactly what is cached; with little, only that nothing wrong is found and that what
 * is in use stays. */
static void random_life(int limit, int steps, int forgetting)
{
    struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, (size_t)limit * BLOCK_BYTES);
    struct path paths[PATHS];
    int count = 0, roomy = limit > 100000, seen_failure = 0;
    for (int step = 0; step < steps; step++) {
        int action = below(10);
        if (action < 3 && count < PATHS) { /* open at a prefix of something known, and something else */
            int ids[LONGEST + 8], n = 0;
            if (count && below(4)) {
                const struct path *p = &paths[below(count)];
                n = below(p->count + 1);
                memcpy(ids, p->ids, (size_t)n * sizeof *ids);
            }
            for (int more = below(6); more > 0; more--)
                ids[n++] = below(3);
            int expected = 0, found;
            for (int i = 0; i < count; i++)
                if (common(&paths[i], ids, n) > expected)
                    expected = common(&paths[i], ids, n);
            struct engine_kv_usage old = usage(kv);
            int branch = engine_kv_open(kv, 0, ids, n, &found);
            assert_int_equal(usage(kv).blocks, old.blocks);
            if (roomy && !forgetting)
                assert_int_equal(found, expected);
            else
                assert_true(found <= n);
            paths[count] = path_copy(ids, found);
            paths[count++].branch = branch;
            check_branch(kv, &paths[count - 1]);
        } else if (action < 7 && count) {
            struct path *p = &paths[below(count)];
            int ids[24], n = 1 + below(24);
            for (int i = 0; i < n; i++)
                ids[i] = below(3);
            if (p->branch < 0 || p->count + n > LONGEST)
                continue;
            if (!append(kv, p, ids, n)) { /* only when everything is in use */
                assert_false(roomy);
                seen_failure = 1;
                int64_t blocks = usage(kv).blocks;
                assert_int_equal(blocks, limit);
                engine_kv_clear(kv);
                assert_int_equal(usage(kv).blocks, blocks);
            }
            check_branch(kv, p);
        } else if (action < 9 && count) { /* leave; left paths are forgotten by the model when it needs the place */
            int i = below(count);
            if (paths[i].branch >= 0) {
                engine_kv_close(kv, paths[i].branch);
                paths[i].branch = -1;
            } else if (!roomy || forgetting) {
                if (forgetting) {
                    struct path gone = paths[i];
                    engine_kv_forget(kv, 0, gone.ids, gone.count);
                    paths[i] = paths[--count];
                    for (int j = count - 1; j >= 0; j--)
                        if (paths[j].branch < 0 && is_prefix(&paths[j], &gone)) {
                            free(paths[j].ids);
                            paths[j] = paths[--count];
                        }
                    free(gone.ids);
                    for (int j = 0; j < count && roomy; j++)
                        assert_int_equal(engine_kv_find(kv, 0, paths[j].ids, paths[j].count), paths[j].count);
                } else {
                    free(paths[i].ids);
                    paths[i] = paths[--count];
                }
            }
        } else if (below(20) == 0 && !roomy) {
            struct engine_kv_usage old = usage(kv);
            engine_kv_clear(kv);
            assert_int_equal(usage(kv).blocks, old.limit - old.available);
        }
        if (below(16) == 0)
            for (int i = 0; i < count; i++)
                if (paths[i].branch >= 0)
                    check_branch(kv, &paths[i]);
        assert_true(usage(kv).blocks <= limit);
    }
    for (int i = 0; i < count; i++) {
        if (paths[i].branch >= 0) {
            check_branch(kv, &paths[i]);
            engine_kv_close(kv, paths[i].branch);
        }
        free(paths[i].ids);
    }
    if (limit < 40)
        assert_true(seen_failure && usage(kv).evicted > 0);
    engine_kv_clear(kv);
    assert_int_equal(usage(kv).blocks, 0);
    assert_int_equal(usage(kv).segments, 0);
    assert_int_equal(usage(kv).available, limit);
    engine_kv_free(kv);
}

static void test_random(void **state)
{
    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        draws = 0;
        random_life(1 << 20, 1500, 0);
        random_life(1 << 20, 1500, 1);
        random_life(200, 1500, 0);
        random_life(30, 3000, 0);
        random_life(30, 3000, 1);
    }
}

/* --- counted anew ------------------------------------------------------------------------------------------------ */

enum { LIVES = 32, VOCABULARY = 4 };

struct life { /* a path that is or was written in both caches */
    int ids[NAIVE_LONGEST], count, real, naive; /* real: -1 when it was left */
};

static void check_counts(const struct engine_kv *kv, const struct naive_kv *naive)
{
    struct engine_kv_usage u = usage(kv);
    assert_int_equal(u.blocks, naive->used);
    assert_int_equal(u.limit - u.available, naive_pinned(naive));
    assert_int_equal(u.evicted, naive->evicted);
    assert_int_equal(u.segments, naive_alive(naive));
}

/* A prefix of a path that was written, or of none, and something else. */
static int any_path(const struct life *lives, int count, int *ids)
{
    int n = 0;
    if (count && below(8)) {
        const struct life *l = &lives[below(count)];
        n = below(3) ? l->count : below(l->count + 1);
        memcpy(ids, l->ids, (size_t)n * sizeof *ids);
    }
    for (int more = below(4); more > 0 && n < NAIVE_LONGEST - 40; more--)
        ids[n++] = below(VOCABULARY);
    return n;
}

/* One thing that may happen to a cache, to both. */
static void live_on(struct engine_kv *kv, int root, struct naive_kv *naive, struct life *lives, int *count)
{
    int action = below(20), ids[NAIVE_LONGEST], found, expected = 0, n = any_path(lives, *count, ids);
    struct life *l = *count ? &lives[below(*count)] : NULL;
    if (action < 7 && *count < LIVES) {
        l = &lives[(*count)++];
        l->real = engine_kv_open(kv, root, ids, n, &found);
        l->naive = naive_open(naive, ids, n, &expected);
        assert_int_equal(found, expected);
        memcpy(l->ids, ids, (size_t)found * sizeof *ids);
        l->count = found;
    } else if (action < 14 && l && l->real >= 0) {
        for (n = 0; n < 1 + action * 2 && l->count + n < NAIVE_LONGEST; n++)
            ids[n] = below(VOCABULARY);
        int there = naive_reserve(naive, l->naive, l->count + n);
        assert_int_equal(engine_kv_reserve(kv, l->real, l->count + n), there);
        if (!there)
            return;
        naive_append(naive, l->naive, ids, n);
        engine_kv_append(kv, l->real, ids, n);
        memcpy(l->ids + l->count, ids, (size_t)n * sizeof *ids);
        l->count += n;
    } else if (action < 18 && l) {
        if (l->real >= 0) {
            engine_kv_close(kv, l->real);
            naive_close(naive, l->naive);
            l->real = -1;
        } else {
            *l = lives[--*count];
        }
    } else if (action == 18) {
        engine_kv_forget(kv, root, ids, n);
        naive_forget(naive, ids, n);
    } else if (below(20) == 0) {
        engine_kv_clear(kv);
        naive_clear(naive);
    }
    found = expected = 0;
    naive_find(naive, 0, ids, n, &found, &expected);
    assert_int_equal(engine_kv_find(kv, root, ids, n), expected);
    check_counts(kv, naive);
}

/* Whatever happens, what is found, counted and evicted is what looking through everything says. */
static void test_against_naive(void **state)
{
    (void)state;
    static const int limits[] = {12, 40, 150, 100000};
    int64_t evicted = 0;
    for (seed = 100; seed < 124; seed++) {
        struct naive_kv naive = {.limit = limits[seed % 4]};
        struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, (size_t)naive.limit * BLOCK_BYTES);
        struct life lives[LIVES];
        int count = 0, root = seed % 8 < 4 ? 0 : engine_kv_root(kv); /* any root is like the first */
        draws = 0;
        naive_make(&naive, -1, 0);
        for (int step = 0; step < 1500; step++)
            live_on(kv, root, &naive, lives, &count);
        evicted += naive.evicted;
        engine_kv_free(kv);
        free(naive.segments);
    }
    assert_true(evicted > 1000);
}

/* --- by hand ----------------------------------------------------------------------------------------------------- */

static int tokens[256]; /* 0, 1, 2, ... */

static struct path open_path(struct engine_kv *kv, const int *ids, int n, int expected)
{
    int found, branch = engine_kv_open(kv, 0, ids, n, &found);
    assert_int_equal(found, expected);
    struct path p = path_copy(ids, found);
    p.branch = branch;
    return p;
}

static void write_path(struct engine_kv *kv, const int *ids, int n)
{
    struct path p = open_path(kv, ids, n, engine_kv_find(kv, 0, ids, n));
    assert_true(append(kv, &p, ids + p.count, n - p.count));
    engine_kv_close(kv, p.branch);
    free(p.ids);
}

/* Sixteen branches of one prompt cost their own tokens; the block that the prompt leaves half full is shared too. */
static void test_fork(void **state)
{
    (void)state;
    struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, 1000 * BLOCK_BYTES);
    struct path prompt = open_path(kv, tokens, 100, 0), branches[16];
    assert_true(append(kv, &prompt, tokens, 100));
    assert_int_equal(usage(kv).blocks, 7);
    for (int i = 0; i < 16; i++)
        branches[i] = open_path(kv, tokens, 100, 100);
    assert_int_equal(usage(kv).blocks, 7);
    for (int i = 0; i < 16; i++) {
        int own[2] = {200 + i, 7};
        assert_true(append(kv, &branches[i], own, 2));
        check_branch(kv, &branches[i]);
    }
    assert_int_equal(usage(kv).blocks, 7 + 16);
    check_branch(kv, &prompt);
    struct path middle = open_path(kv, tokens, 50, 50); /* within a segment somebody still writes */
    assert_true(append(kv, &middle, (int[]){1, 2, 3}, 3));
    check_branch(kv, &middle);
    engine_kv_close(kv, prompt.branch);
    engine_kv_close(kv, middle.branch);
    for (int i = 0; i < 16; i++) {
        engine_kv_forget(kv, 0, branches[i].ids, branches[i].count); /* in use: nothing goes */
        assert_int_equal(engine_kv_length(kv, branches[i].branch), 102);
        engine_kv_close(kv, branches[i].branch);
    }
    assert_int_equal(usage(kv).blocks, 7 + 16 + 1);
    for (int i = 0; i < 16; i++) {
        engine_kv_forget(kv, 0, branches[i].ids, branches[i].count);
        free(branches[i].ids);
    }
    /* The last of them uncovered the prompt, of which only the middle's part is still shared. */
    assert_int_equal(engine_kv_find(kv, 0, tokens, 100), 50);
    assert_int_equal(usage(kv).blocks, 4 + 1);
    engine_kv_forget(kv, 0, middle.ids, middle.count);
    assert_int_equal(usage(kv).blocks, 0);
    free(prompt.ids);
    free(middle.ids);
    engine_kv_free(kv);
}

/* A path written one token at a time, each time by a new branch, is one segment. */
static void test_extend(void **state)
{
    (void)state;
    struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, 1000 * BLOCK_BYTES);
    for (int n = 1; n <= 64; n++)
        write_path(kv, tokens, n);
    assert_int_equal(usage(kv).segments, 1);
    assert_int_equal(usage(kv).blocks, 4);
    struct path writer = open_path(kv, tokens, 64, 64), other = open_path(kv, tokens, 64, 64);
    assert_int_not_equal(writer.branch, other.branch);
    assert_true(append(kv, &writer, (int[]){5}, 1));
    assert_true(append(kv, &other, (int[]){6}, 1));
    check_branch(kv, &writer);
    check_branch(kv, &other);
    engine_kv_close(kv, other.branch);
    engine_kv_close(kv, writer.branch);
    struct path empty = open_path(kv, tokens, 10, 10); /* one that leaves without a token leaves nothing */
    int segments = usage(kv).segments;
    engine_kv_close(kv, empty.branch);
    assert_int_equal(usage(kv).segments, segments - 1);
    free(writer.ids);
    free(other.ids);
    free(empty.ids);
    engine_kv_free(kv);
}

/* The path left longest ago goes first, from its end, and a block at a time. */
static void test_eviction(void **state)
{
    (void)state;
    struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, 9 * BLOCK_BYTES);
    int *a = tokens, *b = tokens + 50, *c = tokens + 100, *d = tokens + 150;
    write_path(kv, a, 48);
    write_path(kv, b, 48);
    write_path(kv, c, 48);
    write_path(kv, a, 48); /* visited again */
    assert_int_equal(usage(kv).blocks, 9);
    struct path p = open_path(kv, d, 1, 0);
    assert_true(append(kv, &p, d, 1));
    assert_int_equal(engine_kv_find(kv, 0, a, 48), 48);
    assert_int_equal(engine_kv_find(kv, 0, b, 48), 32);
    assert_int_equal(engine_kv_find(kv, 0, c, 48), 48);
    assert_int_equal(usage(kv).evicted, 1);
    struct path q = open_path(kv, b, 20, 20); /* what stands under a branch stays */
    assert_int_equal(usage(kv).available, 9 - 1 - 2);
    assert_true(engine_kv_reserve(kv, p.branch, 6 * KERNEL_CELLS));
    assert_int_equal(engine_kv_find(kv, 0, c, 48), 0);
    assert_int_equal(engine_kv_find(kv, 0, b, 48), 20);
    assert_int_equal(engine_kv_find(kv, 0, a, 48), 16);
    assert_true(engine_kv_reserve(kv, p.branch, 7 * KERNEL_CELLS));
    assert_false(engine_kv_reserve(kv, p.branch, 8 * KERNEL_CELLS));
    check_branch(kv, &q);
    engine_kv_close(kv, q.branch);
    assert_true(engine_kv_reserve(kv, p.branch, 9 * KERNEL_CELLS));
    engine_kv_close(kv, p.branch); /* what was reserved and not written is given back */
    assert_int_equal(usage(kv).blocks, 1);
    free(p.ids);
    free(q.ids);
    engine_kv_free(kv);
}

/* Who visits a child has visited its parent: when the child is gone, the parent is as fresh as it was. */
static void test_eviction_of_parents(void **state)
{
    (void)state;
    struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, 5 * BLOCK_BYTES);
    int child[20];
    memcpy(child, tokens, sizeof child);
    child[8] = 99; /* leaves in the middle */
    write_path(kv, tokens, 16);
    write_path(kv, tokens + 50, 32);
    write_path(kv, child, 20);
    engine_kv_forget(kv, 0, child, 20);
    assert_int_equal(usage(kv).blocks, 3);
    write_path(kv, tokens + 100, 48);
    assert_int_equal(engine_kv_find(kv, 0, tokens, 16), 16);
    assert_int_equal(engine_kv_find(kv, 0, tokens + 50, 32), 16);
    engine_kv_free(kv);
}

/* What one root has is never found below another; they take memory from each other, the path left longest ago first. */
static void test_roots(void **state)
{
    (void)state;
    struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, 6 * BLOCK_BYTES);
    const int other = engine_kv_root(kv);
    int found;
    write_path(kv, tokens, 48);
    assert_int_equal(usage(kv).segments, 1);
    assert_int_equal(engine_kv_find(kv, other, tokens, 48), 0);
    const int branch = engine_kv_open(kv, other, tokens, 48, &found);
    assert_int_equal(found, 0);
    assert_true(engine_kv_reserve(kv, branch, 48));
    engine_kv_append(kv, branch, tokens, 48);
    assert_int_equal(usage(kv).blocks, 6);
    assert_true(engine_kv_reserve(kv, branch, 64));
    assert_int_equal(engine_kv_find(kv, 0, tokens, 48), 32);
    engine_kv_close(kv, branch);
    assert_int_equal(engine_kv_find(kv, other, tokens, 48), 48);
    engine_kv_forget(kv, other, tokens, 48);
    assert_int_equal(engine_kv_find(kv, other, tokens, 48), 0);
    assert_int_equal(engine_kv_find(kv, 0, tokens, 48), 32);
    assert_int_equal(usage(kv).segments, 1);
    engine_kv_clear(kv);
    assert_int_equal(usage(kv).segments, 0);
    engine_kv_free(kv);
}

int main(void)
{
    for (int i = 0; i < 256; i++)
        tokens[i] = i;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_against_naive),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_eviction_of_parents),
        cmocka_unit_test(test_roots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
