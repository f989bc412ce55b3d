/* Lessons from lines of JSON: which tokens a model is sent, which it is to write, which of them are learned.
 *
 * What is before a completion is what engine_chat makes of it, as for a search; the completion is tokens of its own, since a model
 * writes it from there. So training and use agree token by token, also where the text as a whole would be cut in other tokens.
 */
#include "search/lessons.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { MOST_LINE = 1 << 24 };

/* --- lists ------------------------------------------------------------------------------------------------------- */

void search_lesson_list_add(struct search_lesson_list *l, const int *ids, const unsigned char *learned, int n)
{
    const size_t at = l->count ? l->ends[l->count - 1] : 0;
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        l->ends = xrealloc(l->ends, (size_t)l->capacity * sizeof *l->ends);
    }
    while (at + (size_t)n > l->room) {
        l->room = l->room ? 2 * l->room : 4096;
        l->ids = xrealloc(l->ids, l->room * sizeof *l->ids);
        l->learned = xrealloc(l->learned, l->room);
    }
    memcpy(l->ids + at, ids, (size_t)n * sizeof *ids);
    memcpy(l->learned + at, learned, (size_t)n);
    l->ends[l->count++] = at + (size_t)n;
}

struct engine_document search_lesson_list_at(const struct search_lesson_list *l, int i)
{
    const size_t from = i ? l->ends[i - 1] : 0;
    return (struct engine_document){l->ids + from, l->learned + from, (int)(l->ends[i] - from)};
}

void search_lesson_list_clear(struct search_lesson_list *l)
{
    l->count = 0;
}

void search_lesson_list_free(struct search_lesson_list *l)
{
    free(l->ids);
    free(l->learned);
    free(l->ends);
    *l = (struct search_lesson_list){0};
}

/* --- tokens ------------------------------------------------------------------------------------------------------ */

int search_lesson_end(const struct engine *engine)
{
    int end = engine_info(engine)->turn_end_token; /* a turn's, which need not be a text's */
    return end >= 0 && engine_token_ends(engine, end) ? end : -1;
}

/* A lesson in the making. */
struct draft {
    struct engine_tokens tokens;
    unsigned char *learned; /* [capacity] */
    int capacity, count;    /* count: of those that are marked */
};

/* The tokens from `count` on are learned, or not. */
static void mark(struct draft *d, int learned)
{
    if (d->tokens.count > d->capacity) {
        d->capacity = d->tokens.capacity;
        d->learned = xrealloc(d->learned, (size_t)d->capacity);
    }
    memset(d->learned + d->count, learned, (size_t)(d->tokens.count - d->count));
    d->count = d->tokens.count;
}

static void draft_free(struct draft *d)
{
    engine_tokens_free(&d->tokens);
    free(d->learned);
}

static void add_completion(const struct engine *engine, const char *text, struct draft *d)
{
    const int end = search_lesson_end(engine);
    engine_tokenize(engine, text, strlen(text), ENGINE_CONTINUES, &d->tokens);
    if (end >= 0)
        engine_tokens_add(&d->tokens, end);
    mark(d, 1);
}

static void make_pair(const struct engine *engine, const char *prompt, const char *completion, int all, struct draft *d)
{
    const struct engine_message message = {"user", prompt};
    engine_chat(engine, &message, 1, 0, &d->tokens);
    mark(d, all);
    add_completion(engine, completion, d);
}

void search_lesson_make(const struct engine *engine, const char *prompt, const char *completion, int learn_all, struct search_lesson_list *out)
{
    struct draft d = {0};
    make_pair(engine, prompt, completion, learn_all, &d);
    search_lesson_list_add(out, d.tokens.ids, d.learned, d.tokens.count);
    draft_free(&d);
}

static int is_held_out(const struct search_lesson_reader *r, uint64_t key)
{
    return (double)(random_stream(key, 0, 0) >> 11) * 0x1p-53 < r->options->held_out;
}

void search_lesson_keep(struct search_lesson_reader *r, uint64_t key, const struct engine_tokens *ids, const unsigned char *learned)
{
    if (ids->count > r->options->longest)
        r->about->too_long++;
    else
        search_lesson_list_add(is_held_out(r, key) ? r->validation : r->to, ids->ids, learned, ids->count);
}

/* --- what a line says -------------------------------------------------------------------------------------------- */

