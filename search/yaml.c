#include "search/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

enum { MAX_BYTES = 1 << 20, MAX_DEPTH = 32, MAX_NODES = 100000, MAX_KEYS = 1000 };

/* A node and where its source lies, in characters of the file (libyaml counts those), for search_yaml_error_at. */
struct node {
    struct search_yaml seen; /* first: a node the caller holds is a struct node */
    size_t begin, end;
    yaml_scalar_style_t style;
    int open;                /* its end has not been read yet: an alias to it would be a loop */
    int weight;              /* nodes in it with every alias unfolded */
};

struct anchor {
    char *name;
    struct node *node;
};

/* Invariant: nodes[0] is the root once reading succeeded. */
struct search_yaml_document {
    char *name, *source;
    size_t bytes;
    struct node **nodes;
    int count, capacity;
    struct anchor *anchors;
    int anchor_count, anchor_capacity;
};

/* --- errors ------------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 5, 0)))
static int error_here(const char *name, int line, int column, struct error *e, const char *format, va_list args)
{
    char what[640];
    vsnprintf(what, sizeof what, format, args);
    return error_set(e, ERROR_INPUT, "%s:%d:%d: %s", name, line, column, what);
}

int search_yaml_error(const struct search_yaml *node, struct error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_here(node->document->name, node->line, node->column, e, format, args);
    va_end(args);
    return ERROR_INPUT;
}

__attribute__((format(printf, 4, 5)))
static int error_mark(const struct search_yaml_document *d, yaml_mark_t mark, struct error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_here(d->name, (int)mark.line + 1, (int)mark.column + 1, e, format, args);
    va_end(args);
    return ERROR_INPUT;
}

/* Line and column of a byte of the source, both from 1. */
static void place_of(const struct search_yaml_document *d, size_t byte, int *line, int *column)
{
    *line = *column = 1;
    const char *end = d->source + (byte < d->bytes ? byte : d->bytes);
    for (const char *p = d->source; p < end;) {
        if (utf8_next(&p, d->source + d->bytes) == '\n') {
            *line += 1;
            *column = 1;
        } else {
            *column += 1;
        }
    }
}

__attribute__((format(printf, 4, 5)))
static int error_byte(const struct search_yaml_document *d, size_t byte, struct error *e, const char *format, ...)
{
    int line, column;
    place_of(d, byte, &line, &column);
    va_list args;
    va_start(args, format);
    error_here(d->name, line, column, e, format, args);
    va_end(args);
    return ERROR_INPUT;
}

static size_t byte_of_character(const struct search_yaml_document *d, size_t index)
{
    const char *p = d->source, *end = d->source + d->bytes;
    while (index-- && p < end)
        utf8_next(&p, end);
    return (size_t)(p - d->source);
}

/* Where byte `offset` of a scalar's text stands in the source: both are walked together, skipping what each style of
 * writing adds (indentation, folded line ends, doubled quotes). Escapes are not followed: 0 then, and the caller
 * points at the scalar. */
static int place_in_source(const struct node *node, size_t offset, size_t *byte)
{
    const struct search_yaml_document *d = node->seen.document;
    size_t at = byte_of_character(d, node->begin), end = byte_of_character(d, node->end);
    const char *value = node->seen.text;
    if (node->style == YAML_DOUBLE_QUOTED_SCALAR_STYLE && memchr(d->source + at, '\\', end - at))
        return 0;
    if (node->seen.block) {
        while (at < end && d->source[at] != '\n')
            at++; /* the line of | or > */
        at++;
    } else if (node->style != YAML_PLAIN_SCALAR_STYLE) {
        at++; /* the quote */
    }
    for (size_t v = 0; at < end;) {
        char raw = d->source[at];
        if (raw == value[v]) {
            if (v == offset) {
                *byte = at;
                return 1;
            }
            at++, v++;
        } else if (isspace((unsigned char)raw) || raw == '\'') {
            at++;
        } else if (isspace((unsigned char)value[v])) {
            v++;
        } else {
            return 0;
        }
    }
    return 0;
}

