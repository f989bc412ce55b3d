/* libFuzzer: any bytes as a grammar, and, where it is one, the bytes after its first NUL as a text matched with it: what
 * is refused says where, and a text taken byte by byte stands where it stands when taken at once.
 */
#include "engine/grammar.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void match(const struct engine_grammar *g, const char *text, size_t n)
{
    struct engine_matcher *whole = engine_matcher_create(g, ENGINE_MATCHER_MEMORY), *single = engine_matcher_create(g, 0);
    struct error e;
    struct string expected = {0};
    size_t taken = 0;
    while (taken < n && !engine_matcher_take(single, text + taken, 1, &e))
        taken++;
    int code = engine_matcher_take(whole, text, taken, &e);
    if (code || engine_matcher_can_end(whole) != engine_matcher_can_end(single) ||
        engine_matcher_can_go_on(whole) != engine_matcher_can_go_on(single))
        abort();
    engine_matcher_expected(whole, &expected);
    if (engine_matcher_can_go_on(whole) != (expected.length > 0))
        abort();
    if (!engine_matcher_can_end(whole) && !engine_matcher_can_go_on(whole))
        abort(); /* what can begin can be ended */
    string_free(&expected);
    engine_matcher_free(whole);
    engine_matcher_free(single);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *text = (const char *)bytes, *nul = memchr(bytes, 0, n);
    size_t length = nul ? (size_t)(nul - text) : n, offset;
    char *grammar = xstrndup(text, length);
    struct engine_grammar g;
    struct error e;
    int code = engine_grammar_check(grammar, &offset, &e);
    if (code && (code != ERROR_INPUT || offset > length || !e.message[0]))
        abort();
    if (!code) {
        if (engine_grammar_parse(&g, grammar, &offset, &e))
            abort();
        if (nul)
            match(&g, nul + 1, n - length - 1);
        engine_grammar_clear(&g);
    }
    free(grammar);
    return 0;
}
