/* Events from lines of JSON: the way back from event_json.c. Every field is checked, and what is wrong is told by its name. */
#include "search/event.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One line being read. The first thing that is wrong is kept, and makes all that follows harmless. */
struct reader {
    const char *file;
    int64_t line;
    struct error *e;
    int wrong;
};

static void fail(struct reader *r, const char *key, const char *expected, const json_t *found)
{
    static const char *const types[] = {"an object", "a list", "a string", "a whole number", "a number", "true", "false", "null"};
    if (!r->wrong)
        error_set(r->e, ERROR_INPUT, "%s: line %lld: \"%s\" is %s; expected %s", r->file, (long long)r->line, key,
                  found ? types[json_typeof(found)] : "missing", expected);
    r->wrong = 1;
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

static int64_t whole(struct reader *r, const json_t *value, const char *key, int64_t least, int64_t most)
{
    if (!json_is_integer(value)) {
        fail(r, key, "a whole number", value);
        return 0;
    }
    int64_t x = json_integer_value(value);
    if ((x < least || x > most) && !r->wrong) {
        error_set(r->e, ERROR_INPUT, "%s: line %lld: \"%s\" is %lld; expected a number from %lld to %lld", r->file, (long long)r->line, key,
                  (long long)x, (long long)least, (long long)most);
        r->wrong = 1;
    }
    return r->wrong ? 0 : x;
}

static int64_t get_whole(struct reader *r, const json_t *o, const char *key, int64_t least, int64_t most)
{
    return whole(r, json_object_get(o, key), key, least, most);
}

static int get_int(struct reader *r, const json_t *o, const char *key, int least)
{
    return (int)get_whole(r, o, key, least, INT_MAX);
}

/* null is how a number that is not finite was written. */
static double real(struct reader *r, const json_t *value, const char *key)
{
    if (json_is_number(value))
        return json_number_value(value);
    if (!json_is_null(value))
        fail(r, key, "a number or null", value);
    return NAN;
}

static double get_real(struct reader *r, const json_t *o, const char *key)
{
    return real(r, json_object_get(o, key), key);
}

static int get_flag(struct reader *r, const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    if (!json_is_boolean(value))
        fail(r, key, "true or false", value);
    return json_is_true(value);
}

static int get_verdict(struct reader *r, const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    if (json_is_null(value))
        return -1;
    if (!json_is_boolean(value))
        fail(r, key, "true, false or null", value);
    return json_is_true(value);
}

static char *text_or_null(struct reader *r, const json_t *value, const char *key)
{
    if (!json_is_string(value) && !json_is_null(value))
        fail(r, key, "a string or null", value);
    return json_is_string(value) ? xstrdup(json_string_value(value)) : NULL;
}

static char *get_text_or_null(struct reader *r, const json_t *o, const char *key)
{
    return text_or_null(r, json_object_get(o, key), key);
}

static char *get_text(struct reader *r, const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    if (!json_is_string(value))
        fail(r, key, "a string", value);
    return json_is_string(value) ? xstrdup(json_string_value(value)) : NULL;
}

/* Which of the names the string is; 0 when it is none, which is said. */
static int get_name(struct reader *r, const json_t *o, const char *key, const char *const *names, int count)
{
    const json_t *value = json_object_get(o, key);
    const char *name = json_string_value(value);
    for (int i = 0; i < count && name; i++)
        if (!strcmp(name, names[i]))
            return i;
    struct string expected = {0};
    for (int i = 0; i < count; i++)
        string_addf(&expected, "%s%s", !i ? "one of " : ", ", names[i]);
    if (name && !r->wrong)
        error_set(r->e, ERROR_INPUT, "%s: line %lld: \"%s\" is \"%.40s\"; expected %s", r->file, (long long)r->line, key, name, expected.text);
    else
        fail(r, key, expected.text, value);
    r->wrong = 1;
    string_free(&expected);
    return 0;
}

static const json_t *get_list(struct reader *r, const json_t *o, const char *key, int *count)
{
    const json_t *value = json_object_get(o, key);
    size_t n = json_array_size(value);
    if (!json_is_array(value))
        fail(r, key, "a list", value);
    else if (n > INT_MAX / 2)
        fail(r, key, "a shorter list", value);
    *count = r->wrong ? 0 : (int)n;
    return value;
}

static const json_t *get_object(struct reader *r, const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    if (!json_is_object(value))
        fail(r, key, "an object", value);
    return value;
}

static int *get_ints(struct reader *r, const json_t *o, const char *key, int *count)
{
    const json_t *list = get_list(r, o, key, count);
    int *values = xcalloc((size_t)*count + 1, sizeof *values);
    for (int i = 0; i < *count; i++)
        values[i] = (int)whole(r, json_array_get(list, (size_t)i), key, 0, INT_MAX);
    return values;
}

static struct search_usage get_usage(struct reader *r, const json_t *o)
{
    const json_t *tokens = get_object(r, o, "tokens");
    return (struct search_usage){
        .prompt = get_whole(r, tokens, "prompt", 0, INT64_MAX),
        .cached = get_whole(r, tokens, "cached", 0, INT64_MAX),
        .completion = get_whole(r, tokens, "completion", 0, INT64_MAX),
        .flops = get_real(r, o, "flops"),
    };
}

static enum search_purpose get_purpose(struct reader *r, const json_t *o)
{
    const char *names[SEARCH_PURPOSES];
    for (int i = 0; i < SEARCH_PURPOSES; i++)
        names[i] = search_purpose_name((enum search_purpose)i);
    return (enum search_purpose)get_name(r, o, "purpose", names, SEARCH_PURPOSES);
}

/* What is only written where it says something. */
static int has(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return value && !json_is_null(value);
}

static int get_mark(struct reader *r, const json_t *o, const char *key)
{
    return has(o, key) && get_flag(r, o, key);
}

static int get_by_user(struct reader *r, const json_t *o)
{
    static const char *const names[] = {"user"};
    if (has(o, "by"))
        get_name(r, o, "by", names, 1);
    return has(o, "by");
}

/* --- kinds of events --------------------------------------------------------------------------------------------- */

/* A whole number, or, above 2^63, the string of its digits. */
static uint64_t get_seed(struct reader *r, const json_t *o)
{
    const json_t *value = json_object_get(o, "seed");
    const char *digits = json_string_value(value);
    if (!digits)
        return (uint64_t)get_whole(r, o, "seed", 0, INT64_MAX);
    uint64_t seed = 0;
    int fits = *digits != '\0';
    for (const char *p = digits; *p && fits; p++) {
        fits = *p >= '0' && *p <= '9' && seed <= (UINT64_MAX - (uint64_t)(*p - '0')) / 10;
        seed = fits ? 10 * seed + (uint64_t)(*p - '0') : 0;
    }
    if (!fits)
        fail(r, "seed", "a whole number of at most 64 bits", value);
    return seed;
}

static void read_adapters(struct reader *r, const json_t *o, struct search_event *event)
{
    int count = 0;
    const json_t *list = has(o, "adapters") ? get_list(r, o, "adapters", &count) : NULL;
    event->session.adapters = count ? xcalloc((size_t)count, sizeof *event->session.adapters) : NULL;
    event->session.adapter_count = count;
    for (int i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, (size_t)i);
        char *sum = get_text(r, one, "sum"), *end = sum;
        event->session.adapters[i].path = get_text(r, one, "path");
        event->session.adapters[i].weight = (float)get_real(r, one, "weight");
        event->session.adapters[i].sum = sum ? strtoull(sum, &end, 16) : 0;
        if (!sum || end != sum + 16 || *end)
            fail(r, "sum", "16 hexadecimal digits", json_object_get(one, "sum"));
        free(sum);
    }
}

