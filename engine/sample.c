#include "engine/sample.h"

#include <math.h>
#include <string.h>

/* Eight lanes whatever the machine's registers hold: the compiler cuts them up, the numbers are the same everywhere.
 * They are passed by address, because how a vector is passed by value depends on the machine compiled for. Where
 * registers hold sixteen, weights are computed so many at a time and added up as eight and eight. */
typedef float lanes __attribute__((vector_size(32)));
typedef int32_t ilanes __attribute__((vector_size(32)));
typedef float wide_lanes __attribute__((vector_size(64)));
typedef uint32_t ulanes __attribute__((vector_size(32)));
typedef uint32_t wide_ulanes __attribute__((vector_size(64)));
enum { LANES = 8, WIDE = 16, BLOCK = 64, FOLD = 256 };

/* A token so many times less probable than the first never comes: sums of floats cannot tell it from rounding. */
#define NEGLIGIBLE 0x1p-40f

static inline void load(lanes *v, const float *x)
{
    memcpy(v, x, sizeof *v);
}

/* Weights of tokens, exp((x - max) * scale), x being at most max, of a vector of any length. It is 2^t for t <= 0,
 * within a few units in the last place, and never below 2^-126. t = k + r with |r| <= 1/2; 2^r by the first terms of
 * its series, sum of (r ln 2)^i / i!. magic is 1.5 * 2^23: adding it rounds to an integer, whose bits are then the low
 * ones. At the end the low bits of shifted are k, those of magic are 0 up to where the exponent goes: k ends as
 * k << 23. */
#define WEIGHTS_OF(name, vector, unsigneds)                                                                            \
    static inline void name(vector *x, float max, float scale)                                                         \
    {                                                                                                                  \
        const float log2_e = 1.44269504f, magic = 12582912.0f;                                                         \
        vector t = (*x - max) * (scale * log2_e);                                                                      \
        unsigneds low = (unsigneds)(t < -126.0f);                                                                      \
        t = (vector)(((unsigneds)t & ~low) | ((unsigneds)((vector){0} - 126.0f) & low));                               \
        vector shifted = t + magic;                                                                                    \
        vector r = t - (shifted - magic);                                                                              \
        vector p = r * 1.54035304e-4f + 1.33335581e-3f;                                                                \
        p = p * r + 9.61812911e-3f;                                                                                    \
        p = p * r + 5.55041087e-2f;                                                                                    \
        p = p * r + 2.40226507e-1f;                                                                                    \
        p = p * r + 6.93147181e-1f;                                                                                    \
        p = p * r + 1.0f;                                                                                              \
        *x = (vector)((unsigneds)p + ((unsigneds)shifted << 23));                                                      \
    }
WEIGHTS_OF(weights_of, lanes, ulanes)
WEIGHTS_OF(weights_of_wide, wide_lanes, wide_ulanes)

static float weight_of(float x, float max, float scale)
{
    lanes v = {x};
    weights_of(&v, max, scale);
    return v[0];
}

/* The sums of every FOLD weights are kept in ints, two for each, where a draw will want them. */
static inline double part_of(const int *parts, int i)
{
    double sum;
    memcpy(&sum, parts + 2 * (size_t)i, sizeof sum);
    return sum;
}

static inline void set_part(int *parts, int i, double sum)
{
    memcpy(parts + 2 * (size_t)i, &sum, sizeof sum);
}

/* Sum of all weights. Lanes are folded every 256 numbers, so that a large vocabulary loses no small terms. parts: NULL, or where the sums of
 * these go. */
static double weight_sum(const float *x, int n, float max, float scale, int wide, int *parts)
{
    double total = 0;
    for (int start = 0; start < n; start += FOLD) {
        int stop = n - start < FOLD ? n : start + FOLD, i = start;
        double folded = 0;
        lanes v, sum = {0};
        for (; wide && i + WIDE <= stop; i += WIDE) {
            wide_lanes w;
            memcpy(&w, x + i, sizeof w);
            weights_of_wide(&w, max, scale);
            sum += __builtin_shufflevector(w, w, 0, 1, 2, 3, 4, 5, 6, 7);
            sum += __builtin_shufflevector(w, w, 8, 9, 10, 11, 12, 13, 14, 15);
        }
        for (; i + LANES <= stop; i += LANES) {
            load(&v, x + i);
            weights_of(&v, max, scale);
            sum += v;
        }
        for (int l = 0; l < LANES; l++)
            folded += sum[l];
        for (; i < stop; i++)
            folded += weight_of(x[i], max, scale);
        if (parts)
            set_part(parts, start / FOLD, folded);
        total += folded;
    }
    return total;
}

