/* From logits to a token: pure functions, the same on every machine with the same logits.
 *
 * Probabilities are exp by a polynomial and sums in a fixed order (eight lanes of float, folded into double every 256
 * terms), never the C library's, whose last bit differs from one processor to the next.
 */
#ifndef ESPALIER_ENGINE_SAMPLE_H
#define ESPALIER_ENGINE_SAMPLE_H

#include "engine/engine.h"

enum { ENGINE_RECENT = 64 }; /* tokens the repetition penalty looks back on */

/* All of these fail with ERROR_ENGINE when the logits are not numbers to draw from: one is NaN or +infinity, or none is
 * finite. -infinity is a token that cannot come. Logits have n >= 1 entries. */

/* out->top and, for token `id`, its logprob, both of the raw softmax. */
int engine_measure(const float *logits, int n, int id, struct engine_token *out, struct error *e);

/* Choose a token. In this order:
 *   repetition penalty: of each token in recent[0..recent_count), once, a positive logit is divided by it, a negative
 * multiplied temperature:        logits are divided by it; at 0 the greatest penalised logit is taken, ties to the
 * lower id, and that is all top-k:              the k most probable stay top-p:              of these the fewest most
 * probable whose sum reaches p of theirs stay min-p:              of these those stay that have at least min_p of the
 * greatest probability then what stays is renormalised and the token is where the cumulative sum first exceeds draw in
 * [0, 1), counted in descending probability, ties by ascending id; where no filter takes anything away, the ENGINE_TOP most probable are
 * counted so, and then the others by ascending id. logprob and top are of the raw softmax. At most
 * ENGINE_RECENT recent tokens; logits are as before when it returns; scratch is 2 n ints. */
int engine_sample(float *logits, int n, const struct engine_sampling *sampling, const int *recent, int recent_count,
                  double draw, int *scratch, struct engine_token *out, struct error *e);

/* The same among the tokens of a mask (bit id % 64 of mask[id / 64]), of which there is at least one that can come; logprob and top
 * are of the raw softmax of all, out->cut is what it gives the others. Their logits are -infinity when it returns. */
int engine_sample_masked(float *logits, int n, const uint64_t *mask, const struct engine_sampling *sampling,
                         const int *recent, int recent_count, double draw, int *scratch, struct engine_token *out,
                         struct error *e);

#endif
