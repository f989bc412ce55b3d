/* Grammars: what is refused and where; what is let through, against a reading of GBNF that shares nothing with the
 * engine's (naive_grammar.h): token by token at every state that a few tokens reach; and whole generations. */
#include "engine/engine.h"
#include "engine/grammar.h"
#include "engine/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf_writer.h"
#include "naive_grammar.h"

#define MODEL "tests/reference/tiny/tiny-wide-q4_1.gguf"

/* --- what is refused --------------------------------------------------------------------------------------------- */

static const struct wrong {
    const char *text;
    int line, column;
    const char *part;
} wrongs[] = {
    {"", 1, 1, "no rule `root`"},
    {"# nothing\n", 2, 1, "no rule `root`"},
    {"a ::= \"x\"", 1, 10, "no rule `root`"},
    {"root ::= \"a\" nosuch", 1, 14, "no rule `nosuch`"},
    {"root ::= \"a\"\n  root ::= \"b\"", 2, 3, "already there, in line 1"},
    {"root ::= \"abc", 1, 10, "not closed on its line"},
    {"root ::= \"abc\n\"", 1, 10, "not closed on its line"},
    {"root ::= \"é\" \"\\q\"", 1, 15, "unknown escape"},
    {"root ::= \"\\x4\"", 1, 11, "fewer than 2"},
    {"root ::= \"\\u12g4\"", 1, 11, "fewer than 4"},
    {"root ::= \"\\U00110000\"", 1, 11, "110000 is no character"},
    {"root ::= \"\\ud800\"", 1, 11, "D800 is no character"},
    {"root ::= \"\\", 1, 11, "nothing follows"},
    {"root ::= \"\xff\"", 1, 11, "not UTF-8"},
    {"root ::= []", 1, 10, "empty class"},
    {"root ::= [^]", 1, 10, "empty class"},
    {"root ::= [a-z", 1, 10, "not closed"},
    {"root ::= [z-a]", 1, 11, "ends before it begins"},
    {"root ::= [^\\x00-\\U0010FFFF]", 1, 10, "no character"},
    {"root ::= \"a\" | *", 1, 16, "nothing stands before"},
    {"root ::= \"a\"**", 1, 14, "two repetitions"},
    {"root ::= \"a\"{2,1}", 1, 13, "ends before it begins"},
    {"root ::= \"a\"{}", 1, 13, "not a repetition"},
    {"root ::= \"a\"{,}", 1, 13, "not a repetition"},
    {"root ::= \"a\"{2", 1, 13, "not a repetition"},
    {"root ::= \"a\"{x}", 1, 13, "not a repetition"},
    {"root ::= \"a\"{4097}", 1, 14, "too large"},
    {"root ::= \"a\"{1,99999999999999}", 1, 16, "too large"},
    {"root ::= ((\"a\"{400}){400}){400}", 1, 15, "too large"},
    {"root ::= (((\"\"{4000}){4000}){4000}){4000}", 1, 15, "too large"},
    {"root ::= (\"a\" ", 1, 10, "not closed"},
    {"root ::= (\"a\"\nb ::= \"c\"", 2, 1, "inside parentheses"},
    {"root ::= \"a\" )", 1, 14, "expected a literal"},
    {"root ::= (\"a\" ])", 1, 15, "expected a literal"},
    {"root ::= \"a\"\n  | \"b\"", 2, 3, "put the | at the end"},
    {"root ::= \"a\" |\nb ::= \"c\"", 2, 1, "goes on"},
    {"root = \"a\"", 1, 6, "expected ::="},
    {"?", 1, 1, "expected a rule"},
    {"root ::= root \"a\" | \"b\"", 1, 1, "left recursion: the rule `root`"},
    {"root ::= a\na ::= b? c\nb ::= \"x\"\nc ::= \"y\"? a \"z\" | \"w\"", 2, 1, "(a, c, a)"},
    {"root ::= (root)*", 1, 1, "left recursion"},
    {"root ::= \"a\" x\nx ::= \"b\" x", 1, 1, "`root` never ends"},
    {"x ::= \"b\" x\nroot ::= \"a\"", 1, 1, "`x` never ends"},
    {"root ::= a\na ::= \"x\" b\nb ::= \"y\" a", 1, 1, "never ends"},
};

/* n opening parentheses around "a" */
static char *nested(int n)
{
    struct string s = {0};
    string_add(&s, "root ::= ");
    for (int i = 0; i < n; i++)
        string_add(&s, "(");
    string_add(&s, "\"a\"");
    for (int i = 0; i < n; i++)
        string_add(&s, ")");
    return s.text;
}

static struct engine *vocabulary;

