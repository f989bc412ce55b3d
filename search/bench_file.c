/* The file of a benchmark's results: one line with the settings, then one for each run, added the moment it ends. A kill at any moment
 * costs the runs in progress; what it leaves of a last line is dropped. */
#include "search/adapters.h"
#include "search/bench.h"

#include "search/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

/* --- settings ---------------------------------------------------------------------------------------------------- */

/* A hash of the file's bytes as text. */
static int hash_file(const char *path, char out[17], struct error *e)
{
    enum { PART = 1 << 16 };
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set(e, ERROR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    char *part = xmalloc(PART);
    uint64_t hash = 0;
    for (size_t n; (n = fread(part, 1, PART, file)) > 0;)
        hash = random_stream(hash, hash_bytes(part, n), n);
    free(part);
    fclose(file);
    snprintf(out, 17, "%016llx", (unsigned long long)hash);
    return OK;
}

static json_t *text_or_null(const char *text)
{
    if (!text)
        return json_null();
    struct string clean = {0};
    string_add(&clean, "");
    for (const char *p = text, *end = text + strlen(text); p < end;) {
        const char *start = p;
        if (utf8_next(&p, end) < 0)
            string_add(&clean, "\xef\xbf\xbd");
        else
            string_append(&clean, start, (size_t)(p - start));
    }
    json_t *value = json_string(clean.text);
    string_free(&clean);
    return value;
}

/* JSON has no whole numbers beyond 2^63. */
static json_t *whole(uint64_t x)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)x);
    return x <= INT64_MAX ? json_integer((json_int_t)x) : json_string(digits);
}

static char *dump_line(json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17));
    char *line = xasprintf("%s\n", text);
    free(text);
    json_decref(value);
    return line;
}

/* Every adapter that a strategy names, by the sum of its bytes: what was trained anew under its old name is another. NULL: *e says why. */
static json_t *adapter_sums(const struct search_bench *b, struct error *e)
{
    json_t *sums = json_object();
    for (int i = 0; i < b->strategy_count; i++) {
        struct search_adapter *list;
        int count, given, mix, code = search_adapters_of(b->strategies[i], &list, &count, &given, e);
        if (!code)
            code = search_adapters_open(list, count, b->engine, &mix, e);
        for (int k = 0; k < count && !code; k++) {
            char sum[17];
            snprintf(sum, sizeof sum, "%016llx", (unsigned long long)list[k].sum);
            json_object_set_new(sums, list[k].path, json_string(sum));
        }
        search_adapters_free(list, count);
        if (code) {
            json_decref(sums);
            return NULL;
        }
    }
    return sums;
}

char *search_bench_settings(const struct search_bench *b, struct error *e)
{
    const struct search_options *o = &b->each;
    const struct engine_info *info = engine_info(b->engine);
    const struct search_task *asked, *judged;
    if (search_task_choose(o->task, o->prompts, b->engine, &asked, e) || search_task_choose(o->task, o->prompts, o->judge ? o->judge : b->engine, &judged, e))
        return NULL;
    struct engine_sampling s = engine_sampling_choose(o->sampling, search_task_sampling(asked));
    char task[17], data[17], *path = search_data_file(o->task, o->data);
    int code = hash_file(path, data, e);
    snprintf(task, sizeof task, "%016llx", (unsigned long long)search_task_sum(o->task));
    free(path);
    json_t *adapters = code ? NULL : adapter_sums(b, e);
    if (!adapters)
        return NULL;
    json_t *settings = json_pack("{s:s, s:i, s:s, s:s, s:s, s:o, s:I, s:s, s:i}", "espalier", "bench", "form", 1, "task", o->task->name,
                                 "task_hash", task, "data_hash", data, "model", text_or_null(info->name), "model_bytes",
                                 (json_int_t)info->file_bytes, "kernels", info->kernels, "context", info->context);
    json_object_set_new(settings, "quant", json_string(info->quant));
    json_object_set_new(settings, "kv_type", json_string(info->kv_type));
    json_object_set_new(settings, "sampling",
                        json_pack("{s:f, s:i, s:f, s:f, s:f}", "temperature", (double)s.temperature, "top_k", s.top_k, "top_p", (double)s.top_p,
                                  "min_p", (double)s.min_p, "repetition_penalty", (double)s.repetition_penalty));
    json_object_set_new(settings, "budget_flops", json_real(o->budget_flops));
    json_object_set_new(settings, "budget_nodes", json_integer(o->budget_nodes));
    json_object_set_new(settings, "budget_time", json_real(o->budget_time));
    json_object_set_new(settings, "judge_model", text_or_null(o->judge ? engine_info(o->judge)->name : NULL));
    json_object_set_new(settings, "judge_bytes", json_integer(o->judge ? (json_int_t)engine_info(o->judge)->file_bytes : 0));
    json_object_set_new(settings, "grammar", json_boolean(o->grammar));
    json_object_set_new(settings, "prompts", json_string(asked == o->task ? "plain" : "trained"));
    json_object_set_new(settings, "judge_prompts", json_string(judged == o->task ? "plain" : "trained"));
    json_object_set_new(settings, "commands", json_boolean(o->commands));
    if (json_object_size(adapters))
        json_object_set_new(settings, "adapters", adapters);
    else
        json_decref(adapters);
    return dump_line(settings);
}

