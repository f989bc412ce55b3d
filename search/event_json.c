/* Events as lines of JSON; the schema is in README.md. */
#include "search/event.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const search_event_names[SEARCH_EVENT_KINDS] = {"session", "plan",  "completion", "thought", "judgement",
                                                            "decision", "prune", "undo",       "redo",    "result",
                                                            "keep",    "revote", "setting",    "back",
                                                            "ask",     "restore", "break"};

/* Text in events is UTF-8 already, except where it did not come from the model (a path, a problem): that is made so
 * here. */
static json_t *text(const char *s)
{
    if (!s)
        return json_null();
    json_t *value = json_string(s);
    if (value)
        return value;
    char *clean = search_text(s, strlen(s), NULL, 0);
    value = json_string(clean);
    free(clean);
    return value;
}

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *verdict(int correct)
{
    return correct < 0 ? json_null() : json_boolean(correct);
}

static json_t *integers(const int *values, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_integer(values[i]));
    return list;
}

static const char *ending_name(enum engine_ending ending)
{
    static const char *const names[] = {"token", "stop", "length", "context", "scored", "cancelled"};
    return names[ending];
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new_nocheck(object, key, value);
}

static void set_usage(json_t *object, const struct search_usage *u)
{
    set(object, "tokens",
        json_pack("{s:I, s:I, s:I}", "prompt", (json_int_t)u->prompt, "cached", (json_int_t)u->cached, "completion",
                  (json_int_t)u->completion));
    set(object, "flops", real(u->flops));
}

static void add_session(json_t *o, const struct search_event *event)
{
    set(o, "task", text(event->session.task));
    set(o, "problem", text(event->session.problem));
    set(o, "expected", text(event->session.expected));
    set(o, "strategy", text(event->session.strategy));
    set(o, "model", text(event->session.model));
    /* JSON integers end at 2^63 here; a greater seed is a string of digits. */
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)event->session.seed);
    set(o, "seed",
        event->session.seed <= INT64_MAX ? json_integer((json_int_t)event->session.seed) : json_string(digits));
    const struct engine_sampling *s = &event->session.sampling;
    json_t *sampling = json_object();
    set(sampling, "temperature", real(s->temperature));
    set(sampling, "top_k", json_integer(s->top_k));
    set(sampling, "top_p", real(s->top_p));
    set(sampling, "min_p", real(s->min_p));
    set(sampling, "repetition_penalty", real(s->repetition_penalty));
    set(o, "sampling", sampling);
    set(o, "budget_tokens",
        event->session.budget_tokens > 0 ? json_integer(event->session.budget_tokens) : json_null());
    if (event->session.budget_flops > 0)
        set(o, "budget_flops", real(event->session.budget_flops));
    if (event->session.budget_nodes > 0)
        set(o, "budget_nodes", json_integer(event->session.budget_nodes));
    if (event->session.budget_time > 0)
        set(o, "budget_time", real(event->session.budget_time));
    if (event->session.judge_model)
        set(o, "judge_model", text(event->session.judge_model));
    if (event->session.grammar)
        set(o, "grammar", json_true());
    json_t *adapters = event->session.adapter_count ? json_array() : NULL;
    for (int i = 0; i < event->session.adapter_count; i++) {
        const struct search_adapter *a = &event->session.adapters[i];
        char sum[17];
        json_t *one = json_object();
        snprintf(sum, sizeof sum, "%016llx", (unsigned long long)a->sum);
        set(one, "path", text(a->path));
        set(one, "weight", real((double)a->weight));
        set(one, "sum", json_string(sum));
        json_array_append_new(adapters, one);
    }
    if (adapters)
        set(o, "adapters", adapters);
    if (event->session.trained)
        set(o, "trained", json_true());
    if (event->session.judge_trained)
        set(o, "judge_trained", json_true());
}

