/* What fewer bits and faster kernels cost: configurations of the engine against a baseline, on the texts of
 * tests/reference/logprobs_smollm2.txt, or of a file like it with lines `text NAME` and `ids ...` for another vocabulary.
 *   make build/tests/bench_quality && build/tests/bench_quality [--texts FILE] BASELINE CONFIGURATION...   (from the root of the repository)
 * A configuration is FILE[:KERNELS[:QUANT[:KV]]], as in model.gguf:reference:nf4 or model.gguf:avx2::q8; kernels are auto where
 * none are named.
 *
 * For each: perplexity; the mean over tokens of KL(baseline || configuration), of the whole vocabulary and in nats; of
 * |difference| of the text's own token's log-probability, and its greatest; how often the most probable token is the same.
 */
#include "engine/state.h"
#include "reference_text.h"

static void check(int code, const struct error *e)
{
    if (code) {
        fprintf(stderr, "%s\n", e->message);
        abort();
    }
}

static struct engine *open_configuration(const char *words)
{
    char *path = xstrdup(words), *fields[3] = {NULL, NULL, NULL}, *at = path; /* kernels, quant, kv_type */
    for (int i = 0; i < 3 && (at = strchr(at, ':')); i++) {
        *at++ = '\0';
        fields[i] = at;
    }
    for (int i = 0; i < 3; i++)
        fields[i] = fields[i] && *fields[i] ? fields[i] : NULL;
    struct engine *engine;
    struct error e;
    struct engine_options options = {.model = path, .kernels = fields[0], .quant = fields[1], .kv_type = fields[2]};
    check(engine_open(&engine, &options, &e), &e);
    free(path);
    return engine;
}

/* In place: logits to log-probabilities; returns the most probable, of two the lower. */
static int log_softmax(float *x, int n)
{
    int top = 0;
    double sum = 0;
    for (int i = 1; i < n; i++)
        top = x[i] > x[top] ? i : top;
    const float most = x[top];
    for (int i = 0; i < n; i++)
        sum += exp((double)(x[i] - most));
    const double offset = (double)most + log(sum);
    for (int i = 0; i < n; i++)
        x[i] = (float)((double)x[i] - offset);
    return top;
}

/* The log-probabilities after each token of a text but the last: out [count - 1][vocabulary], and the most probable of each. */
static void run_text(struct engine *engine, const struct reference_text *text, float *out, int *top)
{
    const int vocabulary = engine->info.vocabulary, blocks = (text->count + KERNEL_CELLS - 1) / KERNEL_CELLS;
    const size_t bytes = engine_forward_block_bytes(engine->model, engine->set, engine->cache);
    struct kernel_run *runs = xcalloc((size_t)blocks, sizeof *runs);
    for (int b = 0; b < blocks; b++)
        runs[b] = (struct kernel_run){aligned_xmalloc(bytes), 0, KERNEL_CELLS};
    for (int first = 0; first < text->count - 1; first += ENGINE_PROMPT_ROWS) {
        struct engine_row rows[ENGINE_PROMPT_ROWS];
        int n = text->count - 1 - first < ENGINE_PROMPT_ROWS ? text->count - 1 - first : ENGINE_PROMPT_ROWS;
        for (int r = 0; r < n; r++)
            rows[r] = (struct engine_row){.token = text->ids[first + r], .position = first + r, .runs = runs, .block = runs[(first + r) / KERNEL_CELLS].block};
        engine_forward_run(engine->forward, rows, n);
        for (int r = 0, m; r < n; r += m) {
            int chosen[ENGINE_LOGITS];
            m = n - r < ENGINE_LOGITS ? n - r : ENGINE_LOGITS;
            for (int i = 0; i < m; i++)
                chosen[i] = r + i;
            float *to = out + (size_t)(first + r) * (size_t)vocabulary;
            memcpy(to, engine_forward_logits(engine->forward, chosen, m), (size_t)m * (size_t)vocabulary * sizeof *to);
            for (int i = 0; i < m; i++)
                top[first + r + i] = log_softmax(to + (size_t)i * (size_t)vocabulary, vocabulary);
        }
    }
    for (int b = 0; b < blocks; b++)
        free(runs[b].block);
    free(runs);
}