static void assert_refused(const char *text, int line, int column, const char *part)
{
    struct engine_grammar *g = NULL;
    struct error e, bare;
    size_t offset, at = 0;
    char place[64];
    if (engine_grammar_compile(&g, vocabulary, text, &e) != ERROR_INPUT)
        fail_msg("%s: was not refused", text);
    snprintf(place, sizeof place, "grammar:%d:%d: ", line, column);
    if (strncmp(e.message, place, strlen(place)) || !strstr(e.message, part))
        fail_msg("%s: expected %s%s; got: %s", text, place, part, e.message);
    assert_null(g);
    assert_int_equal(engine_grammar_check(text, &offset, &bare), ERROR_INPUT);
    assert_string_equal(bare.message, e.message + strlen(place));
    for (int l = 1, c = 1; l < line || c < column; at++) {
        c = text[at] == '\n' ? 1 : c + ((text[at + 1] & 0xc0) != 0x80);
        l += text[at] == '\n';
    }
    assert_int_equal(offset, at);
    assert_int_equal(engine_grammar_check(text, NULL, NULL), ERROR_INPUT);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        assert_refused(wrongs[i].text, wrongs[i].line, wrongs[i].column, wrongs[i].part);
    char *text = nested(ENGINE_GRAMMAR_DEPTH);
    assert_int_equal(engine_grammar_check(text, NULL, NULL), OK);
    free(text);
    text = nested(ENGINE_GRAMMAR_DEPTH + 1);
    assert_refused(text, 1, 10 + ENGINE_GRAMMAR_DEPTH, "nested more than 100");
    free(text);
    struct string s = {0};
    for (int i = 0; i <= ENGINE_GRAMMAR_RULES; i++)
        string_addf(&s, "r%d ::= \"a\"\n", i);
    assert_refused(s.text, ENGINE_GRAMMAR_RULES + 1, 1, "more than 4096 rules");
    string_clear(&s);
    /* A long chain of rules is no recursion; closed, it is one, and is named. */
    string_add(&s, "root ::= r0\n");
    for (int i = 0; i < 4000; i++)
        string_addf(&s, "r%d ::= r%d\n", i, i + 1);
    string_add(&s, "r4000 ::= \"a\"");
    assert_int_equal(engine_grammar_check(s.text, NULL, NULL), OK);
    string_add(&s, " | r0");
    assert_refused(s.text, 2, 1, "left recursion: the rule `r0` comes to itself before any character (r0, r1, r2, r3, r4, r5, ..., r0)");
    string_free(&s);
    /* 2^30 ways before the first byte. */
    string_add(&s, "root ::= r0\n");
    for (int i = 0; i < 30; i++)
        string_addf(&s, "r%d ::= r%d \"x\" | r%d \"y\"\n", i, i + 1, i + 1);
    string_add(&s, "r30 ::= \"a\"");
    assert_refused(s.text, 1, 1, "too ambiguous");
    string_free(&s);
}

/* --- what is let through ----------------------------------------------------------------------------------------- */

/* 'y': the whole text is described; 'b': only a beginning is; 'n': not even that. By hand. */
static const struct verdict {
    const char *grammar, *text;
    char is;
} verdicts[] = {
    {"root ::= \"a\"", "", 'b'},
    {"root ::= \"a\"", "a", 'y'},
    {"root ::= \"a\"", "aa", 'n'},
    {"root ::= ", "", 'y'},
    {"root ::= \"\"", "x", 'n'},
    {"root ::= \"a\" | ", "", 'y'},
    {"root ::= \"a\" | \"ab\"", "a", 'y'},
    {"root ::= \"ab\"*", "abab", 'y'},
    {"root ::= \"ab\"*", "aba", 'b'},
    {"root ::= \"a\" \"b\"*", "abb", 'y'},
    {"root ::= \"a\"{2}", "a", 'b'},
    {"root ::= \"a\"{2}", "aaa", 'n'},
    {"root ::= \"a\"{2,}", "aaaaa", 'y'},
    {"root ::= \"a\"{,2}", "", 'y'},
    {"root ::= \"a\"{,2}", "aaa", 'n'},
    {"root ::= \"a\"{ 1 , 3 }", "aaa", 'y'},
    {"root ::= \"a\"{0}", "a", 'n'},
    {"root ::= (\"a\" | \"b\"){2,3} \"c\"", "abc", 'y'},
    {"root ::= (\"a\" | \"b\"){2,3} \"c\"", "abac", 'y'},
    {"root ::= (\"a\" | \"b\"){2,3} \"c\"", "ac", 'n'},
    {"root ::= [a-c-]", "-", 'y'},
    {"root ::= [a-c-]", "b", 'y'},
    {"root ::= [-a]", "-", 'y'},
    {"root ::= [\\]\\[\\\\]+", "][\\", 'y'},
    {"root ::= [^a-c]", "b", 'n'},
    {"root ::= [^a-c]", "d", 'y'},
    {"root ::= [^a]", "\xc3", 'b'},
    {"root ::= [^a]", "\xc3\xa9", 'y'},
    {"root ::= [^\xc3\xa9]", "\xc3\xa9", 'n'},
    {"root ::= [^\xc3\xa9]", "\xc3\xa8", 'y'},
    {"root ::= .", "\n", 'y'},
    {"root ::= .", "\xf4\x8f\xbf\xbf", 'y'},
    {"root ::= .", "\xf4\x90", 'n'},
    {"root ::= .", "\xed\xa0", 'n'},      /* a surrogate */
    {"root ::= .", "\xc0", 'n'},          /* an overlong form */
    {"root ::= .", "\x80", 'n'},
    {"root ::= \"\\xe9\"", "\xc3\xa9", 'y'}, /* \x is a character, not a byte */
    {"root ::= \"\\u65e5\\U0001F600\\t\\r\"", "\xe6\x97\xa5\xf0\x9f\x98\x80\t\r", 'y'},
    {"root ::= x # a comment\n\n# another\nx ::= \"a\" # and\n", "a", 'y'},
    {"root ::=\n  \"a\" |\n  \"b\"\n", "b", 'y'},
    {"root ::= ( \"a\"\n  \"b\"\n | \"c\" )\n \n", "ab", 'y'},
    {"root ::= \"a\"\r\nb ::= \"c\"\r\n", "a", 'y'},
    {"Two_2 ::= \"b\"\nroot ::= \"a\" Two_2", "ab", 'y'},
    {"root ::= \"(\" root \")\" | \"x\"", "((x))", 'y'},
    {"root ::= \"(\" root \")\" | \"x\"", "((x)", 'b'},
    {"root ::= \"(\" root \")\" | \"x\"", "(x))", 'n'},
    {"root ::= (\"a\"?)*", "aaa", 'y'},
    {"root ::= (e*)* \"b\"\ne ::= | \"a\"", "aab", 'y'},
    {"root ::= \"a\" root | ", "aaaaaaaaaaaaaaaaaaaaaaaa", 'y'},
};

