/* info: what a model file holds and what it needs. */
#include "tui/command.h"

#include <string.h>

static void print_json(const struct engine_info *i)
{
    json_t *types = json_object();
    for (int t = 0; t < KERNEL_TYPES; t++)
        if (i->tensors_by_type[t])
            json_object_set_new(types, kernel_format((enum kernel_type)t)->name,
                                json_pack("{s:i, s:I, s:s?}", "tensors", i->tensors_by_type[t], "bytes", (json_int_t)i->bytes_by_type[t], "laid_out",
                                          i->laid_out[t]));
    json_t *quant = *i->quant ? json_pack("{s:s, s:i, s:i}", "name", i->quant, "quantized", i->quantized, "kept", i->kept) : json_null();
    tui_print_json(json_pack(
        "{s:o, s:o, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:s, s:f, s:i, s:i, s:f, s:f, s:b, s:o, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:i, s:o}", "path",
        tui_json_text(i->path, strlen(i->path)), "name", tui_json_text(i->name, strlen(i->name)), "format", i->format, "left_out", i->left_out, "architecture", i->architecture,
        "tokenizer", i->tokenizer, "chat_template", i->chat_template, "prompts", i->prompts, "kernels", i->kernels, "parameters", (json_int_t)i->parameters,
        "layers", i->layers, "width", i->width, "heads", i->heads, "kv_heads", i->kv_heads, "head_dim", i->head_dim, "ff_width",
        i->ff_width, "vocabulary", i->vocabulary, "context_trained", i->context_trained, "context", i->context, "rope_base",
        (double)i->rope_base, "rope_scaling", i->rope_scaling, "rope_factor", (double)i->rope_factor, "window", i->window, "window_layers",
        i->window_layers, "window_rope_base", (double)i->window_rope_base, "norm_epsilon", (double)i->norm_epsilon, "tied", i->tied, "types", types, "file_bytes",
        (json_int_t)i->file_bytes, "packed_bytes", (json_int_t)i->packed_bytes, "in_place_bytes",
        (json_int_t)i->in_place_bytes, "scratch_bytes", (json_int_t)i->scratch_bytes, "kv_type", i->kv_type, "kv_bytes_per_token",
        (json_int_t)i->kv_bytes_per_token, "kv_memory", (json_int_t)i->kv_memory, "threads", i->threads, "quant", quant));
}

static void print_text(const struct engine_info *i)
{
    struct string path = {0};
    utf8_sanitize(&path, i->path, strlen(i->path), 0);
    printf("%-14s %s\n%-14s %s\n", "model", i->name, strcmp(i->format, "folder") ? "file" : "folder", string_text(&path));
    if (i->left_out)
        printf("%-14s %d tensors of what sees: this is the text's part\n", "left out", i->left_out);
    string_free(&path);
    printf("%-14s %s, %.1f M parameters\n", "architecture", i->architecture, (double)i->parameters / 1e6);
    printf("%-14s %d layers, width %d, %d heads (%d for keys and values) of %d, feed-forward %d\n", "shape", i->layers, i->width, i->heads,
           i->kv_heads, i->head_dim, i->ff_width);
    printf("%-14s %d tokens, %s, head %s\n", "vocabulary", i->vocabulary, i->tokenizer, i->tied ? "tied to the embedding" : "of its own");
    printf("%-14s %s%s\n", "chat template", i->chat_template,
           !strcmp(i->chat_template, "unknown") ? ": of no family that this version knows; prompts are sent as plain text" : "");
    if (*i->prompts)
        printf("%-14s %s\n", "prompts", i->prompts);
    printf("%-14s %d allowed here, %d trained; RoPE base %g", "context", i->context, i->context_trained, (double)i->rope_base);
    if (strcmp(i->rope_scaling, "none"))
        printf(", scaled: %s", i->rope_scaling);
    if (i->rope_factor > 1)
        printf(", by %g", (double)i->rope_factor);
    printf("\n");
    if (i->window)
        printf("%-14s %d positions, in %d of %d layers; RoPE base %g there\n", "window", i->window, i->window_layers, i->layers,
               (double)i->window_rope_base);
    for (int t = 0; t < KERNEL_TYPES; t++)
        if (i->tensors_by_type[t])
            printf("%-14s %-5s %4d tensors, %8.1f MB%s%s\n", "weights", kernel_format((enum kernel_type)t)->name, i->tensors_by_type[t],
                   (double)i->bytes_by_type[t] / 1e6, i->laid_out[t] ? ": " : "", i->laid_out[t] ? i->laid_out[t] : "");
    printf("%-14s %.1f MB of weights repacked, %.1f MB used where they lie in the file of %.1f MB, %.1f MB of scratch\n", "memory needed",
           (double)i->packed_bytes / 1e6, (double)i->in_place_bytes / 1e6, (double)i->file_bytes / 1e6, (double)i->scratch_bytes / 1e6);
    printf("%-14s %.1f KB of keys and values (%s) a token, at most %.0f MB\n", "", (double)i->kv_bytes_per_token / 1e3, i->kv_type,
           (double)i->kv_memory / 1e6);
    if (*i->quant)
        printf("%-14s %s: %d matrices quantized at load, %d kept as in the file for a width that is not a multiple of 64\n", "quant", i->quant,
               i->quantized, i->kept);
    printf("%-14s %s, %d thread%s\n", "kernels", i->kernels, i->threads, i->threads == 1 ? "" : "s");
}

static int run(const struct tui_options *o)
{
    struct error e;
    struct engine *engine = NULL;
    struct tui_options with = *o;
    if (o->word_count > 1 || (o->word_count && o->model))
        return tui_fail(&(struct error){ERROR_USAGE, "info takes one model; see espalier info --help"});
    if (o->word_count)
        with.model = o->words[0];
    int code = tui_engine_open(&with, NULL, TUI_DESCRIPTION, &engine, &e);
    if (code)
        return tui_fail(&e);
    if (o->json)
        print_json(engine_info(engine));
    else
        print_text(engine_info(engine));
    engine_close(engine);
    return OK;
}

const struct tui_command tui_command_info = {
    .name = "info",
    .summary = "what a model file holds and what it needs",
    .usage = "info [OPTIONS] [MODEL]",
    .example = "espalier info model.gguf",
    .options = "model threads context kv-memory kv-type kernels quant json",
    .run = run,
};
