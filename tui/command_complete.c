/* complete: plain continuation of a text, no template. */
#include "tui/command.h"

#include <string.h>

static const char *const endings[] = {
    [ENGINE_END_TOKEN] = "end", [ENGINE_END_STOP] = "stop", [ENGINE_END_LENGTH] = "length",
    [ENGINE_END_CONTEXT] = "context", [ENGINE_END_SCORED] = "scored", [ENGINE_END_CANCELLED] = "cancelled",
};

static json_t *token_json(struct engine *engine, const struct engine_token *t)
{
    size_t n;
    const char *text = engine_token_text(engine, t->id, &n);
    json_t *top = json_array();
    for (int i = 0; i < ENGINE_TOP && t->top[i].id >= 0; i++) {
        size_t m;
        const char *other = engine_token_text(engine, t->top[i].id, &m);
        json_array_append_new(top, json_pack("{s:i, s:o, s:f}", "id", t->top[i].id, "text", tui_json_text(other, m), "logprob",
                                             (double)t->top[i].logprob));
    }
    return json_pack("{s:i, s:o, s:f, s:o}", "id", t->id, "text", tui_json_text(text, n), "logprob", (double)t->logprob, "top", top);
}

static void print_json(struct engine *engine, const struct string *prompt, const struct engine_result *r)
{
    struct string bytes = {0};
    json_t *list = json_array();
    for (int i = 0; i < r->count; i++) {
        engine_detokenize(engine, &r->tokens[i].id, 1, 1, &bytes);
        json_array_append_new(list, token_json(engine, &r->tokens[i]));
    }
    tui_print_json(json_pack("{s:o, s:o, s:o, s:s, s:i}", "prompt", tui_json_text(string_text(prompt), prompt->length), "text",
                             tui_json_text(string_text(&bytes), bytes.length), "tokens", list, "ending", endings[r->ending],
                             "prompt_tokens", r->prompt_count));
    string_free(&bytes);
}

/* Print what is new of the completion, holding back a character that is not whole yet. */
static size_t print_new(struct engine *engine, const struct engine_token *tokens, int count, size_t printed, int last)
{
    struct string bytes = {0};
    for (int i = 0; i < count; i++)
        engine_detokenize(engine, &tokens[i].id, 1, 1, &bytes);
    size_t end = bytes.length;
    for (size_t back = 1; !last && back <= 3 && back <= end; back++) {
        unsigned char c = (unsigned char)bytes.text[end - back];
        if ((c & 0xc0) == 0x80)
            continue;
        if (c >= 0xc0 && back < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u))
            end -= back;
        break;
    }
    if (end > printed) {
        struct string clean = {0};
        utf8_sanitize(&clean, bytes.text + printed, end - printed, 1);
        fwrite(clean.text, 1, clean.length, stdout);
        fflush(stdout);
        string_free(&clean);
    }
    string_free(&bytes);
    return end;
}

static int stream(const struct tui_options *o, struct engine *engine, const struct engine_request *request, struct engine_result *result, struct error *e)
{
    int id, live;
    size_t printed = 0;
    int code = engine_submit(engine, request, &id, e);
    while (!code && !engine_result(engine, result)) {
        code = engine_step(engine, &live, e);
        const struct engine_token *tokens;
        int count;
        if (!o->json && !code && engine_so_far(engine, id, &tokens, &count))
            printed = print_new(engine, tokens, count, printed, 0);
    }
    if (!code && !o->json) {
        print_new(engine, result->tokens, result->count, printed, 1);
        putchar('\n');
    }
    return code;
}

static int run(const struct tui_options *o)
{
    struct error e;
    struct engine *engine = NULL;
    struct string text = {0};
    struct engine_tokens tokens = {0};
    struct engine_result result = {0};
    int mix = 0, code = tui_engine_open(o, NULL, TUI_MODEL, &engine, &e);
    if (!code)
        code = tui_adapters_open(o, engine, &mix, &e);
    if (!code)
        code = tui_read_text(o, &text, &e);
    if (!code) {
        int begin = engine_info(engine)->begin_token;
        if (begin >= 0 && (!text.length || engine_info(engine)->begins))
            engine_tokens_add(&tokens, begin);
        engine_tokenize(engine, string_text(&text), text.length, ENGINE_SPECIAL, &tokens);
        if (!tokens.count)
            code = error_set(&e, ERROR_INPUT, "nothing to continue: give a prompt, or pipe one to standard input");
    }
    if (!code) {
        struct engine_request request = {
            .prompt = tokens.ids, .prompt_count = tokens.count, .max_tokens = o->n ? o->n : 64, .sampling = engine_sampling_choose(o->sampling, ENGINE_SAMPLING_DEFAULT), .seed = o->seed, .mix = mix,
        };
        code = stream(o, engine, &request, &result, &e);
    }
    if (!code && o->json)
        print_json(engine, &text, &result);
    engine_result_free(&result);
    engine_tokens_free(&tokens);
    string_free(&text);
    engine_close(engine);
    return code ? tui_fail(&e) : OK;
}

const struct tui_command tui_command_complete = {
    .name = "complete",
    .summary = "plain continuation of a prompt (or of standard input), no template",
    .usage = "complete [OPTIONS] [PROMPT]",
    .example = "espalier complete -n 32 --temperature 0 'The capital of France is'",
    .options = "model adapter n seed temperature top-k top-p min-p repetition-penalty threads context kv-memory kv-type kernels quant json",
    .run = run,
};
