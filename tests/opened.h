/* What a file of any bytes may come to: it is refused as every refusal is to be, or it is used as a command would use it. For the fuzzers, and for
 * the test that replays hostile files through them.
 */
#ifndef ESPALIER_TESTS_OPENED_H
#define ESPALIER_TESTS_OPENED_H

#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many came to their end, counted by who uses them: one number in a program, whoever includes this. */
int opened_used __attribute__((weak));

/* Something that must not be: what is fuzzed ends here. */
static inline void opened_fail(const char *why, int code, const struct error *e)
{
    fprintf(stderr, "%s: code %d: \"%s\"\n", why, code, e->message);
    abort();
}

/* One line, and nothing in it that a terminal acts on. */
static inline void opened_check_line(int code, const struct error *e)
{
    const char *p = e->message, *end = p + strlen(p);
    if (p == end || e->code != code)
        opened_fail("a refusal says nothing, or another code", code, e);
    while (p < end) {
        const int32_t c = utf8_next(&p, end);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            opened_fail("not one line of text", code, e);
    }
}

/* 1: it opened. 0: it was refused, as input, in one line that names the file. */
static inline int opened(int code, const struct error *e, const char *name)
{
    if (!code)
        return 1;
    opened_check_line(code, e);
    if (code != ERROR_INPUT)
        opened_fail("a file is refused as something else than bad input", code, e);
    if (!strstr(e->message, name))
        opened_fail("a refusal does not name its file", code, e);
    return 0;
}

/* One token after a text: weights may come to none, as they are none themselves, which is said of the file, or for being huge. */
static inline void use_token(struct engine *engine, const char *path)
{
    const struct engine_message ask = {"user", "ab <|im_start|> c"};
    struct engine_tokens tokens = {0};
    struct engine_result r;
    struct error e = {0};
    int id, live = 1;
    engine_chat(engine, &ask, 1, 0, &tokens);
    if (!tokens.count)
        engine_tokens_add(&tokens, 0);
    const struct engine_request q = {.prompt = tokens.ids, .prompt_count = tokens.count < 48 ? tokens.count : 48, .max_tokens = 1,
                                     .sampling = {.top_p = 1, .repetition_penalty = 1}};
    int code = engine_submit(engine, &q, &id, &e);
    while (!code && live)
        code = engine_step(engine, &live, &e);
    if (code)
        opened_check_line(code, &e);
    if (code && !strstr(e.message, code == ERROR_ENGINE ? "NaN" : code == ERROR_INPUT ? path : "\n"))
        opened_fail("a model that opened does not run", code, &e);
    opened_used += !code;
    while (engine_result(engine, &r))
        engine_result_free(&r);
    engine_tokens_free(&tokens);
}

/* As `info` and then `complete`: described, opened with its weights, a token computed. */
static inline void use_model(const char *path)
{
    for (int describe = 1; describe >= 0; describe--) {
        const struct engine_options o = {.model = path, .threads = 1, .batch = 1, .context = 64, .kv_memory = (size_t)64 << 20, .describe = describe};
        struct engine *engine = NULL;
        struct error e = {0};
        if (!opened(engine_open(&engine, &o, &e), &e, path))
            return;
        const struct engine_info *i = engine_info(engine);
        if (!i->name || !i->architecture || !i->tokenizer || i->layers < 1 || i->vocabulary < 1)
            opened_fail("a model that opened says nothing of itself", 0, &e);
        if (!describe)
            use_token(engine, path);
        engine_close(engine);
    }
}

#endif
