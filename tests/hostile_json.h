/* Hostile JSON: every value of a good text replaced by what it is not, left out, there twice, under another name; nesting; bytes that are no text;
 * and the text cut at every byte.
 *
 * A value is replaced by a mark where jansson writes the text, and the mark by what jansson would not write.
 */
#ifndef ESPALIER_TESTS_HOSTILE_JSON_H
#define ESPALIER_TESTS_HOSTILE_JSON_H

#include "hostile.h"

#include <jansson.h>

#define HOSTILE_MARK "@@hostile@@"

static const char *const hostile_values[] = {
    "null", "true", "false", "-1", "0", "1", "2", "3", "64", "-0.0", "0.5", "1e-320", "1e308", "-1e308", "1e999", "255", "65536", "1048577",
    "2147483647", "2147483648", "4294967295", "4294967296", "9007199254740993", "9223372036854775807", "9223372036854775808",
    "18446744073709551615", "-9223372036854775808", "999999999999999999999999999999999999999999", "NaN", "Infinity", "\"\"", "\"a\"",
    "\"a b\"", "\"\\u0000\"", "\"\\ud800\"", "\"\xff\"", "\"\xc0\x80\"", "\"\\u001b[2J\\u202e\"", "\"%s%n\"", "\"../x\"", "[]", "{}", "[null]",
    "[[]]", "[{}]", "{\"\":1}", "[1,2]", "[-1,9223372036854775807]", "[4294967296,4294967296]", "[0]", "[1,1,1,1,1]", "",
};

struct hostile_json {
    struct corpus *c;
    json_t *root;
    char path[96]; /* of the value, for names */
};

/* The text as it is now, with the mark and its quotes replaced. */
static inline void hostile_json_hand(struct hostile_json *j, const char *by, size_t n, const char *what)
{
    char *text = json_dumps(j->root, JSON_COMPACT | JSON_ENSURE_ASCII);
    const char *at = text ? strstr(text, "\"" HOSTILE_MARK "\"") : NULL;
    struct string out = {0};
    if (at) {
        string_append(&out, text, (size_t)(at - text));
        string_append(&out, by, n);
        string_add(&out, at + strlen("\"" HOSTILE_MARK "\""));
    } else {
        string_add(&out, text);
    }
    hostile_name(j->c, "json-%s-%s", j->path, what);
    hostile_hand(j->c, string_text(&out), out.length);
    string_free(&out);
    free(text);
}

static inline void hostile_json_deep(struct hostile_json *j, int depth, char open, char close)
{
    struct string s = {0};
    char name[32];
    for (int i = 0; i < depth; i++)
        string_add(&s, open == '[' ? "[" : "{\"a\":");
    string_add(&s, open == '[' ? "" : "1");
    for (int i = 0; i < depth; i++)
        string_append(&s, &close, 1);
    snprintf(name, sizeof name, "deep%c%d", open == '[' ? 'a' : 'o', depth);
    hostile_json_hand(j, s.text, s.length, name);
    string_free(&s);
}

/* The marked value as each of those. */
static inline void hostile_json_values(struct hostile_json *j)
{
    struct string s = {0};
    char name[32];
    for (size_t i = 0; i < sizeof hostile_values / sizeof *hostile_values; i++) {
        snprintf(name, sizeof name, "v%zu", i);
        hostile_json_hand(j, hostile_values[i], strlen(hostile_values[i]), name);
    }
    hostile_json_hand(j, "\"a\0b\"", 5, "nul");
    hostile_json_deep(j, 100, '[', ']');
    hostile_json_deep(j, 1500, '[', ']');
    hostile_json_deep(j, 1500, '{', '}');
    hostile_json_deep(j, 3000, '[', ']');
    string_add(&s, "\"");
    for (int i = 0; i < 1000; i++)
        string_add(&s, "long ");
    string_add(&s, "\"");
    hostile_json_hand(j, s.text, s.length, "long");
    string_free(&s);
}

static inline void hostile_json_walk(struct hostile_json *j, json_t *value);

static inline void hostile_json_member(struct hostile_json *j, json_t *object, const char *key)
{
    json_t *value = json_incref(json_object_get(object, key));
    struct string twice = {0};
    char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    hostile_json_walk(j, value);
    json_object_set_new(object, key, json_string(HOSTILE_MARK));
    hostile_json_values(j);
    string_addf(&twice, "%s,\"%s\":%s", dumped, key, dumped);
    hostile_json_hand(j, twice.text, twice.length, "twice");
    json_object_del(object, key);
    hostile_json_hand(j, "", 0, "without");
    json_object_set_new(object, HOSTILE_MARK, json_incref(value)); /* under another name */
    hostile_json_hand(j, "\"\xff\"", 3, "name-bad");
    hostile_json_hand(j, "\"\"", 2, "name-empty");
    hostile_json_hand(j, "\"../../x\\n\\u001b\"", 16, "name-path");
    json_object_del(object, HOSTILE_MARK);
    json_object_set_new(object, key, value);
    string_free(&twice);
    free(dumped);
}

static inline void hostile_json_element(struct hostile_json *j, json_t *array, size_t i)
{
    json_t *value = json_incref(json_array_get(array, i));
    hostile_json_walk(j, value);
    json_array_set_new(array, i, json_string(HOSTILE_MARK));
    hostile_json_values(j);
    json_array_set_new(array, i, value);
}

/* Every value in this one; of many the first two and the last are enough. Members that are changed change their order, so the keys are taken
 * first. */
static inline void hostile_json_walk(struct hostile_json *j, json_t *value)
{
    const int object = json_is_object(value);
    const size_t n = object ? json_object_size(value) : json_array_size(value), most = object ? 24 : 8, length = strlen(j->path);
    char **keys = xcalloc(n + 1, sizeof *keys);
    const char *key;
    json_t *member;
    size_t i = 0;
    json_object_foreach(value, key, member)
        keys[i++] = xstrdup(key);
    for (i = 0; i < n; i++) {
        if (n > most && i > 1 && i + 1 < n)
            continue;
        snprintf(j->path + length, sizeof j->path - length, ".%zu", i);
        if (object)
            hostile_json_member(j, value, keys[i]);
        else
            hostile_json_element(j, value, i);
    }
    j->path[length] = 0;
    for (i = 0; i < n; i++)
        free(keys[i]);
    free(keys);
}

/* Cut at every `step`-th byte. */
static inline void hostile_json(struct corpus *c, const struct string *good, size_t step)
{
    struct hostile_json j = {.c = c, .root = json_loadb(good->text, good->length, 0, NULL)};
    if (!j.root) /* some write "no limit" as an integer that no type holds */
        j.root = json_loadb(good->text, good->length, JSON_DECODE_INT_AS_REAL, NULL);
    if (!j.root)
        abort(); /* it is good */
    hostile_name(c, "good");
    hostile_hand(c, good->text, good->length);
    hostile_cuts(c, good, 0, step);
    hostile_flips(c, good, good->length, 200);
    hostile_json_walk(&j, j.root);
    for (size_t i = 0; i < sizeof hostile_values / sizeof *hostile_values; i++) {
        hostile_name(c, "whole-%zu", i);
        hostile_hand(c, hostile_values[i], strlen(hostile_values[i]));
    }
    json_decref(j.root);
}

#endif