static void read_session(struct reader *r, const json_t *o, struct search_event *event)
{
    event->session.task = get_text(r, o, "task");
    event->session.problem = get_text(r, o, "problem");
    event->session.expected = get_text_or_null(r, o, "expected");
    event->session.strategy = get_text(r, o, "strategy");
    event->session.model = get_text(r, o, "model");
    event->session.seed = get_seed(r, o);
    const json_t *sampling = get_object(r, o, "sampling");
    event->session.sampling = (struct engine_sampling){
        .temperature = (float)get_real(r, sampling, "temperature"),
        .top_k = get_int(r, sampling, "top_k", 0),
        .top_p = (float)get_real(r, sampling, "top_p"),
        .min_p = (float)get_real(r, sampling, "min_p"),
        .repetition_penalty = (float)get_real(r, sampling, "repetition_penalty"),
    };
    if (!json_is_null(json_object_get(o, "budget_tokens")))
        event->session.budget_tokens = get_whole(r, o, "budget_tokens", 1, INT64_MAX);
    if (has(o, "budget_flops"))
        event->session.budget_flops = get_real(r, o, "budget_flops");
    if (has(o, "budget_nodes"))
        event->session.budget_nodes = get_int(r, o, "budget_nodes", 1);
    if (has(o, "budget_time"))
        event->session.budget_time = get_real(r, o, "budget_time");
    if (has(o, "judge_model"))
        event->session.judge_model = get_text(r, o, "judge_model");
    event->session.grammar = get_mark(r, o, "grammar");
    read_adapters(r, o, event);
    event->session.trained = get_mark(r, o, "trained");
    event->session.judge_trained = get_mark(r, o, "judge_trained");
}

