/* Pre-tokenizers: lists of expressions, applied one after another. What an expression matches becomes a piece, what
 * lies between two matches becomes a piece, and the next expression sees each piece as if it were a whole text.
 *
 * The reference is llama.cpp, whose hand-written matchers these expressions reproduce, oddities included:
 *  - its tables are of Unicode 15.1; PCRE2's may be older, so what came to be a letter, a number or punctuation since
 *    Unicode 14 is written out;
 *  - white space is the property White_Space (PCRE2's \s under UCP has U+180E too);
 *  - a byte that does not begin a UTF-8 sequence is read as U+FFFD, one for each byte, while overlong forms are read
 *    as the character they stand for, and surrogates as themselves.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/pretokenizer.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* --- the table --------------------------------------------------------------------------------------------------- */

/* For use within [ ]. */
#define YOUNG_LETTER                                                                                                   \
    "\\x{1123F}-\\x{11240}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}\\x{1342F}"                              \
    "\\x{13441}-\\x{13446}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}"                              \
    "\\x{1E4D0}-\\x{1E4EB}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define LETTER "\\p{L}" YOUNG_LETTER
#define NUMBER "\\p{N}\\x{11F50}-\\x{11F59}\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{1E4F9}"
#define PUNCTUATION "\\p{P}\\x{11B00}-\\x{11B09}\\x{11F43}-\\x{11F4F}"
#define MARK                                                                                                           \
    "\\p{M}\\x{CF3}\\x{ECE}\\x{10EFD}-\\x{10EFF}\\x{11241}\\x{11F00}\\x{11F01}\\x{11F03}\\x{11F34}-\\x{11F3A}"            \
    "\\x{11F3E}-\\x{11F42}\\x{13440}\\x{13447}-\\x{13455}\\x{1E08F}\\x{1E4EC}-\\x{1E4EF}"
#define SYMBOL                                                                                                         \
    "\\p{S}\\x{2FFC}-\\x{2FFF}\\x{31EF}\\x{1F6DC}\\x{1F774}-\\x{1F776}\\x{1F77B}-\\x{1F77F}\\x{1F7D9}\\x{1FA75}-\\x{1FA77}"  \
    "\\x{1FA87}\\x{1FA88}\\x{1FAAD}-\\x{1FAAF}\\x{1FABB}-\\x{1FABD}\\x{1FABF}\\x{1FACE}\\x{1FACF}\\x{1FADA}\\x{1FADB}"        \
    "\\x{1FAE8}\\x{1FAF7}\\x{1FAF8}"
#define SPACE                                                                                                          \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

#define SPACES "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTER "]++| ?[" NUMBER "]++| ?[^" SPACE LETTER NUMBER "]++|" SPACES
/* Llama 3's; with another number of digits Qwen 2's. Qwen 3.5 has marks among its letters. */
#define CONTRACTIONS "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define LLAMA3_OF(letter, digits)                                                                                      \
    CONTRACTIONS "|[^\\r\\n" LETTER NUMBER "]?[" letter "]++|[" NUMBER "]" digits "| ?[^" SPACE letter NUMBER          \
                 "]++[\\r\\n]*+|[" SPACE "]*[\\r\\n]++|" SPACES
#define LLAMA3(digits) LLAMA3_OF(LETTER, digits)
/* Capitals before small letters: any letter but a-z, then any but A-Z; those outside ASCII are both. The second and third say what is
 * left of that where there is no small letter: up to the last that is not a capital, or capitals alone. */
#define CASED                                                                                                          \
    "[^\\r\\n" LETTER NUMBER "]?(?:(?:(?![a-z])[" LETTER "])*+[a-z](?:(?![A-Z])[" LETTER "])*+"                        \
    "|(?:[A-Z]*+(?![A-Za-z])[" LETTER "])++|[A-Z]++)"
#define TEKKEN(suffix, digits)                                                                                         \
    CASED suffix "|[" NUMBER "]" digits "| ?[^" SPACE LETTER NUMBER "]++[\\r\\n/]*+|[" SPACE "]*[\\r\\n]++|" SPACES