static struct engine_grammar *compile(const struct engine *engine, const char *text)
{
    struct engine_grammar *g = NULL;
    struct error e;
    if (engine_grammar_compile(&g, engine, text, &e))
        fail_msg("%s: %s", text, e.message);
    return g;
}

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        const struct verdict *v = &verdicts[i];
        struct engine_grammar *g = compile(vocabulary, v->grammar);
        struct engine_matcher *m = engine_matcher_create(g, ENGINE_MATCHER_MEMORY);
        struct error e;
        size_t n = strlen(v->text);
        int complete, began = engine_matcher_can_end(m), fits = !engine_matcher_take(m, v->text, n, &e);
        char is = fits ? engine_matcher_can_end(m) ? 'y' : 'b' : 'n';
        if (is != v->is)
            fail_msg("%s: `%s` is %c, expected %c", v->grammar, v->text, is, v->is);
        if (!fits) { /* nothing has moved */
            assert_int_equal(e.code, ERROR_INPUT);
            assert_int_equal(engine_matcher_can_end(m), began);
        }
        int begins = naive_begins(v->grammar, v->text, n, &complete);
        if ((complete ? 'y' : begins ? 'b' : 'n') != v->is)
            fail_msg("%s: `%s`: the naive reading is wrong", v->grammar, v->text);
        engine_matcher_free(m);
        engine_grammar_free(g);
    }
}

/* --- masks ------------------------------------------------------------------------------------------------------- */

/* A vocabulary of all bytes, texts that cut characters and words in odd places, and tokens that are no text. */
static const char *const texts[] = {
    "ab", "aab", "aaa", "ba", "abc", "((", "()", "))", ")(", "(()", "[]", "[[", "]]", "{\"", "\":", "\"}", "\", ", "true", "tru", "fal", "se",
    " + ", " = ", "4 +", " 5", "10", "12", "123", "\n\n", " (left", ": ", "left", "\xc3\xa9", "\xc3\xa9\xc3", "\xa9x", "a\xc3",
    "\xe6\x97", "\x97\xa5", "\xa5\xe6", "\xe6\x97\xa5", "\xe6\x97\xa5\xe6\x9c", "\xf0\x9f", "\x9f\x98", "\x98\x80", "\xf0\x9f\x98", "\x80" "b",
    "\xed\x9f", "\xee\x80\x80", "\xf4\x8f", "\xc2\x80", "\xdf\xbf\xe0", "-1", "/2", "xx", "xxxxxxxxxxxx", "..", "  ",
};
enum { TEXTS = sizeof texts / sizeof *texts, ENDING = 256 + TEXTS, CONTROL, UNUSED, TOKENS };

static void put_letters(struct string *s, const char *text, size_t n)
{
    struct string name = {0};
    for (size_t i = 0; i < n; i++) {
        int b = (unsigned char)text[i], c = b;
        if (b <= 0x20)
            c = 0x100 + b;
        else if (b >= 0x7f && b <= 0xa0)
            c = 0x121 + b - 0x7f;
        else if (b == 0xad)
            c = 0x143;
        char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, ascii = (char)c;
        string_append(&name, c < 0x80 ? &ascii : utf8, c < 0x80 ? 1 : 2);
    }
    put_bytes(s, name.text, name.length);
    string_free(&name);
}

static struct engine *open_vocabulary(void)
{
    struct string s = {0};
    put_header(&s, 3, 0, 6);
    put_key_text(&s, "general.architecture", "llama");
    put_key_text(&s, "tokenizer.ggml.model", "gpt2");
    put_key_text(&s, "tokenizer.ggml.pre", "smollm");
    put_key_array(&s, "tokenizer.ggml.tokens", PUT_TEXT, TOKENS);
    for (int i = 0; i < 256; i++)
        put_letters(&s, &(char){(char)i}, 1);
    for (int i = 0; i < TEXTS; i++)
        put_letters(&s, texts[i], strlen(texts[i]));
    put_text(&s, "<|im_end|>");
    put_text(&s, "<|im_start|>");
    put_text(&s, "nothing");
    put_key_array(&s, "tokenizer.ggml.token_type", PUT_I32, TOKENS);
    for (int i = 0; i < TOKENS; i++)
        put(&s, i == UNUSED ? 5 : i == ENDING || i == CONTROL ? 3 : 1, 4);
    put_key_array(&s, "tokenizer.ggml.merges", PUT_TEXT, 1);
    put_text(&s, "a b");
    char path[] = "/tmp/espalier-grammar-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0 && write(file, s.text, s.length) == (ssize_t)s.length);
    close(file);
    struct engine *engine = NULL;
    struct error e;
    if (engine_open(&engine, &(struct engine_options){.model = path, .vocabulary_only = 1}, &e))
        fail_msg("%s", e.message);
    unlink(path);
    string_free(&s);
    return engine;
}