/* Whether any of BLOCK numbers is not below the threshold, as a NaN is not: most of a vocabulary is passed over that
 * way. */
static int any_reaches(const float *x, float threshold)
{
    ilanes below = (ilanes){0} - 1;
    for (int i = 0; i < BLOCK; i += LANES) {
        lanes v;
        load(&v, x + i);
        below &= v < threshold;
    }
    int64_t part[4];
    memcpy(part, &below, sizeof part);
    return (part[0] & part[1] & part[2] & part[3]) != -1;
}

/* The ENGINE_TOP greatest in order, by insertion: ids ascend, so that only a greater one displaces an equal. Returns
 * how many there are, 0 when some number is NaN or +infinity. */
static int find_top(const float *x, int n, struct engine_choice top[ENGINE_TOP])
{
    int count = 0;
    for (int start = 0; start < n; start += BLOCK) {
        int stop = n - start < BLOCK ? n : start + BLOCK;
        if (count == ENGINE_TOP && stop - start == BLOCK && !any_reaches(x + start, top[ENGINE_TOP - 1].logprob))
            continue;
        for (int i = start; i < stop; i++) {
            if (!(x[i] < INFINITY))
                return 0;
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

static int no_numbers(struct error *e)
{
    error_set(e, ERROR_ENGINE, "the model produced NaN or infinite logits where numbers were expected; the model file may be damaged: get it again, "
                               "or try --kernels reference");
    return ERROR_ENGINE;
}

/* top with its logprobs, the *sum of all weights, and *shift, what is subtracted from a logit to make it a
 * log-probability. */
static int raw_softmax(const float *logits, int n, struct engine_choice top[ENGINE_TOP], double *sum, double *shift,
                       int wide, int *parts, struct error *e)
{
    int count = find_top(logits, n, top);
    if (!count || top[0].logprob == -INFINITY)
        return no_numbers(e);
    float max = top[0].logprob;
    *sum = weight_sum(logits, n, max, 1.0f, wide, parts);
    *shift = (double)max + log(*sum);
    for (int i = 0; i < ENGINE_TOP; i++)
        top[i] = i < count ? (struct engine_choice){top[i].id, (float)((double)top[i].logprob - *shift)}
                           : (struct engine_choice){-1, -INFINITY};
    return OK;
}

static int measure(const float *logits, int n, int id, int wide, struct engine_token *out, struct error *e)
{
    double sum, shift;
    int code = raw_softmax(logits, n, out->top, &sum, &shift, wide, NULL, e);
    if (code)
        return code;
    out->id = id;
    out->cut = 0;
    out->logprob = (float)((double)logits[id] - shift);
    return OK;
}

/* --- descending order, as far as it is asked for ----------------------------------------------------------------- */

/* The tokens in descending logit, ties by ascending id, without sorting a vocabulary of which a draw needs a handful: a
 * heap of those within `reach` of the greatest, widened when it runs dry. Both are in n entries of 64 bits: the heap
 * from the first on, its greatest entry first, the parent of i at (i - 1) / ARITY; what has been ordered from the last
 * back. Invariant: entries n - 1 - i, for i in [0, ordered), are the beginning of the sorted vocabulary, as weight and
 * id; with the heap they are all tokens with logit >= floor, if not more. */
struct descent {
    const float *logits;
    int n;
    float max, scale, reach, floor;
    int *entries;  /* 2 n ints */
    uint64_t last; /* heap entry of the last that was ordered, and its logit */
    float high;
    int count, ordered;
};
enum { ARITY = 8 };

static inline uint64_t entry(const struct descent *d, int i)
{
    uint64_t e;
    memcpy(&e, d->entries + 2 * (size_t)i, sizeof e);
    return e;
}

static inline void set_entry(struct descent *d, int i, uint64_t e)
{
    memcpy(d->entries + 2 * (size_t)i, &e, sizeof e);
}

/* Greater for the token that comes before: a float's bits ascend with it when the negative ones are turned round. */
static inline uint64_t heap_entry(float logit, int id)
{
    uint32_t bits;
    logit += 0.0f; /* -0 is 0 */
    memcpy(&bits, &logit, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | (uint32_t)~id;
}

static void sift_down(struct descent *d, int i, uint64_t e)
{
    for (int first, child; (first = ARITY * i + 1) < d->count; i = child) {
        int end = first + ARITY < d->count ? first + ARITY : d->count;
        uint64_t greatest_child = entry(d, child = first);
        for (int c = first + 1; c < end; c++) { /* which it is cannot be foreseen: no branches */
            uint64_t other = entry(d, c);
            child = other > greatest_child ? c : child;
            greatest_child = other > greatest_child ? other : greatest_child;
        }
        if (greatest_child < e)
            break;
        set_entry(d, i, greatest_child);
    }
    set_entry(d, i, e);
}

/* Which of LANES numbers are in [low, high]: a bit for each. */
static inline unsigned lanes_within(const float *x, float low, float high)
{
    const ilanes bit = {1, 2, 4, 8, 16, 32, 64, 128};
    lanes v;
    load(&v, x);
    ilanes hit = v >= low;
    hit &= v <= high;
    hit &= bit;
    uint64_t part[4], all;
    memcpy(part, &hit, sizeof part);
    all = part[0] | part[1] | part[2] | part[3];
    return (unsigned)(all | all >> 32);
}

/* What has been ordered comes before `last`, or is it. */
static inline void gather_one(struct descent *d, int id, float low)
{
    uint64_t e = heap_entry(d->logits[id], id);
    if (d->logits[id] >= low && e < d->last)
        set_entry(d, d->count++, e);
}

/* Everything from low on that has not been ordered becomes the heap. */
static void gather(struct descent *d, float low)
{
    d->count = 0;
    for (int start = 0; start < d->n; start += BLOCK) {
        int stop = d->n - start < BLOCK ? d->n : start + BLOCK;
        if (stop - start == BLOCK && !any_reaches(d->logits + start, low))
            continue;
        int i = start;
        for (; i + LANES <= stop; i += LANES)
            for (unsigned hits = lanes_within(d->logits + i, low, d->high); hits; hits &= hits - 1)
                gather_one(d, i + __builtin_ctz(hits), low);
        for (; i < stop; i++)
            gather_one(d, i, low);
    }
    for (int i = (d->count - 2) / ARITY; i >= 0 && d->count > 1; i--)
        sift_down(d, i, entry(d, i));
    d->floor = low;
}

/* The next in order is this one. */
static void add_ordered(struct descent *d, int id)
{
    float weight = weight_of(d->logits[id], d->max, d->scale);
    uint32_t bits;
    memcpy(&bits, &weight, sizeof bits);
    d->last = heap_entry(d->logits[id], id);
    d->high = d->logits[id];
    set_entry(d, d->n - 1 - d->ordered++, (uint64_t)bits << 32 | (uint32_t)id);
}

/* One more token in order; 0 after the last that can come. */
static int descend(struct descent *d)
{
    while (!d->count) {
        if (d->floor == -INFINITY)
            return 0;
        float low = d->max - d->reach;
        d->reach *= 1.25f;
        /* Where a logit is so large that it swallows the reach, the rest comes at once. */
        gather(d, low < d->floor && isfinite(low) ? low : -INFINITY);
    }
    int id = (int)~(uint32_t)entry(d, 0);
    if (d->logits[id] == -INFINITY)
        return 0;
    uint64_t end = entry(d, --d->count); /* before its place is taken */
    add_ordered(d, id);
    if (d->count)
        sift_down(d, 0, end);
    return 1;
}

/* The token at place i in the order and its weight, or -1 when fewer can come. */
static int nth(struct descent *d, int i, float *weight)
{
    while (d->ordered <= i)
        if (!descend(d))
            return -1;
    uint64_t e = entry(d, d->n - 1 - i);
    uint32_t bits = (uint32_t)(e >> 32);
    memcpy(weight, &bits, sizeof bits);
    return (int)(uint32_t)e;
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

static int has_filters(const struct engine_sampling *s, int n)
{
    return (s->top_k > 0 && s->top_k < n) || s->top_p < 1 || s->min_p > 0;
}

/* How many of the most probable the filters keep, and the sum of their weights. `sum` is that of all weights. */
static int filter(struct descent *d, const struct engine_sampling *s, double sum, double *kept)
{
    int by_k = s->top_k > 0 && s->top_k < d->n, by_p = s->top_p < 1, by_min = s->min_p > 0;
    int limit = by_k ? s->top_k : d->n, count = 0;
    float weight;
    if (by_k && by_p) { /* top-p is a share of what top-k kept */
        sum = 0;
        for (int i = 0; i < limit && nth(d, i, &weight) >= 0; i++)
            sum += weight;
    }
    *kept = 0;
    while (count < limit && nth(d, count, &weight) >= 0) {
        if (count && ((by_min && weight < s->min_p) || weight < NEGLIGIBLE))
            break;
        *kept += weight;
        count++;
        if (by_p && *kept >= (double)s->top_p * sum)
            break;
    }
    return count;
}

/* Begin with the first tokens, which are known: most draws need no more. */
static void begin_ordered(struct descent *d, const struct engine_choice *top)
{
    for (int i = 0; i < ENGINE_TOP && top[i].id >= 0 && d->logits[top[i].id] > -INFINITY; i++)
        add_ordered(d, top[i].id);
    d->reach += d->max - d->logits[(uint32_t)entry(d, d->n - d->ordered)];
}

static int draw_filtered(struct descent *d, const struct engine_choice *top, const struct engine_sampling *s, double sum, double draw)
{
    begin_ordered(d, top);
    float weight;
    double kept, reached = 0;
    int limit = filter(d, s, sum, &kept), chosen = nth(d, 0, &weight);
    for (int i = 0, id; i < limit && (id = nth(d, i, &weight)) >= 0; i++) {
        if (weight < NEGLIGIBLE)
            break; /* rounding put the goal past what sums can tell apart */
        chosen = id;
        reached += weight;
        if (reached > draw * kept)
            break;
    }
    return chosen;
}

/* Of all tokens: the known ones in order, then the others by id, whose order would have to be found first. Whole parts are passed over by
 * their sums. The draw is past all of them only by rounding: then it is the last that can come. */
static int draw_among_all(const struct descent *d, const struct engine_choice *top, double sum, double draw, int *parts)
{
    double goal = draw * sum, reached = 0;
    int last = top[0].id;
    for (int i = 0; i < ENGINE_TOP && top[i].id >= 0; i++) {
        float weight = weight_of(d->logits[top[i].id], d->max, d->scale);
        if (weight < NEGLIGIBLE)
            return last;
        last = top[i].id;
        if ((reached += weight) > goal)
            return last;
        set_part(parts, last / FOLD, part_of(parts, last / FOLD) - weight);
    }
    const float least = d->logits[last]; /* what is known is not below it, and of those that are equal to it has the lower ids */
    for (int start = 0; start < d->n; start += FOLD) {
        int stop = d->n - start < FOLD ? d->n : start + FOLD;
        if (reached + part_of(parts, start / FOLD) <= goal) {
            reached += part_of(parts, start / FOLD);
            continue;
        }
        for (int i = start; i < stop; i++) {
            float weight = weight_of(d->logits[i], d->max, d->scale);
            if (weight < NEGLIGIBLE || d->logits[i] > least || (d->logits[i] == least && i <= last))
                continue;
            if ((reached += weight) > goal)
                return i;
        }
    }
    return last;
}

/* top: the first of the logits. known: the sum of their weights, and `scratch` its parts; below 0: to be added up. */
static int draw_token(const float *logits, int n, const struct engine_choice *top, double known, int wide, const struct engine_sampling *s,
                      double draw, int *scratch)
{
    float scale = 1.0f / s->temperature, max = logits[top[0].id];
    if (!isfinite(scale)) /* temperature 0, or so low that it leaves the greatest alone */
        return top[0].id;
    /* A first guess of how far a draw goes: e^-4 of the last that is known. */
    struct descent d = {.logits = logits, .n = n, .max = max, .scale = scale, .reach = 4 * s->temperature, .floor = INFINITY,
                        .last = UINT64_MAX, .high = INFINITY, .entries = scratch};
    double sum = known >= 0 && scale == 1 ? known : weight_sum(logits, n, max, scale, wide, scratch);
    return has_filters(s, n) ? draw_filtered(&d, top, s, sum, draw) : draw_among_all(&d, top, sum, draw, scratch);
}

/* Make what the mask leaves out impossible. Returns the sum of its weights: added up as weight_sum adds up all, so that
 * it is never more than that. */
static double cut_out(float *x, int n, const uint64_t *mask, float max)
{
    const ilanes bit = {1, 2, 4, 8, 16, 32, 64, 128};
    const lanes never = (lanes){0} - INFINITY;
    double total = 0;
    for (int start = 0; start < n; start += FOLD) {
        int stop = n - start < FOLD ? n : start + FOLD, i = start;
        lanes v, w, sum = {0};
        for (; i + LANES <= stop; i += LANES) {
            ilanes out = (bit & (int32_t)(mask[i / 64] >> i % 64 & 0xff)) == 0;
            load(&v, x + i);
            w = v;
            weights_of(&w, max, 1.0f);
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
                  int recent_count, double draw, int *scratch, int wide, struct engine_token *out, struct error *e)
{
    double sum, shift;
    int code = raw_softmax(logits, n, out->top, &sum, &shift, wide, scratch, e);
    if (code)
        return code;
    out->cut = mask ? (float)(cut_out(logits, n, mask, logits[out->top[0].id]) / sum) : 0;
    float saved[ENGINE_RECENT];
    int penalised = sampling->repetition_penalty != 1 ? recent_count : 0;
    penalise(logits, sampling->repetition_penalty, recent, penalised, saved);
    struct engine_choice changed[ENGINE_TOP], *top = out->top;
    if (mask || penalised) {
        int count = find_top(logits, n, top = changed);
        if (!count)
            code = no_numbers(e);
        else if (top[0].logprob == -INFINITY)
            code = error_set(e, ERROR_ENGINE, "the model gives no probability to any token that the grammar allows");
        for (int i = count; i < ENGINE_TOP; i++)
            top[i].id = -1;
    }
    if (!code)
        out->id = draw_token(logits, n, top, top == changed ? -1 : sum, wide, sampling, draw, scratch);
    while (penalised-- > 0)
        logits[recent[penalised]] = saved[penalised];
    if (!code)
        out->logprob = (float)((double)logits[out->id] - shift);
    return code;
}

/* --- the same, compiled for wider registers ---------------------------------------------------------------------- */

/* A vocabulary is gone through several times for each token; with 8 lanes to a register that takes half the time, with
 * 16 a third. Nothing is fused or reordered: the numbers do not change. */
typedef int measurer(const float *logits, int n, int id, struct engine_token *out, struct error *e);
typedef int sampler(float *logits, int n, const uint64_t *mask, const struct engine_sampling *sampling,
                    const int *recent, int recent_count, double draw, int *scratch, struct engine_token *out,
                    struct error *e);

#define COMPILED(attributes, suffix, wide)                                                                             \
    attributes static int measure_##suffix(const float *logits, int n, int id, struct engine_token *out,               \
                                           struct error *e)                                                            \
    {                                                                                                                  \
        return measure(logits, n, id, wide, out, e);                                                                   \
    }                                                                                                                  \
    attributes static int sample_##suffix(float *logits, int n, const uint64_t *mask,                                  \
                                          const struct engine_sampling *sampling, const int *recent, int recent_count, \
                                          double draw, int *scratch, struct engine_token *out, struct error *e)        \
    {                                                                                                                  \
        return sample(logits, n, mask, sampling, recent, recent_count, draw, scratch, wide, out, e);                   \
    }

COMPILED(, plain, 0)
#ifdef __x86_64__
#define AVX512 "avx512f,avx512bw,avx512dq,avx512vl"
COMPILED(__attribute__((target("avx2"), flatten)), avx2, 0)
COMPILED(__attribute__((target(AVX512), flatten)), avx512, 1)

static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static measurer *measurer_here(void)
{
    return has_avx512() ? measure_avx512 : __builtin_cpu_supports("avx2") ? measure_avx2 : measure_plain;
}

static sampler *sampler_here(void)
{
    return has_avx512() ? sample_avx512 : __builtin_cpu_supports("avx2") ? sample_avx2 : sample_plain;
}
#else
static measurer *measurer_here(void)
{
    return measure_plain;
}

static sampler *sampler_here(void)
{
    return sample_plain;
}
#endif

int engine_measure(const float *logits, int n, int id, struct engine_token *out, struct error *e)
{
    return measurer_here()(logits, n, id, out, e);
}

int engine_sample(float *logits, int n, const struct engine_sampling *sampling, const int *recent, int recent_count,
                  double draw, int *scratch, struct engine_token *out, struct error *e)
{
    return sampler_here()(logits, n, NULL, sampling, recent, recent_count, draw, scratch, out, e);
}

int engine_sample_masked(float *logits, int n, const uint64_t *mask, const struct engine_sampling *sampling,
                         const int *recent, int recent_count, double draw, int *scratch, struct engine_token *out,
                         struct error *e)
{
    return sampler_here()(logits, n, mask, sampling, recent, recent_count, draw, scratch, out, e);
}
