/* score: the log-probability of each token of a text given those before it. */
#include "tui/command.h"

#include <math.h>
#include <stdlib.h>

static json_t *token_json(struct engine *engine, int id, json_t *logprob)
{
    size_t n;
    const char *text = engine_token_text(engine, id, &n);
    return json_pack("{s:i, s:o, s:o}", "id", id, "text", tui_json_text(text, n), "logprob", logprob);
}

static void print_score(const struct tui_options *o, struct engine *engine, const struct engine_tokens *tokens, const struct engine_result *r)
{
    double sum = 0;
    for (int i = 0; i < r->count; i++)
        sum += r->tokens[i].logprob;
    double perplexity = r->count ? exp(-sum / r->count) : NAN;
    if (o->json) {
        json_t *list = json_array();
        json_array_append_new(list, token_json(engine, tokens->ids[0], json_null()));
        for (int i = 0; i < r->count; i++)
            json_array_append_new(list, token_json(engine, r->tokens[i].id, json_real((double)r->tokens[i].logprob)));
        tui_print_json(json_pack("{s:o, s:o}", "tokens", list, "perplexity", r->count ? json_real(perplexity) : json_null()));
        return;
    }
    for (int i = 0; i < tokens->count; i++) {
        char *shown = tui_token_quoted(engine, tokens->ids[i]);
        if (i)
            printf("%10.4f %6d  %s\n", (double)r->tokens[i - 1].logprob, tokens->ids[i], shown);
        else
            printf("%10s %6d  %s\n", "-", tokens->ids[i], shown);
        free(shown);
    }
    printf("%d tokens, perplexity %.4f\n", tokens->count, perplexity);
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
        if (text.length && engine_info(engine)->begins)
            engine_tokens_add(&tokens, engine_info(engine)->begin_token);
        engine_tokenize(engine, string_text(&text), text.length, ENGINE_SPECIAL, &tokens);
        if (!tokens.count)
            code = error_set(&e, ERROR_INPUT, "nothing to score: give a text, or pipe one to standard input");
    }
    if (!code) {
        struct engine_request request = {.prompt = tokens.ids, .prompt_count = tokens.count, .score = 1, .mix = mix, .sampling = ENGINE_SAMPLING_DEFAULT};
        code = tui_complete(engine, &request, &result, &e);
    }
    if (!code)
        print_score(o, engine, &tokens, &result);
    engine_result_free(&result);
    engine_tokens_free(&tokens);
    string_free(&text);
    engine_close(engine);
    return code ? tui_fail(&e) : OK;
}

const struct tui_command tui_command_score = {
    .name = "score",
    .summary = "the log-probability of each token of a text (or of standard input)",
    .usage = "score [OPTIONS] [TEXT]",
    .example = "espalier score --json 'The capital of France is Paris.'",
    .options = "model adapter threads context kv-memory kv-type kernels quant json",
    .run = run,
};