static json_t *item(const struct search_item *item)
{
    json_t *one = json_object();
    set(one, "purpose", json_string(search_purpose_name(item->purpose)));
    set(one, "nodes", integers(item->nodes, item->count));
    set(one, "samples", json_integer(item->samples));
    if (item->heated)
        set(one, "temperature", real(item->temperature));
    if (item->fork)
        set(one, "fork",
            json_pack("{s:I, s:i, s:i}", "completion", (json_int_t)item->fork, "token", item->token, "id", item->id));
    return one;
}

static void add_plan(json_t *o, const struct search_event *event)
{
    json_t *items = json_array();
    for (int i = 0; i < event->plan.count; i++)
        json_array_append_new(items, item(&event->plan.items[i]));
    set(o, "why", text(event->plan.why));
    set(o, "items", items);
    if (event->plan.ask)
        set(o, "ask", json_integer(event->plan.ask));
}

static json_t *token(const struct engine_token *t, const struct engine *engine)
{
    json_t *o = json_object();
    set(o, "id", json_integer(t->id));
    if (engine) {
        size_t bytes = 0;
        const char *raw = engine_token_text(engine, t->id, &bytes);
        char *clean = search_text(raw ? raw : "", raw ? bytes : 0, NULL, 0);
        set(o, "text", json_string(clean));
        free(clean);
    }
    set(o, "logprob", real(t->logprob));
    json_t *top = json_array();
    for (int i = 0; i < ENGINE_TOP && t->top[i].id >= 0; i++) {
        json_t *choice = json_array();
        json_array_append_new(choice, json_integer(t->top[i].id));
        json_array_append_new(choice, real(t->top[i].logprob));
        json_array_append_new(top, choice);
    }
    set(o, "top", top);
    if (t->cut > 0)
        set(o, "cut", real(t->cut));
    return o;
}

static void add_completion(json_t *o, const struct search_event *event, const struct engine *engine)
{
    json_t *tokens = json_array();
    for (int i = 0; i < event->completion.count; i++)
        json_array_append_new(tokens, token(&event->completion.tokens[i], engine));
    set(o, "item", json_integer(event->completion.item));
    set(o, "sample", json_integer(event->completion.sample));
    set(o, "prompt",
        event->completion.prompt ? integers(event->completion.prompt, event->completion.prompt_count) : json_null());
    set(o, "text", text(event->completion.text));
    set(o, "ending", json_string(event->completion.clipped ? "budget" : ending_name(event->completion.ending)));
    if (event->completion.judge)
        set(o, "judge", json_true());
    struct search_usage usage = event->completion.usage;
    json_t *sums = json_object();
    set_usage(sums, &usage);
    set(o, "usage", sums);
    set(o, "tokens", tokens);
}

static void add_thought(json_t *o, const struct search_event *event)
{
    set(o, "node", json_integer(event->thought.node));
    set(o, "parent", json_integer(event->thought.parent));
    set(o, "text", text(event->thought.text));
    set(o, "completion", json_integer(event->thought.completion));
    set(o, "first", json_integer(event->thought.first));
    set(o, "count", json_integer(event->thought.count));
    set(o, "illegal", json_boolean(event->thought.illegal));
    set(o, "why", text(event->thought.why));
    set(o, "state", text(event->thought.state));
    set(o, "final", json_boolean(event->thought.final));
    set(o, "answer", text(event->thought.answer));
    set(o, "correct", verdict(event->thought.correct));
    if (event->thought.by_user) {
        set(o, "by", json_string("user"));
        set(o, "replaces", event->thought.replaces > 0 ? json_integer(event->thought.replaces) : json_null());
    }
}

static void add_judgement(json_t *o, const struct search_event *event)
{
    json_t *scores = json_array(), *labels = json_array();
    for (int i = 0; i < event->judgement.count; i++)
        json_array_append_new(scores, real(event->judgement.scores[i]));
    for (int i = 0; i < event->judgement.samples; i++)
        json_array_append_new(labels, text(event->judgement.labels[i]));
    set(o, "item", json_integer(event->judgement.item));
    set(o, "purpose", json_string(search_purpose_name(event->judgement.purpose)));
    set(o, "nodes", integers(event->judgement.nodes, event->judgement.count));
    set(o, "scores", scores);
    if (event->judgement.most > 0)
        set(o, "most", real(event->judgement.most));
    set(o, "labels", labels);
    set(o, "cached", json_boolean(event->judgement.cached));
}

