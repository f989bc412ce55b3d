/* GBNF to a graph over bytes.
 *
 *   name ::= alternatives       a rule; it ends with its line, but goes on after |, after ::= and inside ( )
 *   "text"                      with \n \r \t \\ \" \[ \] \xNN \uNNNN \UNNNNNNNN
 *   [a-z_] [^"\n] .             one character of a class, of none of it, any
 *   a b   a | b   ( )   name    one after the other; one of them; a group; a rule
 *   a* a+ a? a{2} a{2,} a{2,5} a{,5}
 *   # to the end of the line is a comment
 *
 * The text is first read into items, then these are written as nodes, from the last to the first, each knowing what
 * follows it. Depth is bounded by the parentheses, size by the number of nodes, whatever the repetitions multiply to.
 */
#include "engine/grammar.h"

#include <stdlib.h>
#include <string.h>

enum { CODE_POINT_LAST = 0x10ffff, SURROGATE_FIRST = 0xd800, SURROGATE_LAST = 0xdfff, WORK_MOST = 1 << 20 };

struct range {
    int low, high;
};

/* What was read. Items of a list are linked backwards, last first: that is how they are written. */
enum item_kind { CLASS, RULE, SEQUENCE, CHOICE, REPEAT };
struct item {
    enum item_kind kind;
    size_t at;
    int first, count; /* CLASS: ranges; RULE: first is the rule */
    int low, high;    /* REPEAT: high -1: without end */
    int last, before; /* SEQUENCE, CHOICE, REPEAT: their last item; in a list: the item before this one; -1: none */
};

struct rule {
    size_t name, length; /* in the text */
    size_t used, defined;
    int body; /* -1: used, but not defined so far */
};

struct reader {
    struct engine_grammar *out;
    const char *text, *p, *end;
    struct item *items;
    int item_count, item_capacity;
    struct range *ranges;
    int range_count, range_capacity;
    struct rule *rules;
    int rule_count, rule_capacity;
    int *slots; /* of the rules by name: rule + 1; 0: free */
    int depth, work, failed;
    size_t at;                          /* the repetition being unfolded */
    struct engine_grammar_edge *firsts; /* of the class being written */
    int first_count, first_capacity;
    int class_node; /* the first of its other nodes */
    size_t *offset;
    struct error *e;
};

enum { SLOTS = 4 * ENGINE_GRAMMAR_RULES };

#define FAIL(r, place, ...)                                                                                            \
    ((r)->failed = 1, *(r)->offset = (size_t)((place) - (r)->text), error_set((r)->e, ERROR_INPUT, __VA_ARGS__))

/* --- characters -------------------------------------------------------------------------------------------------- */

static int is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Blanks and comments; line ends too where a rule goes on over them. */
static void skip(struct reader *r, int lines)
{
    while (r->p < r->end) {
        if (*r->p == '#')
            while (r->p < r->end && *r->p != '\n')
                r->p++;
        else if (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || (lines && *r->p == '\n'))
            r->p++;
        else
            return;
    }
}

static int read_hex(struct reader *r, int digits, int32_t *out)
{
    const char *start = r->p - 2;
    int64_t value = 0;
    for (int i = 0; i < digits; i++, r->p++) {
        char c = r->p < r->end ? *r->p : 0;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return FAIL(r, start, "\\%c has fewer than %d hexadecimal digits", start[1], digits);
        value = value * 16 + digit;
    }
    if (value > CODE_POINT_LAST || (value >= SURROGATE_FIRST && value <= SURROGATE_LAST))
        return FAIL(r, start, "%llX is no character; expected at most 10FFFF, and not D800 to DFFF", (long long)value);
    *out = (int32_t)value;
    return OK;
}

