/* The work of a plan: what is sent to the engine, when, and what of it is recorded next.
 *
 * Items are sent in waves. Without a budget one wave is the whole plan; with one, a wave is as many samples, in order,
 * as fit what is left were each to be as long as it may, and the next wave is cut when all of this one is recorded. So
 * what is asked for depends on the log alone, and the budget is never exceeded.
 *
 * Whatever is decided here is decided from the tree, so tombstones may come and go at any moment: what a prune drops is
 * cancelled, what an undo gives back is asked for again, with the same random numbers. */
#include "search/outside.h"
#include "search/run.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct search_item *search_work_item(const struct search *s, int i)
{
    return &s->plan->plan.items[i];
}

/* --- the plan's work --------------------------------------------------------------------------------------------- */

/* What is in flight for a sample, or has come and is not recorded, is not wanted as it is. */
static void take_back(struct search *s, int i, int k)
{
    struct search_job *job = &s->work[i].jobs[k];
    if (job->state == SEARCH_JOB_SENT && !job->outside)
        engine_cancel(search_item_engine(&s->g, search_work_item(s, i)->purpose), job->id);
    if (job->state == SEARCH_JOB_ENDED)
        engine_result_free(&job->result);
    search_outside_stop(job->outside);
    free(job->said);
    job->outside = NULL;
    job->said = NULL;
    job->state = SEARCH_JOB_IDLE;
}

void search_work_drop(struct search *s)
{
    for (int i = 0; i < s->work_count; i++) {
        for (int k = 0; k < search_work_item(s, i)->samples; k++)
            take_back(s, i, k);
        engine_grammar_free(s->work[i].grammar);
        engine_tokens_free(&s->work[i].prompt);
        engine_tokens_free(&s->work[i].words[0]);
        engine_tokens_free(&s->work[i].words[1]);
        free(s->work[i].jobs);
        free(s->work[i].completions);
    }
    free(s->work);
    s->work = NULL;
    s->work_count = s->closed = s->sent_count[0] = s->sent_count[1] = 0;
}

/* What a fork begins with: the completion up to the token, then the other token. */
static void append_fork(const struct search *s, const struct search_item *item, struct search_work *w)
{
    const struct search_event *completion = item->fork ? s->g.tree.events[item->fork] : NULL;
    for (int i = 0; completion && i < item->token; i++)
        engine_tokens_add(&w->prompt, completion->completion.tokens[i].id);
    if (completion)
        engine_tokens_add(&w->prompt, item->id);
    w->forced = completion ? item->token + 1 : 0;
}

/* How often each item was asked in the plans before: what was asked for ever, without this plan and those after it. */
static void count_asked_before(struct search *s)
{
    const struct search_tree *tree = &s->g.tree;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t at = tree->event_count - 1; at >= 0; at--) {
            const struct search_event *event = tree->events[at];
            for (int i = 0; event->kind == SEARCH_EVENT_PLAN && i < event->plan.count; i++) {
                const struct search_item *item = &event->plan.items[i];
                s->asked[item->nodes[0]][item->purpose] += pass ? item->samples : -item->samples;
            }
            if (event == s->plan)
                break;
        }
        for (int i = 0; i < s->work_count && !pass; i++) {
            const struct search_item *item = search_work_item(s, i);
            s->work[i].first_sample = (uint64_t)s->asked[item->nodes[0]][item->purpose];
            s->asked[item->nodes[0]][item->purpose] += item->samples;
        }
        for (int i = 0; i < s->work_count && !pass; i++) {
            const struct search_item *item = search_work_item(s, i);
            s->asked[item->nodes[0]][item->purpose] -= item->samples;
        }
    }
}

static int same_prompt(const struct search_work *a, const struct search_work *b)
{
    return a->hash == b->hash && a->prompt.count == b->prompt.count &&
           (!b->prompt.count || !memcmp(a->prompt.ids, b->prompt.ids, (size_t)b->prompt.count * sizeof *b->prompt.ids));
}

/* For each item the latest before it that asks the same. */
static void find_earlier(struct search *s)
{
    unsigned size = 16;
    while (size < 2 * (unsigned)s->work_count)
        size *= 2;
    int *table = xmalloc(size * sizeof *table);
    for (unsigned i = 0; i < size; i++)
        table[i] = -1;
    for (int i = 0; i < s->work_count; i++) {
        unsigned at = (unsigned)(s->work[i].hash >> 7) & (size - 1);
        while (table[at] >= 0 && !(same_prompt(&s->work[table[at]], &s->work[i]) &&
                                   search_work_item(s, table[at])->purpose == search_work_item(s, i)->purpose))
            at = (at + 1) & (size - 1);
        s->work[i].earlier = table[at];
        table[at] = i;
    }
    free(table);
}