static void read_item(struct reader *r, const json_t *o, struct search_item *item)
{
    item->purpose = get_purpose(r, o);
    item->nodes = get_ints(r, o, "nodes", &item->count);
    item->samples = get_int(r, o, "samples", 0);
    if (!item->count)
        fail(r, "nodes", "a list of at least one node", json_object_get(o, "nodes"));
    item->heated = has(o, "temperature");
    item->temperature = item->heated ? (float)get_real(r, o, "temperature") : 0;
    if (has(o, "fork")) {
        const json_t *fork = get_object(r, o, "fork");
        item->fork = get_whole(r, fork, "completion", 1, INT64_MAX);
        item->token = get_int(r, fork, "token", 0);
        item->id = get_int(r, fork, "id", 0);
    }
}

static void read_plan(struct reader *r, const json_t *o, struct search_event *event)
{
    int count;
    event->plan.why = get_text(r, o, "why");
    const json_t *items = get_list(r, o, "items", &count);
    event->plan.items = xcalloc((size_t)count + 1, sizeof *event->plan.items);
    for (int i = 0; i < count; i++)
        read_item(r, json_array_get(items, (size_t)i), &event->plan.items[event->plan.count++]);
    if (has(o, "ask"))
        event->plan.ask = get_whole(r, o, "ask", 1, INT64_MAX);
}

static void read_ask(struct reader *r, const json_t *o, struct search_event *event)
{
    event->ask.item = xcalloc(1, sizeof *event->ask.item);
    read_item(r, get_object(r, o, "item"), event->ask.item);
}

static struct engine_token get_token(struct reader *r, const json_t *o)
{
    int count;
    struct engine_token token = {.id = get_int(r, o, "id", 0), .logprob = (float)get_real(r, o, "logprob")};
    const json_t *top = get_list(r, o, "top", &count);
    if (count > ENGINE_TOP)
        fail(r, "top", "at most 8 tokens", top);
    for (int i = 0; i < ENGINE_TOP; i++)
        token.top[i].id = -1;
    for (int i = 0; i < count && !r->wrong; i++) {
        const json_t *choice = json_array_get(top, (size_t)i);
        if (json_array_size(choice) != 2)
            fail(r, "top", "pairs of an id and a log-probability", choice);
        token.top[i].id = (int)whole(r, json_array_get(choice, 0), "top", 0, INT_MAX);
        token.top[i].logprob = (float)real(r, json_array_get(choice, 1), "top");
    }
    token.cut = has(o, "cut") ? (float)get_real(r, o, "cut") : 0;
    return token;
}

