/* Events of every kind with anything in them, for the tests of what writes events and reads them back. */
#ifndef ESPALIER_TESTS_ANY_EVENTS_H
#define ESPALIER_TESTS_ANY_EVENTS_H

#include "search/event.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything about an event follows from (seed, tree, number), so that whoever reads a file knows what had been written to it. */
struct dice {
    uint64_t seed, stream, index;
};

static inline int die(struct dice *d, int n)
{
    return (int)(random_uniform(d->seed, d->stream, d->index++) * n);
}

static inline int is(struct dice *d)
{
    return die(d, 2);
}

static inline char *any_text(struct dice *d)
{
    static const char *const pieces[] = {"4 + 5 = 9", " ", "\n", "\"", "\\", "\x1b[31m", "\x7f", "caf\xc3\xa9", "\xe2\x80\xae", "\xf0\x9f\x8c\xb3", "", "{}"};
    struct string out = {0};
    string_add(&out, "");
    for (int n = die(d, 12); n > 0; n--)
        string_add(&out, pieces[die(d, 12)]);
    return out.text;
}

static inline char *text_or_null(struct dice *d)
{
    return is(d) ? any_text(d) : NULL;
}

/* One that nine digits say exactly. */
static inline double any_real(struct dice *d)
{
    char digits[40];
    if (!die(d, 10))
        return NAN;
    snprintf(digits, sizeof digits, "%.9g", (random_uniform(d->seed, d->stream, d->index++) - 0.5) * exp(die(d, 100) - 50));
    return strtod(digits, NULL);
}