static int make_item(struct search *s, int i, struct error *e)
{
    const struct search_item *item = search_work_item(s, i);
    struct search_work *w = &s->work[i];
    const char *const *words = search_task_words(search_item_task(&s->g, item->purpose), item->purpose);
    w->jobs = xcalloc((size_t)item->samples, sizeof *w->jobs);
    w->completions = xcalloc((size_t)item->samples, sizeof *w->completions);
    if (search_item_is_ruled(&s->g, item->purpose) || search_item_is_outside(&s->g, item->purpose))
        return OK;
    int code = search_item_prompt(&s->g, item, &w->prompt, e);
    for (int k = 0; k < 2 && words && !code; k++)
        engine_tokenize(search_item_engine(&s->g, item->purpose), words[k], strlen(words[k]), ENGINE_CONTINUES, &w->words[k]);
    append_fork(s, item, w);
    w->hash = hash_bytes(w->prompt.ids, (size_t)w->prompt.count * sizeof *w->prompt.ids);
    char *grammar = !code && s->g.tree.session->session.grammar ? search_item_grammar(&s->g, item) : NULL;
    if (grammar)
        code = engine_grammar_compile(&w->grammar, s->g.engine, grammar, e);
    free(grammar);
    return code;
}

int search_work_make(struct search *s, struct error *e)
{
    int count = s->plan->plan.count, code = OK;
    s->work = xcalloc((size_t)count, sizeof *s->work);
    for (s->work_count = 0; s->work_count < count && !code; s->work_count++)
        code = make_item(s, s->work_count, e);
    count_asked_before(s);
    find_earlier(s);
    return code;
}

int search_work_most(const struct search *s, int i, int sample)
{
    const struct search_work *w = &s->work[i];
    if (w->words[0].count)
        return w->words[sample & 1].count;
    if (search_item_is_outside(&s->g, search_work_item(s, i)->purpose))
        return 0;
    enum search_purpose purpose = search_work_item(s, i)->purpose;
    int most = search_task_max_tokens(search_item_task(&s->g, purpose), purpose) - w->forced;
    return most > 0 ? most : 1;
}

/* --- judgements that need no completion -------------------------------------------------------------------------- */

/* How item i comes to its judgement: by completions; as 0, since it is a copy or a path that ended without an answer;
 * by a rule; from *source, the judgement of the same prompt; or from the item before it in the plan that asks the same.
 */
enum way { BY_COMPLETIONS, AS_ZERO, BY_RULE, FROM_SOURCE, FROM_EARLIER_ITEM };
static enum way way_of(const struct search *s, int i, const struct search_event **source)
{
    const struct search_item *item = search_work_item(s, i);
    const struct search_work *w = &s->work[i];
    if (search_item_grows(item) || w->admitted)
        return BY_COMPLETIONS;
    if (item->purpose != SEARCH_VOTE) {
        const struct search_node *node = &s->g.tree.nodes[item->nodes[0]];
        if (node->state == SEARCH_FINAL && !node->thought->thought.answer)
            return AS_ZERO;
        if (search_original(&s->g.tree, item->nodes[0]) != item->nodes[0])
            return AS_ZERO;
        if (search_item_is_ruled(&s->g, item->purpose))
            return BY_RULE;
        if (search_item_is_outside(&s->g, item->purpose))
            return BY_COMPLETIONS;
    }
    *source = s->plan->plan.ask ? NULL : search_judged_before(s, w, item->purpose); /* asked again on purpose */
    if (*source)
        return FROM_SOURCE;
    for (int k = w->earlier; k >= 0; k = s->work[k].earlier)
        if (search_item_open(&s->g.tree, k))
            return FROM_EARLIER_ITEM;
    return BY_COMPLETIONS;
}

struct search_event *search_work_known(const struct search *s, int i)
{
    const struct search_event *source = NULL;
    if (way_of(s, i, &source) == BY_RULE)
        return search_item_ruled(&s->g, i, search_work_item(s, i));
    return search_item_known(&s->g, i, search_work_item(s, i), source);
}

/* --- waves ------------------------------------------------------------------------------------------------------- */

/* What is left of the budgets. */
struct room {
    int64_t tokens;
    double flops;
    int nodes;
};

static struct room room_left(const struct search *s)
{
    const struct search_setting *b = &s->g.tree.session->session;
    const struct search_usage *u = &s->g.tree.usage;
    return (struct room){
        .tokens = b->budget_tokens > 0 ? b->budget_tokens - (u->prompt - u->cached + u->completion) : INT64_MAX,
        .flops = b->budget_flops > 0 ? b->budget_flops - u->flops : INFINITY,
        .nodes = b->budget_nodes > 0 ? b->budget_nodes - (s->g.tree.count - 1) : INT_MAX,
    };
}