/* One character of a literal or a class. */
static int read_character(struct reader *r, int32_t *out)
{
    const char *start = r->p;
    if (*r->p != '\\') {
        *out = utf8_next(&r->p, r->end);
        return *out < 0 ? FAIL(r, start, "not UTF-8") : OK;
    }
    if (++r->p == r->end)
        return FAIL(r, start, "nothing follows the \\");
    switch (*r->p++) {
    case 'n':
        *out = '\n';
        return OK;
    case 'r':
        *out = '\r';
        return OK;
    case 't':
        *out = '\t';
        return OK;
    case '\\':
    case '"':
    case '[':
    case ']':
        *out = r->p[-1];
        return OK;
    case 'x':
        return read_hex(r, 2, out);
    case 'u':
        return read_hex(r, 4, out);
    case 'U':
        return read_hex(r, 8, out);
    default:
        return FAIL(r, start, "unknown escape; there are \\n \\r \\t \\\\ \\\" \\[ \\] \\xNN \\uNNNN \\UNNNNNNNN");
    }
}

/* --- items ------------------------------------------------------------------------------------------------------- */

static int add_item(struct reader *r, enum item_kind kind, const char *at)
{
    ARRAY_RESERVE(r->items, r->item_count, r->item_capacity);
    r->items[r->item_count] = (struct item){.kind = kind, .at = (size_t)(at - r->text), .last = -1, .before = -1};
    return r->item_count++;
}

static void link_item(struct reader *r, int list, int item)
{
    r->items[item].before = r->items[list].last;
    r->items[list].last = item;
}

static void add_range(struct reader *r, int low, int high)
{
    ARRAY_RESERVE(r->ranges, r->range_count, r->range_capacity);
    r->ranges[r->range_count++] = (struct range){low, high};
}

/* A literal is the sequence of its characters, so that "ab"* repeats both. */
static int read_literal(struct reader *r, int *out)
{
    const char *start = r->p++;
    *out = add_item(r, SEQUENCE, start);
    while (r->p < r->end && *r->p != '"' && *r->p != '\n') {
        int32_t c;
        const char *at = r->p;
        if (read_character(r, &c))
            return ERROR_INPUT;
        int item = add_item(r, CLASS, at);
        r->items[item].first = r->range_count;
        r->items[item].count = 1;
        add_range(r, c, c);
        link_item(r, *out, item);
    }
    if (r->p == r->end || *r->p != '"')
        return FAIL(r, start, "the literal is not closed on its line; end it with \", and write a line end as \\n");
    r->p++;
    return OK;
}

static int by_low(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->low != y->low ? (x->low < y->low ? -1 : 1) : x->high < y->high ? -1 : x->high > y->high;
}

/* The ranges from `first` on: sorted, merged, turned into the others when negated, without surrogates. */
static void settle_ranges(struct reader *r, int first, int negated)
{
    int n = r->range_count - first, kept = 0, next = 0;
    struct range *copy = xcalloc((size_t)n + 1, sizeof *copy);
    for (int i = 0; i < n; i++)
        copy[i] = r->ranges[first + i];
    qsort(copy, (size_t)n, sizeof *copy, by_low);
    for (int i = 0; i < n; i++) {
        if (kept && copy[i].low <= copy[kept - 1].high + 1)
            copy[kept - 1].high = copy[i].high > copy[kept - 1].high ? copy[i].high : copy[kept - 1].high;
        else
            copy[kept++] = copy[i];
    }
    r->range_count = first;
    for (int i = 0; i <= kept; i++) {
        struct range part = i < kept ? copy[i] : (struct range){CODE_POINT_LAST + 1, CODE_POINT_LAST + 1};
        struct range wanted = negated ? (struct range){next, part.low - 1} : part;
        next = part.high + 1;
        if (!negated && i == kept)
            break;
        if (wanted.low < SURROGATE_FIRST && wanted.high >= wanted.low)
            add_range(r, wanted.low, wanted.high < SURROGATE_FIRST ? wanted.high : SURROGATE_FIRST - 1);
        if (wanted.high > SURROGATE_LAST && wanted.high >= wanted.low)
            add_range(r, wanted.low > SURROGATE_LAST ? wanted.low : SURROGATE_LAST + 1, wanted.high);
    }
    free(copy);
}