static const char *const grammars[] = {
    "root ::= \"a\"",
    "root ::= \"\"",
    "root ::= (\"a\" | \"b\" | \"ab\")* \"c\"?",
    "root ::= \"a\"{2,4} \"b\"{,2} \"c\"{1} [ab]{1,}",
    "root ::= (\"a\"{1,2} \"b\"){2,3}",
    "root ::= ((\"a\" \"b\"?){2}){0,2} \"x\"",
    "root ::= \"(\" root \")\" root | \"\"",
    "root ::= value\nvalue ::= \"[\" (value (\", \" value)*)? \"]\" | string | [0-9]+ | \"true\" | \"false\"\nstring ::= \"\\\"\" [^\"\\\\\\n]* \"\\\"\"",
    "root ::= obj\nobj ::= \"{\" (\"\\\"\" [a-z]{1,3} \"\\\":\" ( \"1\" | obj ))? \"}\"",
    "root ::= .{1,3}",
    "root ::= .* \"\\n\\n\"",
    "root ::= [^\\n]+ (\"\\n\" [^\\n]+){,2}",
    "root ::= [\xc3\xa0-\xc3\xbf]{2} \"x\"",
    "root ::= [\\u0080-\\u07ff\\u65e5-\\u6728\\U0001F600-\\U0001F64F]{1,3}",
    "root ::= [^\\u0000-\\ud7ff]",
    "root ::= [\\ud000-\\ue100] | [\\u0800-\\uffff] \"b\"",
    "root ::= [^\xe6\x97\xa5\xc3\xa9" "a]{2}",
    "root ::= \"\xe6\x97\xa5\xe6\x9c\xac\" | \"\xf0\x9f\x98\x80\" \"b\" | \"\xc3\xa9\"+ \"x\"",
    "root ::= step (\"\\n\" step)*\nstep ::= n \" + \" n \" = \" v \" (left: \" v (\" \" v){1} \")\"\nn ::= \"4\" | \"5\" | \"10\"\nv ::= \"-\"? [0-9]{1,3} (\"/\" [0-9])?",
    "root ::= a b | b a\na ::= \"a\" a | \"\"\nb ::= (\"b\" | \"a\" b)?",
    "root ::= (e*)* \"b\"\ne ::= | \"a\"",
    "root ::= p\np ::= \"x\" p \"x\" | \"x\"", /* every x may be the middle */
    "root ::= s\ns ::= \"(\" s \")\" | \"(\" s \"a\" | \"\"", /* 2^n stacks */
    "root ::= [(] ( \"a\" ( \"b\" ( \"c\" )? )? )? [)]+",
};

struct texts_found {
    struct string list[400];
    int depth[400], count;
};

static int is_set(const uint64_t *bits, int id)
{
    return (int)(bits[id / 64] >> id % 64 & 1);
}

/* The mask after a text, each token of it by the naive reading; the texts that allowed tokens lead to are added. */
static void check_mask(const char *grammar, const struct engine *engine, struct engine_matcher *m, struct texts_found *found, int at,
                       int most)
{
    const uint64_t *bits;
    int allowed, complete, count = 0, tokens = engine_info(engine)->vocabulary;
    struct string text = {0};
    struct error e;
    size_t n = found->list[at].length;
    naive_begins(grammar, string_text(&found->list[at]), n, &complete);
    assert_int_equal(engine_matcher_can_end(m), complete);
    if (engine_matcher_mask(m, &bits, &allowed, &e))
        fail_msg("%s", e.message);
    int any = 0;
    for (int id = 0; id < tokens; id++) {
        int whole, expected = complete;
        string_clear(&text);
        string_append(&text, string_text(&found->list[at]), n);
        engine_detokenize(engine, &id, 1, 0, &text);
        if (!engine_token_ends(engine, id))
            expected = text.length > n && text.length < 127 && naive_begins(grammar, text.text, text.length, &whole);
        if (is_set(bits, id) != expected && text.length < 127)
            fail_msg("%s\nafter `%s` token %d `%s` is %s", grammar, string_text(&found->list[at]), id, string_text(&text) + n,
                     expected ? "not allowed" : "allowed");
        count += is_set(bits, id);
        any |= expected && text.length > n;
        /* A few of many, so that a class of all characters does not fill the list. */
        double chance = allowed < 12 ? 1 : 12.0 / allowed;
        if (expected && text.length > n && found->count < most && found->depth[at] < 5 &&
            random_uniform(5, (uint64_t)at, (uint64_t)id) < chance) {
            found->depth[found->count] = found->depth[at] + 1;
            string_append(&found->list[found->count++], text.text, text.length);
        }
    }
    assert_int_equal(count, allowed);
    if (any)
        assert_true(engine_matcher_can_go_on(m));
    string_free(&text);
}

static void check_masks(const char *grammar, const struct engine *engine, int most, size_t memory)
{
    struct texts_found found = {.count = 1};
    struct engine_grammar *g = compile(engine, grammar);
    struct engine_matcher *m[400] = {NULL};
    struct error e;
    for (int at = 0; at < found.count; at++) {
        m[at] = engine_matcher_create(g, memory);
        if (engine_matcher_take(m[at], string_text(&found.list[at]), found.list[at].length, &e))
            fail_msg("%s", e.message);
        check_mask(grammar, engine, m[at], &found, at, most);
        engine_matcher_free(m[at]);
    }
    /* And one matcher that goes on from a text to a longer one, as a request's does. */
    struct string so_far = {0};
    struct engine_matcher *one = engine_matcher_create(g, memory);
    for (int at = 1; at < found.count; at++) {
        const struct string *next = &found.list[at];
        if (next->length <= so_far.length || (so_far.length && memcmp(next->text, so_far.text, so_far.length)))
            continue;
        assert_int_equal(engine_matcher_take(one, next->text + so_far.length, next->length - so_far.length, &e), OK);
        string_append(&so_far, next->text + so_far.length, next->length - so_far.length);
        check_mask(grammar, engine, one, &found, at, 0);
    }
    engine_matcher_free(one);
    string_free(&so_far);
    for (int i = 0; i < found.count; i++)
        string_free(&found.list[i]);
    engine_grammar_free(g);
}