int search_yaml_error_at(const struct search_yaml *node, size_t offset, struct error *e, const char *format, ...)
{
    int line = node->line, column = node->column;
    size_t byte;
    if (offset < node->length && place_in_source((const struct node *)node, offset, &byte))
        place_of(node->document, byte, &line, &column);
    va_list args;
    va_start(args, format);
    error_here(node->document->name, line, column, e, format, args);
    va_end(args);
    return ERROR_INPUT;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static struct node *new_node(struct search_yaml_document *d, enum search_yaml_kind kind, yaml_event_t *event)
{
    ARRAY_RESERVE(d->nodes, d->count, d->capacity);
    struct node *n = xcalloc(1, sizeof *n);
    d->nodes[d->count++] = n;
    n->seen = (struct search_yaml){.kind = kind, .text = "", .document = d, .line = (int)event->start_mark.line + 1,
                                   .column = (int)event->start_mark.column + 1};
    n->begin = event->start_mark.index;
    n->end = event->end_mark.index;
    n->open = 1;
    n->weight = 1;
    return n;
}

static void remember(struct search_yaml_document *d, const yaml_char_t *anchor, struct node *node)
{
    if (!anchor)
        return;
    ARRAY_RESERVE(d->anchors, d->anchor_count, d->anchor_capacity);
    d->anchors[d->anchor_count++] = (struct anchor){xstrdup((const char *)anchor), node};
}

static struct node *recall(const struct search_yaml_document *d, const yaml_char_t *anchor)
{
    for (int i = d->anchor_count; i-- > 0;)
        if (!strcmp(d->anchors[i].name, (const char *)anchor))
            return d->anchors[i].node;
    return NULL;
}

static int next_event(struct search_yaml_document *d, yaml_parser_t *parser, yaml_event_t *event, struct error *e)
{
    if (yaml_parser_parse(parser, event))
        return OK;
    const char *problem = parser->problem ? parser->problem : "it cannot be read";
    if (parser->error == YAML_READER_ERROR)
        return error_byte(d, parser->problem_offset, e, "not valid YAML: %s", problem);
    if (parser->context)
        return error_mark(d, parser->problem_mark, e, "not valid YAML: %s, %s that began at line %d", problem, parser->context,
                          (int)parser->context_mark.line + 1);
    return error_mark(d, parser->problem_mark, e, "not valid YAML: %s", problem);
}

static int read_node(struct search_yaml_document *d, yaml_parser_t *parser, yaml_event_t *event, int depth, struct node **out,
                     struct error *e);

static int read_scalar(struct search_yaml_document *d, yaml_event_t *event, struct node **out, struct error *e)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(text, 0, length))
        return error_mark(d, event->start_mark, e, "this text holds a NUL character; take out the \\0");
    struct node *n = *out = new_node(d, SEARCH_YAML_SCALAR, event);
    n->seen.text = xstrndup(text, length);
    n->seen.length = length;
    n->style = event->data.scalar.style;
    n->seen.plain = n->style == YAML_PLAIN_SCALAR_STYLE;
    n->seen.block = n->style == YAML_LITERAL_SCALAR_STYLE || n->style == YAML_FOLDED_SCALAR_STYLE;
    n->open = 0;
    return OK;
}

/* A key: a scalar, and one this map does not have yet. */
static int read_key(struct search_yaml_document *d, yaml_event_t *event, const struct search_yaml **keys, int count,
                    struct node **out, struct error *e)
{
    if (event->type != YAML_SCALAR_EVENT)
        return error_mark(d, event->start_mark, e, "a key must be plain text; put the text of the key here");
    if (count >= MAX_KEYS)
        return error_mark(d, event->start_mark, e, "too many keys; at most %d in one map", MAX_KEYS);
    int status = read_scalar(d, event, out, e);
    if (status)
        return status;
    for (int i = 0; i < count; i++)
        if (!strcmp(keys[i]->text, (*out)->seen.text))
            return error_mark(d, event->start_mark, e, "`%.60s` is given twice, first at line %d; take one out", keys[i]->text,
                              keys[i]->line);
    return OK;
}

