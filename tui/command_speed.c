/* speed: prefill, one stream, and branches on a shared prefix, on this machine, beside the machine's own limits.
 *
 * --json is one object that holds what was measured. Rates are medians, tokens a second, with "least" and "most" beside each:
 *   model, kernels, quant (null: as in the file), kv_type, threads, runs
 *   prefill   [{tokens, tokens_per_second, least, most}]
 *   stream    {tokens, tokens_per_second, least, most}
 *   branches  [{prefix, branches, tokens, tokens_per_second, least, most}]; tokens are those of one branch, the rate is that of all
 *   limits    {memory_read_bytes_per_second, weights_bytes, weights_read_bytes_per_second, sgemm_flops, sgemm_core, int8_macs}; the
 *             fields of struct kernel_limits, and the bytes that every token of one stream reads
 *   peak_bytes of memory, before the limits were measured
 */
#include "tui/command.h"

#include <stdlib.h>
#include <string.h>

enum { RUNS = 5, STREAM = 128, TOKENS = 48, PREFILL = 512, SHAPES = 3 };

struct shape {
    int prefix, branches;
    int mix; /* of adapters */
};

struct measured {
    double median, least, most; /* tokens a second */
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct measured summary(double *rates, int n)
{
    qsort(rates, (size_t)n, sizeof *rates, by_value);
    return (struct measured){(rates[(n - 1) / 2] + rates[n / 2]) / 2, rates[0], rates[n - 1]};
}

/* Token ids nobody has asked for before in this process, so that nothing of them is cached. */
static void fill_prompt(struct engine *engine, struct engine_tokens *out, int n, uint64_t serial)
{
    int vocabulary = engine_info(engine)->vocabulary;
    out->count = 0;
    for (uint64_t i = 0; out->count < n; i++) {
        int id = (int)(random_uniform(1, serial, i) * vocabulary);
        if (!engine_token_is_control(engine, id))
            engine_tokens_add(out, id);
    }
}

/* Nobody comes back to this branch: its memory is used again. */
static void forget_branch(struct engine *engine, const struct engine_tokens *prompt, const struct engine_result *result)
{
    struct engine_tokens path = {0};
    engine_tokens_append(&path, prompt->ids, prompt->count);
    for (int i = 0; i < result->count; i++)
        engine_tokens_add(&path, result->tokens[i].id);
    engine_forget(engine, path.ids, path.count);
    engine_tokens_free(&path);
}

/* Submit `count` continuations of one prompt and run them to their ends; with `forget`, what is cached of them and
 * shared with nothing else is freed then. */
static int run_requests(struct engine *engine, int mix, const struct engine_tokens *prompt, int count, int tokens, int forget, double *seconds,
                        struct error *e)
{
    for (int i = 0; i < count; i++) {
        int id;
        struct engine_request request = {
            .prompt = prompt->ids, .prompt_count = prompt->count, .max_tokens = tokens, .ignore_end = 1, .seed = 1, .stream = (uint64_t)i, .mix = mix,
            .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
        };
        int code = engine_submit(engine, &request, &id, e);
        if (code)
            return code;
    }
    double start = clock_seconds();
    for (int live = 1; live;) {
        int code = engine_step(engine, &live, e);
        if (code)
            return code;
    }
    *seconds = clock_seconds() - start;
    struct engine_result result;
    while (engine_result(engine, &result)) {
        if (forget)
            forget_branch(engine, prompt, &result);
        engine_result_free(&result);
    }
    return OK;
}

/* branches == 0: the prefill of `prefix` tokens. */
static int measure(struct engine *engine, struct shape shape, int tokens, int runs, struct measured *out, struct error *e)
{
    static uint64_t serial;
    struct engine_tokens prompt = {0};
    double *rates = xcalloc((size_t)runs, sizeof *rates), seconds, warm;
    int code = OK;
    for (int i = -1; i < runs && !code; i++) { /* the first is a warm-up */
        fill_prompt(engine, &prompt, shape.prefix, ++serial);
        if (shape.branches) /* the prefix is there before the clock starts */
            code = run_requests(engine, shape.mix, &prompt, 1, 1, 0, &warm, e);
        if (!code)
            code = run_requests(engine, shape.mix, &prompt, shape.branches ? shape.branches : 1, shape.branches ? tokens : 1, 1, &seconds, e);
        if (!code && i >= 0)
            rates[i] = (shape.branches ? shape.branches * tokens : shape.prefix) / seconds;
        engine_forget(engine, prompt.ids, prompt.count);
    }
    engine_tokens_free(&prompt);
    if (!code)
        *out = summary(rates, runs);
    free(rates);
    return code;
}

/* What is to be measured, then what came of it. */
struct figures {
    int runs, tokens; /* tokens of one branch */
    int has_prefill, has_stream, has_limits;
    int prefill_tokens, stream_tokens, mix;
    struct shape shapes[SHAPES];
    int count; /* of shapes */
    struct measured prefill, stream, branches[SHAPES];
    struct kernel_limits limits;
    size_t weights; /* bytes that a token of one stream reads */
    size_t peak;    /* of memory, before the limits are measured: their buffers are larger than a small model */
};

/* The words of --only. */
static int choose(const char *only, struct figures *f, struct error *e)
{
    int branches = 0;
    f->has_prefill = f->has_stream = f->has_limits = 0;
    for (const char *word = only;; word++) {
        size_t n = strcspn(word, ",");
        if (n == 7 && !strncmp(word, "prefill", n))
            f->has_prefill = 1;
        else if (n == 6 && !strncmp(word, "stream", n))
            f->has_stream = 1;
        else if (n == 8 && !strncmp(word, "branches", n))
            branches = 1;
        else if (n == 6 && !strncmp(word, "limits", n))
            f->has_limits = 1;
        else
            return error_set(e, ERROR_USAGE, "--only %s: expected some of prefill, stream, branches, limits, with commas between", only);
        word += n;
        if (!*word)
            break;
    }
    if (!branches)
        f->count = 0;
    return OK;
}

static int plan(const struct tui_options *o, struct figures *f, struct error *e)
{
    *f = (struct figures){.runs = o->runs ? o->runs : RUNS, .tokens = o->n ? o->n : TOKENS, .has_prefill = 1, .has_stream = 1, .has_limits = 1,
                          .prefill_tokens = PREFILL, .stream_tokens = STREAM, .shapes = {{256, 16, 0}, {2048, 16, 0}, {256, 32, 0}}, .count = SHAPES};
    if (o->prefix || o->branches) {
        f->shapes[0] = (struct shape){o->prefix ? o->prefix : 256, o->branches ? o->branches : 16, 0};
        f->count = 1;
    }
    int code = o->only ? choose(o->only, f, e) : OK;
    for (int i = 0; i < f->count && !code; i++)
        if (o->context && o->context < f->shapes[i].prefix + f->tokens)
            code = error_set(e, ERROR_USAGE, "--context is smaller than the prefix and the tokens of a branch");
    return code;
}

/* Make shorter, or leave out, what the model has no room for; what was asked for by its length is refused. */
static int fit(const struct tui_options *o, const struct engine_info *info, struct figures *f, struct error *e)
{
    f->prefill_tokens = f->prefill_tokens < info->context ? f->prefill_tokens : info->context - 1;
    f->stream_tokens = f->stream_tokens < info->context ? f->stream_tokens : info->context - 1;
    int kept = 0;
    for (int i = 0; i < f->count; i++) {
        if (f->shapes[i].prefix + f->tokens <= info->context)
            f->shapes[kept++] = f->shapes[i];
        else if (o->prefix)
            return error_set(e, ERROR_INPUT, "%s: a prefix of %d and %d tokens a branch do not fit its context of %d", info->path,
                             f->shapes[i].prefix, f->tokens, info->context);
    }
    f->count = kept;
    return OK;
}

static int measure_all(struct engine *engine, struct figures *f, struct error *e)
{
    const struct engine_info *info = engine_info(engine);
    int code = OK;
    f->weights = info->packed_bytes ? info->packed_bytes : info->file_bytes;
    if (f->has_prefill)
        code = measure(engine, (struct shape){f->prefill_tokens, 0, f->mix}, 1, f->runs, &f->prefill, e);
    if (f->has_stream && !code)
        code = measure(engine, (struct shape){1, 1, f->mix}, f->stream_tokens, f->runs, &f->stream, e);
    for (int i = 0; i < f->count && !code; i++) {
        f->shapes[i].mix = f->mix;
        code = measure(engine, f->shapes[i], f->tokens, f->runs, &f->branches[i], e);
    }
    f->peak = memory_peak();
    if (f->has_limits && !code)
        engine_limits(engine, &f->limits);
    return code;
}

/* --- what is printed --------------------------------------------------------------------------------------------- */

static void add_rates(json_t *to, struct measured m)
{
    json_object_update_new(to, json_pack("{s:f, s:f, s:f}", "tokens_per_second", m.median, "least", m.least, "most", m.most));
}

static void print_json(const struct engine_info *info, const struct figures *f)
{
    json_t *all = json_pack("{s:s, s:s, s:s?, s:s, s:i, s:i}", "model", info->name, "kernels", info->kernels, "quant",
                            *info->quant ? info->quant : NULL, "kv_type", info->kv_type, "threads",
                            info->threads, "runs", f->runs);
    if (f->has_prefill) {
        json_t *prefill = json_pack("{s:i}", "tokens", f->prefill_tokens);
        add_rates(prefill, f->prefill);
        json_object_set_new(all, "prefill", json_pack("[o]", prefill));
    }
    if (f->has_stream) {
        json_t *stream = json_pack("{s:i}", "tokens", f->stream_tokens);
        add_rates(stream, f->stream);
        json_object_set_new(all, "stream", stream);
    }
    if (f->count) {
        json_t *list = json_array();
        for (int i = 0; i < f->count; i++) {
            json_t *branches = json_pack("{s:i, s:i, s:i}", "prefix", f->shapes[i].prefix, "branches", f->shapes[i].branches, "tokens", f->tokens);
            add_rates(branches, f->branches[i]);
            json_array_append_new(list, branches);
        }
        json_object_set_new(all, "branches", list);
    }
    if (f->has_limits)
        json_object_set_new(all, "limits",
                            json_pack("{s:f, s:I, s:f, s:f, s:s, s:f}", "memory_read_bytes_per_second", f->limits.memory_read, "weights_bytes",
                                      (json_int_t)f->weights, "weights_read_bytes_per_second", f->limits.weights_read, "sgemm_flops",
                                      f->limits.sgemm, "sgemm_core", f->limits.sgemm_core, "int8_macs", f->limits.int8));
    json_object_set_new(all, "peak_bytes", json_integer((json_int_t)f->peak));
    tui_print_json(all);
}

static void print_rates(const char *what, struct measured m)
{
    printf("  %-36s %8.1f  (%.1f to %.1f)\n", what, m.median, m.least, m.most);
}

static void print_text(const struct engine_info *info, const struct figures *f)
{
    char what[64];
    printf("%s, kernels %s%s%s, keys and values in %s, %d thread%s; tokens a second, median of %d (least to most)\n", info->name, info->kernels,
           *info->quant ? ", " : "", info->quant, info->kv_type, info->threads, info->threads == 1 ? "" : "s", f->runs);
    if (f->has_prefill || f->has_stream || f->count)
        putchar('\n');
    if (f->has_prefill) {
        snprintf(what, sizeof what, "prefill of %d", f->prefill_tokens);
        print_rates(what, f->prefill);
    }
    if (f->has_stream)
        print_rates("one stream", f->stream);
    for (int i = 0; i < f->count; i++) {
        snprintf(what, sizeof what, "%3d branches on a prefix of %d", f->shapes[i].branches, f->shapes[i].prefix);
        print_rates(what, f->branches[i]);
    }
    printf("\npeak memory %.0f MB\n", (double)f->peak / 1e6);
    if (!f->has_limits)
        return;
    double megabytes = (double)f->weights / 1e6;
    printf("limits of this machine: memory read %.1f GB/s, the model's %.4g MB again and again %.1f GB/s, sgemm %.0f GFLOP/s (OpenBLAS for %s), "
           "int8 products %.0f G/s\n",
           f->limits.memory_read / 1e9, megabytes, f->limits.weights_read / 1e9, f->limits.sgemm / 1e9, f->limits.sgemm_core, f->limits.int8 / 1e9);
    if (f->has_stream && f->limits.weights_read > 0)
        printf("one stream reads %.1f GB/s: %.0f %% of what its weights can be read at\n", f->stream.median * megabytes / 1e3,
               100 * f->stream.median * (double)f->weights / f->limits.weights_read);
}

static int run(const struct tui_options *o)
{
    struct figures figures;
    struct engine *engine = NULL;
    struct error e;
    int code = plan(o, &figures, &e);
    struct tui_options with = *o;
    for (int i = 0; i < figures.count; i++)
        with.batch = with.batch > figures.shapes[i].branches ? with.batch : figures.shapes[i].branches;
    if (!code)
        code = tui_engine_open(&with, TUI_MODEL, &engine, &e);
    if (!code)
        code = fit(o, engine_info(engine), &figures, &e);
    if (!code)
        code = tui_adapters_open(o, engine, &figures.mix, &e);
    if (!code)
        code = measure_all(engine, &figures, &e);
    if (!code && o->json)
        print_json(engine_info(engine), &figures);
    else if (!code)
        print_text(engine_info(engine), &figures);
    engine_close(engine);
    return code ? tui_fail(&e) : OK;
}

const struct tui_command tui_command_speed = {
    .name = "speed",
    .summary = "prefill, one stream, branches on a shared prefix, on this machine",
    .usage = "speed [OPTIONS]",
    .example = "espalier speed --prefix 2048 --branches 16 --json",
    .options = "model adapter prefix branches n only runs threads batch context kv-memory kv-type kernels quant json",
    .run = run,
};