/* Any bits at all: of a token's floats every one counts. */
static inline float any_float(struct dice *d)
{
    uint32_t bits = (uint32_t)die(d, 1 << 16) << 16 | (uint32_t)die(d, 1 << 16);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline int *any_nodes(struct dice *d, int count)
{
    int *nodes = xcalloc((size_t)count + 1, sizeof *nodes);
    for (int i = 0; i < count; i++)
        nodes[i] = is(d) ? die(d, 100) : die(d, INT32_MAX);
    return nodes;
}

static inline struct search_usage any_usage(struct dice *d)
{
    return (struct search_usage){die(d, INT32_MAX) * (int64_t)die(d, INT32_MAX), die(d, 9), die(d, 9), any_real(d)};
}

static inline struct engine_token any_token(struct dice *d)
{
    struct engine_token token = {.id = die(d, INT32_MAX), .logprob = any_float(d), .cut = (float)(die(d, 3) / 4.0)};
    int choices = die(d, ENGINE_TOP + 1);
    for (int i = 0; i < ENGINE_TOP; i++) {
        token.top[i].id = i < choices ? die(d, 100000) : -1;
        if (i < choices)
            token.top[i].logprob = any_float(d);
    }
    return token;
}

static inline void any_completion(struct dice *d, struct search_event *event)
{
    event->completion.item = die(d, 100);
    event->completion.sample = die(d, 3);
    if (is(d)) {
        event->completion.prompt_count = die(d, 40);
        event->completion.prompt = any_nodes(d, event->completion.prompt_count);
    }
    event->completion.count = die(d, 30);
    event->completion.tokens = xcalloc((size_t)event->completion.count + 1, sizeof *event->completion.tokens);
    for (int t = 0; t < event->completion.count; t++)
        event->completion.tokens[t] = any_token(d);
    event->completion.text = any_text(d);
    event->completion.ending = (enum engine_ending)die(d, ENGINE_END_CANCELLED + 1);
    event->completion.usage = any_usage(d);
}

static inline void any_thought(struct dice *d, struct search_event *event)
{
    event->thought.node = 1 + die(d, 100);
    event->thought.parent = die(d, 100);
    event->thought.text = any_text(d);
    event->thought.completion = die(d, 100) - 1;
    event->thought.first = die(d, 9);
    event->thought.count = die(d, 9);
    event->thought.illegal = is(d);
    event->thought.why = text_or_null(d);
    event->thought.state = text_or_null(d);
    event->thought.final = is(d);
    event->thought.answer = text_or_null(d);
    event->thought.correct = die(d, 3) - 1;
}

static inline void any_judgement(struct dice *d, struct search_event *event)
{
    event->judgement.item = die(d, 100);
    event->judgement.purpose = is(d) ? SEARCH_VALUE : SEARCH_VOTE;
    event->judgement.count = die(d, 6);
    event->judgement.nodes = any_nodes(d, event->judgement.count);
    event->judgement.scores = xcalloc(6, sizeof(double));
    for (int i = 0; i < event->judgement.count; i++)
        event->judgement.scores[i] = any_real(d);
    event->judgement.samples = die(d, 4);
    event->judgement.labels = xcalloc(5, sizeof(char *));
    for (int i = 0; i < event->judgement.samples; i++)
        event->judgement.labels[i] = text_or_null(d);
    event->judgement.cached = is(d);
}

static inline void any_decision(struct dice *d, struct search_event *event)
{
    event->decision.kept_count = die(d, 6);
    event->decision.kept = any_nodes(d, event->decision.kept_count);
    event->decision.why = any_text(d);
    event->decision.tally_count = die(d, 4);
    event->decision.tally = xcalloc(5, sizeof *event->decision.tally);
    for (int i = 0; i < event->decision.tally_count; i++)
        event->decision.tally[i] = (struct search_tally){text_or_null(d), die(d, 40), any_real(d), die(d, 100) - 1};
    event->decision.tie = is(d);
}

static inline void any_session(struct dice *d, struct search_event *event)
{
    event->session.task = any_text(d);
    event->session.problem = any_text(d);
    event->session.expected = text_or_null(d);
    event->session.strategy = any_text(d);
    event->session.model = any_text(d);
    event->session.seed = is(d) ? UINT64_MAX : (uint64_t)die(d, 100);
    event->session.sampling = (struct engine_sampling){0.7f, 40, 0.95f, 0.05f, 1.1f};
    event->session.budget_tokens = die(d, 100);
}

static inline void any_plan(struct dice *d, struct search_event *event)
{
    struct search_item items[3] = {0};
    int count = die(d, 4);
    for (int i = 0; i < count; i++) {
        items[i].purpose = (enum search_purpose)die(d, 4);
        items[i].count = 1 + die(d, 4);
        items[i].nodes = any_nodes(d, items[i].count);
        items[i].samples = die(d, 9);
    }
    event->plan.why = any_text(d);
    event->plan.items = search_items_copy(items, count);
    event->plan.count = count;
    for (int i = 0; i < count; i++)
        free(items[i].nodes);
}

static inline void any_result(struct dice *d, struct search_event *event)
{
    event->result.strategy = any_text(d);
    event->result.answer = text_or_null(d);
    event->result.node = die(d, 10) - 1;
    event->result.correct = die(d, 3) - 1;
    event->result.why = any_text(d);
    event->result.usage = any_usage(d);
    event->result.nodes = die(d, 100);
    event->result.illegal = die(d, 100);
}

static inline struct search_event *event_of(uint64_t seed, int tree, int64_t number)
{
    struct dice dice = {seed, random_stream((uint64_t)tree, (uint64_t)number, 7), 0}, *d = &dice;
    enum search_event_kind kind = number < SEARCH_EVENT_KINDS ? (enum search_event_kind)number : (enum search_event_kind)die(d, SEARCH_EVENT_KINDS);
    struct search_event *event = search_event_make(kind, number, die(d, 100) - 1);
    switch (kind) {
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
        any_session(d, event);
        break;
    case SEARCH_EVENT_PLAN:
        any_plan(d, event);
        break;
    case SEARCH_EVENT_COMPLETION:
        any_completion(d, event);
        break;
    case SEARCH_EVENT_THOUGHT:
        any_thought(d, event);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        any_judgement(d, event);
        break;
    case SEARCH_EVENT_DECISION:
        any_decision(d, event);
        break;
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
        event->prune.node = 1 + die(d, 100);
        break;
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
        event->undo.target = die(d, 100);
        break;
    case SEARCH_EVENT_RESULT:
        any_result(d, event);
        break;
    case SEARCH_EVENT_KEEP:
        event->keep.node = 1 + die(d, 100);
        event->keep.on = is(d);
        break;
    case SEARCH_EVENT_BREAK:
        event->stops.rules = any_text(d);
        break;
    case SEARCH_EVENT_REVOTE:
        event->revote.count = die(d, 5);
        event->revote.excluded = any_nodes(d, event->revote.count);
        event->revote.weight = text_or_null(d);
        break;
    case SEARCH_EVENT_BACK:
        event->back.target = die(d, 100);
        break;
    case SEARCH_EVENT_ASK:
        event->ask.item = search_items_copy(&(struct search_item){SEARCH_SAMPLE, (int[]){die(d, 100)}, 1, 1, die(d, 9), die(d, 9), die(d, 9), is(d), 0}, 1);
        break;
    case SEARCH_EVENT_KINDS:
        break;
    }
    return event;
}

/* The same line of JSON, tokens and all, and of the tokens the same bits. */
static inline int is_same(const struct search_event *a, const struct search_event *b)
{
    struct string x = {0}, y = {0};
    search_event_json(a, NULL, &x);
    search_event_json(b, NULL, &y);
    int same = !strcmp(x.text, y.text) && a->kind == b->kind;
    if (same && a->kind == SEARCH_EVENT_COMPLETION)
        same = a->completion.count == b->completion.count && !a->completion.prompt == !b->completion.prompt &&
               !memcmp(a->completion.tokens, b->completion.tokens, (size_t)a->completion.count * sizeof *a->completion.tokens);
    string_free(&x);
    string_free(&y);
    return same;
}

#endif