static int finish_class(struct reader *r, int item, int first, int negated)
{
    settle_ranges(r, first, negated);
    r->items[item].first = first;
    r->items[item].count = r->range_count - first;
    return r->items[item].count ? OK : FAIL(r, r->text + r->items[item].at, "no character is in this class");
}

static int read_class(struct reader *r, int *out)
{
    const char *start = r->p++;
    int negated = r->p < r->end && *r->p == '^', first = r->range_count;
    *out = add_item(r, CLASS, start);
    r->p += negated;
    while (r->p < r->end && *r->p != ']' && *r->p != '\n') {
        const char *at = r->p;
        int32_t low, high;
        if (read_character(r, &low))
            return ERROR_INPUT;
        high = low;
        if (r->end - r->p >= 2 && *r->p == '-' && r->p[1] != ']') { /* a - before the ] is itself */
            r->p++;
            if (read_character(r, &high))
                return ERROR_INPUT;
        }
        if (high < low)
            return FAIL(r, at, "this range ends before it begins");
        if (r->range_count - first == ENGINE_GRAMMAR_RANGES)
            return FAIL(r, at, "more than %d characters and ranges in one class", ENGINE_GRAMMAR_RANGES);
        add_range(r, low, high);
    }
    if (r->p == r->end || *r->p != ']')
        return FAIL(r, start, "the class is not closed on its line; end it with ], and write a line end as \\n");
    r->p++;
    if (r->range_count == first)
        return FAIL(r, start, "an empty class; expected characters or ranges, as in [a-z0-9]");
    return finish_class(r, *out, first, negated);
}

/* --- rules by name ----------------------------------------------------------------------------------------------- */

/* The rule of a name, made when it is new; -1: there are too many. */
static int rule_of(struct reader *r, const char *name, size_t n)
{
    size_t slot = (size_t)hash_bytes(name, n) % SLOTS;
    for (; r->slots[slot]; slot = (slot + 1) % SLOTS) {
        const struct rule *rule = &r->rules[r->slots[slot] - 1];
        if (rule->length == n && !memcmp(r->text + rule->name, name, n))
            return r->slots[slot] - 1;
    }
    if (r->rule_count == ENGINE_GRAMMAR_RULES) {
        FAIL(r, name, "more than %d rules", ENGINE_GRAMMAR_RULES);
        return -1;
    }
    ARRAY_RESERVE(r->rules, r->rule_count, r->rule_capacity);
    size_t at = (size_t)(name - r->text);
    r->rules[r->rule_count] = (struct rule){.name = at, .length = n, .used = at, .body = -1};
    r->slots[slot] = ++r->rule_count;
    return r->rule_count - 1;
}

static int shown(size_t n)
{
    return n < 60 ? (int)n : 60;
}

static int begins_rule(const struct reader *r)
{
    const char *p = r->p;
    while (p < r->end && is_name(*p))
        p++;
    while (p < r->end && (*p == ' ' || *p == '\t'))
        p++;
    return r->end - p >= 3 && !memcmp(p, "::=", 3);
}

static int read_name(struct reader *r, int *out)
{
    const char *start = r->p;
    if (begins_rule(r))
        return FAIL(
            r, start,
            r->depth
                ? "a rule begins inside parentheses; close those of the rule before"
                : "a rule begins where the one before goes on, after ::= or |; an empty alternative is written \"\"");
    while (r->p < r->end && is_name(*r->p))
        r->p++;
    int rule = rule_of(r, start, (size_t)(r->p - start));
    if (rule < 0)
        return ERROR_INPUT;
    *out = add_item(r, RULE, start);
    r->items[*out].first = rule;
    return OK;
}

/* --- expressions ------------------------------------------------------------------------------------------------- */

