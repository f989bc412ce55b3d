/* How fast an adapter is trained, for tests/bench-train: one line, tokens a second, the most bytes in memory, FLOP a token.
 *   bench_train MODEL THREADS KERNELS none|nf4|nf4+head SEQUENCE BATCH EVERY CHECKPOINTS INT16
 *
 * BATCH documents of SEQUENCE tokens, of which each EVERYth is learned; r 16 on all matrices; one step to warm up, then the median of three. */
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 3, MOST_BATCH = 64 };

static int stop(const char *what)
{
    fprintf(stderr, "bench_train: %s\n", what);
    return ERROR_USAGE;
}

/* What a step computes for a token at least: both ways through the frozen matrices (the head where something is to be told), what A and
 * B learn, and attention to the half of a document that a token sees on average. */
static double flops(const struct engine_info *m, const struct engine_learner_info *l, int sequence, int every)
{
    const double head = (double)m->vocabulary * m->width, q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    const double layer = m->width * (2 * q + 2 * kv + 3.0 * m->ff_width);
    return 4 * (m->layers * layer + head / every) + 4 * (double)l->learned + 7.0 * sequence * m->layers * q;
}

static double one_step(struct engine_learner *l, const struct engine_document *documents, int n, struct error *e)
{
    struct engine_loss loss = {0};
    const double begin = clock_seconds();
    engine_learner_add(l, documents, n, &loss);
    return engine_learner_step(l, 1e-4f, NULL, e) ? 0 : clock_seconds() - begin;
}

static int before(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int measure(struct engine_learner *l, int sequence, int batch, int every, struct error *e)
{
    const struct engine_info *m = engine_info(engine_learner_engine(l));
    struct engine_document documents[MOST_BATCH];
    int *tokens = xcalloc((size_t)(sequence * batch), sizeof *tokens);
    unsigned char *learned = xcalloc((size_t)sequence, 1);
    struct engine_learner_info info;
    double seconds[STEPS + 1];
    for (int i = 0; i < sequence * batch; i++)
        tokens[i] = (int)(random_uniform(1, 0, (uint64_t)i) * m->vocabulary);
    for (int i = 0; i < sequence; i++)
        learned[i] = i % every == 0;
    for (int i = 0; i < batch; i++)
        documents[i] = (struct engine_document){tokens + i * sequence, learned, sequence};
    e->code = OK;
    for (int i = 0; i <= STEPS && !e->code; i++)
        seconds[i] = one_step(l, documents, batch, e);
    if (!e->code) {
        qsort(seconds + 1, STEPS, sizeof *seconds, before);
        engine_learner_info(l, &info);
        printf("%.1f %zu %.0f\n", sequence * batch / seconds[1 + STEPS / 2], memory_peak(), flops(m, &info, sequence, every));
    }
    free(tokens);
    free(learned);
    return e->code;
}

int main(int n, char **words)
{
    struct error e = {0};
    struct engine_learner *l = NULL;
    if (n != 10)
        return stop("expected MODEL THREADS KERNELS QUANT SEQUENCE BATCH EVERY CHECKPOINTS INT16");
    const int sequence = atoi(words[5]), batch = atoi(words[6]), every = atoi(words[7]);
    if (sequence < 2 || sequence > 1 << 20 || batch < 1 || batch > MOST_BATCH || every < 1)
        return stop("SEQUENCE is from 2 on, BATCH from 1 to 64, EVERY from 1 on");
    const struct engine_learner_options options = {.model = words[1], .threads = atoi(words[2]), .kernels = words[3], .rows = sequence * batch,
                                                   .quant = strcmp(words[4], "none") ? words[4] : NULL, .checkpoints = atoi(words[8]),
                                                   .rounded = atoi(words[9])};
    int code = engine_learner_create(&l, &options, &e);
    if (!code)
        code = measure(l, sequence, batch, every, &e);
    if (code)
        fprintf(stderr, "bench_train: %s\n", e.message);
    engine_learner_free(l);
    return code;
}