static void test_masks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++)
        for (int forgetful = 0; forgetful < 2; forgetful++) /* one that forgets all it can at each byte */
            check_masks(grammars[i], vocabulary, forgetful ? 40 : 120, forgetful ? 0 : ENGINE_MATCHER_MEMORY);
}

/* What a matcher remembers is bounded, and that it forgets shows nowhere. */
static void test_forgetting(void **state)
{
    (void)state;
    struct engine_grammar *g = compile(vocabulary, "root ::= \"(\" root \")\" root | [a-z]{1,300} | \"\"");
    struct engine_matcher *m = engine_matcher_create(g, 1 << 18);
    struct error e;
    const uint64_t *bits;
    int depth = 0, most = 0, allowed;
    size_t largest = 0, last = 0;
    int forgot = 0;
    for (uint64_t i = 0; i < 30000; i++) {
        double u = random_uniform(1, 2, i);
        int close = depth && u < 0.45;
        assert_int_equal(engine_matcher_take(m, close ? ")" : "(", 1, &e), OK);
        depth += close ? -1 : 1;
        most = depth > most ? depth : most;
        assert_int_equal(engine_matcher_can_end(m), depth == 0);
        if (i % 50 == 0) {
            assert_int_equal(engine_matcher_mask(m, &bits, &allowed, &e), OK);
            assert_int_equal(is_set(bits, ')'), depth > 0);
            assert_int_equal(is_set(bits, '('), 1);
            assert_int_equal(is_set(bits, ENDING), depth == 0);
            assert_int_equal(is_set(bits, CONTROL) | is_set(bits, UNUSED), 0);
        }
        forgot += engine_matcher_bytes(m) < last;
        last = engine_matcher_bytes(m);
        largest = last > largest ? last : largest;
    }
    assert_true(most > 1000);
    assert_true(forgot > 0);
    assert_true(largest < (size_t)1 << 19);
    engine_matcher_free(m);
    engine_grammar_free(g);
}

/* 2^n ways to read n letters: an error, nothing worse, and the matcher stands where it stood. */
static void test_too_ambiguous(void **state)
{
    (void)state;
    struct engine_grammar *g = compile(vocabulary, "root ::= s\ns ::= \"a\" s \"b\" | \"a\" s \"c\" | \"\"");
    struct engine_matcher *m = engine_matcher_create(g, ENGINE_MATCHER_MEMORY);
    struct error e = {0};
    int n = 0;
    while (n < 100 && !engine_matcher_take(m, "a", 1, &e))
        n++;
    assert_true(n >= 10 && n < 20);
    assert_int_equal(e.code, ERROR_INPUT);
    assert_non_null(strstr(e.message, "too ambiguous"));
    for (int i = 0; i < n; i++)
        assert_int_equal(engine_matcher_take(m, i % 2 ? "b" : "c", 1, &e), OK);
    assert_true(engine_matcher_can_end(m));
    assert_false(engine_matcher_can_go_on(m));
    engine_matcher_free(m);
    engine_grammar_free(g);
}

/* --- drawing among some ------------------------------------------------------------------------------------------ */

/* The same token as drawing from logits in which the others cannot come; log-probabilities of all. */
static void test_masked_draw(void **state)
{
    (void)state;
    enum { N = 619 };
    static float logits[N], without[N], all[N];
    static int scratch[2 * N];
    for (uint64_t round = 0; round < 300; round++) {
        uint64_t mask[N / 64 + 1] = {0};
        int recent[20], n = round % 3 ? N : 5, some = 0;
        double share = random_uniform(1, round, 0), sum = 0, cut = 0, max = -INFINITY;
        for (int i = 0; i < n; i++) {
            all[i] = logits[i] = (float)(12 * random_uniform(2, round, (uint64_t)i) - 3);
            if (random_uniform(3, round, (uint64_t)i) < share * share || (i == n - 1 && !some))
                some++, mask[i / 64] |= (uint64_t)1 << i % 64;
            without[i] = is_set(mask, i) ? logits[i] : -INFINITY;
            max = fmax(max, logits[i]);
        }
        for (int i = 0; i < n; i++) {
            sum += exp(logits[i] - max);
            cut += is_set(mask, i) ? 0 : exp(logits[i] - max);
        }
        for (int i = 0; i < 20; i++)
            recent[i] = (int)(random_uniform(4, round, (uint64_t)i) * n);
        struct engine_sampling s = {.temperature = round % 4 ? 0.5f + (float)(round % 5) / 4 : 0,
                                    .top_k = round % 7 == 1 ? 4 : 0,
                                    .top_p = round % 5 == 2 ? 0.8f : 1,
                                    .min_p = round % 5 == 3 ? 0.2f : 0,
                                    .repetition_penalty = round % 2 ? 1.3f : 1};
        struct engine_token token, plain, raw;
        struct error e;
        double draw = random_uniform(5, round, 0);
        assert_int_equal(engine_sample_masked(logits, n, mask, &s, recent, 20, draw, scratch, &token, &e), OK);
        assert_int_equal(engine_sample(without, n, &s, recent, 20, draw, scratch, &plain, &e), OK);
        assert_int_equal(token.id, plain.id);
        assert_true(is_set(mask, token.id));
        assert_int_equal(engine_measure(all, n, token.id, &raw, &e), OK);
        assert_true(token.logprob == raw.logprob);
        assert_memory_equal(token.top, raw.top, sizeof raw.top);
        assert_true(raw.cut == 0 && plain.cut == 0);
        assert_true(token.cut >= 0 && token.cut <= 1);
        if (fabs((double)token.cut - cut / sum) > 1e-5)
            fail_msg("cut %g, expected %g", (double)token.cut, cut / sum);
        assert_true(some < n || token.cut == 0);
    }
}