static int read_number(struct reader *r, int *out)
{
    const char *start = r->p;
    int value = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
        if ((value = value * 10 + (*r->p - '0')) > ENGINE_GRAMMAR_REPEATS)
            return FAIL(r, start, "the repetition is too large; at most %d", ENGINE_GRAMMAR_REPEATS);
    *out = r->p > start ? value : -1;
    return OK;
}

/* {m} {m,} {m,n} {,n} */
static int read_bounds(struct reader *r, int *low, int *high)
{
    const char *start = r->p++;
    int comma = 0;
    skip(r, 0);
    if (read_number(r, low))
        return ERROR_INPUT;
    skip(r, 0);
    *high = *low;
    if (r->p < r->end && *r->p == ',') {
        r->p++;
        comma = 1;
        skip(r, 0);
        if (read_number(r, high))
            return ERROR_INPUT;
        skip(r, 0);
    }
    if (r->p == r->end || *r->p != '}' || (*low < 0 && *high < 0))
        return FAIL(r, start, "not a repetition; expected {2}, {2,}, {2,5} or {,5}");
    r->p++;
    if (comma && *low < 0)
        *low = 0;
    return *high >= 0 && *high < *low ? FAIL(r, start, "this repetition ends before it begins") : OK;
}

static int read_repetition(struct reader *r, int *item)
{
    int low = 0, high = -1, wrapped = 0;
    for (;;) {
        const char *at = r->p;
        char c = r->p < r->end ? *r->p : 0;
        if (c != '*' && c != '+' && c != '?' && c != '{')
            return OK;
        if (wrapped)
            return FAIL(r, at, "two repetitions in a row; put what the second repeats in parentheses");
        if (c == '{') {
            if (read_bounds(r, &low, &high))
                return ERROR_INPUT;
        } else {
            r->p++;
            low = c == '+';
            high = c == '?' ? 1 : -1;
        }
        int repeat = add_item(r, REPEAT, at);
        r->items[repeat].low = low;
        r->items[repeat].high = high;
        r->items[repeat].last = *item;
        *item = repeat;
        wrapped = 1;
        skip(r, r->depth > 0);
    }
}

static int read_choice(struct reader *r, int *out);

static int read_group(struct reader *r, int *out)
{
    const char *start = r->p++;
    if (++r->depth > ENGINE_GRAMMAR_DEPTH)
        return FAIL(r, start, "parentheses nested more than %d deep", ENGINE_GRAMMAR_DEPTH);
    skip(r, 1);
    if (read_choice(r, out))
        return ERROR_INPUT;
    if (r->p == r->end || *r->p != ')')
        return r->p == r->end ? FAIL(r, start, "the parenthesis is not closed")
                              : FAIL(r, r->p, "expected a literal, a class, a rule, ( or ) here");
    r->p++;
    r->depth--;
    return OK;
}

static int read_sequence(struct reader *r, int *out)
{
    *out = add_item(r, SEQUENCE, r->p);
    for (;;) {
        char c = r->p < r->end ? *r->p : 0;
        int item = 0, code;
        if (c == '"') {
            code = read_literal(r, &item);
        } else if (c == '[') {
            code = read_class(r, &item);
        } else if (c == '.') {
            int first = r->range_count;
            item = add_item(r, CLASS, r->p++);
            code = finish_class(r, item, first, 1);
        } else if (c == '(') {
            code = read_group(r, &item);
        } else if (is_name(c)) {
            code = read_name(r, &item);
        } else if (c == '*' || c == '+' || c == '?' || c == '{') {
            return FAIL(r, r->p, "nothing stands before this repetition");
        } else {
            return OK;
        }
        if (code)
            return code;
        skip(r, r->depth > 0);
        if (read_repetition(r, &item))
            return ERROR_INPUT;
        link_item(r, *out, item);
    }
}

static int read_choice(struct reader *r, int *out)
{
    *out = add_item(r, CHOICE, r->p);
    for (;;) {
        int sequence;
        if (read_sequence(r, &sequence))
            return ERROR_INPUT;
        link_item(r, *out, sequence);
        if (r->p == r->end || *r->p != '|')
            return OK;
        r->p++;
        skip(r, 1);
    }
}