/* What the makers of Tekken wrote, and llama.cpp only comes near to: letters outside ASCII have a case too, and marks are among them. */
#define CAPITALS "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}" YOUNG_LETTER MARK "]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}" YOUNG_LETTER MARK "]"
#define TEKKEN_EXACT                                                                                                   \
    "[^\\r\\n" LETTER NUMBER "]?" CAPITALS "*" SMALL "++|[^\\r\\n" LETTER NUMBER "]?" CAPITALS "++" SMALL "*+|[" NUMBER "]"    \
    "| ?[^" SPACE LETTER NUMBER "]++[\\r\\n/]*+|[" SPACE "]*[\\r\\n]++|" SPACES
/* DeepSeek's. The letters are those that have a case, of the Unicode of its day. */
#define CASED_LETTERS                                                                                                  \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}" \
    "\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}" \
    "\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}" \
    "\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}" \
    "\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}" \
    "\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}" \
    "\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}" \
    "\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}" \
    "\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}" \
    "\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}" \
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}" \
    "\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
#define DEEPSEEK_CJK /* U+0800 to U+9FA5 but for white space, and U+AC00 to U+D7FF */                                  \
    "\\x{800}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}"                  \
    "\\x{2060}-\\x{2FFF}\\x{3001}-\\x{9FA5}\\x{AC00}-\\x{D7FF}"
#define DEEPSEEK_PUNCTUATION "!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3001}\\x{3002}"
#define DEEPSEEK3                                                                                                      \
    "[!-/:-@\\[-`{-~][A-Za-z]++|[^\\r\\n" LETTER PUNCTUATION SYMBOL "]?[" LETTER MARK "]++| ?[" PUNCTUATION SYMBOL     \
    "]++[\\r\\n]*+|[" SPACE "]*[\\r\\n]++|" SPACES
#define LAST_SPACES "(?<![" SPACE "])[" SPACE "]++\\z"

enum { STAGES = 6 };