static int read_collection(struct search_yaml_document *d, yaml_parser_t *parser, struct node *n, int depth, struct error *e)
{
    const struct search_yaml **keys = NULL, **values = NULL;
    int key_capacity = 0, capacity = 0, count = 0, status = OK, is_map = n->seen.kind == SEARCH_YAML_MAP;
    while (!status) {
        yaml_event_t event;
        if ((status = next_event(d, parser, &event, e)))
            break;
        int done = event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT;
        if (done)
            n->end = event.end_mark.index;
        struct node *key = NULL, *value = NULL;
        if (!done && is_map) {
            status = read_key(d, &event, keys, count, &key, e);
            yaml_event_delete(&event);
            if (status || (status = next_event(d, parser, &event, e)))
                break;
        }
        if (!done)
            status = read_node(d, parser, &event, depth + 1, &value, e);
        yaml_event_delete(&event);
        if (done || status)
            break;
        n->weight += value->weight + is_map;
        if (n->weight > MAX_NODES)
            status = search_yaml_error(&value->seen, e, "too much here; aliases unfold to more than %d nodes", MAX_NODES);
        ARRAY_RESERVE(keys, count, key_capacity);
        ARRAY_RESERVE(values, count, capacity);
        keys[count] = key ? &key->seen : NULL;
        values[count++] = &value->seen;
    }
    n->seen.keys = keys;
    n->seen.values = values;
    n->seen.count = count;
    n->open = 0;
    return status;
}

static int read_node(struct search_yaml_document *d, yaml_parser_t *parser, yaml_event_t *event, int depth, struct node **out,
                     struct error *e)
{
    if (depth > MAX_DEPTH)
        return error_mark(d, event->start_mark, e, "nested too deep; at most %d levels", MAX_DEPTH);
    if (event->type == YAML_ALIAS_EVENT) {
        *out = recall(d, event->data.alias.anchor);
        if (!*out)
            return error_mark(d, event->start_mark, e, "nothing above is marked &%.60s", (const char *)event->data.alias.anchor);
        if ((*out)->open)
            return error_mark(d, event->start_mark, e, "*%.60s stands inside what it names; that has no end",
                              (const char *)event->data.alias.anchor);
        return OK;
    }
    const yaml_char_t *anchor, *tag;
    enum search_yaml_kind kind = SEARCH_YAML_SCALAR;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        kind = SEARCH_YAML_MAP;
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else {
        kind = SEARCH_YAML_LIST;
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    }
    if (tag)
        return error_mark(d, event->start_mark, e, "tags such as %.40s have no use here; take it out", (const char *)tag);
    if (kind == SEARCH_YAML_SCALAR) {
        int status = read_scalar(d, event, out, e);
        if (!status)
            remember(d, anchor, *out);
        return status;
    }
    *out = new_node(d, kind, event);
    remember(d, anchor, *out);
    return read_collection(d, parser, *out, depth, e);
}

static int is_nothing(const struct search_yaml *node)
{
    return node->kind == SEARCH_YAML_SCALAR && node->plain && (!node->length || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
}

static int read_document(struct search_yaml_document *d, yaml_parser_t *parser, struct error *e)
{
    yaml_event_t event;
    int root = 0, status = OK, done = 0;
    while (!status && !done && !(status = next_event(d, parser, &event, e))) {
        struct node *n = NULL;
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (root)
                status = error_mark(d, event.start_mark, e, "a second document begins here; one file holds one");
            break;
        case YAML_STREAM_END_EVENT:
            done = 1;
            break;
        default:
            root = 1;
            status = read_node(d, parser, &event, 1, &n, e);
            if (!status && is_nothing(&n->seen)) { /* "---" alone */
                free((char *)n->seen.text);
                n->seen.kind = SEARCH_YAML_MAP;
                n->seen.text = "";
            }
            if (!status && n->seen.kind != SEARCH_YAML_MAP)
                status = search_yaml_error(&n->seen, e, "expected keys and values, as in `name: ...`, not %s",
                                           n->seen.kind == SEARCH_YAML_LIST ? "a list" : "bare text");
        }
        yaml_event_delete(&event);
    }
    if (!status && !root) /* nothing, or comments alone: no key is given */
        new_node(d, SEARCH_YAML_MAP, &(yaml_event_t){0});
    return status;
}

