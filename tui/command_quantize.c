/* quantize: a model's file with its matrices in another type; merge: and with adapters in them. */
#include "tui/command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct progress {
    double start, last;
    int terminal, shown;
};

static int show_progress(void *context, size_t bytes, size_t of)
{
    struct progress *p = context;
    double now = clock_seconds();
    if (p->terminal && now - p->last >= 0.25 && now - p->start >= 1) {
        double rate = (double)bytes / (now - p->start);
        fprintf(stderr, "\r\033[K%.0f of %.0f MB, %.1f MB/s, %.0f s left", (double)bytes / 1e6, (double)of / 1e6, rate / 1e6, (double)(of - bytes) / rate);
        p->last = now;
        p->shown = 1;
    }
    return tui_interrupted();
}

static double bits_a_weight(const struct engine_quantized *q)
{
    int64_t bytes = 0;
    for (int t = 0; t < KERNEL_TYPES; t++)
        bytes += q->types[t].bytes;
    return q->weights ? 8.0 * (double)bytes / (double)q->weights : 0;
}

static void print_json(const struct engine_quantized *q)
{
    json_t *types = json_object();
    for (int t = 0; t < KERNEL_TYPES; t++)
        if (q->types[t].tensors)
            json_object_set_new(types, kernel_format((enum kernel_type)t)->name,
                                json_pack("{s:i, s:i, s:I, s:I, s:o, s:i, s:f, s:f}", "tensors", q->types[t].tensors, "converted", q->types[t].converted,
                                          "weights", (json_int_t)q->types[t].weights, "bytes", (json_int_t)q->types[t].bytes,
                                          "relative_squared_error", q->types[t].converted ? json_real(q->types[t].error) : json_null(), "merged",
                                          q->types[t].merged, "change", q->types[t].change, "merged_error", q->types[t].merged_error));
    tui_print_json(json_pack("{s:I, s:I, s:f, s:i, s:o}", "bytes_in", (json_int_t)q->bytes_in, "bytes_out", (json_int_t)q->bytes_out,
                             "bits_a_weight", bits_a_weight(q), "narrow", q->narrow, "types",
                             types));
}

static void print_text(const struct engine_quantized *q, const char *path)
{
    struct string clean = {0};
    utf8_sanitize(&clean, path, strlen(path), 0);
    printf("%s: %.1f MB from %.1f MB, %.2f bits a weight\n", string_text(&clean), (double)q->bytes_out / 1e6, (double)q->bytes_in / 1e6,
           bits_a_weight(q));
    string_free(&clean);
    if (*q->quant)
        printf("  the adapters are added to the model as %s (--quant none: to the file's own weights)\n", q->quant);
    for (int t = 0; t < KERNEL_TYPES; t++) {
        if (!q->types[t].tensors)
            continue;
        printf("  %-6s %4d tensors, %8.1f MB, ", kernel_format((enum kernel_type)t)->name, q->types[t].tensors, (double)q->types[t].bytes / 1e6);
        if (q->types[t].converted)
            printf("%d converted, with a mean squared error of %.3g of the mean square\n", q->types[t].converted, q->types[t].error);
        else
            printf("copied\n");
        /* What rounding takes away must be less than what the adapter brought. */
        if (q->types[t].merged)
            printf("         %d of them with adapters, which changed %.3g of the mean square; rounding took back %.3g: %s\n", q->types[t].merged,
                   q->types[t].change, q->types[t].merged_error,
                   q->types[t].merged_error < q->types[t].change / 10 ? "little of it"
                   : q->types[t].merged_error < q->types[t].change    ? "much of it; a type with more bits keeps more"
                                                                      : "more than that; take a type with more bits");
    }
    if (q->narrow)
        printf("  %d of them F16, for a width that is not a multiple of 32\n", q->narrow);
}

static int write_model(const struct tui_options *o, const char *type, const struct engine_merge_use *adapters)
{
    struct error e;
    struct engine_quantized said;
    struct progress progress = {.start = clock_seconds(), .terminal = isatty(STDERR_FILENO)};
    tui_interrupts_listen((const int[]){SIGINT, SIGTERM, 0}); /* so that the unfinished file goes */
    struct engine_quantize_options options = {.in = o->model, .out = o->out, .type = type, .threads = o->threads,
                                              .adapters = adapters, .adapter_count = adapters ? o->adapter_count : 0,
                                              .quant = adapters ? o->quant : NULL,
                                              .progress = show_progress, .context = &progress};
    int code = engine_quantize(&options, &said, &e);
    if (progress.shown)
        fprintf(stderr, "\r\033[K");
    if (code) {
        tui_fail(&e);
        return tui_interrupted() ? 128 + tui_interrupted() : code;
    }
    if (*said.base) {
        struct string clean = {0};
        utf8_sanitize(&clean, said.base, strlen(said.base), 0);
        fprintf(stderr, "an adapter was trained on %s: right only if this model is that one by another name\n", string_text(&clean));
        string_free(&clean);
    }
    if (o->json)
        print_json(&said);
    else
        print_text(&said, o->out);
    return OK;
}

static int run(const struct tui_options *o)
{
    if (o->word_count)
        return tui_fail(&(struct error){ERROR_USAGE, "quantize takes its model with -m; see espalier quantize --help"});
    if (!o->model || !o->type || !o->out)
        return tui_fail(&(struct error){ERROR_USAGE, "quantize needs -m IN.gguf, --type f16, q8_0, q4_0 or iq4_nl, and --out OUT.gguf"});
    return write_model(o, o->type, NULL);
}

static int run_merge(const struct tui_options *o)
{
    struct error e;
    int code = OK;
    if (o->word_count)
        return tui_fail(&(struct error){ERROR_USAGE, "merge takes its model with -m; see espalier merge --help"});
    if (!o->model || !o->adapter_count || !o->out)
        return tui_fail(&(struct error){ERROR_USAGE, "merge needs -m BASE.gguf, --adapter FILE and --out OUT.gguf"});
    struct engine_merge_use *uses = xcalloc((size_t)o->adapter_count, sizeof *uses);
    char **paths = xcalloc((size_t)o->adapter_count, sizeof *paths);
    for (int i = 0; i < o->adapter_count && !code; i++) {
        code = search_adapter_parse(o->adapters[i], &paths[i], &uses[i].weight, &e);
        uses[i].path = paths[i];
    }
    code = code ? tui_fail(&e) : write_model(o, o->type ? o->type : "f16", uses);
    for (int i = 0; i < o->adapter_count; i++)
        free(paths[i]);
    free(paths);
    free(uses);
    return code;
}

const struct tui_command tui_command_quantize = {
    .name = "quantize",
    .summary = "a model's file with its matrices in fewer bits",
    .usage = "quantize -m IN.gguf --type TYPE --out OUT.gguf",
    .example = "espalier quantize -m model-f16.gguf --type iq4_nl --out model-iq4_nl.gguf",
    .options = "model type out threads json",
    .run = run,
};

const struct tui_command tui_command_merge = {
    .name = "merge",
    .summary = "a model's file with adapters in its weights",
    .usage = "merge -m BASE.gguf --adapter FILE[:WEIGHT] --out OUT.gguf [--type TYPE] [--quant nf4|none]",
    .example = "espalier merge -m base.gguf --adapter mine --type q8_0 --out merged.gguf",
    .options = "model adapter type quant out threads json",
    .run = run_merge,
};