/* --- generations ------------------------------------------------------------------------------------------------- */

static struct engine *open_with(struct engine_options options)
{
    struct error e;
    struct engine *engine = NULL;
    if (!options.model)
        options.model = MODEL;
    if (engine_open(&engine, &options, &e))
        fail_msg("%s", e.message);
    return engine;
}

static int prompt[200];

static struct engine_request request(int n, int max_tokens, uint64_t stream)
{
    return (struct engine_request){.prompt = prompt,
                                   .prompt_count = n,
                                   .max_tokens = max_tokens,
                                   .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
                                   .seed = 7,
                                   .stream = stream};
}

static void run(struct engine *engine)
{
    struct error e;
    int live = 1;
    while (live)
        if (engine_step(engine, &live, &e))
            fail_msg("%s", e.message);
}

static struct engine_result result_of(struct engine *engine, const struct engine_request *q)
{
    struct engine_result r;
    struct error e;
    int id;
    if (engine_submit(engine, q, &id, &e))
        fail_msg("%s", e.message);
    run(engine);
    assert_true(engine_result(engine, &r));
    return r;
}

enum { MANY = 24 };

/* With grammars and without, of several kinds of sampling. */
static const char *make_request(int i, struct engine_request *q)
{
    static const char *const stops[] = {"b"};
    *q = request(20 + i % 5 * 16, 60, (uint64_t)i);
    if (i % 6 == 1)
        q->sampling.temperature = 0;
    if (i % 6 == 2)
        q->sampling.top_k = 3, q->sampling.repetition_penalty = 1.5f;
    if (i % 6 == 3)
        q->sampling.top_p = 0.8f, q->sampling.temperature = 2;
    if (i % 8 == 5)
        q->stops = stops, q->stop_count = 1;
    return i % 5 == 4 ? NULL : grammars[(size_t)i * 7 % (sizeof grammars / sizeof *grammars - 2)];
}

static void run_all(struct engine *engine, struct engine_result *out)
{
    struct engine_grammar *g[MANY] = {NULL};
    struct engine_request q;
    struct engine_result r;
    struct error e;
    int ids[MANY];
    for (int i = 0; i < MANY; i++) {
        const char *text = make_request(i, &q);
        q.grammar = g[i] = text ? compile(engine, text) : NULL;
        if (engine_submit(engine, &q, &ids[i], &e))
            fail_msg("%s", e.message);
    }
    run(engine);
    while (engine_result(engine, &r))
        for (int i = 0; i < MANY; i++)
            if (ids[i] == r.id)
                out[i] = r;
    for (int i = 0; i < MANY; i++)
        engine_grammar_free(g[i]);
}

static void check_completion(const struct engine *engine, const char *grammar, const struct engine_result *r)
{
    struct string text = {0};
    int complete;
    for (int i = 0; i < r->count; i++) {
        engine_detokenize(engine, &r->tokens[i].id, 1, 0, &text);
        assert_true(r->tokens[i].cut >= 0 && r->tokens[i].cut <= 1);
        if (!grammar)
            assert_true(r->tokens[i].cut == 0);
    }
    if (grammar && text.length < 127) {
        if (!naive_begins(grammar, string_text(&text), text.length, &complete))
            fail_msg("%s: `%s`", grammar, string_text(&text));
        assert_true(complete || r->ending != ENGINE_END_TOKEN);
    }
    string_free(&text);
}

static void test_generations(void **state)
{
    (void)state;
    struct engine_result first[MANY], r[MANY];
    struct engine *engine = open_with((struct engine_options){.threads = 1, .batch = 1});
    size_t small = engine_info(engine)->kv_bytes_per_token * 256;
    int endings[8] = {0}, cuts = 0;
    run_all(engine, first);
    for (int i = 0; i < MANY; i++) {
        struct engine_request q;
        const char *grammar = make_request(i, &q);
        check_completion(engine, grammar, &first[i]);
        endings[first[i].ending] += grammar != NULL;
        for (int k = 0; k < first[i].count; k++)
            cuts += first[i].tokens[k].cut > 0.5f;
    }
    assert_true(endings[ENGINE_END_TOKEN] > 3 && endings[ENGINE_END_LENGTH] > 0 && cuts > 20);
    engine_close(engine);
    int64_t rows[2] = {0, 0};
    for (int c = 0; c < 8; c++) {
        struct engine_statistics s;
        engine = open_with((struct engine_options){
            .threads = 1 + c % 2, .batch = c / 2 % 2 ? 4 : 16, .kv_memory = c / 4 ? small : 0});
        run_all(engine, r);
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(r[i].ending, first[i].ending);
            assert_int_equal(r[i].count, first[i].count);
            if (r[i].count)
                assert_memory_equal(r[i].tokens, first[i].tokens, (size_t)r[i].count * sizeof *r[i].tokens);
            engine_result_free(&r[i]);
        }
        engine_statistics(engine, &s);
        rows[c / 4] += s.prompt_rows;
        engine_close(engine);
    }
    assert_true(rows[1] > rows[0]); /* memory was short: some were put back and computed again */
    for (int i = 0; i < MANY; i++)
        engine_result_free(&first[i]);
}

/* With every token's raw probability, by scoring it: the cut is the sum over what the naive reading does not allow, and
 * the token is the one the draw falls on among the others. */