/* The first line of a file against ours. */
static int check_settings(const char *path, const char *line, const char *ours, struct error *e)
{
    json_t *there = json_loads(line, 0, NULL), *here = json_loads(ours, 0, NULL), *value;
    const char *kind = json_string_value(json_object_get(there, "espalier")), *key;
    int code = OK;
    if (!kind || strcmp(kind, "bench"))
        code = error_set(e, ERROR_INPUT, "%s: line 1: not a file of results of espalier bench; choose another with --out", path);
    json_object_foreach(here, key, value) {
        const json_t *other = json_object_get(there, key);
        if (code || (other && json_equal(value, other)))
            continue;
        char *a = other ? json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
        char *b = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        code = error_set(e, ERROR_INPUT, "%s: results of other settings: its %s is %.150s, here it is %.150s; choose another file with --out", path,
                         key, a ? a : "not said", b);
        free(a);
        free(b);
    }
    json_decref(there);
    json_decref(here);
    return code;
}

/* --- runs -------------------------------------------------------------------------------------------------------- */

int search_bench_file_append(struct search_bench *b, const struct search_bench_run *run, struct error *e)
{
    json_t *value = json_pack("{s:s, s:I, s:i, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I}, s:f, s:f, s:i, s:o, s:o}", "strategy",
                              b->strategies[run->strategy], "budget_tokens", (json_int_t)b->budgets[run->budget], "row", run->row, "seed",
                              whole(run->seed), "problem", text_or_null(run->problem), "answer", text_or_null(run->answer), "correct",
                              run->correct < 0 ? json_null() : json_boolean(run->correct), "tokens", "prompt", (json_int_t)run->usage.prompt,
                              "cached", (json_int_t)run->usage.cached, "completion", (json_int_t)run->usage.completion, "flops",
                              run->usage.flops, "seconds", run->seconds, "nodes", run->nodes, "why", text_or_null(run->why), "failed",
                              text_or_null(run->failed));
    char *line = dump_line(value);
    size_t n = strlen(line);
    ssize_t wrote = write(b->file, line, n); /* in one piece: a kill leaves all of it, or nothing that ends a line */
    int code = wrote == (ssize_t)n ? OK
                                   : error_set(e, ERROR_ENGINE, "%s: cannot be written: %s; what is there is kept, make room and run again", b->path,
                                               wrote < 0 ? strerror(errno) : "no space left");
    free(line);
    return code;
}

static char *copy_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? xstrdup(text) : NULL;
}

static int is_text_or_null(const json_t *value)
{
    return json_is_string(value) || json_is_null(value);
}

static int read_seed(const json_t *value, uint64_t *seed)
{
    const char *digits = json_string_value(value);
    char *end = NULL;
    *seed = digits ? strtoull(digits, &end, 10) : (uint64_t)json_integer_value(value);
    return digits ? end > digits && !*end : json_is_integer(value) && json_integer_value(value) >= 0;
}

/* Where the run of that line stands in the plan, -1: nowhere, it is of other problems, seeds, strategies or budgets. -2: it is no run. */
static int place_of(const struct search_bench *b, const json_t *object)
{
    const char *strategy = json_string_value(json_object_get(object, "strategy"));
    const json_t *budget = json_object_get(object, "budget_tokens"), *row = json_object_get(object, "row");
    uint64_t seed;
    if (!strategy || !json_is_integer(budget) || !json_is_integer(row) || !read_seed(json_object_get(object, "seed"), &seed))
        return -2;
    int s = 0, u = 0;
    while (s < b->strategy_count && strcmp(b->strategies[s], strategy))
        s++;
    while (u < b->budget_count && b->budgets[u] != json_integer_value(budget))
        u++;
    json_int_t r = json_integer_value(row);
    seed -= b->each.seed;
    if (s == b->strategy_count || u == b->budget_count || r < b->first || r > b->last || seed >= (uint64_t)b->seeds)
        return -1;
    return ((((int)r - b->first) * b->seeds + (int)seed) * b->budget_count + u) * b->strategy_count + s;
}

static int read_run(struct search_bench *b, const json_t *object, int i)
{
    struct search_bench_run *run = &b->runs[i];
    const json_t *correct = json_object_get(object, "correct"), *nodes = json_object_get(object, "nodes");
    json_int_t prompt, cached, completion;
    double flops, seconds;
    if (json_unpack((json_t *)object, "{s:{s:I, s:I, s:I}, s:F, s:F}", "tokens", "prompt", &prompt, "cached", &cached, "completion", &completion,
                    "flops", &flops, "seconds", &seconds))
        return 0;
    if (!(json_is_boolean(correct) || json_is_null(correct)) || !json_is_integer(nodes) || !is_text_or_null(json_object_get(object, "answer")) ||
        !is_text_or_null(json_object_get(object, "why")) || !is_text_or_null(json_object_get(object, "failed")) ||
        !is_text_or_null(json_object_get(object, "problem")))
        return 0;
    if (run->finished)
        return 1;
    run->finished = 1;
    run->problem = copy_text(object, "problem");
    run->answer = copy_text(object, "answer");
    run->why = copy_text(object, "why");
    run->failed = copy_text(object, "failed");
    run->correct = json_is_null(correct) ? -1 : json_is_true(correct);
    run->nodes = (int)json_integer_value(nodes);
    run->usage = (struct search_usage){prompt, cached, completion, flops};
    run->seconds = seconds;
    b->finished++;
    return 1;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* The folders above a path, those that are not there. */
static void make_folders(const char *path)
{
    char *copy = xstrdup(path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0777);
        *slash = '/';
    }
    free(copy);
}