/* What a file may call them, and what llama.cpp does for that name; tekken-exact is ours, for folders. */
static const struct row {
    const char *name;
    int whole_words, begins;
    const char *stages[STAGES]; /* NULL beyond the last */
} rows[] = {
    {"smollm", 0, 0, {"[" NUMBER "]", GPT2}},
    {"starcoder", 0, 0, {"[" NUMBER "]", GPT2}},
    {"refact", 0, 0, {"[" NUMBER "]", GPT2}},
    {"command-r", 0, 0, {"[" NUMBER "]", GPT2}},
    {"exaone", 0, 0, {"[" NUMBER "]", GPT2}},
    {"gpt-2", 0, 0, {GPT2}},
    {"phi-2", 0, 0, {GPT2}},
    {"mpt", 0, 0, {GPT2}},
    {"olmo", 0, 0, {GPT2}},
    {"exaone4", 0, 0, {GPT2}},
    {"default", 0, 0, {"[" PUNCTUATION "$+<=>^~|]++", GPT2, "[" NUMBER "]++", "[0-9][0-9][0-9]"}},
    {"falcon", 0, 0, {"[" PUNCTUATION "$+<=>^~|`]++", GPT2, "[0-9][0-9][0-9]"}},
    {"llama-bpe", 1, 1, {LLAMA3("{1,3}+")}},
    {"llama3", 1, 1, {LLAMA3("{1,3}+")}},
    {"llama-v3", 1, 1, {LLAMA3("{1,3}+")}},
    {"falcon3", 1, 1, {LLAMA3("{1,3}+")}},
    {"pixtral", 1, 1, {LLAMA3("{1,3}+")}},
    {"lfm2", 1, 1, {LLAMA3("{1,3}+")}},
    {"dbrx", 0, 0, {LLAMA3("{1,3}+")}},
    {"smaug-bpe", 0, 0, {LLAMA3("{1,3}+")}},
    {"chatglm-bpe", 0, 0, {LLAMA3("{1,3}+")}},
    {"glm4", 1, 0, {LLAMA3("{1,3}+")}},
    {"qwen2", 0, 0, {LLAMA3("")}},
    {"qwen35", 0, 0, {LLAMA3_OF(LETTER MARK, "")}},
    {"deepseek-r1-qwen", 0, 0, {LLAMA3("")}},
    {"stablelm2", 0, 0, {LLAMA3("")}},
    {"megrez", 0, 0, {LLAMA3("")}},
    {"tekken", 1, 1, {TEKKEN("", "")}},
    {"tekken-exact", 1, 1, {TEKKEN_EXACT}},
    {"gpt-4o", 0, 0, {TEKKEN("(?:" CONTRACTIONS ")?+", "{1,3}+")}},
    {"llama4", 0, 0, {TEKKEN("(?:" CONTRACTIONS ")?+", "{1,3}+")}},
    {"deepseek-llm",
     0,
     0,
     {"[\\r\\n]", "[" SPACE "]?[" CASED_LETTERS "]++", "[" SPACE "]?[" DEEPSEEK_PUNCTUATION "]++", LAST_SPACES, "[" DEEPSEEK_CJK "]++",
      "[" NUMBER "]++"}},
    {"deepseek-coder",
     0,
     0,
     {"[\\r\\n]", "[" SPACE "]?[" LETTER "]++", "[" SPACE "]?[" PUNCTUATION "]++", "[" DEEPSEEK_CJK "]++", "[" NUMBER "]"}},
    {"deepseek-v3", 0, 0, {"[" NUMBER "]{1,3}+", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{30FF}]++", DEEPSEEK3}},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* Invariant: code[i] is the compiled row->stages[i] for i < stages. */
struct engine_pretokenizer {
    const struct row *row;
    int stages;
    pcre2_code *code[STAGES];
};

static int compile(struct engine_pretokenizer *p, struct error *e)
{
    for (; p->stages < STAGES && p->row->stages[p->stages]; p->stages++) {
        int why;
        size_t where;
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)p->row->stages[p->stages], PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP, &why, &where, NULL);
        if (!code) {
            char text[128];
            pcre2_get_error_message(why, (PCRE2_UCHAR *)text, sizeof text);
            return error_set(e, ERROR_ENGINE,
                             "PCRE2 cannot compile the expressions of %s: %s at %zu; a PCRE2 with Unicode is needed",
                             p->row->name, text, where);
        }
        pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where there is no JIT, matching is slower and the same */
        p->code[p->stages] = code;
    }
    return OK;
}

int engine_pretokenizer_create(struct engine_pretokenizer **out, struct engine_text name, const char *path,
                               struct error *e)
{
    *out = NULL;
    for (int i = 0; i < ROWS; i++)
        if (strlen(rows[i].name) == name.length && !memcmp(rows[i].name, name.bytes, name.length)) {
            struct engine_pretokenizer *p = xcalloc(1, sizeof *p);
            p->row = &rows[i];
            int code = compile(p, e);
            if (code)
                engine_pretokenizer_free(p);
            else
                *out = p;
            return code;
        }
    struct string known = {0};
    for (int i = 0; i < ROWS; i++)
        string_addf(&known, "%s%s", i ? ", " : "", rows[i].name);
    error_set(e, ERROR_INPUT, "%.200s: tokenizer.ggml.pre is \"%.*s\"; this version knows %s", path,
              (int)(name.length < 80 ? name.length : 80), name.bytes, string_text(&known));
    string_free(&known);
    return ERROR_INPUT;
}

void engine_pretokenizer_free(struct engine_pretokenizer *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->stages; i++)
        pcre2_code_free(p->code[i]);
    free(p);
}

const char *engine_pretokenizer_name(const struct engine_pretokenizer *p)
{
    return p->row->name;
}

int engine_pretokenizer_whole_words(const struct engine_pretokenizer *p)
{
    return p->row->whole_words;
}