static void test_cut_and_draw(void **state)
{
    (void)state;
    static const char grammar[] = "root ::= ([a-z]{1,4} | \" \" | \"\xc3\xa9\" | \"\xe4\xb8\xad\"){3,9} \".\"";
    struct engine *engine = open_with((struct engine_options){.threads = 2});
    struct engine_grammar *g = compile(engine, grammar);
    struct engine_request q = request(30, 8, 3);
    int n = engine_info(engine)->vocabulary, ids[64];
    q.grammar = g;
    struct engine_result r = result_of(engine, &q);
    struct string text = {0};
    assert_int_equal(r.count, 8);
    memcpy(ids, prompt, 30 * sizeof *ids);
    for (int i = 0; i < r.count; i++) {
        double cut = 0, kept = 0, reached = 0, *p = calloc((size_t)n, sizeof *p);
        for (int id = 0; id < n; id++) {
            struct engine_request score = {.prompt = ids, .prompt_count = 31 + i, .score = 1};
            struct string next = {0};
            int complete;
            ids[30 + i] = id;
            struct engine_result s = result_of(engine, &score);
            p[id] = exp((double)s.tokens[29 + i].logprob);
            if (id == r.tokens[i].id)
                assert_true(s.tokens[29 + i].logprob == r.tokens[i].logprob);
            assert_memory_equal(s.tokens[29 + i].top, r.tokens[i].top, sizeof r.tokens[i].top);
            engine_result_free(&s);
            string_append(&next, string_text(&text), text.length);
            engine_detokenize(engine, &id, 1, 0, &next);
            if (next.length == text.length || !naive_begins(grammar, next.text, next.length, &complete)) {
                cut += p[id];
                p[id] = 0;
            }
            kept += p[id];
            string_free(&next);
        }
        if (fabs(cut - (double)r.tokens[i].cut) > 1e-5)
            fail_msg("token %d: cut %g, expected %g", i, (double)r.tokens[i].cut, cut);
        double draw = random_uniform(7, 3, (uint64_t)i);
        int best = -1, counted = 0;
        do { /* the first in descending probability, then the others by their ids */
            best = -1;
            for (int id = 0; id < n; id++)
                if (p[id] > 0 && (best < 0 || (counted < ENGINE_TOP && p[id] > p[best])))
                    best = id;
            reached += p[best];
            p[best] = 0;
            counted++;
        } while (reached <= draw * kept);
        assert_int_equal(best, r.tokens[i].id);
        engine_detokenize(engine, &r.tokens[i].id, 1, 0, &text);
        ids[30 + i] = r.tokens[i].id;
        free(p);
    }
    string_free(&text);
    engine_result_free(&r);
    engine_grammar_free(g);
    engine_close(engine);
}

static void assert_not_submitted(struct engine *engine, const struct engine_request *q, const char *part)
{
    struct error e;
    int id;
    assert_int_equal(engine_submit(engine, q, &id, &e), ERROR_INPUT);
    if (!strstr(e.message, part))
        fail_msg("expected %s; got: %s", part, e.message);
}

/* What is already part of the text; an end that is the only way on; bad requests. */
static void test_past(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 1});
    struct engine_grammar *g = compile(engine, "root ::= \"left\" (\" and\" | \"er\"){2}");
    struct engine_tokens t = {0};
    struct engine_result r;
    engine_tokens_append(&t, prompt, 10);
    engine_tokenize(engine, "left and", 8, 0, &t);
    struct engine_request q = request(1, 20, 0);
    q.grammar = g;
    q.prompt = t.ids;
    q.prompt_count = t.count;
    q.grammar_past = t.count - 10;
    r = result_of(engine, &q);
    struct string text = {0};
    for (int i = 0; i < r.count; i++)
        engine_detokenize(engine, &r.tokens[i].id, 1, 0, &text);
    assert_true(!strcmp(text.text, " and") || !strcmp(text.text, "er"));
    assert_int_equal(r.ending, ENGINE_END_TOKEN);
    engine_result_free(&r);
    engine_tokenize(engine, "er", 2, 0, &t);
    q.prompt = t.ids;
    q.prompt_count = t.count;
    q.grammar_past = t.count - 10;
    r = result_of(engine, &q); /* nothing can be added */
    assert_int_equal(r.ending, ENGINE_END_TOKEN);
    assert_int_equal(r.count, 0);
    engine_result_free(&r);
    q.grammar_past = 1;
    assert_not_submitted(engine, &q, "is not part of what the grammar describes");
    q.grammar_past = t.count + 1;
    assert_not_submitted(engine, &q, "expected 0 to");
    q.grammar_past = -1;
    assert_not_submitted(engine, &q, "expected 0 to");
    q.grammar_past = 1;
    q.prompt = (const int[]){5, 1}; /* <|im_start|> says nothing */
    q.prompt_count = 2;
    assert_not_submitted(engine, &q, "it says nothing");
    q.grammar_past = 0;
    q.score = 1;
    assert_not_submitted(engine, &q, "cannot go with");
    q.score = 0;
    q.ignore_end = 1;
    assert_not_submitted(engine, &q, "cannot go with");
    q.ignore_end = 0;
    engine_grammar_free(g);
    q.grammar = g = compile(vocabulary, "root ::= \"a\"");
    assert_not_submitted(engine, &q, "another model");
    q.grammar = NULL;
    q.grammar_past = 1;
    assert_not_submitted(engine, &q, "expected 0 to 0");
    engine_grammar_free(g);
    engine_tokens_free(&t);
    string_free(&text);
    engine_close(engine);
}

