/* The cache of keys and values: a tree of segments that requests fork, extend, leave and find again.
 *
 * A segment is (parent, the position where it leaves the parent, its own tokens, its own blocks). Position p lives in
 * cell p % KERNEL_CELLS of a block whoever owns it, so a fork at any position shares everything before it and copies
 * nothing: the first block of a child leaves the cells before the fork empty, and the parent's block serves them.
 *
 * A branch is a segment with a writer. What a writer leaves stays in the tree until its memory is needed: then the
 * segment left longest ago loses positions from its end, down to where a child or a writer still stands on it.
 *
 * Keys and values are a function of the tokens before them and of the weights that made them. Each kind of weights (a mix of
 * adapters) has a root of its own: paths are shared below one root, memory by all. So it never matters to a result what is found
 * here.
 */
#ifndef ESPALIER_ENGINE_KV_H
#define ESPALIER_ENGINE_KV_H

#include "kernels/kernels.h"

struct engine_kv;

/* Blocks of block_bytes, at most limit bytes of them (at least one block), allocated as they are needed. */
struct engine_kv *engine_kv_create(size_t block_bytes, size_t limit);
void engine_kv_free(struct engine_kv *kv);

/* A root more, beside root 0, which is there from the start. It stays. */
int engine_kv_root(struct engine_kv *kv);

/* How many of the n tokens the longest cached path below that root has. */
int engine_kv_find(const struct engine_kv *kv, int root, const int *tokens, int n);
/* Begin a branch at the end of the longest cached prefix of the n tokens; *found is its length. Copies nothing and
 * takes no memory; what was found cannot be evicted before engine_kv_close. */
int engine_kv_open(struct engine_kv *kv, int root, const int *tokens, int n, int *found);
/* The writer leaves. What it wrote stays cached, and is the last to be evicted of what is there now. */
void engine_kv_close(struct engine_kv *kv, int branch);

int engine_kv_length(const struct engine_kv *kv, int branch);
/* Take blocks until the branch has room for this many positions, evicting what nobody uses; 0 when that is not enough.
 */
int engine_kv_reserve(struct engine_kv *kv, int branch, int positions);
/* The branch goes on with these tokens (reserved before). Whoever calls stores their keys and values before anything
 * else looks at the tree. */
void engine_kv_append(struct engine_kv *kv, int branch, const int *tokens, int n);
/* Where positions 0, 1, ... length - 1 are, in order; valid until the branch is appended to or closed. */
const struct kernel_run *engine_kv_runs(const struct engine_kv *kv, int branch, int *count);
/* The block of a position the branch itself wrote. */
unsigned char *engine_kv_block(const struct engine_kv *kv, int branch, int position);

/* Drop the end of this path, back to where another branch or another cached path leaves it. */
void engine_kv_forget(struct engine_kv *kv, int root, const int *tokens, int n);
/* Drop everything that no branch stands on. */
void engine_kv_clear(struct engine_kv *kv);

struct engine_kv_usage {
    size_t block_bytes;
    int64_t blocks, limit; /* in use; at most */
    int64_t available;     /* blocks that are free or can be made so */
    int64_t evicted;       /* segments cut short for lack of memory, ever */
    int segments;
};
void engine_kv_usage(const struct engine_kv *kv, struct engine_kv_usage *out);

#endif