int search_yaml_parse(struct search_yaml_document **out, const char *name, const char *text, size_t n, struct error *e)
{
    if (n > MAX_BYTES)
        return error_set(e, ERROR_INPUT, "%s: %zu bytes; at most %d are read", name, n, MAX_BYTES);
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        text += 3, n -= 3;
    struct search_yaml_document *d = xcalloc(1, sizeof *d);
    d->name = xstrdup(name);
    d->source = xstrndup(text, n);
    d->bytes = n;
    int status = OK;
    for (const char *p = d->source, *end = p + n; p < end && !status;) {
        const char *start = p;
        if (utf8_next(&p, end) < 0)
            status = error_byte(d, (size_t)(start - d->source), e, "byte %02x is not UTF-8; save the file as UTF-8",
                                (unsigned char)*start);
    }
    yaml_parser_t parser;
    if (!status && !yaml_parser_initialize(&parser)) {
        status = error_set(e, ERROR_ENGINE, "out of memory");
    } else if (!status) {
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser, (const unsigned char *)d->source, n);
        status = read_document(d, &parser, e);
        yaml_parser_delete(&parser);
    }
    if (status) {
        search_yaml_close(d);
        return status;
    }
    *out = d;
    return OK;
}

int search_yaml_open(struct search_yaml_document **out, const char *path, struct error *e)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return error_set(e, ERROR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    struct string text = {0};
    char block[16384];
    size_t got;
    while (text.length <= MAX_BYTES && (got = fread(block, 1, sizeof block, f)) > 0)
        string_append(&text, block, got);
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    int status = failed ? error_set(e, ERROR_INPUT, "%s: cannot be read: %s", path, strerror(failed))
                 : text.length > MAX_BYTES
                     ? error_set(e, ERROR_INPUT, "%s: more than %d bytes; a file of settings is smaller", path, MAX_BYTES)
                     : search_yaml_parse(out, path, string_text(&text), text.length, e);
    string_free(&text);
    return status;
}

void search_yaml_close(struct search_yaml_document *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->count; i++) {
        struct search_yaml *n = &d->nodes[i]->seen;
        if (n->kind == SEARCH_YAML_SCALAR)
            free((char *)n->text);
        free((void *)n->keys);
        free((void *)n->values);
        free(d->nodes[i]);
    }
    for (int i = 0; i < d->anchor_count; i++)
        free(d->anchors[i].name);
    free(d->anchors);
    free(d->nodes);
    free(d->source);
    free(d->name);
    free(d);
}

uint64_t search_yaml_sum(const struct search_yaml_document *d)
{
    return hash_bytes(d->source, d->bytes);
}