/* The model without some tokens: their kind becomes `unused`. */
static struct engine *open_without(const char *what, int endings)
{
    static const char key[] = "tokenizer.ggml.token_type";
    struct engine *engine = open_with((struct engine_options){.threads = 1});
    FILE *f = fopen(MODEL, "rb");
    char bytes[1 << 18];
    size_t n = fread(bytes, 1, sizeof bytes, f), at = 0;
    fclose(f);
    assert_true(n < sizeof bytes);
    while (memcmp(bytes + at, key, sizeof key - 1))
        at++;
    at += sizeof key - 1 + 4 + 4 + 8;
    for (int id = 0; id < engine_info(engine)->vocabulary; id++) {
        size_t length;
        const char *text = engine_token_text(engine, id, &length);
        if ((length && memchr(text, *what, length)) || (endings && engine_token_ends(engine, id)))
            bytes[at + 4 * (size_t)id] = 5;
    }
    engine_close(engine);
    char path[] = "/tmp/espalier-grammar-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0 && write(file, bytes, n) == (ssize_t)n);
    close(file);
    engine = open_with((struct engine_options){.model = path, .threads = 1});
    unlink(path);
    return engine;
}

static void test_nothing_allowed(void **state)
{
    (void)state;
    struct engine *engine = open_without("Z", 0);
    struct engine_grammar *g = compile(engine, "root ::= \"aa\" (\"Z\" | \"Z9\")"), *fine = compile(engine, "root ::= [a-z]{20}");
    struct engine_request q = request(10, 30, 0);
    struct engine_result r;
    struct error e;
    int id[3], live = 1, errors = 0;
    for (int i = 0; i < 3; i++) {
        q.grammar = i == 1 ? g : fine;
        assert_int_equal(engine_submit(engine, &q, &id[i], &e), OK);
    }
    while (live)
        if (engine_step(engine, &live, &e)) {
            errors++;
            assert_int_equal(e.code, ERROR_INPUT);
            assert_non_null(strstr(e.message, "request 1: after 2 tokens the grammar allows none"));
            assert_non_null(strstr(e.message, "begins with 'Z'"));
        }
    assert_int_equal(errors, 1);
    for (int i = 0; i < 3; i++) {
        assert_true(engine_result(engine, &r));
        assert_int_equal(r.ending, r.id == id[1] ? ENGINE_END_CANCELLED : ENGINE_END_TOKEN);
        engine_result_free(&r);
    }
    engine_grammar_free(g);
    engine_grammar_free(fine);
    engine_close(engine);
}

/* Where the text may end and the model has no token to say so, it ends. */
static void test_end_without_a_token(void **state)
{
    (void)state;
    struct engine *engine = open_without("Z", 1);
    struct engine_grammar *g = compile(engine, "root ::= \"a\" \"Z\"?");
    struct engine_request q = request(10, 30, 0);
    q.grammar = g;
    struct engine_result r = result_of(engine, &q);
    assert_int_equal(r.ending, ENGINE_END_TOKEN);
    assert_int_equal(r.count, 1);
    engine_result_free(&r);
    engine_grammar_free(g);
    engine_close(engine);
}

/* 2^n readings end the request, and name it; the others go on. */
static void test_ambiguous_request(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 2});
    struct engine_grammar *bad = compile(engine, "root ::= s\ns ::= \"a\" s \"b\" | \"a\" s \"c\" | \"x\""),
                          *fine = compile(engine, "root ::= [a-z]{30}");
    struct engine_tokens t = {0};
    struct engine_request q = request(10, 60, 0);
    struct engine_result r;
    struct error e;
    int first, second, live = 1, errors = 0;
    engine_tokens_append(&t, prompt, 10);
    engine_tokenize(engine, "aaaaaaaaaaaaaaaaaaaa", 20, 0, &t);
    assert_int_equal(t.count, 30);
    q.prompt = t.ids;
    q.grammar = bad;
    for (q.grammar_past = 20; q.grammar_past > 8; q.grammar_past--) { /* one letter less than too many */
        q.prompt_count = 10 + q.grammar_past;
        if (!engine_submit(engine, &q, &first, &e))
            break;
        assert_non_null(strstr(e.message, "too ambiguous"));
    }
    assert_true(q.grammar_past > 8 && q.grammar_past < 20);
    q.grammar_past = 0;
    q.grammar = fine;
    assert_int_equal(engine_submit(engine, &q, &second, &e), OK);
    while (live)
        if (engine_step(engine, &live, &e)) {
            errors++;
            assert_int_equal(e.code, ERROR_INPUT);
            assert_non_null(strstr(e.message, "request 0: the grammar is too ambiguous"));
        }
    assert_int_equal(errors, 1);
    for (int i = 0; i < 2; i++) {
        assert_true(engine_result(engine, &r));
        assert_int_equal(r.ending, r.id == first ? ENGINE_END_CANCELLED : ENGINE_END_TOKEN);
        engine_result_free(&r);
    }
    engine_tokens_free(&t);
    engine_grammar_free(bad);
    engine_grammar_free(fine);
    engine_close(engine);
}

int main(void)
{
    vocabulary = open_vocabulary();
    for (int i = 0; i < 200; i++)
        prompt[i] = 3 + (int)(random_uniform(1, 2, (uint64_t)i) * 290);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_verdicts),    cmocka_unit_test(test_masks),
        cmocka_unit_test(test_forgetting),    cmocka_unit_test(test_too_ambiguous), cmocka_unit_test(test_masked_draw),
        cmocka_unit_test(test_generations),   cmocka_unit_test(test_cut_and_draw), cmocka_unit_test(test_past),
        cmocka_unit_test(test_nothing_allowed), cmocka_unit_test(test_end_without_a_token), cmocka_unit_test(test_ambiguous_request),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    engine_close(vocabulary);
    return failed;
}