static int line_of(const struct reader *r, size_t at)
{
    int line = 1;
    for (size_t i = 0; i < at; i++)
        line += r->text[i] == '\n';
    return line;
}

static int read_rule(struct reader *r)
{
    const char *start = r->p;
    while (r->p < r->end && is_name(*r->p))
        r->p++;
    size_t n = (size_t)(r->p - start);
    if (!n)
        return FAIL(r, start,
                    *start == '|' ? "a rule ends with its line; to go on put the | at the end of the line"
                                  : "expected a rule, as in root ::= \"yes\" | \"no\"");
    skip(r, 0);
    if (r->end - r->p < 3 || memcmp(r->p, "::=", 3))
        return FAIL(r, r->p, "expected ::= after the rule's name `%.*s`", shown(n), start);
    r->p += 3;
    skip(r, 1);
    int rule = rule_of(r, start, n), body;
    if (rule < 0)
        return ERROR_INPUT;
    if (r->rules[rule].body >= 0)
        return FAIL(r, start, "the rule `%.*s` is already there, in line %d", shown(n), start,
                    line_of(r, r->rules[rule].defined));
    if (read_choice(r, &body))
        return ERROR_INPUT;
    r->rules[rule].body = body;
    r->rules[rule].defined = (size_t)(start - r->text);
    if (r->p < r->end && *r->p != '\n')
        return FAIL(r, r->p, "expected a literal, a class, a rule, | or the end of the line here");
    skip(r, 1);
    return OK;
}

static int read_all(struct reader *r)
{
    skip(r, 1);
    while (r->p < r->end)
        if (read_rule(r))
            return ERROR_INPUT;
    int root = -1;
    for (int i = 0; i < r->rule_count; i++) {
        const struct rule *rule = &r->rules[i];
        if (rule->body < 0)
            return FAIL(r, r->text + rule->used, "there is no rule `%.*s`", shown(rule->length), r->text + rule->name);
        if (rule->length == 4 && !memcmp(r->text + rule->name, "root", 4))
            root = i;
    }
    r->out->root = root;
    return root < 0 ? FAIL(r, r->end, "there is no rule `root`; it is where a text begins") : OK;
}

/* --- writing nodes ----------------------------------------------------------------------------------------------- */

static int add_node(struct reader *r, struct engine_grammar_node node)
{
    struct engine_grammar *g = r->out;
    if (r->failed)
        return 0;
    if (g->node_count == ENGINE_GRAMMAR_NODES) {
        FAIL(r, r->text + r->at,
             "the grammar is too large: what it repeats comes to more than %d parts here; make its repetitions smaller",
             ENGINE_GRAMMAR_NODES);
        return 0;
    }
    ARRAY_RESERVE(g->nodes, g->node_count, g->node_capacity);
    g->nodes[g->node_count] = node;
    return g->node_count++;
}

static int add_edge(struct reader *r, struct engine_grammar_edge edge)
{
    struct engine_grammar *g = r->out;
    ARRAY_RESERVE(g->edges, g->edge_count, g->edge_capacity);
    g->edges[g->edge_count] = edge;
    return g->edge_count++;
}

static int add_split(struct reader *r, int a, int b)
{
    return add_node(r, (struct engine_grammar_node){ENGINE_GRAMMAR_SPLIT, a, b});
}

/* A node for one range of bytes; ranges of one class that end alike share it. */
static int add_byte(struct reader *r, unsigned char low, unsigned char high, int next)
{
    const struct engine_grammar *g = r->out;
    for (int i = r->class_node; i < g->node_count; i++) {
        const struct engine_grammar_edge *edge = &g->edges[g->nodes[i].a];
        if (edge->low == low && edge->high == high && edge->next == next)
            return i;
    }
    int edge = add_edge(r, (struct engine_grammar_edge){low, high, next});
    return add_node(r, (struct engine_grammar_node){ENGINE_GRAMMAR_MATCH, edge, 1});
}