struct sums {
    double own, kl, delta, most;
    int same, tokens;
};

static void compare(const struct reference_text *text, int vocabulary, const float *base, const int *base_top, const float *x,
                    const int *top, struct sums *sums)
{
    for (int p = 0; p < text->count - 1; p++, base += vocabulary, x += vocabulary) {
        int next = text->ids[p + 1];
        double kl = 0, delta = fabs((double)x[next] - (double)base[next]);
        for (int i = 0; i < vocabulary; i++)
            kl += exp((double)base[i]) * ((double)base[i] - (double)x[i]);
        sums->own += (double)x[next];
        sums->kl += kl;
        sums->delta += delta;
        sums->most = fmax(sums->most, delta);
        sums->same += base_top[p] == top[p];
        sums->tokens++;
    }
}

static size_t rows_of(const struct reference_file *file)
{
    size_t rows = 0;
    for (int i = 0; i < file->count; i++)
        rows += (size_t)file->texts[i].count - 1;
    return rows;
}

static void run_texts(struct engine *engine, const struct reference_file *file, float *out, int *top)
{
    for (int i = 0; i < file->count; i++) {
        const size_t rows = (size_t)file->texts[i].count - 1;
        run_text(engine, &file->texts[i], out, top);
        out += rows * (size_t)engine->info.vocabulary;
        top += rows;
    }
}

static void print(const char *name, const struct sums *s)
{
    printf("%-44s %9.4f %10.3g %10.3g %8.3g %8.1f %%\n", name, exp(-s->own / s->tokens), s->kl / s->tokens, s->delta / s->tokens, s->most,
           100.0 * s->same / s->tokens);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct reference_file file;
    const char *texts = "tests/reference/logprobs_smollm2.txt";
    if (argc > 2 && !strcmp(argv[1], "--texts"))
        texts = argv[2], argc -= 2, argv += 2;
    if (argc < 2 || !reference_load(texts, &file)) {
        fprintf(stderr, "usage, from the root of the repository: bench_quality [--texts FILE] BASELINE CONFIGURATION...\n");
        return 2;
    }
    struct engine *engine = open_configuration(argv[1]);
    const int vocabulary = engine->info.vocabulary;
    const size_t rows = rows_of(&file), size = rows * (size_t)vocabulary;
    float *base = xmalloc(size * sizeof *base), *x = xmalloc(size * sizeof *x);
    int *base_top = xmalloc(rows * sizeof *base_top), *top = xmalloc(rows * sizeof *top);
    run_texts(engine, &file, base, base_top);
    engine_close(engine);
    printf("%-44s %9s %10s %10s %8s %10s\n", "", "perplexity", "KL", "|delta|", "most", "same top");
    for (int c = 1; c < argc; c++) {
        struct sums sums = {0};
        const float *a = base, *b = x;
        const int *at = base_top, *bt = top;
        engine = c > 1 ? open_configuration(argv[c]) : NULL;
        if (engine && engine->info.vocabulary != vocabulary) {
            fprintf(stderr, "%s: has %d tokens, the baseline %d\n", argv[c], engine->info.vocabulary, vocabulary);
            return 3;
        }
        if (engine)
            run_texts(engine, &file, x, top);
        for (int i = 0; i < file.count; i++) {
            const size_t n = (size_t)file.texts[i].count - 1;
            compare(&file.texts[i], vocabulary, a, at, engine ? b : a, engine ? bt : at, &sums);
            a += n * (size_t)vocabulary, b += n * (size_t)vocabulary, at += n, bt += n;
        }
        print(argv[c], &sums);
        engine_close(engine);
    }
    free(base);
    free(x);
    free(base_top);
    free(top);
    reference_free(&file);
    return 0;
}