/* A text of the object, which is not empty; or what is wrong. */
static int get_text(const json_t *object, const char *key, const char **out, struct error *e)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return error_set(e, ERROR_INPUT, "`%s` is missing", key);
    if (!json_is_string(value))
        return error_set(e, ERROR_INPUT, "`%s` is not a text", key);
    *out = json_string_value(value);
    return **out ? OK : error_set(e, ERROR_INPUT, "`%s` is empty", key);
}

static int read_pair(struct search_lesson_reader *r, const json_t *object, struct error *e)
{
    const char *prompt, *completion;
    int code = get_text(object, "prompt", &prompt, e);
    if (code || (code = get_text(object, "completion", &completion, e)))
        return code;
    struct draft d = {0};
    make_pair(r->options->engine, prompt, completion, r->options->learn_all, &d);
    search_lesson_keep(r, hash_bytes(prompt, strlen(prompt)), &d.tokens, d.learned);
    draft_free(&d);
    return OK;
}

/* All of it is learned. One that is too long is cut: a text has no part that the rest hangs on. */
static int read_text(struct search_lesson_reader *r, const json_t *object, struct error *e)
{
    const struct engine *engine = r->options->engine;
    const char *text;
    int code = get_text(object, "text", &text, e);
    if (code)
        return code;
    struct draft d = {0};
    if (engine_info(engine)->begins)
        engine_tokens_add(&d.tokens, engine_info(engine)->begin_token);
    engine_tokenize(engine, text, strlen(text), 0, &d.tokens);
    if (engine_info(engine)->end_token >= 0)
        engine_tokens_add(&d.tokens, engine_info(engine)->end_token);
    mark(&d, 1);
    const int longest = r->options->longest, pieces = (d.tokens.count + longest - 1) / longest;
    const uint64_t key = hash_bytes(text, strlen(text));
    for (int i = 0; i < pieces; i++) {
        const int from = i * longest, n = d.tokens.count - from < longest ? d.tokens.count - from : longest;
        const struct engine_tokens piece = {d.tokens.ids + from, n, n};
        if (n > 1)
            search_lesson_keep(r, key, &piece, d.learned + from);
    }
    r->about->pieces += pieces > 1 ? pieces : 0;
    draft_free(&d);
    return OK;
}

static int get_messages(const json_t *list, struct engine_message *out, struct error *e)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    size_t i;
    const json_t *value;
    int spoken = 0;
    json_array_foreach(list, i, value) {
        const char *role, *text;
        struct error why;
        int known = 0;
        if (get_text(value, "role", &role, &why) || get_text(value, "content", &text, &why))
            return error_set(e, ERROR_INPUT, "message %zu: %s", i + 1, why.message);
        for (int k = 0; k < 3; k++)
            known |= !strcmp(role, roles[k]);
        if (!known)
            return error_set(e, ERROR_INPUT, "message %zu: role `%.40s`; expected system, user or assistant", i + 1, role);
        spoken |= !strcmp(role, "assistant");
        out[i] = (struct engine_message){role, text};
    }
    return spoken ? OK : error_set(e, ERROR_INPUT, "no message is the assistant's, so there is nothing to learn");
}

static int begins_with(const struct engine_tokens *all, const struct engine_tokens *part)
{
    return part->count <= all->count && (!part->count || !memcmp(all->ids, part->ids, (size_t)part->count * sizeof *part->ids));
}

/* One lesson as long as each turn of the assistant's is asked for with what came before it as it was learned; where the template or the
 * tokenizer makes something else of it, that turn begins a lesson of its own. */
static void add_conversation(struct search_lesson_reader *r, const struct engine_message *messages, int n, uint64_t key)
{
    struct draft d = {0};
    for (int i = 0; i < n; i++) {
        if (strcmp(messages[i].role, "assistant"))
            continue;
        struct engine_tokens before = {0};
        engine_chat(r->options->engine, messages, i, 0, &before);
        if (!begins_with(&before, &d.tokens)) {
            search_lesson_keep(r, key, &d.tokens, d.learned);
            d.tokens.count = d.count = 0;
        }
        engine_tokens_append(&d.tokens, before.ids + d.tokens.count, before.count - d.tokens.count);
        engine_tokens_free(&before);
        mark(&d, r->options->learn_all);
        add_completion(r->options->engine, messages[i].text, &d);
    }
    search_lesson_keep(r, key, &d.tokens, d.learned);
    draft_free(&d);
}