static void read_completion(struct reader *r, const json_t *o, struct search_event *event)
{
    static const char *const endings[] = {"token", "stop", "length", "context", "scored", "cancelled", "budget"};
    enum { BUDGET = sizeof endings / sizeof *endings - 1 };
    int count;
    event->completion.item = get_int(r, o, "item", 0);
    event->completion.sample = (int)get_whole(r, o, "sample", 0, INT_MAX - 1); /* one more counts it */
    if (!json_is_null(json_object_get(o, "prompt")))
        event->completion.prompt = get_ints(r, o, "prompt", &event->completion.prompt_count);
    event->completion.text = get_text(r, o, "text");
    int ending = get_name(r, o, "ending", endings, BUDGET + 1);
    event->completion.clipped = ending == BUDGET;
    event->completion.ending = ending == BUDGET ? ENGINE_END_LENGTH : (enum engine_ending)ending;
    event->completion.judge = get_mark(r, o, "judge");
    event->completion.usage = get_usage(r, get_object(r, o, "usage"));
    const json_t *tokens = get_list(r, o, "tokens", &count);
    event->completion.tokens = xcalloc((size_t)count + 1, sizeof *event->completion.tokens);
    for (int i = 0; i < count; i++)
        event->completion.tokens[i] = get_token(r, json_array_get(tokens, (size_t)i));
    event->completion.count = count;
}

static void read_thought(struct reader *r, const json_t *o, struct search_event *event)
{
    event->thought.node = get_int(r, o, "node", 1);
    event->thought.parent = get_int(r, o, "parent", 0);
    event->thought.text = get_text(r, o, "text");
    event->thought.completion = get_whole(r, o, "completion", -1, INT64_MAX);
    event->thought.first = get_int(r, o, "first", 0);
    event->thought.count = get_int(r, o, "count", 0);
    event->thought.illegal = get_flag(r, o, "illegal");
    event->thought.why = get_text_or_null(r, o, "why");
    event->thought.state = get_text_or_null(r, o, "state");
    event->thought.final = get_flag(r, o, "final");
    event->thought.answer = get_text_or_null(r, o, "answer");
    event->thought.correct = get_verdict(r, o, "correct");
    event->thought.by_user = get_by_user(r, o);
    event->thought.replaces = has(o, "replaces") ? get_int(r, o, "replaces", 1) : -1;
}

static void read_judgement(struct reader *r, const json_t *o, struct search_event *event)
{
    int scores, labels;
    event->judgement.item = get_int(r, o, "item", 0);
    event->judgement.purpose = get_purpose(r, o);
    event->judgement.nodes = get_ints(r, o, "nodes", &event->judgement.count);
    const json_t *list = get_list(r, o, "scores", &scores);
    if (scores != event->judgement.count)
        fail(r, "scores", "one for each of the nodes", list);
    event->judgement.scores = xcalloc((size_t)scores + 1, sizeof *event->judgement.scores);
    for (int i = 0; i < scores; i++)
        event->judgement.scores[i] = real(r, json_array_get(list, (size_t)i), "scores");
    event->judgement.most = has(o, "most") ? get_real(r, o, "most") : 0;
    list = get_list(r, o, "labels", &labels);
    event->judgement.labels = xcalloc((size_t)labels + 1, sizeof *event->judgement.labels);
    for (int i = 0; i < labels; i++)
        event->judgement.labels[i] = text_or_null(r, json_array_get(list, (size_t)i), "labels");
    event->judgement.samples = labels;
    event->judgement.cached = get_flag(r, o, "cached");
}

static void read_backups(struct reader *r, const json_t *o, struct search_event *event)
{
    int count;
    const json_t *list = get_list(r, o, "backups", &count);
    event->decision.backups = xcalloc((size_t)count + 1, sizeof *event->decision.backups);
    for (int i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, (size_t)i);
        if (json_array_size(one) != 2)
            fail(r, "backups", "pairs of a node and a reward", one);
        event->decision.backups[i].node = (int)whole(r, json_array_get(one, 0), "backups", 0, INT_MAX);
        event->decision.backups[i].reward = real(r, json_array_get(one, 1), "backups");
    }
    event->decision.backup_count = count;
}