static char *standard_path(const char *settings, struct error *e)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    unsigned long long hash = hash_bytes(settings, strlen(settings));
    if (data && *data == '/')
        return xasprintf("%s/espalier/bench/%016llx.jsonl", data, hash);
    if (home && *home)
        return xasprintf("%s/.local/share/espalier/bench/%016llx.jsonl", home, hash);
    error_set(e, ERROR_INPUT, "there is no place for the results: HOME is not set; choose a file with --out");
    return NULL;
}

static int open_file(struct search_bench *b, struct error *e)
{
    struct stat about;
    if (!stat(b->path, &about) && !S_ISREG(about.st_mode))
        return error_set(e, ERROR_INPUT, "%s: not a file; choose one with --out", b->path);
    b->file = open(b->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (b->file < 0)
        return error_set(e, ERROR_INPUT, "%s: cannot be opened for writing: %s", b->path, strerror(errno));
    if (flock(b->file, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return error_set(e, ERROR_INPUT, "%s: another espalier is writing to it; wait for it, or choose another file with --out", b->path);
    return OK;
}

/* All of the file up to its last line end; *cut: there is more. */
static int read_whole(struct search_bench *b, struct string *out, int *cut, struct error *e)
{
    enum { PART = 1 << 16, MOST = 1 << 30 };
    char *part = xmalloc(PART);
    ssize_t n = 1;
    while ((n = read(b->file, part, PART)) > 0 && out->length < MOST)
        string_append(out, part, (size_t)n);
    free(part);
    if (n)
        return error_set(e, ERROR_INPUT, "%s: %s", b->path, n < 0 ? strerror(errno) : "more than 1 GiB; is this the right file?");
    if (out->length && memchr(out->text, '\0', out->length))
        return error_set(e, ERROR_INPUT, "%s: holds a byte 0, which no file of results does; choose another file with --out", b->path);
    *cut = out->length && out->text[out->length - 1] != '\n';
    return OK;
}

static int read_lines(struct search_bench *b, char *text, struct error *e)
{
    int number = 2;
    for (char *end; *text && (end = strchr(text, '\n')); text = end + 1, number++) {
        *end = '\0';
        json_t *object = json_loads(text, 0, NULL);
        int i = place_of(b, object), fine = i == -1 || (i >= 0 && read_run(b, object, i));
        json_decref(object);
        if (!fine)
            return error_set(e, ERROR_INPUT, "%s: line %d: not a run as espalier bench writes it; take the line out, or choose another file with --out",
                             b->path, number);
    }
    return OK;
}

/* A file that a kill left with less than its first line is as good as new; anything else that has no line at all is not ours. */
static int begin_file(struct search_bench *b, const struct string *there, const char *settings, struct error *e)
{
    size_t n = strlen(settings);
    if (there->length > n || memcmp(string_text(there), settings, there->length))
        return error_set(e, ERROR_INPUT, "%s: line 1: not a file of results of espalier bench; choose another with --out", b->path);
    if (write(b->file, settings + there->length, n - there->length) != (ssize_t)(n - there->length))
        return error_set(e, ERROR_ENGINE, "%s: cannot be written: %s", b->path, strerror(errno));
    return OK;
}

int search_bench_file_open(struct search_bench *b, const char *path, struct error *e)
{
    struct string there = {0};
    char *settings = search_bench_settings(b, e);
    int cut = 0, code = settings ? OK : e->code;
    if (!code && !(b->path = path ? xstrdup(path) : standard_path(settings, e)))
        code = e->code;
    if (!code && !path)
        make_folders(b->path);
    if (!code)
        code = open_file(b, e);
    if (!code)
        code = read_whole(b, &there, &cut, e);
    char *first = there.text ? strchr(there.text, '\n') : NULL;
    if (!code && !first) {
        code = begin_file(b, &there, settings, e);
    } else if (!code) {
        size_t length = there.length;
        while (cut && there.text[length - 1] != '\n')
            length--;
        there.text[length] = '\0';
        *first = '\0';
        code = check_settings(b->path, there.text, settings, e);
        if (!code)
            code = read_lines(b, first + 1, e);
        if (!code && cut && ftruncate(b->file, (off_t)length))
            code = error_set(e, ERROR_INPUT, "%s: its last line is cut off and cannot be dropped: %s", b->path, strerror(errno));
    }
    string_free(&there);
    free(settings);
    return code;
}