int engine_pretokenizer_begins(const struct engine_pretokenizer *p)
{
    return p->row->begins;
}

/* --- reading text as the reference does -------------------------------------------------------------------------- */

static int is_continuation(const char *p, const char *end)
{
    return p < end && ((unsigned char)*p & 0xc0) == 0x80;
}

/* One character at *p, by the shape of its bytes alone; -1 and one byte on where they have none. */
static int32_t loose_next(const char **p, const char *end)
{
    const char *s = *p;
    unsigned char lead = (unsigned char)*s;
    int more = lead < 0x80 ? 0 : lead < 0xc0 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf8 ? 3 : -1;
    int32_t c = more == 0 ? lead : more > 0 ? lead & (0x3f >> more) : -1;
    for (int i = 1; i <= more; i++) {
        if (!is_continuation(s + i, end)) {
            c = -1;
            break;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c > 0x10ffff)
        c = -1;
    *p = c < 0 ? s + 1 : s + 1 + more;
    return c;
}

static void append_character(struct string *s, int32_t c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    string_append(s, bytes, n);
}

/* bytes: the text as read, every character in its one shape. shape: the same with surrogates, which PCRE2 takes for no
 * character at all, replaced by U+FFFD: as long, and of the same kind to every expression. */
static void read_loosely(const char *text, size_t n, struct string *bytes, struct string *shape)
{
    for (const char *p = text, *end = text + n; p < end;) {
        int32_t c = loose_next(&p, end);
        if (c < 0)
            c = 0xfffd;
        append_character(bytes, c);
        append_character(shape, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    }
}

static int is_utf8(const char *text, size_t n)
{
    for (const char *p = text, *end = text + n; p < end;)
        if (utf8_next(&p, end) < 0)
            return 0;
    return 1;
}

/* --- splitting --------------------------------------------------------------------------------------------------- */

struct split {
    const struct engine_pretokenizer *p;
    const char *bytes, *shape; /* equally long; PCRE2 sees shape, words are of bytes */
    pcre2_match_data *match[STAGES];
    void (*word)(void *argument, const char *bytes, size_t n);
    void *argument;
};

/* The piece [from, to) by the expressions from `stage` on. No expression matches the empty text. No character is ever
 * lost: what no expression matches is a word, and so is what PCRE2 would give up on at its match limit, which these
 * expressions never reach: none of them backtracks by more than one character. */
static void split_piece(const struct split *s, int stage, size_t from, size_t to)
{
    if (stage == s->p->stages) {
        s->word(s->argument, s->bytes + from, to - from);
        return;
    }
    while (from < to) {
        size_t start = to - from, end = to - from;
        if (pcre2_match(s->p->code[stage], (PCRE2_SPTR)s->shape + from, to - from, 0, PCRE2_NO_UTF_CHECK,
                        s->match[stage], NULL) > 0) {
            const size_t *span = pcre2_get_ovector_pointer(s->match[stage]);
            start = span[0];
            end = span[1];
        }
        if (start)
            split_piece(s, stage + 1, from, from + start);
        if (end > start)
            split_piece(s, stage + 1, from + start, from + end);
        from += end;
    }
}

void engine_pretokenizer_split(const struct engine_pretokenizer *p, const char *text, size_t n,
                               void (*word)(void *argument, const char *bytes, size_t n), void *argument)
{
    struct string bytes = {0}, shape = {0};
    struct split s = {.p = p, .bytes = text, .shape = text, .word = word, .argument = argument};
    if (!is_utf8(text, n)) {
        read_loosely(text, n, &bytes, &shape);
        s.bytes = bytes.text;
        s.shape = shape.text;
        n = bytes.length;
    }
    for (int i = 0; i < p->stages; i++)
        s.match[i] = pcre2_match_data_create(1, NULL);
    split_piece(&s, 0, 0, n);
    for (int i = 0; i < p->stages; i++)
        pcre2_match_data_free(s.match[i]);
    string_free(&bytes);
    string_free(&shape);
}