static void read_decision(struct reader *r, const json_t *o, struct search_event *event)
{
    int count;
    event->decision.kept = get_ints(r, o, "kept", &event->decision.kept_count);
    event->decision.why = get_text(r, o, "why");
    const json_t *tally = get_list(r, o, "tally", &count);
    event->decision.tally = xcalloc((size_t)count + 1, sizeof *event->decision.tally);
    for (int i = 0; i < count; i++) {
        const json_t *one = json_array_get(tally, (size_t)i);
        event->decision.tally[i].answer = get_text_or_null(r, one, "answer");
        event->decision.tally[i].votes = get_int(r, one, "votes", 0);
        event->decision.tally[i].logprob = get_real(r, one, "logprob");
        event->decision.tally[i].node = get_int(r, one, "node", -1);
    }
    event->decision.tally_count = count;
    event->decision.tie = get_flag(r, o, "tie");
    event->decision.spent = get_mark(r, o, "spent");
    if (has(o, "backups"))
        read_backups(r, o, event);
}

static void read_revote(struct reader *r, const json_t *o, struct search_event *event)
{
    event->revote.excluded = get_ints(r, o, "excluded", &event->revote.count);
    event->revote.weight = get_text_or_null(r, o, "weight");
}

static void read_result(struct reader *r, const json_t *o, struct search_event *event)
{
    event->result.strategy = get_text(r, o, "strategy");
    event->result.answer = get_text_or_null(r, o, "answer");
    event->result.correct = get_verdict(r, o, "correct");
    event->result.usage = get_usage(r, o);
    event->result.node = json_is_null(json_object_get(o, "node")) ? -1 : get_int(r, o, "node", 0);
    event->result.why = get_text(r, o, "why");
    event->result.nodes = get_int(r, o, "nodes", 0);
    event->result.illegal = get_int(r, o, "illegal", 0);
    event->result.spent = get_mark(r, o, "spent");
}

static struct search_event *read_event(struct reader *r, const json_t *o)
{
    enum search_event_kind kind = (enum search_event_kind)get_name(r, o, "event", search_event_names, SEARCH_EVENT_KINDS);
    int64_t number = get_whole(r, o, "number", 0, INT64_MAX);
    int step = get_int(r, o, "step", -1);
    if (r->wrong)
        return NULL;
    struct search_event *event = search_event_make(kind, number, step);
    switch (kind) {
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
        read_session(r, o, event);
        break;
    case SEARCH_EVENT_PLAN:
        read_plan(r, o, event);
        break;
    case SEARCH_EVENT_COMPLETION:
        read_completion(r, o, event);
        break;
    case SEARCH_EVENT_THOUGHT:
        read_thought(r, o, event);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        read_judgement(r, o, event);
        break;
    case SEARCH_EVENT_DECISION:
        read_decision(r, o, event);
        break;
    case SEARCH_EVENT_KEEP:
        event->keep.node = get_int(r, o, "node", 1);
        event->keep.on = get_flag(r, o, "on");
        break;
    case SEARCH_EVENT_ASK:
        read_ask(r, o, event);
        break;
    case SEARCH_EVENT_REVOTE:
        read_revote(r, o, event);
        break;
    case SEARCH_EVENT_BREAK:
        event->stops.rules = get_text(r, o, "rules");
        break;
    case SEARCH_EVENT_BACK:
        event->back.target = get_whole(r, o, "target", 0, INT64_MAX);
        break;
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
        event->prune.node = get_int(r, o, "node", 1);
        break;
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
        event->undo.target = get_whole(r, o, "target", 0, INT64_MAX);
        break;
    case SEARCH_EVENT_RESULT:
        read_result(r, o, event);
        break;
    case SEARCH_EVENT_KINDS:
        break;
    }
    return event;
}

int search_event_parse(const char *text, size_t n, const char *file, int64_t line, struct search_event **out, struct error *e)
{
    struct reader r = {.file = file, .line = line, .e = e};
    json_error_t where;
    *out = NULL;
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
    if (!o)
        return error_set(e, ERROR_INPUT, "%s: line %lld: not JSON at byte %d: %s; expected one event, as espalier run --json prints it", file,
                         (long long)line, where.position, where.text);
    struct search_event *event = NULL;
    if (json_is_object(o))
        event = read_event(&r, o);
    else
        fail(&r, "event", "a line that is an object", NULL);
    json_decref(o);
    if (r.wrong) {
        search_event_release(event);
        return ERROR_INPUT;
    }
    *out = event;
    return OK;
}