static int encode(int c, unsigned char out[4])
{
    if (c < 0x80)
        return out[0] = (unsigned char)c, 1;
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (unsigned char)(0x80 | (c & 0x3f));
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out[0] = (unsigned char)(lead[n] | c);
    return n;
}

/* The UTF-8 of low..high: cut until the bytes of each part vary independently of each other. */
static void write_range(struct reader *r, int low, int high, int next)
{
    static const int lasts[] = {0x7f, 0x7ff, 0xffff};
    unsigned char a[4], b[4];
    for (int i = 0; i < 3; i++)
        if (low <= lasts[i] && lasts[i] < high) {
            write_range(r, low, lasts[i], next);
            write_range(r, lasts[i] + 1, high, next);
            return;
        }
    int n = encode(low, a);
    encode(high, b);
    for (int i = 1; i < n; i++) {
        int mask = (1 << 6 * i) - 1, middle = -1;
        if ((low & ~mask) == (high & ~mask))
            continue;
        if (low & mask)
            middle = (low | mask) + 1;
        else if ((high & mask) != mask)
            middle = high & ~mask;
        if (middle >= 0) {
            write_range(r, low, middle - 1, next);
            write_range(r, middle, high, next);
            return;
        }
    }
    for (int i = n - 1; i > 0; i--)
        next = add_byte(r, a[i], b[i], next);
    ARRAY_RESERVE(r->firsts, r->first_count, r->first_capacity);
    r->firsts[r->first_count++] = (struct engine_grammar_edge){a[0], b[0], next};
}

static int write_class(struct reader *r, const struct item *item, int next)
{
    r->first_count = 0;
    r->class_node = r->out->node_count;
    for (int i = 0; i < item->count && !r->failed; i++)
        write_range(r, r->ranges[item->first + i].low, r->ranges[item->first + i].high, next);
    int edge = r->out->edge_count;
    for (int i = 0; i < r->first_count; i++)
        add_edge(r, r->firsts[i]);
    return add_node(r, (struct engine_grammar_node){ENGINE_GRAMMAR_MATCH, edge, r->first_count});
}

static int write_item(struct reader *r, int i, int next);

/* x{2,4} is x x (x x?)?; x{2,} is x x x*. */
static int write_repeat(struct reader *r, const struct item *item, int next)
{
    int at = next;
    size_t before = r->at;
    r->at = item->at;
    if (item->high < 0) {
        at = add_split(r, 0, next);
        int body = write_item(r, item->last, at);
        if (!r->failed)
            r->out->nodes[at].a = body;
    }
    for (int i = item->low; i < item->high && !r->failed; i++) {
        int body = write_item(r, item->last, at);
        at = add_split(r, body, next);
    }
    for (int i = 0; i < item->low && !r->failed; i++)
        at = write_item(r, item->last, at);
    r->at = before;
    return at;
}

/* The node where an item begins after which `next` follows. */
static int write_item(struct reader *r, int i, int next)
{
    const struct item *item = &r->items[i];
    if (!r->failed && r->work++ > WORK_MOST)
        FAIL(r, r->text + r->at, "the grammar is too large: its repetitions multiply to too many; make them smaller");
    if (r->failed)
        return 0;
    switch (item->kind) {
    case CLASS:
        return write_class(r, item, next);
    case RULE:
        return add_node(r, (struct engine_grammar_node){ENGINE_GRAMMAR_CALL, item->first, next});
    case SEQUENCE:
        for (int k = item->last; k >= 0; k = r->items[k].before)
            next = write_item(r, k, next);
        return next;
    case CHOICE: {
        int at = write_item(r, item->last, next);
        for (int k = r->items[item->last].before; k >= 0; k = r->items[k].before)
            at = add_split(r, write_item(r, k, next), at);
        return at;
    }
    default:
        return write_repeat(r, item, next);
    }
}

