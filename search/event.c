#include "search/event.h"
#include "search/adapters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct search_event *search_event_make(enum search_event_kind kind, int64_t number, int step)
{
    struct search_event *event = xcalloc(1, sizeof *event);
    event->kind = kind;
    event->number = number;
    event->step = step;
    event->references = 1;
    return event;
}

struct search_event *search_event_keep(struct search_event *event)
{
    __atomic_add_fetch(&event->references, 1, __ATOMIC_RELAXED);
    return event;
}

static void free_content(struct search_event *event)
{
    switch (event->kind) {
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
        free(event->session.judge_model);
        free(event->session.task);
        free(event->session.problem);
        free(event->session.expected);
        free(event->session.strategy);
        free(event->session.model);
        search_adapters_free(event->session.adapters, event->session.adapter_count);
        break;
    case SEARCH_EVENT_PLAN:
        free(event->plan.why);
        search_items_free(event->plan.items, event->plan.count);
        break;
    case SEARCH_EVENT_COMPLETION:
        free(event->completion.prompt);
        free(event->completion.tokens);
        free(event->completion.text);
        break;
    case SEARCH_EVENT_THOUGHT:
        free(event->thought.text);
        free(event->thought.why);
        free(event->thought.state);
        free(event->thought.answer);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        free(event->judgement.nodes);
        free(event->judgement.scores);
        for (int i = 0; i < event->judgement.samples; i++)
            free(event->judgement.labels[i]);
        free(event->judgement.labels);
        break;
    case SEARCH_EVENT_DECISION:
        free(event->decision.kept);
        free(event->decision.why);
        for (int i = 0; i < event->decision.tally_count; i++)
            free(event->decision.tally[i].answer);
        free(event->decision.tally);
        free(event->decision.backups);
        break;
    case SEARCH_EVENT_ASK:
        search_items_free(event->ask.item, event->ask.item != NULL);
        break;
    case SEARCH_EVENT_BREAK:
        free(event->stops.rules);
        break;
    case SEARCH_EVENT_REVOTE:
        free(event->revote.excluded);
        free(event->revote.weight);
        break;
    case SEARCH_EVENT_RESULT:
        free(event->result.strategy);
        free(event->result.answer);
        free(event->result.why);
        break;
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
    case SEARCH_EVENT_KEEP:
    case SEARCH_EVENT_BACK:
    case SEARCH_EVENT_KINDS:
        break;
    }
}

void search_event_release(struct search_event *event)
{
    /* Acquire and release: whoever frees it must see all that others wrote before they let go. */
    if (!event || __atomic_sub_fetch(&event->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free_content(event);
    free(event);
}

struct search_item *search_items_copy(const struct search_item *items, int count)
{
    struct search_item *copy = xcalloc((size_t)count, sizeof *copy);
    for (int i = 0; i < count; i++) {
        copy[i] = items[i];
        copy[i].nodes = xcalloc((size_t)items[i].count, sizeof *copy[i].nodes);
        memcpy(copy[i].nodes, items[i].nodes, (size_t)items[i].count * sizeof *copy[i].nodes);
    }
    return copy;
}

void search_items_free(struct search_item *items, int count)
{
    for (int i = 0; i < count; i++)
        free(items[i].nodes);
    free(items);
}

char *search_text(const char *bytes, size_t n, size_t *starts, int count)
{
    struct string out = {0};
    const char *p = bytes, *end = bytes + n;
    int next = 0;
    string_append(&out, "", 0);
    while (p < end) {
        size_t at = (size_t)(p - bytes), to = out.length;
        const char *from = p;
        int32_t c = utf8_next(&p, end);
        if (c <= 0)
            string_add(&out, "\xef\xbf\xbd");
        else
            string_append(&out, from, (size_t)(p - from));
        /* A token may begin inside a character: it begins where the whole character does. */
        for (; next < count && starts[next] < at + (size_t)(p - from); next++)
            starts[next] = to;
    }
    for (; next < count; next++)
        starts[next] = out.length;
    return out.text;
}

const char *search_purpose_name(enum search_purpose purpose)
{
    static const char *const names[SEARCH_PURPOSES] = {"sample",          "propose",        "value",      "vote",
                                                       "self-evaluation", "process-reward", "likelihood", "agreement",
                                                       "verifier",        "oracle"};
    return names[purpose];
}

static void round_number(double *x)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.9g", *x);
    if (isfinite(*x))
        *x = strtod(digits, NULL);
}

void search_event_round(struct search_event *event)
{
    switch (event->kind) {
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
        round_number(&event->session.budget_flops);
        round_number(&event->session.budget_time);
        break;
    case SEARCH_EVENT_COMPLETION:
        round_number(&event->completion.usage.flops);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        round_number(&event->judgement.most);
        for (int i = 0; i < event->judgement.count; i++)
            round_number(&event->judgement.scores[i]);
        break;
    case SEARCH_EVENT_DECISION:
        for (int i = 0; i < event->decision.tally_count; i++)
            round_number(&event->decision.tally[i].logprob);
        for (int i = 0; i < event->decision.backup_count; i++)
            round_number(&event->decision.backups[i].reward);
        break;
    case SEARCH_EVENT_RESULT:
        round_number(&event->result.usage.flops);
        break;
    default:
        break;
    }
}
