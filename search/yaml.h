/* YAML as our files use it (tasks, themes): a tree of nodes that know where they were written, so that every complaint
 * has a line and a column. libyaml reads; this layer refuses what our files have no use for.
 *
 * Refused with file, line and column: files over 1 MB, invalid UTF-8, control characters, a key given twice, keys that
 * are not plain text, tags, several documents, nesting deeper than 32, an alias to something that contains it, and
 * aliases that would unfold to more than 100,000 nodes.
 */
#ifndef ESPALIER_SEARCH_YAML_H
#define ESPALIER_SEARCH_YAML_H

#include "kernels/kernels.h"

enum search_yaml_kind { SEARCH_YAML_SCALAR, SEARCH_YAML_LIST, SEARCH_YAML_MAP };

/* One node. Immutable; owned by its document. Where an alias was written there is the very node it names. */
struct search_yaml {
    enum search_yaml_kind kind;
    int line, column;  /* where it begins, both from 1; columns count characters */
    const struct search_yaml_document *document;
    const char *text;  /* scalar: its text, with no NUL inside; "" for the others */
    size_t length;
    int plain;         /* scalar: written without quotes and not as a block, so it may mean a number, a truth or nothing */
    int block;         /* scalar: written as a block (| or >), whose text ends in a line end of its own */
    int count;         /* list: items; map: pairs */
    const struct search_yaml *const *keys;   /* map: scalars, in the order written, no two alike */
    const struct search_yaml *const *values; /* list, map */
};

struct search_yaml_document;
/* Read a file, or n bytes of text; `name` is what errors call it. Errors: ERROR_INPUT. */
int search_yaml_open(struct search_yaml_document **out, const char *path, struct error *e);
int search_yaml_parse(struct search_yaml_document **out, const char *name, const char *text, size_t n, struct error *e);
void search_yaml_close(struct search_yaml_document *document);
uint64_t search_yaml_sum(const struct search_yaml_document *document); /* of the file's bytes */
const struct search_yaml *search_yaml_root(const struct search_yaml_document *document); /* always a map */

/* The value of a key, or NULL when the map has none. _said: nor when nothing is written after it, ~ or null. */
const struct search_yaml *search_yaml_get(const struct search_yaml *map, const char *key);
const struct search_yaml *search_yaml_said(const struct search_yaml *map, const char *key);
/* The same, but a missing key is an error: "file:line:column: `prompt` is missing; ...". */
int search_yaml_need(const struct search_yaml *map, const char *key, const struct search_yaml **out, struct error *e);
/* OK when every key of the map is among the `known` ones (NULL-terminated); else an error at that key, with the list. */
int search_yaml_known(const struct search_yaml *map, const char *const *known, struct error *e);

/* Read a node as something; ERROR_INPUT at the node, with what was expected, when it is something else. */
int search_yaml_expect(const struct search_yaml *node, enum search_yaml_kind kind, struct error *e);
int search_yaml_string(const struct search_yaml *node, const char **out, struct error *e); /* any scalar but an empty plain one; owned by the document */
int search_yaml_integer(const struct search_yaml *node, int low, int high, int *out, struct error *e);
int search_yaml_number(const struct search_yaml *node, double low, double high, double *out, struct error *e);
int search_yaml_boolean(const struct search_yaml *node, int *out, struct error *e); /* true, false, yes, no */
/* One of the words (NULL-terminated): its index. */
int search_yaml_choice(const struct search_yaml *node, const char *const *words, int *out, struct error *e);

/* Fill *e with "file:line:column: " and the message; returns ERROR_INPUT. _at: for byte `offset` of the node's text. */
int search_yaml_error(const struct search_yaml *node, struct error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int search_yaml_error_at(const struct search_yaml *node, size_t offset, struct error *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
