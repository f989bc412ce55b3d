/* tokenize and detokenize: between text and a list of ids. */
#include "tui/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int tokenize(const struct tui_options *o)
{
    struct error e;
    struct engine *engine = NULL;
    struct string text = {0};
    struct engine_tokens tokens = {0};
    int code = tui_engine_open(o, NULL, TUI_TOKENS, &engine, &e);
    if (!code)
        code = tui_read_text(o, &text, &e);
    if (!code) {
        const struct engine_message message = {"user", string_text(&text)};
        if (o->chat)
            engine_chat(engine, &message, 1, o->no_thinking ? ENGINE_BRIEF : 0, &tokens);
        else
            engine_tokenize(engine, string_text(&text), text.length, ENGINE_SPECIAL, &tokens);
        json_t *list = json_array();
        for (int i = 0; i < tokens.count; i++)
            json_array_append_new(list, json_integer(tokens.ids[i]));
        if (o->json) {
            tui_print_json(list);
        } else {
            struct string shown = {0};
            for (int i = 0; i < tokens.count; i++) {
                char *line = tui_token_quoted(engine, tokens.ids[i]);
                string_addf(&shown, "%6d  %s\n", tokens.ids[i], line);
                free(line);
            }
            fputs(string_text(&shown), stdout);
            string_free(&shown);
            json_decref(list);
        }
    }
    engine_tokens_free(&tokens);
    string_free(&text);
    engine_close(engine);
    return code ? tui_fail(&e) : OK;
}

/* Ids as tokenize writes them, with or without --json: numbers at the start of a line, or between [ , and ]. */
static int parse_ids(const char *text, int vocabulary, struct engine_tokens *out, struct error *e)
{
    int line = 1;
    for (const char *p = text; *p;) {
        if (strchr(" \t\r\n,[]", *p)) {
            line += *p++ == '\n';
            continue;
        }
        char *end;
        errno = 0;
        long id = strtol(p, &end, 10);
        if (end == p || errno || (*end && !strchr(" \t\r\n,]", *end)))
            return error_set(e, ERROR_INPUT, "line %d: a list of token ids was expected, as in [9707, 11], not '%.20s'", line, p);
        if (id < 0 || id >= vocabulary)
            return error_set(e, ERROR_INPUT, "line %d: %ld is no token of this model; its ids go from 0 to %d", line, id, vocabulary - 1);
        engine_tokens_add(out, (int)id);
        p = end;
        while (*p == ' ')
            p++;
        if (*p == '"') /* the text tokenize shows beside an id */
            p += strcspn(p, "\n");
    }
    return OK;
}

static int detokenize(const struct tui_options *o)
{
    struct error e;
    struct engine *engine = NULL;
    struct string text = {0}, bytes = {0};
    struct engine_tokens tokens = {0};
    int code = tui_engine_open(o, NULL, TUI_TOKENS, &engine, &e);
    if (!code)
        code = tui_read_text(o, &text, &e);
    if (!code)
        code = parse_ids(string_text(&text), engine_info(engine)->vocabulary, &tokens, &e);
    if (!code) {
        engine_detokenize(engine, tokens.ids, tokens.count, 1, &bytes);
        if (o->json)
            tui_print_json(tui_json_text(string_text(&bytes), bytes.length));
        else
            fwrite(string_text(&bytes), 1, bytes.length, stdout);
    }
    engine_tokens_free(&tokens);
    string_free(&bytes);
    string_free(&text);
    engine_close(engine);
    return code ? tui_fail(&e) : OK;
}

const struct tui_command tui_command_tokenize = {
    .name = "tokenize",
    .summary = "the token ids of a text (or of standard input)",
    .usage = "tokenize [OPTIONS] [TEXT]",
    .example = "espalier tokenize --json 'What is 8 * 7?'",
    .options = "model chat no-thinking json",
    .run = tokenize,
};

const struct tui_command tui_command_detokenize = {
    .name = "detokenize",
    .summary = "the text of token ids (or of those on standard input)",
    .usage = "detokenize [OPTIONS] [IDS]",
    .example = "espalier tokenize --json hello | espalier detokenize",
    .options = "model json",
    .run = detokenize,
};