static int write_all(struct reader *r)
{
    struct engine_grammar *g = r->out;
    g->entries = xcalloc((size_t)r->rule_count, sizeof *g->entries);
    g->rule_count = r->rule_count;
    add_node(r, (struct engine_grammar_node){.kind = ENGINE_GRAMMAR_RETURN});
    for (int i = 0; i < r->rule_count && !r->failed; i++) {
        r->at = r->rules[i].defined;
        g->entries[i] = write_item(r, r->rules[i].body, 0);
    }
    return r->failed ? ERROR_INPUT : OK;
}

/* --- what must not be -------------------------------------------------------------------------------------------- */

/* Which nodes can reach their rule's end: taking bytes, or (bytes == 0) without one. A SPLIT needs one of its ways, a
 * CALL both its rule and what follows; what is found is handed back along the edges, each once. */
static char *find_ends(const struct engine_grammar *g, int bytes)
{
    int n = g->node_count, *first = xcalloc((size_t)n + 2, sizeof *first), waiting = 0;
    char *need = xcalloc((size_t)n, 1), *found = xcalloc((size_t)n, 1);
    int *queue = xcalloc((size_t)n, sizeof *queue), *from = NULL;
    for (int pass = 0; pass < 2; pass++) { /* count what points to each node, then list it */
        for (int i = 0; i < n; i++) {
            const struct engine_grammar_node *node = &g->nodes[i];
            int to[2] = {node->a, node->b}, count = 0;
            if (node->kind == ENGINE_GRAMMAR_SPLIT)
                count = 2;
            if (node->kind == ENGINE_GRAMMAR_CALL)
                to[0] = g->entries[node->a], count = 2;
            if (node->kind == ENGINE_GRAMMAR_MATCH && bytes)
                to[0] = g->edges[node->a].next, count = 1; /* all edges of a class come to the same end */
            need[i] = node->kind == ENGINE_GRAMMAR_CALL ? 2 : 1;
            for (int k = 0; k < count; k++) {
                if (pass)
                    from[first[to[k] + 1]++] = i;
                else
                    first[to[k] + 2]++;
            }
        }
        if (pass)
            break;
        for (int i = 0; i < n; i++)
            first[i + 2] += first[i + 1];
        from = xcalloc((size_t)first[n + 1] + 1, sizeof *from);
    }
    found[0] = 1;
    queue[waiting++] = 0;
    while (waiting) {
        int at = queue[--waiting];
        for (int k = first[at]; k < first[at + 1]; k++)
            if (!found[from[k]] && !--need[from[k]]) {
                found[from[k]] = 1;
                queue[waiting++] = from[k];
            }
    }
    free(first);
    free(need);
    free(queue);
    free(from);
    return found;
}

/* A search for a rule that comes to itself before any byte. */
struct recursion {
    struct reader *r;
    const char *empty; /* nodes that can end without a byte */
    char *seen;        /* nodes */
    char *state;       /* rules: 1 on the way, 2 done */
    int *path, length; /* rules on the way */
    int *stack;        /* nodes to look at, of all rules on the way */
    int stacked, stack_capacity;
};

static void push(struct recursion *s, int node)
{
    if (node && !s->seen[node]) {
        s->seen[node] = 1;
        ARRAY_RESERVE(s->stack, s->stacked, s->stack_capacity);
        s->stack[s->stacked++] = node;
    }
}

static int refuse_recursion(struct recursion *s, int rule)
{
    struct reader *r = s->r;
    struct string way = {0};
    int from = s->length - 1;
    while (s->path[from] != rule)
        from--;
    for (int i = from; i < s->length && i < from + 6; i++)
        string_addf(&way, "%.*s, ", shown(r->rules[s->path[i]].length), r->text + r->rules[s->path[i]].name);
    if (s->length > from + 6)
        string_add(&way, "..., ");
    const struct rule *at = &r->rules[rule];
    FAIL(r, r->text + at->defined,
         "left recursion: the rule `%.*s` comes to itself before any character (%s%.*s); repeat with * or + instead",
         shown(at->length), r->text + at->name, string_text(&way), shown(at->length), r->text + at->name);
    string_free(&way);
    return ERROR_INPUT;
}