static void add_decision(json_t *o, const struct search_event *event)
{
    json_t *tally = json_array();
    for (int i = 0; i < event->decision.tally_count; i++) {
        const struct search_tally *t = &event->decision.tally[i];
        json_t *one = json_object();
        set(one, "answer", text(t->answer));
        set(one, "votes", json_integer(t->votes));
        set(one, "logprob", real(t->logprob));
        set(one, "node", json_integer(t->node));
        json_array_append_new(tally, one);
    }
    set(o, "kept", integers(event->decision.kept, event->decision.kept_count));
    set(o, "why", text(event->decision.why));
    set(o, "tally", tally);
    set(o, "tie", json_boolean(event->decision.tie));
    json_t *backups = json_array();
    for (int i = 0; i < event->decision.backup_count; i++)
        json_array_append_new(backups, json_pack("[i, f]", event->decision.backups[i].node, event->decision.backups[i].reward));
    if (event->decision.backup_count)
        set(o, "backups", backups);
    else
        json_decref(backups);
    if (event->decision.spent)
        set(o, "spent", json_true());
}

static void add_revote(json_t *o, const struct search_event *event)
{
    set(o, "excluded", integers(event->revote.excluded, event->revote.count));
    set(o, "weight", text(event->revote.weight));
}

static void add_result(json_t *o, const struct search_event *event)
{
    set(o, "strategy", text(event->result.strategy));
    set(o, "answer", text(event->result.answer));
    set(o, "correct", verdict(event->result.correct));
    set_usage(o, &event->result.usage);
    set(o, "node", event->result.node < 0 ? json_null() : json_integer(event->result.node));
    set(o, "why", text(event->result.why));
    set(o, "nodes", json_integer(event->result.nodes));
    set(o, "illegal", json_integer(event->result.illegal));
    if (event->result.spent)
        set(o, "spent", json_true());
}

/* A log may be looked at in a terminal: no control character, nor one that turns text around, may stand in it as such.
 * jansson escapes them all but DEL. */
static int append(const char *bytes, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] == 0x7f)
            string_add(out, "\\u007f");
        else
            string_append(out, bytes + i, 1);
    return 0;
}

void search_event_json(const struct search_event *event, const struct engine *engine, struct string *out)
{
    json_t *o = json_object();
    set(o, "event", json_string(search_event_names[event->kind]));
    set(o, "number", json_integer(event->number));
    set(o, "step", json_integer(event->step));
    switch (event->kind) {
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
        add_session(o, event);
        break;
    case SEARCH_EVENT_PLAN:
        add_plan(o, event);
        break;
    case SEARCH_EVENT_COMPLETION:
        add_completion(o, event, engine);
        break;
    case SEARCH_EVENT_THOUGHT:
        add_thought(o, event);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        add_judgement(o, event);
        break;
    case SEARCH_EVENT_DECISION:
        add_decision(o, event);
        break;
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
        set(o, "node", json_integer(event->prune.node));
        break;
    case SEARCH_EVENT_KEEP:
        set(o, "node", json_integer(event->keep.node));
        set(o, "on", json_boolean(event->keep.on));
        break;
    case SEARCH_EVENT_ASK:
        set(o, "item", item(event->ask.item));
        break;
    case SEARCH_EVENT_REVOTE:
        add_revote(o, event);
        break;
    case SEARCH_EVENT_BREAK:
        set(o, "rules", text(event->stops.rules));
        break;
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
        set(o, "target", json_integer(event->undo.target));
        break;
    case SEARCH_EVENT_BACK:
        set(o, "target", json_integer(event->back.target));
        break;
    case SEARCH_EVENT_RESULT:
        add_result(o, event);
        break;
    case SEARCH_EVENT_KINDS:
        break;
    }
    /* Nine digits are enough to read a float back as it was. */
    json_dump_callback(o, append, out, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    string_add(out, "\n");
    json_decref(o);
}
