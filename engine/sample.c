#include "engine/sample.h"

#include <math.h>
#include <string.h>

/* Four lanes whatever the machine's registers hold, so that the numbers are the same everywhere. */
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t ilanes __attribute__((vector_size(16)));
enum { LANES = 4 };

static lanes load(const float *x)
{
    lanes v;
    memcpy(&v, x, sizeof v);
    return v;
}

/* exp for x <= 0, within two units in the last place; below -87 it is 0. x = k ln 2 + r, |r| <= ln 2 / 2, and a polynomial in r. */
static lanes exp_lanes(lanes x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, whose bits are then the low ones */
    ilanes gone = x < -87.0f;
    x = (lanes)((ilanes)x & ~gone);
    lanes shifted = x * 1.44269504f + magic;
    lanes k = shifted - magic;
    lanes r = x - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ilanes exponent = ((ilanes)shifted - (ilanes)((lanes){0} + magic) + 127) << 23;
    return (lanes)((ilanes)(p * (lanes)exponent) & ~gone);
}

static float exp_one(float x)
{
    lanes v = {x};
    return exp_lanes(v)[0];
}

/* Sum of exp((x - max) * scale). Lanes are folded every 256 numbers, so that a large vocabulary loses no small terms. */
static double exp_sum(const float *x, int n, float max, float scale)
{
    double total = 0;
    for (int start = 0; start < n; start += 256) {
        int stop = n - start < 256 ? n : start + 256, i = start;
        lanes sum = {0};
        for (; i + LANES <= stop; i += LANES)
            sum += exp_lanes((load(x + i) - max) * scale);
        for (int l = 0; l < LANES; l++)
            total += sum[l];
        for (; i < stop; i++)
            total += exp_one((x[i] - max) * scale);
    }
    return total;
}

