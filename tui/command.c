#include "tui/command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct tui_command *const tui_commands[] = {
    &tui_command_run,  &tui_command_bench, &tui_command_show,  &tui_command_complete, &tui_command_score, &tui_command_tokenize, &tui_command_detokenize,
    &tui_command_info, &tui_command_speed, &tui_command_quantize, &tui_command_train, &tui_command_merge, &tui_command_task,
    &tui_command_config, &tui_command_tour,
    &tui_command_words, &tui_command_man, NULL,
};

int tui_fail(const struct error *e)
{
    fflush(stdout);
    fprintf(stderr, "espalier: %s\n", e->message);
    return e->code;
}

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    interrupted = number;
}

void tui_interrupts_listen(const int *signals)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    interrupted = 0;
    for (; *signals; signals++)
        sigaction(*signals, &action, NULL);
}

int tui_interrupted(void)
{
    return interrupted;
}

/* The model that comes with the program, for the tasks it was trained on; a small general one that `make model` fetches, for all else. */
static char *shipped_model(void)
{
    return search_data_path("examples", "steps.gguf");
}

char *tui_model_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    return cache && *cache ? xasprintf("%s/espalier/models", cache) : xasprintf("%s/.cache/espalier/models", home ? home : "");
}

static char *fetched_model(void)
{
    char *folder = tui_model_folder(), *path = xasprintf("%s/SmolLM2-135M-Instruct.Q4_1.gguf", folder);
    free(folder);
    return path;
}

int tui_model_is_shipped(const struct tui_options *o)
{
    const char *given = o->model ? o->model : getenv("ESPALIER_MODEL");
    char *shipped = given && *given ? NULL : shipped_model();
    free(shipped);
    return shipped != NULL;
}

int tui_model_path(const struct tui_options *o, const struct search_task *task, char **path, struct error *e)
{
    const char *given = o->model ? o->model : getenv("ESPALIER_MODEL");
    int code = OK;
    *path = NULL;
    if (given && *given) {
        *path = xstrdup(given);
        return OK;
    }
    char *shipped = shipped_model(), *fetched = fetched_model();
    if (shipped && task && search_task_has_trained(task))
        *path = xstrdup(shipped);
    else if (access(fetched, R_OK) == 0)
        *path = xstrdup(fetched);
    else if (shipped && !task)
        *path = xstrdup(shipped);
    else
        code = error_set(e, ERROR_INPUT, "no model%s%s: give one with -m FILE.gguf, or let `make model` get a small one, 98 MB (it would be %s)",
                         task ? " for task " : "", task ? search_task_name(task) : "", fetched);
    free(shipped);
    free(fetched);
    return code;
}

int tui_engine_open_at(const struct tui_options *o, const char *path, enum tui_part part, struct engine **out, struct error *e)
{
    struct engine_options options = {
        .model = path, .kernels = o->kernels, .quant = o->quant, .kv_type = o->kv_type, .threads = o->threads, .batch = o->batch,
        .context = o->context, .kv_memory = o->kv_memory, .vocabulary_only = part == TUI_TOKENS, .describe = part == TUI_DESCRIPTION,
    };
    return engine_open(out, &options, e);
}

int tui_engine_open(const struct tui_options *o, const struct search_task *task, enum tui_part part, struct engine **out, struct error *e)
{
    char *path;
    int code = tui_model_path(o, task, &path, e);
    if (code)
        return code;
    code = tui_engine_open_at(o, path, part, out, e);
    free(path);
    return code;
}

/* An adapter is right over the weights that it was trained on, and its numbers alone do not tell. */
void tui_adapters_note(const struct engine *engine, struct string *out)
{
    const struct engine_info *info = engine_info(engine);
    for (int i = 0; i < engine_adapters(engine); i++) {
        const struct engine_adapter_about *a = engine_adapter_about(engine, i);
        if (a->quant && strcmp(a->quant, info->quant))
            string_addf(out, "%s was trained on %s weights: right over those, with --quant %s\n", a->path, a->quant, a->quant);
        if (a->base && !engine_same_name(a->base, info->name))
            string_addf(out, "%s was trained on %s, and this is %s: right only if that is another name of the same\n", a->path, a->base, info->name);
    }
}

void tui_adapters_warn(const struct engine *engine)
{
    struct string note = {0}, clean = {0};
    tui_adapters_note(engine, &note);
    utf8_sanitize(&clean, string_text(&note), note.length, 1);
    fputs(string_text(&clean), stderr);
    string_free(&note);
    string_free(&clean);
}

int tui_adapters_open(const struct tui_options *o, struct engine *engine, int *mix, struct error *e)
{
    struct engine_adapter_use *uses = xcalloc((size_t)o->adapter_count + 1, sizeof *uses);
    int code = OK;
    for (int i = 0; i < o->adapter_count && !code; i++) {
        char *path;
        code = search_adapter_parse(o->adapters[i], &path, &uses[i].weight, e);
        if (!code)
            code = engine_adapter_open(engine, path, &uses[i].adapter, e);
        free(path);
    }
    *mix = 0;
    if (!code && o->adapter_count)
        code = engine_mix(engine, uses, o->adapter_count, mix, e);
    free(uses);
    if (!code)
        tui_adapters_warn(engine);
    return code;
}

int tui_judge_open(const struct tui_options *o, struct engine **out, struct error *e)
{
    *out = NULL;
    return o->judge_model ? tui_engine_open_at(o, o->judge_model, TUI_MODEL, out, e) : OK;
}

int tui_read_text(const struct tui_options *o, struct string *out, struct error *e)
{
    for (int i = 0; i < o->word_count; i++)
        string_addf(out, "%s%s", i ? " " : "", o->words[i]);
    if (o->word_count)
        return OK;
    char buffer[65536];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, stdin)) > 0;) {
        string_append(out, buffer, n);
        if (out->length > (size_t)64 << 20)
            return error_set(e, ERROR_INPUT, "standard input: more than 64 MiB of text");
    }
    if (ferror(stdin))
        return error_set(e, ERROR_INPUT, "standard input: %s", strerror(errno));
    return OK;
}

void tui_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(value);
}

json_t *tui_json_text(const char *bytes, size_t n)
{
    struct string clean = {0};
    for (const char *p = bytes, *end = bytes + n; p < end;) {
        const char *start = p;
        if (utf8_next(&p, end) < 0)
            string_append(&clean, "\xef\xbf\xbd", 3);
        else
            string_append(&clean, start, (size_t)(p - start));
    }
    json_t *value = json_stringn(string_text(&clean), clean.length);
    string_free(&clean);
    return value;
}

char *tui_token_quoted(const struct engine *engine, int id)
{
    size_t n;
    const char *text = engine_token_text(engine, id, &n);
    json_t *value = tui_json_text(text, n);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(value);
    return quoted;
}

int tui_complete(struct engine *engine, const struct engine_request *request, struct engine_result *out, struct error *e)
{
    int id, live, code = engine_submit(engine, request, &id, e);
    while (!code && !engine_result(engine, out))
        code = engine_step(engine, &live, e);
    return code;
}