static int find_recursion(struct recursion *s, int rule)
{
    const struct engine_grammar *g = s->r->out;
    int bottom = s->stacked, code = OK;
    s->state[rule] = 1;
    s->path[s->length++] = rule;
    push(s, g->entries[rule]);
    while (s->stacked > bottom && !code) {
        const struct engine_grammar_node *node = &g->nodes[s->stack[--s->stacked]];
        if (node->kind == ENGINE_GRAMMAR_SPLIT) {
            push(s, node->a);
            push(s, node->b);
        } else if (node->kind == ENGINE_GRAMMAR_CALL) {
            if (s->empty[g->entries[node->a]])
                push(s, node->b);
            if (s->state[node->a] == 1)
                code = refuse_recursion(s, node->a);
            else if (!s->state[node->a])
                code = find_recursion(s, node->a);
        }
    }
    s->state[rule] = 2;
    s->length--;
    return code;
}

static int check_recursion(struct reader *r)
{
    struct engine_grammar *g = r->out;
    char *empty = find_ends(g, 0);
    struct recursion s = {.r = r,
                          .empty = empty,
                          .seen = xcalloc((size_t)g->node_count, 1),
                          .state = xcalloc((size_t)g->rule_count, 1),
                          .path = xcalloc((size_t)g->rule_count, sizeof *s.path)};
    int code = OK;
    for (int i = 0; i < g->rule_count && !code; i++)
        if (!s.state[i])
            code = find_recursion(&s, i);
    free(empty);
    free(s.seen);
    free(s.state);
    free(s.path);
    free(s.stack);
    return code;
}

static int check_ends(struct reader *r)
{
    char *ends = find_ends(r->out, 1);
    for (int i = 0; i < r->rule_count && !r->failed; i++)
        if (!ends[r->out->entries[i]])
            FAIL(r, r->text + r->rules[i].defined, "the rule `%.*s` never ends: every way through it goes on forever",
                 shown(r->rules[i].length), r->text + r->rules[i].name);
    free(ends);
    return r->failed ? ERROR_INPUT : OK;
}

/* Bytes that no edge tells apart are one class. */
static void find_classes(struct engine_grammar *g)
{
    char begins[257] = {1};
    for (int i = 0; i < g->edge_count; i++)
        begins[g->edges[i].low] = begins[g->edges[i].high + 1] = 1;
    int class = -1;
    for (int b = 0; b < 256; b++)
        g->class_of[b] = (unsigned char)(class += begins[b]);
    g->classes = class + 1;
}

int engine_grammar_parse(struct engine_grammar *out, const char *text, size_t *offset, struct error *e)
{
    size_t n = strlen(text);
    *out = (struct engine_grammar){0};
    struct reader r = {.out = out, .text = text, .p = text, .end = text + n, .offset = offset, .e = e};
    *r.offset = 0;
    if (n > ENGINE_GRAMMAR_BYTES)
        return FAIL(&r, text, "the grammar has %zu bytes; at most %d", n, ENGINE_GRAMMAR_BYTES);
    r.slots = xcalloc(SLOTS, sizeof *r.slots);
    int code = read_all(&r);
    if (!code)
        code = write_all(&r);
    if (!code)
        code = check_recursion(&r);
    if (!code)
        code = check_ends(&r);
    free(r.items);
    free(r.ranges);
    free(r.rules);
    free(r.slots);
    free(r.firsts);
    if (code)
        engine_grammar_clear(out);
    else
        find_classes(out);
    return code;
}

void engine_grammar_clear(struct engine_grammar *g)
{
    free(g->nodes);
    free(g->edges);
    free(g->entries);
    *g = (struct engine_grammar){0};
}
