#include "engine/sample.h"

#include <math.h>
#include <string.h>

/* Eight lanes whatever the machine's registers hold: the compiler cuts them up, the numbers are the same everywhere.
 * They are passed by address, because how a vector is passed by value depends on the machine compiled for. */
typedef float lanes __attribute__((vector_size(32)));
typedef int32_t ilanes __attribute__((vector_size(32)));
enum { LANES = 8 };

/* A token so many times less probable than the first never comes: sums of floats cannot tell it from rounding. */
#define NEGLIGIBLE 0x1p-40f

static inline void load(lanes *v, const float *x)
{
    memcpy(v, x, sizeof *v);
}

/* 2^t for t <= 0, within a few units in the last place, and never below 2^-126. t = k + r with |r| <= 1/2; 2^r by the
 * first terms of its series, sum of (r ln 2)^i / i!. */
static inline void exp2_lanes(lanes *x)
{
    lanes t = *x;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, whose bits are then the low ones */
    ilanes low = t < -126.0f;
    t = (lanes)(((ilanes)t & ~low) | ((ilanes)((lanes){0} - 126.0f) & low));
    lanes shifted = t + magic;
    lanes r = t - (shifted - magic);
    lanes p = r * 1.54035304e-4f + 1.33335581e-3f;
    p = p * r + 9.61812911e-3f;
    p = p * r + 5.55041087e-2f;
    p = p * r + 2.40226507e-1f;
    p = p * r + 6.93147181e-1f;
    p = p * r + 1.0f;
    /* The low bits of shifted are k, those of magic are 0 up to where the exponent goes: k ends as k * 2^23. */
    *x = (lanes)((ilanes)p + ((ilanes)shifted << 23));
}

static const float log2_e = 1.44269504f;

/* The weight of a token: exp((x - max) * scale). */
static float weight_of(float x, float max, float scale)
{
    lanes v = {(x - max) * (scale * log2_e)};
    exp2_lanes(&v);
    return v[0];
}

/* Sum of all weights. Lanes are folded every 256 numbers, so that a large vocabulary loses no small terms. */
static double weight_sum(const float *x, int n, float max, float scale)
{
    double total = 0;
    for (int start = 0; start < n; start += 256) {
        int stop = n - start < 256 ? n : start + 256, i = start;
        lanes v, sum = {0};
        for (; i + LANES <= stop; i += LANES) {
            load(&v, x + i);
            v = (v - max) * (scale * log2_e);
            exp2_lanes(&v);
            sum += v;
        }
        for (int l = 0; l < LANES; l++)
            total += sum[l];
        for (; i < stop; i++)
            total += weight_of(x[i], max, scale);
    }
    return total;
}

