/* speed: prefill, one stream, and branches on a shared prefix, on this machine, beside the machine's own limits. */
#include "tui/command.h"

#include <stdlib.h>

enum { RUNS = 3, STREAM = 128, TOKENS = 48, PREFILL = 512 };

struct shape {
    int prefix, branches;
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
    return (struct measured){rates[n / 2], rates[0], rates[n - 1]};
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

/* Submit `count` continuations of one prompt and run them to their ends. */
static int run_requests(struct engine *engine, const struct engine_tokens *prompt, int count, int tokens, double *seconds, struct error *e)
{
    for (int i = 0; i < count; i++) {
        int id;
        struct engine_request request = {
            .prompt = prompt->ids, .prompt_count = prompt->count, .max_tokens = tokens, .ignore_end = 1, .seed = 1, .stream = (uint64_t)i,
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
    while (engine_result(engine, &result))
        engine_result_free(&result);
    return OK;
}

static int measure(struct engine *engine, struct shape shape, int tokens, struct measured *out, struct error *e)
{
    static uint64_t serial;
    struct engine_tokens prompt = {0};
    double rates[RUNS], seconds, warm;
    int code = OK;
    for (int i = -1; i < RUNS && !code; i++) { /* the first is a warm-up */
        fill_prompt(engine, &prompt, shape.prefix, ++serial);
        if (shape.branches) /* the prefix is there before the clock starts */
            code = run_requests(engine, &prompt, 1, 1, &warm, e);
        if (!code)
            code = run_requests(engine, &prompt, shape.branches ? shape.branches : 1, shape.branches ? tokens : 1, &seconds, e);
        if (!code && i >= 0)
            rates[i] = (shape.branches ? shape.branches * tokens : shape.prefix) / seconds;
        engine_forget(engine, prompt.ids, prompt.count);
    }
    engine_tokens_free(&prompt);
    if (!code)
        *out = summary(rates, RUNS);
    return code;
}

static int run(const struct tui_options *o)
{
    struct shape shapes[2] = {{256, 16}, {2048, 16}};
    int count = 2, tokens = o->n ? o->n : TOKENS;
    if (o->prefix || o->branches) {
        shapes[0] = (struct shape){o->prefix ? o->prefix : 256, o->branches ? o->branches : 16};
        count = 1;
    }
    struct tui_options with = *o;
    for (int i = 0; i < count; i++) {
        with.batch = with.batch > shapes[i].branches ? with.batch : shapes[i].branches;
        if (with.context && with.context < shapes[i].prefix + tokens)
            return tui_fail(&(struct error){ERROR_USAGE, "--context is smaller than the prefix and the tokens of a branch"});
    }
    struct error e;
    struct engine *engine = NULL;
    int code = tui_engine_open(&with, 0, &engine, &e);
    if (code)
        return tui_fail(&e);
    const struct engine_info *info = engine_info(engine);
    int context = info->context;
    int prefill_tokens = PREFILL < context ? PREFILL : context - 1, stream_tokens = STREAM < context ? STREAM : context - 1;
    for (int i = 0; i < count; i++)
        if (shapes[i].prefix + tokens > context) {
            if (o->prefix) {
                error_set(&e, ERROR_INPUT, "%s: a prefix of %d and %d tokens a branch do not fit its context of %d", info->path, shapes[i].prefix, tokens, context);
                engine_close(engine);
                return tui_fail(&e);
            }
            count = i; /* the longer of our own two shapes */
        }
    struct measured prefill, stream, branches[2];
    struct kernel_limits limits;
    engine_limits(engine, &limits);
    code = measure(engine, (struct shape){prefill_tokens, 0}, 1, &prefill, &e);
    if (!code)
        code = measure(engine, (struct shape){1, 1}, stream_tokens, &stream, &e);
    for (int i = 0; i < count && !code; i++)
        code = measure(engine, shapes[i], tokens, &branches[i], &e);
    if (code) {
        engine_close(engine);
        return tui_fail(&e);
    }
    if (o->json) {
        json_t *list = json_array();
        for (int i = 0; i < count; i++)
            json_array_append_new(list, json_pack("{s:i, s:i, s:i, s:f}", "prefix", shapes[i].prefix, "branches", shapes[i].branches, "tokens",
                                                  tokens, "tokens_per_second", branches[i].median));
        tui_print_json(json_pack("{s:s, s:s, s:s?, s:i, s:[{s:i, s:f}], s:{s:f}, s:o, s:{s:f, s:f, s:f}}", "model", info->name, "kernels",
                                 info->kernels, "quant", *info->quant ? info->quant : NULL, "threads", info->threads, "prefill", "tokens", prefill_tokens, "tokens_per_second",
                                 prefill.median, "stream", "tokens_per_second", stream.median, "branches", list, "limits",
                                 "memory_read_bytes_per_second", limits.memory_read, "sgemm_flops", limits.sgemm, "int8_macs", limits.int8));
    } else {
        printf("%s, kernels %s%s%s, %d thread%s; tokens a second, median of %d (least to most)\n\n", info->name, info->kernels,
               *info->quant ? ", " : "", info->quant, info->threads,
               info->threads == 1 ? "" : "s", RUNS);
        printf("  prefill of %-4d                   %8.1f  (%.1f to %.1f)\n", prefill_tokens, prefill.median, prefill.least, prefill.most);
        printf("  one stream                        %8.1f  (%.1f to %.1f)\n", stream.median, stream.least, stream.most);
        for (int i = 0; i < count; i++)
            printf("  %3d branches on a prefix of %-5d %8.1f  (%.1f to %.1f)\n", shapes[i].branches, shapes[i].prefix, branches[i].median,
                   branches[i].least, branches[i].most);
        printf("\nlimits of this machine: memory read %.1f GB/s, sgemm %.0f GFLOP/s, int8 products %.0f G/s\n", limits.memory_read / 1e9,
               limits.sgemm / 1e9, limits.int8 / 1e9);
    }
    engine_close(engine);
    return OK;
}

const struct tui_command tui_command_speed = {
    .name = "speed",
    .summary = "prefill, one stream, branches on a shared prefix, on this machine",
    .usage = "speed [OPTIONS]",
    .example = "espalier speed --prefix 2048 --branches 16 --json",
    .options = "model prefix branches n threads batch context kv-memory kernels quant json",
    .run = run,
};