/* The longest completion, of at most `most` tokens, that there is room for after a prompt of which so much is cached. */
static int longest(const struct engine *engine, const struct room *left, int prompt, int cached, int most)
{
    if (left->tokens - (prompt - cached) < most)
        most = (int)(left->tokens - (prompt - cached));
    int low = 0, high = most;
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (search_usage_of(engine, prompt, cached, middle).flops <= left->flops)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Admit samples of item i while they fit. What stands alone in a wave may be shorter than it would be, but for words,
 * which are all or nothing; returns 0 at the first that does not fit. */
static int admit_item(struct search *s, int i, struct room *left, int *any)
{
    const struct search_item *item = search_work_item(s, i);
    const struct engine *engine = search_item_engine(&s->g, item->purpose);
    struct search_work *w = &s->work[i];
    if (search_item_is_outside(&s->g, item->purpose)) { /* costs no token */
        w->admitted = item->samples;
        *any = 1;
        return 1;
    }
    for (int k = w->admitted; k < item->samples; k++) {
        int most = search_work_most(s, i, k), cached = w->prompt.count;
        if (!k)
            cached = search_prefixes_find(&s->prefixes[search_item_judges(&s->g, item->purpose)], w->prompt.ids,
                                          w->prompt.count);
        int tokens = longest(engine, left, w->prompt.count, cached, most);
        if (tokens < 1 || (tokens < most && (*any || w->words[0].count)) || (search_item_grows(item) && left->nodes < 1))
            return 0;
        struct search_usage cost = search_usage_of(engine, w->prompt.count, cached, tokens);
        w->jobs[k].max_tokens = tokens;
        w->admitted = k + 1;
        left->tokens -= cost.prompt - cost.cached + cost.completion;
        left->flops -= cost.flops;
        left->nodes -= search_item_grows(item);
        *any = 1;
    }
    return 1;
}

int search_work_admit(struct search *s)
{
    struct room left = room_left(s);
    int any = 0;
    for (int i = 0; i < s->work_count; i++) {
        int done = s->g.tree.done[i];
        s->work[i].free = 0;
        s->work[i].admitted = done < search_work_item(s, i)->samples ? done : search_work_item(s, i)->samples;
    }
    for (int i = 0; i < s->work_count; i++) {
        const struct search_event *source;
        if (!search_item_open(&s->g.tree, i))
            continue;
        if (way_of(s, i, &source) != BY_COMPLETIONS)
            s->work[i].free = any = 1;
        else if (!admit_item(s, i, &left, &any))
            break;
    }
    for (int i = 0; i < s->work_count; i++)
        for (int k = s->g.tree.done[i]; k < search_work_item(s, i)->samples && search_item_open(&s->g.tree, i); k++)
            if (k >= s->work[i].admitted || s->work[i].jobs[k].sent_tokens != s->work[i].jobs[k].max_tokens)
                take_back(s, i, k);
    s->unsent = any;
    return any;
}

int search_work_next(struct search *s)
{
    while (s->closed < s->work_count && !search_item_open(&s->g.tree, s->closed))
        s->closed++;
    for (int i = s->closed; i < s->work_count; i++) {
        const struct search_event *source;
        if (!search_item_open(&s->g.tree, i))
            continue;
        if (s->g.tree.done[i] < s->work[i].admitted)
            return i;
        if (s->work[i].free) {
            enum way way = way_of(s, i, &source);
            if (way != BY_COMPLETIONS && way != FROM_EARLIER_ITEM)
                return i;
        }
    }
    return -1;
}

/* A prompt that does not leave room for a word is answered by none: the path, or the judgement, ends there. */
static void answer_with_nothing(struct search_job *job)
{
    job->sent_tokens = job->max_tokens;
    job->state = SEARCH_JOB_ENDED;
    job->result = (struct engine_result){.ending = ENGINE_END_CONTEXT};
}

static int send_job(struct search *s, int i, int k, struct error *e)
{
    const struct search_setting *session = &s->g.tree.session->session;
    const struct search_item *item = search_work_item(s, i);
    struct engine *engine = search_item_engine(&s->g, item->purpose);
    struct search_work *w = &s->work[i];
    const struct engine_tokens *word = &w->words[k & 1];
    struct engine_request request = {
        .prompt = w->prompt.ids,
        .prompt_count = w->prompt.count,
        .max_tokens = w->jobs[k].max_tokens,
        .sampling = session->sampling,
        .seed = session->seed,
        .mix = search_item_judges(&s->g, item->purpose) ? 0 : s->mix,
        .stream = random_stream((uint64_t)item->nodes[0], item->purpose, w->first_sample + (uint64_t)k),
        .grammar = w->grammar,
        .grammar_past = w->grammar ? w->forced : 0,
        .score = word->count > 0,
        .score_from = w->prompt.count,
    };
    if (w->prompt.count + word->count >= engine_info(engine)->context) {
        answer_with_nothing(&w->jobs[k]);
        return OK;
    }
    struct engine_tokens all = {0};
    if (request.score) {
        engine_tokens_append(&all, w->prompt.ids, w->prompt.count);
        engine_tokens_append(&all, word->ids, word->count);
        request.prompt = all.ids;
        request.prompt_count = all.count;
    } else {
        request.stops = search_item_stops(&s->g, item, &request.stop_count);
    }
    if (item->heated)
        request.sampling.temperature = item->temperature;
    struct error why;
    int code = engine_submit(engine, &request, &w->jobs[k].id, &why);
    engine_tokens_free(&all);
    if (code)
        return error_set(e, code, "%s at node %d: %s", search_purpose_name(item->purpose), item->nodes[0], why.message);
    int judge = search_item_judges(&s->g, item->purpose);
    ARRAY_RESERVE(s->sent[judge], s->sent_count[judge], s->sent_capacity[judge]);
    s->sent[judge][s->sent_count[judge]++] = (struct search_sent){w->jobs[k].id, i, k};
    w->jobs[k].state = SEARCH_JOB_SENT;
    w->jobs[k].sent_tokens = w->jobs[k].max_tokens;
    return OK;
}

enum { PROGRAMS = 16 }; /* at once */

/* Start the task's command for the thought; not yet, where as many run as may. */
static int send_outside(struct search *s, int i, struct error *e)
{
    struct search_job *job = &s->work[i].jobs[0];
    struct string input = {0};
    int running = 0;
    for (int k = 0; k < s->work_count; k++)
        running += s->work[k].jobs[0].outside != NULL;
    if (running >= PROGRAMS)
        return OK;
    search_item_input(&s->g, search_work_item(s, i), &input);
    int code = search_outside_start(&job->outside, search_task_command(s->g.task), input.text, input.length, e);
    string_free(&input);
    job->sent_tokens = job->max_tokens;
    job->state = SEARCH_JOB_SENT;
    return code;
}

int search_work_poll(struct search *s, double seconds)
{
    int any = 0;
    for (int i = 0; i < s->work_count; i++) {
        struct search_job *job = &s->work[i].jobs[0];
        struct search_outside_verdict verdict;
        if (!job->outside)
            continue;
        int ended = search_outside_poll(job->outside, any ? 0 : seconds, &verdict);
        any = 1;
        if (!ended)
            continue;
        search_outside_stop(job->outside);
        job->outside = NULL;
        job->said = search_text(verdict.ok ? verdict.text : verdict.why, strlen(verdict.ok ? verdict.text : verdict.why), NULL, 0);
        job->result = (struct engine_result){.ending = verdict.ok ? ENGINE_END_TOKEN : ENGINE_END_CANCELLED};
        job->state = SEARCH_JOB_ENDED;
        search_outside_verdict_free(&verdict);
        s->unsent = 1; /* there is room for another */
    }
    return any;
}

int search_work_send(struct search *s, struct error *e)
{
    int code = OK;
    for (int i = 0; i < s->work_count && s->unsent; i++)
        for (int k = s->g.tree.done[i]; k < s->work[i].admitted && search_item_open(&s->g.tree, i) && !code; k++)
            if (s->work[i].jobs[k].state == SEARCH_JOB_IDLE)
                code = search_item_is_outside(&s->g, search_work_item(s, i)->purpose) ? send_outside(s, i, e) : send_job(s, i, k, e);
    s->unsent = 0;
    return code;
}

/* --- what the engine gives --------------------------------------------------------------------------------------- */

int search_work_take(struct search *s, const struct engine *engine, const struct engine_result *result)
{
    int judge = engine != s->g.engine, low = 0, high = s->sent_count[judge];
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (s->sent[judge][middle].id < result->id)
            low = middle + 1;
        else
            high = middle;
    }
    if ((judge && engine != s->g.judge) || low == s->sent_count[judge] || s->sent[judge][low].id != result->id)
        return 0;
    struct search_job *job = &s->work[s->sent[judge][low].item].jobs[s->sent[judge][low].sample];
    if (job->state != SEARCH_JOB_SENT || job->outside || job->id != result->id)
        return 0; /* cancelled since, or sent again */
    job->state = SEARCH_JOB_ENDED;
    job->result = *result;
    return 1;
}

void search_work_cancel(struct search *s)
{
    for (int i = 0; i < s->work_count; i++) {
        for (int k = s->g.tree.done[i]; k < search_work_item(s, i)->samples; k++)
            if (s->work[i].jobs[k].state == SEARCH_JOB_SENT && !search_item_open(&s->g.tree, i))
                take_back(s, i, k); /* what has come already may be given back by an undo */
        s->work[i].free = 0;
        s->work[i].admitted = 0;
    }
}