static int read_messages(struct search_lesson_reader *r, const json_t *object, struct error *e)
{
    const json_t *list = json_object_get(object, "messages");
    if (!json_is_array(list) || !json_array_size(list))
        return error_set(e, ERROR_INPUT, "`messages` is not a list of messages");
    const int n = (int)json_array_size(list);
    struct engine_message *messages = xcalloc((size_t)n, sizeof *messages);
    int code = get_messages(list, messages, e);
    uint64_t key = 0;
    for (int i = 0; i < n && !code && strcmp(messages[i].role, "assistant"); i++)
        key = random_stream(key, hash_bytes(messages[i].text, strlen(messages[i].text)), 0);
    if (!code)
        add_conversation(r, messages, n, key);
    free(messages);
    return code;
}

static int read_object(struct search_lesson_reader *r, const json_t *object, struct error *e)
{
    const int pair = json_object_get(object, "prompt") || json_object_get(object, "completion"), text = !!json_object_get(object, "text"),
              messages = !!json_object_get(object, "messages");
    if (pair + text + messages == 1)
        return pair ? read_pair(r, object, e) : text ? read_text(r, object, e) : read_messages(r, object, e);
    struct string there = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        string_addf(&there, "%s%s", there.length ? ", " : "", key);
    error_set(e, ERROR_INPUT, "expected an object with one of prompt and completion, text, or messages; there is %.200s",
              !json_is_object(object) ? "no object" : there.length ? string_text(&there) : "nothing in it");
    string_free(&there);
    return ERROR_INPUT;
}

/* --- files ------------------------------------------------------------------------------------------------------- */

/* The next line without its end; 0 at the end of the file. *n is more than MOST_LINE where it is too long: the rest of it is skipped. */
static int next_line(FILE *file, struct string *line, size_t *n)
{
    int c = getc(file);
    string_clear(line);
    string_add(line, "");
    if (c == EOF)
        return 0;
    for (*n = 0; c != EOF && c != '\n'; c = getc(file))
        if (++*n <= MOST_LINE)
            string_append(line, &(char){(char)c}, 1);
    return 1;
}

static int read_line(struct search_lesson_reader *r, const char *text, size_t n, struct error *e)
{
    json_error_t wrong;
    if (n > MOST_LINE)
        return error_set(e, ERROR_INPUT, "a line of more than %d bytes; is this JSONL?", MOST_LINE);
    json_t *object = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &wrong);
    if (!object)
        return error_set(e, ERROR_INPUT, "not valid JSON: %s at column %d", wrong.text, wrong.column > 0 ? wrong.column : 1);
    int code = read_object(r, object, e);
    json_decref(object);
    return code;
}

static int read_lines(struct search_lesson_reader *r, FILE *file, const char *path, struct error *e)
{
    struct string line = {0};
    struct error why;
    size_t n;
    int code = OK;
    for (int number = 1; !code && next_line(file, &line, &n); number++) {
        const char *text = string_text(&line), *bom = "\xef\xbb\xbf";
        r->about->sum = random_stream(r->about->sum, hash_bytes(text, line.length), line.length);
        if (number == 1 && !strncmp(text, bom, 3))
            text += 3, n -= 3;
        if (!text[strspn(text, " \t\r")] || !read_line(r, text, n, &why))
            continue;
        if (!r->options->skip_bad)
            code = error_set(e, ERROR_INPUT, "%s:%d: %s; mend the line, or leave out such lines with --skip-bad", path, number, why.message);
        else if (!r->about->bad++)
            snprintf(r->about->first_bad, sizeof r->about->first_bad, "%.100s:%d: %.120s", path, number, why.message);
    }
    string_free(&line);
    return code;
}

int search_lessons_read(struct search_lesson_reader *r, const char *path, struct error *e)
{
    FILE *file = fopen(path, "rb");
    const int before = r->to->count + r->validation->count, too_long = r->about->too_long;
    if (!file)
        return error_set(e, ERROR_INPUT, "%s: cannot be read: %s; expected a file of JSON lines", path, strerror(errno));
    int code = read_lines(r, file, path, e);
    if (!code && ferror(file))
        code = error_set(e, ERROR_INPUT, "%s: cannot be read: %s; expected a file of JSON lines", path, strerror(errno));
    fclose(file);
    if (!code && r->to->count + r->validation->count == before)
        code = r->about->too_long > too_long
                   ? error_set(e, ERROR_INPUT, "%s: every lesson in it is longer than %d tokens; give more with --context", path, r->options->longest)
                   : error_set(e, ERROR_INPUT, "%s: there is no lesson in it; expected a JSON object a line", path);
    return code;
}