static float greatest(const float *x, int n)
{
    float max = x[0];
    if (n >= LANES) {
        lanes m, v;
        load(&m, x);
        for (int i = LANES; i + LANES <= n; i += LANES) {
            load(&v, x + i);
            ilanes more = v > m;
            m = (lanes)(((ilanes)v & more) | ((ilanes)m & ~more));
        }
        for (int l = 0; l < LANES; l++)
            max = m[l] > max ? m[l] : max;
    }
    for (int i = n - n % LANES; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

/* NaN or +infinity. */
static int has_bad(const float *x, int n)
{
    ilanes bad = {0};
    int i = 0, any = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes v;
        load(&v, x + i);
        bad |= ~(v < INFINITY);
    }
    for (int l = 0; l < LANES; l++)
        any |= bad[l];
    for (; i < n; i++)
        any |= !(x[i] < INFINITY);
    return any != 0;
}

/* Whether any of LANES numbers reaches the threshold: most of a vocabulary is passed over that way. */
static int any_reaches(const float *x, float threshold)
{
    lanes v;
    load(&v, x);
    ilanes hit = v >= threshold;
    int64_t part[4];
    memcpy(part, &hit, sizeof part);
    return (part[0] | part[1] | part[2] | part[3]) != 0;
}

/* The ENGINE_TOP greatest in order, by insertion: ids ascend, so that only a greater one displaces an equal. */
static int find_top(const float *x, int n, struct engine_choice top[ENGINE_TOP])
{
    int count = 0;
    for (int start = 0; start < n; start += LANES) {
        int stop = n - start < LANES ? n : start + LANES;
        if (count == ENGINE_TOP && stop - start == LANES && !any_reaches(x + start, top[ENGINE_TOP - 1].logprob))
            continue;
        for (int i = start; i < stop; i++) {
            if (count == ENGINE_TOP && !(x[i] > top[ENGINE_TOP - 1].logprob))
                continue;
            int at = count < ENGINE_TOP ? count++ : ENGINE_TOP - 1;
            for (; at > 0 && top[at - 1].logprob < x[i]; at--)
                top[at] = top[at - 1];
            top[at] = (struct engine_choice){i, x[i]};
        }
    }
    return count;
}

/* top with its logprobs, the *sum of all weights, and *shift, what is subtracted from a logit to make it a
 * log-probability. */
static int raw_softmax(const float *logits, int n, struct engine_choice top[ENGINE_TOP], double *sum, double *shift,
                       struct error *e)
{
    int count = has_bad(logits, n) ? 0 : find_top(logits, n, top);
    if (!count || top[0].logprob == -INFINITY) {
        error_set(e, ERROR_ENGINE,
                  "the model produced NaN or infinite logits where numbers were expected; the model file may be "
                  "damaged: get it again, or "
                  "try --kernels reference");
        return ERROR_ENGINE;
    }
    float max = top[0].logprob;
    *sum = weight_sum(logits, n, max, 1.0f);
    *shift = (double)max + log(*sum);
    for (int i = 0; i < ENGINE_TOP; i++)
        top[i] = i < count ? (struct engine_choice){top[i].id, (float)((double)top[i].logprob - *shift)}
                           : (struct engine_choice){-1, -INFINITY};
    return OK;
}

static int measure(const float *logits, int n, int id, struct engine_token *out, struct error *e)
{
    double sum, shift;
    int code = raw_softmax(logits, n, out->top, &sum, &shift, e);
    if (code)
        return code;
    out->id = id;
    out->cut = 0;
    out->logprob = (float)((double)logits[id] - shift);
    return OK;
}

/* --- descending order, as far as it is asked for ----------------------------------------------------------------- */

/* The tokens in descending logit, ties by ascending id, without sorting a vocabulary of which a draw needs a handful: a
 * heap of those within `reach` of the greatest, widened when it runs dry. Invariant: order[0..ordered) is the beginning
 * of the sorted vocabulary; with the heap it is all tokens with logit >= floor. */
struct descent {
    const float *logits;
    int n;
    float max, reach, floor;
    int *heap; /* ids; the parent of i is (i - 1) / 2 and comes before it */
    int count;
    int *order;
    int ordered;
};

static int before(const struct descent *d, int a, int b)
{
    return d->logits[a] > d->logits[b] || (d->logits[a] == d->logits[b] && a < b);
}

static void sift_down(struct descent *d, int i)
{
    int id = d->heap[i];
    for (int child; (child = 2 * i + 1) < d->count; i = child) {
        if (child + 1 < d->count && before(d, d->heap[child + 1], d->heap[child]))
            child++;
        if (!before(d, d->heap[child], id))
            break;
        d->heap[i] = d->heap[child];
    }
    d->heap[i] = id;
}

/* Everything in [low, high) becomes the heap. */
static void gather(struct descent *d, float low, float high)
{
    d->count = 0;
    for (int start = 0; start < d->n; start += LANES) {
        int stop = d->n - start < LANES ? d->n : start + LANES;
        if (stop - start == LANES && !any_reaches(d->logits + start, low))
            continue;
        for (int i = start; i < stop; i++)
            if (d->logits[i] >= low && d->logits[i] < high)
                d->heap[d->count++] = i;
    }
    for (int i = d->count / 2 - 1; i >= 0; i--)
        sift_down(d, i);
    d->floor = low;
}

/* One more token in order; 0 after the last that can come. */
static int descend(struct descent *d)
{
    while (!d->count) {
        if (d->floor == -INFINITY)
            return 0;
        float high = d->floor, low = d->max - d->reach;
        d->reach *= 1.25f;
        /* Where a logit is so large that it swallows the reach, the rest comes at once. */
        gather(d, low < high && isfinite(low) ? low : -INFINITY, high);
    }
    int id = d->heap[0];
    if (d->logits[id] == -INFINITY)
        return 0;
    d->order[d->ordered++] = id;
    d->heap[0] = d->heap[--d->count];
    if (d->count)
        sift_down(d, 0);
    return 1;
}

/* The token at place i in the order, or -1 when fewer can come. */
static int nth(struct descent *d, int i)
{
    while (d->ordered <= i)
        if (!descend(d))
            return -1;
    return d->order[i];
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

/* saved[i] is the logit before step i, so that restoring backwards undoes repeated tokens too. */
static void penalise(float *logits, float penalty, const int *recent, int count, float *saved)
{
    for (int i = 0; i < count; i++) {
        int seen = 0;
        for (int j = 0; j < i && !seen; j++)
            seen = recent[j] == recent[i];
        float *x = &logits[recent[i]];
        saved[i] = *x;
        if (!seen)
            *x = *x > 0 ? *x / penalty : *x * penalty;
    }
}

/* How many of the most probable the filters keep, and the sum of their weights. Without a filter all are kept: `all` is
 * theirs. */
static int filter(struct descent *d, const struct engine_sampling *s, double all, float scale, double *kept)
{
    int by_k = s->top_k > 0 && s->top_k < d->n, by_p = s->top_p<1, by_min = s->min_p> 0;
    *kept = all;
    if (!by_k && !by_p && !by_min)
        return d->n;
    int limit = by_k ? s->top_k : d->n, count = 0;
    double sum = all;
    if (by_k && by_p) { /* top-p is a share of what top-k kept */
        sum = 0;
        for (int i = 0, id; i < limit && (id = nth(d, i)) >= 0; i++)
            sum += weight_of(d->logits[id], d->max, scale);
    }
    *kept = 0;
    for (int id; count < limit && (id = nth(d, count)) >= 0;) {
        float weight = weight_of(d->logits[id], d->max, scale);
        if (count && ((by_min && weight < s->min_p) || weight < NEGLIGIBLE))
            break;
        *kept += weight;
        count++;
        if (by_p && *kept >= (double)s->top_p * sum)
            break;
    }
    return count;
}

static int draw_token(const float *logits, int n, float max, const struct engine_sampling *s, double draw, int *scratch)
{
    float scale = 1.0f / s->temperature;
    /* A first guess of how far a draw goes: e^-6 of the greatest. */
    struct descent d = {.logits = logits,
                        .n = n,
                        .max = max,
                        .reach = 6 * s->temperature,
                        .floor = INFINITY,
                        .heap = scratch,
                        .order = scratch + n};
    if (!isfinite(scale)) /* temperature 0, or so low that it leaves the greatest alone */
        return nth(&d, 0);
    double kept, reached = 0;
    int limit = filter(&d, s, weight_sum(logits, n, max, scale), scale, &kept), chosen = nth(&d, 0);
    for (int i = 0, id; i < limit && (id = nth(&d, i)) >= 0; i++) {
        float weight = weight_of(logits[id], max, scale);
        if (weight < NEGLIGIBLE)
            break; /* rounding put the goal past what sums can tell apart */
        chosen = id;
        reached += weight;
        if (reached > draw * kept)
            break;
    }
    return chosen;
}

/* Make what the mask leaves out impossible. Returns the sum of its weights: added up as weight_sum adds up all, so that
 * it is never more than that. */
static double cut_out(float *x, int n, const uint64_t *mask, float max)
{
    const ilanes bit = {1, 2, 4, 8, 16, 32, 64, 128};
    const lanes never = (lanes){0} - INFINITY;
    double total = 0;
    for (int start = 0; start < n; start += 256) {
        int stop = n - start < 256 ? n : start + 256, i = start;
        lanes v, w, sum = {0};
        for (; i + LANES <= stop; i += LANES) {
            ilanes out = (bit & (int32_t)(mask[i / 64] >> i % 64 & 0xff)) == 0;
            load(&v, x + i);
            w = (v - max) * log2_e;
            exp2_lanes(&w);
            sum += (lanes)((ilanes)w & out);
            v = (lanes)(((ilanes)v & ~out) | ((ilanes)never & out));
            memcpy(x + i, &v, sizeof v);
        }
        for (int l = 0; l < LANES; l++)
            total += sum[l];
        for (; i < stop; i++) {
            if (mask[i / 64] >> i % 64 & 1)
                continue;
            total += weight_of(x[i], max, 1.0f);
            x[i] = -INFINITY;
        }
    }
    return total;
}

static int sample(float *logits, int n, const uint64_t *mask, const struct engine_sampling *sampling, const int *recent,
                  int recent_count, double draw, int *scratch, struct engine_token *out, struct error *e)
{
    double sum, shift;
    int code = raw_softmax(logits, n, out->top, &sum, &shift, e);
    if (code)
        return code;
    out->cut = mask ? (float)(cut_out(logits, n, mask, logits[out->top[0].id]) / sum) : 0;
    float first = mask ? greatest(logits, n) : logits[out->top[0].id];
    if (first == -INFINITY)
        return error_set(e, ERROR_ENGINE, "the model gives no probability to any token that the grammar allows");
    float saved[ENGINE_RECENT];
    int penalised = sampling->repetition_penalty != 1 ? recent_count : 0;
    penalise(logits, sampling->repetition_penalty, recent, penalised, saved);
    float max = penalised ? greatest(logits, n) : first;
    out->id = draw_token(logits, n, max, sampling, draw, scratch);
    while (penalised-- > 0)
        logits[recent[penalised]] = saved[penalised];
    out->logprob = (float)((double)logits[out->id] - shift);
    return OK;
}

/* --- the same, compiled for wider registers ---------------------------------------------------------------------- */

/* A vocabulary is gone through several times for each token; with 8 lanes to a register that takes half the time.
 * Nothing is fused or reordered: the numbers do not change. */
#ifdef __x86_64__
__attribute__((target("avx2"), flatten)) static int measure_wide(const float *logits, int n, int id,
                                                                 struct engine_token *out, struct error *e)
{
    return measure(logits, n, id, out, e);
}

__attribute__((target("avx2"), flatten)) static int sample_wide(float *logits, int n, const uint64_t *mask,
                                                                const struct engine_sampling *sampling,
                                                                const int *recent, int recent_count, double draw,
                                                                int *scratch, struct engine_token *out, struct error *e)
{
    return sample(logits, n, mask, sampling, recent, recent_count, draw, scratch, out, e);
}

static int has_wide(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
#define measure_wide measure
#define sample_wide sample

static int has_wide(void)
{
    return 0;
}
#endif

int engine_measure(const float *logits, int n, int id, struct engine_token *out, struct error *e)
{
    return (has_wide() ? measure_wide : measure)(logits, n, id, out, e);
}

int engine_sample(float *logits, int n, const struct engine_sampling *sampling, const int *recent, int recent_count,
                  double draw, int *scratch, struct engine_token *out, struct error *e)
{
    return (has_wide() ? sample_wide : sample)(logits, n, NULL, sampling, recent, recent_count, draw, scratch, out, e);
}

int engine_sample_masked(float *logits, int n, const uint64_t *mask, const struct engine_sampling *sampling,
                         const int *recent, int recent_count, double draw, int *scratch, struct engine_token *out,
                         struct error *e)
{
    return (has_wide() ? sample_wide : sample)(logits, n, mask, sampling, recent, recent_count, draw, scratch, out, e);
}