const struct search_yaml *search_yaml_root(const struct search_yaml_document *d)
{
    return &d->nodes[0]->seen;
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

const struct search_yaml *search_yaml_get(const struct search_yaml *map, const char *key)
{
    if (map->kind == SEARCH_YAML_MAP)
        for (int i = 0; i < map->count; i++)
            if (!strcmp(map->keys[i]->text, key))
                return map->values[i];
    return NULL;
}

const struct search_yaml *search_yaml_said(const struct search_yaml *map, const char *key)
{
    const struct search_yaml *node = search_yaml_get(map, key);
    return node && !is_nothing(node) ? node : NULL;
}

int search_yaml_need(const struct search_yaml *map, const char *key, const struct search_yaml **out, struct error *e)
{
    int status = search_yaml_expect(map, SEARCH_YAML_MAP, e);
    if (status)
        return status;
    *out = search_yaml_get(map, key);
    return *out ? OK : search_yaml_error(map, e, "`%s` is missing; add `%s:` here", key, key);
}

static void list_words(struct string *out, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        string_addf(out, "%s%s", i ? ", " : "", words[i]);
}

int search_yaml_known(const struct search_yaml *map, const char *const *known, struct error *e)
{
    int status = search_yaml_expect(map, SEARCH_YAML_MAP, e);
    for (int i = 0; i < map->count && !status; i++) {
        int k = 0;
        while (known[k] && strcmp(known[k], map->keys[i]->text))
            k++;
        if (!known[k]) {
            struct string list = {0};
            list_words(&list, known);
            status = search_yaml_error(map->keys[i], e, "unknown key `%.60s`; known here: %s", map->keys[i]->text, string_text(&list));
            string_free(&list);
        }
    }
    return status;
}

int search_yaml_expect(const struct search_yaml *node, enum search_yaml_kind kind, struct error *e)
{
    static const char *const names[] = {"text", "a list", "keys and values"};
    if (node->kind == kind)
        return OK;
    return search_yaml_error(node, e, "expected %s, not %s", names[kind], names[node->kind]);
}

int search_yaml_string(const struct search_yaml *node, const char **out, struct error *e)
{
    int status = search_yaml_expect(node, SEARCH_YAML_SCALAR, e);
    if (status)
        return status;
    if (is_nothing(node))
        return search_yaml_error(node, e, "nothing is given; expected text");
    *out = node->text;
    return OK;
}

/* [-+]digits[.digits], at most 15 of them, so that the quotient below is rounded once. strtod is no use: it listens to
 * the user's locale, and a file means the same everywhere. */
static int read_decimal(const char *s, double *out)
{
    double sign = *s == '-' ? -1 : 1, value = 0, scale = 1;
    s += *s == '-' || *s == '+';
    int digits = 0, point = 0;
    for (; *s; s++) {
        if (*s == '.' && !point) {
            point = 1;
        } else if (isdigit((unsigned char)*s) && digits < 15) {
            value = value * 10 + (*s - '0');
            scale *= point ? 10 : 1;
            digits++;
        } else {
            return 0;
        }
    }
    *out = sign * value / scale;
    return digits > 0;
}

int search_yaml_number(const struct search_yaml *node, double low, double high, double *out, struct error *e)
{
    int status = search_yaml_expect(node, SEARCH_YAML_SCALAR, e);
    if (status)
        return status;
    double value;
    if (!node->plain || !read_decimal(node->text, &value))
        return search_yaml_error(node, e, "`%.60s` is not a number; expected one from %g to %g", node->text, low, high);
    if (value < low || value > high)
        return search_yaml_error(node, e, "%.60s is out of range; expected a number from %g to %g", node->text, low, high);
    *out = value;
    return OK;
}

int search_yaml_integer(const struct search_yaml *node, int low, int high, int *out, struct error *e)
{
    double value;
    int status = search_yaml_number(node, low, high, &value, e);
    if (status)
        return status;
    if (value != floor(value))
        return search_yaml_error(node, e, "%.60s is not whole; expected a whole number from %d to %d", node->text, low, high);
    *out = (int)value;
    return OK;
}

int search_yaml_boolean(const struct search_yaml *node, int *out, struct error *e)
{
    int status = search_yaml_expect(node, SEARCH_YAML_SCALAR, e);
    if (status)
        return status;
    *out = !strcmp(node->text, "true") || !strcmp(node->text, "yes");
    if (*out || !strcmp(node->text, "false") || !strcmp(node->text, "no"))
        return OK;
    return search_yaml_error(node, e, "`%.60s` is neither true nor false; expected one of these", node->text);
}

int search_yaml_choice(const struct search_yaml *node, const char *const *words, int *out, struct error *e)
{
    int status = search_yaml_expect(node, SEARCH_YAML_SCALAR, e);
    if (status)
        return status;
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], node->text)) {
            *out = i;
            return OK;
        }
    struct string list = {0};
    list_words(&list, words);
    status = search_yaml_error(node, e, "`%.60s` is not known; expected one of: %s", node->text, string_text(&list));
    string_free(&list);
    return status;
}