static float greatest(const float *x, int n)
{
    float max = x[0];
    if (n >= LANES) {
        lanes m = load(x);
        for (int i = LANES; i + LANES <= n; i += LANES) {
            lanes v = load(x + i);
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
        lanes v = load(x + i);
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
    ilanes hit = load(x) >= threshold;
    int64_t part[2];
    memcpy(part, &hit, sizeof part);
    return (part[0] | part[1]) != 0;
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

/* top with its logprobs, and *shift, what is subtracted from a logit to make it a log-probability. */
static int raw_softmax(const float *logits, int n, struct engine_choice top[ENGINE_TOP], double *shift, struct error *e)
{
    int count = has_bad(logits, n) ? 0 : find_top(logits, n, top);
    if (!count || top[0].logprob == -INFINITY)
        return error_set(e, ERROR_ENGINE,
                         "the model produced NaN or infinite logits where numbers were expected; the model file may be damaged: "
                         "get it again, or try --kernels reference");
    float max = top[0].logprob;
    *shift = (double)max + log(exp_sum(logits, n, max, 1.0f));
    for (int i = 0; i < ENGINE_TOP; i++)
        top[i] = i < count ? (struct engine_choice){top[i].id, (float)((double)top[i].logprob - *shift)}
                           : (struct engine_choice){-1, -INFINITY};
    return OK;
}

int engine_measure(const float *logits, int n, int id, struct engine_token *out, struct error *e)
{
    double shift;
    int code = raw_softmax(logits, n, out->top, &shift, e);
    if (code)
        return code;
    out->id = id;
    out->logprob = (float)((double)logits[id] - shift);
    return OK;
}

/* --- descending order, as far as it is asked for ----------------------------------------------------------------- */

/* The tokens in descending logit, ties by ascending id, without sorting a vocabulary of which a draw needs a handful: a heap of
 * those within `reach` of the greatest, widened when it runs dry. Invariant: tokens handed out and in the heap are together
 * those with logit >= floor; all others are below it. */
struct descent {
    const float *logits;
    int n;
    float max, reach, floor;
    int *heap; /* ids; the parent of i is (i - 1) / 2 and comes before it */
    int count;
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

/* The next token, or -1 after the last that can come. */
static int descend(struct descent *d)
{
    while (!d->count) {
        if (d->floor == -INFINITY)
            return -1;
        float high = d->floor, low = d->max - d->reach;
        d->reach *= 4;
        /* Past the tokens whose probability rounds to 0 the rest comes at once; huge logits swallow a small reach. */
        gather(d, low < high && isfinite(low) ? low : -INFINITY, high);
    }
    int id = d->heap[0];
    if (d->logits[id] == -INFINITY)
        return -1;
    d->heap[0] = d->heap[--d->count];
    if (d->count)
        sift_down(d, 0);
    return id;
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

static struct descent descent_start(const float *logits, int n, float temperature, int *scratch)
{
    float max = greatest(logits, n);
    /* A first guess of how far a draw goes: e^-6 of the greatest. */
    return (struct descent){logits, n, max, 6 * temperature, INFINITY, scratch, 0};
}

/* How many of the most probable the filters keep, and the sum of their weights; 0 when there is no filter. */
static int filter(struct descent d, const struct engine_sampling *s, double all, float scale, double *kept)
{
    int by_k = s->top_k > 0 && s->top_k < d.n, by_p = s->top_p < 1, by_min = s->min_p > 0;
    if (!by_k && !by_p && !by_min)
        return 0;
    struct descent again = d;
    double sum = all;
    int limit = d.n;
    if (by_k && by_p) { /* top-p is a share of what top-k kept */
        limit = s->top_k;
        sum = 0;
        for (int i = 0, id; i < limit && (id = descend(&again)) >= 0; i++)
            sum += exp_one((d.logits[id] - d.max) * scale);
    } else if (by_k) {
        limit = s->top_k;
    }
    int count = 0;
    *kept = 0;
    for (int id; count < limit && (id = descend(&d)) >= 0;) {
        float weight = exp_one((d.logits[id] - d.max) * scale);
        if (count && ((by_min && weight < s->min_p) || weight <= 0))
            break;
        *kept += weight;
        count++;
        if (by_p && *kept >= (double)s->top_p * sum)
            break;
    }
    return count;
}

static int draw_token(const float *logits, int n, const struct engine_sampling *s, double draw, int *scratch)
{
    float scale = 1.0f / s->temperature;
    struct descent d = descent_start(logits, n, s->temperature, scratch);
    if (!isfinite(scale)) /* temperature 0, or so low that it leaves the greatest alone */
        return descend(&d);
    double sum = exp_sum(logits, n, d.max, scale), kept = sum;
    int limit = filter(d, s, sum, scale, &kept);
    double goal = draw * kept, reached = 0;
    int chosen = -1;
    for (int i = 0, id; (!limit || i < limit) && (id = descend(&d)) >= 0; i++) {
        float weight = exp_one((logits[id] - d.max) * scale);
        if (chosen >= 0 && weight <= 0)
            break; /* nothing comes after: rounding put the goal past the last */
        chosen = id;
        reached += weight;
        if (reached > goal)
            break;
    }
    return chosen;
}

int engine_sample(float *logits, int n, const struct engine_sampling *sampling, const int *recent, int recent_count, double draw,
                  int *scratch, struct engine_token *out, struct error *e)
{
    double shift;
    int code = raw_softmax(logits, n, out->top, &shift, e);
    if (code)
        return code;
    float saved[ENGINE_RECENT];
    int penalised = sampling->repetition_penalty != 1 ? recent_count : 0;
    penalise(logits, sampling->repetition_penalty, recent, penalised, saved);
    out->id = draw_token(logits, n, sampling, draw, scratch);
    while (penalised-- > 0)
        logits[recent[penalised]] = saved[penalised];
    out->logprob = (float)((double)logits[out->id] - shift);
    return OK;
}
