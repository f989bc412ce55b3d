#include "engine/grammar.h"
#include "engine/sample.h"
#include "engine/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NO_BRANCH = -1 };

/* One request that has not ended. Invariants between steps: tokens is the prompt and then the ids of out; with a
 * branch, the branch's path is a beginning of tokens and positions below done have been computed (by this request or by
 * another that had the same tokens); without one, done says nothing: what is cached is looked up again when it begins.
 */
struct request {
    int id, prompt_count, max_tokens, ignore_end, score;
    int mix;
    int from; /* score: the first token whose log-probability is asked for */
    struct engine_sampling sampling;
    uint64_t seed, stream;
    char **stops;
    int stop_count;
    size_t longest_stop;
    struct engine_tokens tokens;
    struct engine_token *out;
    int out_count, out_capacity;
    struct string text;             /* of out; kept only to look for stops */
    struct engine_matcher *matcher; /* stands after out; NULL: no grammar */
    int branch, done, cached;
    int begun;                       /* cached is known */
    int rows;                        /* in the pass under way */
    int ended;                       /* its result is queued; removed before the call returns */
    struct request *previous, *next; /* in its list */
};

struct list { /* by id, ascending, but for those that have ended: in order of ending */
    struct request *first, *last;
    int count;
};

struct slot {
    int id;
    struct request *request; /* NULL: it has ended */
};

struct choice { /* a row of the pass whose logits are wanted, and what comes of them */
    struct request *request;
    int next; /* score: the token whose logprob is asked for; -1: sample one */
    struct engine_token token;
    int failed;
};

/* Invariants: a request is in one list, `active` when it has a branch; between calls none has ended. Slots are of all
 * that were submitted, by id, less those that were swept out; at most half of them are of requests that have ended. So
 * no step goes through what waits. */
struct engine_schedule {
    int vocabulary, most_rows, batch;
    struct list active, waiting, ended;
    struct slot *slots;
    int slot_count, slot_capacity, empty_slots;
    int next_id;
    struct engine_result *results; /* [first_result, result_count) have not been fetched */
    int first_result, result_count, result_capacity;

    /* The pass under way. */
    struct engine_row *rows;
    int row_count;
    struct choice *choices;
    int *chosen; /* [choice_count] the rows of choices */
    int choice_count;
    float *logits;
    struct choice *sampled; /* the part of choices that the logits are of */
    int *scratch;           /* [ENGINE_LOGITS][2 vocabulary] */
    struct error errors[ENGINE_LOGITS];

    int64_t prompt_rows, decode_rows, passes;
    double busy_seconds;
};

size_t engine_schedule_scratch_bytes(const struct engine *engine)
{
    return 2 * (size_t)engine->info.vocabulary * ENGINE_LOGITS * sizeof(int);
}

struct engine_schedule *engine_schedule_create(const struct engine *engine)
{
    struct engine_schedule *s = xcalloc(1, sizeof *s);
    s->vocabulary = engine->info.vocabulary;
    s->batch = engine->info.batch;
    s->most_rows = ENGINE_PROMPT_ROWS + s->batch;
    s->rows = xcalloc((size_t)s->most_rows, sizeof *s->rows);
    s->choices = xcalloc((size_t)s->most_rows, sizeof *s->choices);
    s->chosen = xcalloc((size_t)s->most_rows, sizeof *s->chosen);
    s->scratch = xmalloc(engine_schedule_scratch_bytes(engine));
    return s;
}

static void free_request(struct request *r)
{
    for (int i = 0; i < r->stop_count; i++)
        free(r->stops[i]);
    free(r->stops);
    engine_tokens_free(&r->tokens);
    string_free(&r->text);
    engine_matcher_free(r->matcher);
    free(r->out);
    free(r);
}

void engine_schedule_free(struct engine_schedule *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->slot_count; i++)
        if (s->slots[i].request)
            free_request(s->slots[i].request);
    for (int i = s->first_result; i < s->result_count; i++)
        engine_result_free(&s->results[i]);
    free(s->slots);
    free(s->results);
    free(s->rows);
    free(s->choices);
    free(s->chosen);
    free(s->scratch);
    free(s);
}

void engine_result_free(struct engine_result *result)
{
    free(result->tokens);
    *result = (struct engine_result){0};
}

/* Positions that have to be computed for all that is known of the request. Of a scored prompt the last token predicts
 * nothing. */
static int target(const struct request *r)
{
    return r->score ? r->prompt_count - 1 : r->tokens.count;
}

/* --- lists ------------------------------------------------------------------------------------------------------- */

/* Before `next`; NULL: at the end. */
static void list_insert(struct list *list, struct request *r, struct request *next)
{
    r->next = next;
    r->previous = next ? next->previous : list->last;
    *(r->previous ? &r->previous->next : &list->first) = r;
    *(next ? &next->previous : &list->last) = r;
    list->count++;
}

static void list_remove(struct list *list, struct request *r)
{
    *(r->previous ? &r->previous->next : &list->first) = r->next;
    *(r->next ? &r->next->previous : &list->last) = r->previous;
    list->count--;
}

/* By id. Whoever comes is the latest, or has at most a batch of others before it. */
static void list_place(struct list *list, struct request *r)
{
    struct request *next = list->last && list->last->id > r->id ? list->first : NULL;
    while (next && next->id < r->id)
        next = next->next;
    list_insert(list, r, next);
}

/* The slot of that id, or where it belongs. */
static int find_slot(const struct engine_schedule *s, int id)
{
    int low = 0, high = s->slot_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (s->slots[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct request *request_by_id(const struct engine_schedule *s, int id)
{
    int at = s ? find_slot(s, id) : 0;
    return s && at < s->slot_count && s->slots[at].id == id ? s->slots[at].request : NULL;
}

/* --- ending ------------------------------------------------------------------------------------------------------ */

/* It is in no list then. */
static void leave(struct engine *engine, struct request *r)
{
    engine_kv_close(engine->kv, r->branch);
    r->branch = NO_BRANCH;
    list_remove(&engine->schedule->active, r);
}

static void finish(struct engine *engine, struct request *r, enum engine_ending ending)
{
    struct engine_schedule *s = engine->schedule;
    if (r->branch != NO_BRANCH)
        leave(engine, r);
    else
        list_remove(&s->waiting, r);
    list_insert(&s->ended, r, NULL);
    ARRAY_RESERVE(s->results, s->result_count, s->result_capacity);
    s->results[s->result_count++] = (struct engine_result){.id = r->id,
                                                           .ending = ending,
                                                           .tokens = r->out,
                                                           .count = r->out_count,
                                                           .prompt_count = r->prompt_count,
                                                           .cached = r->cached};
    r->out = NULL;
    r->ended = 1;
}

static void sweep(struct engine_schedule *s)
{
    for (struct request *r = s->ended.first, *next; r; r = next) {
        next = r->next;
        s->slots[find_slot(s, r->id)].request = NULL;
        s->empty_slots++;
        free_request(r);
    }
    s->ended = (struct list){0};
    if (2 * s->empty_slots <= s->slot_count)
        return;
    int kept = 0;
    for (int i = 0; i < s->slot_count; i++)
        if (s->slots[i].request)
            s->slots[kept++] = s->slots[i];
    s->slot_count = kept;
    s->empty_slots = 0;
}

int engine_result(struct engine *engine, struct engine_result *out)
{
    struct engine_schedule *s = engine->schedule;
    if (!s || s->first_result == s->result_count)
        return 0;
    *out = s->results[s->first_result++];
    if (s->first_result == s->result_count)
        s->first_result = s->result_count = 0;
    return 1;
}

/* --- submitting -------------------------------------------------------------------------------------------------- */

static int check_sampling(const struct engine_sampling *s, struct error *e)
{
    if (!(s->temperature >= 0 && isfinite(s->temperature)))
        return error_set(e, ERROR_INPUT, "temperature %g: expected 0 or more", (double)s->temperature);
    if (s->top_k < 0)
        return error_set(e, ERROR_INPUT, "top-k %d: expected 1 or more, or 0 for off", s->top_k);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return error_set(e, ERROR_INPUT, "top-p %g: expected more than 0 and at most 1, which is off",
                         (double)s->top_p);
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return error_set(e, ERROR_INPUT, "min-p %g: expected 0 (off) to 1", (double)s->min_p);
    if (!(s->repetition_penalty > 0 && isfinite(s->repetition_penalty)))
        return error_set(e, ERROR_INPUT, "repetition penalty %g: expected more than 0; 1 is off",
                         (double)s->repetition_penalty);
    return OK;
}

static int check_request(const struct engine *engine, const struct engine_request *q, struct error *e)
{
    if (!engine->schedule)
        return error_set(e, ERROR_USAGE, "%s was opened without its weights and cannot run a prompt", engine->path);
    if (q->prompt_count < 1)
        return error_set(e, ERROR_INPUT, "the prompt is empty; expected at least one token");
    int most = engine->info.context - !q->score; /* at least one place to write in */
    if (q->prompt_count > most)
        return error_set(e, ERROR_INPUT,
                         "the prompt has %d tokens, the context %d; shorten the prompt or set --context higher (the "
                         "model's own: %d)",
                         q->prompt_count, engine->info.context, engine->info.context_trained);
    for (int i = 0; i < q->prompt_count; i++)
        if (q->prompt[i] < 0 || q->prompt[i] >= engine->info.vocabulary)
            return error_set(e, ERROR_INPUT, "token %d of the prompt is %d; expected 0 to %d, the vocabulary of %s", i,
                             q->prompt[i], engine->info.vocabulary - 1, engine->path);
    if (q->mix < 0 || q->mix >= engine_mixes_count(engine->mixes))
        return error_set(e, ERROR_USAGE, "mix %d of adapters was asked for; there are 0 to %d", q->mix, engine_mixes_count(engine->mixes) - 1);
    if (q->max_tokens < 0)
        return error_set(e, ERROR_INPUT, "at most %d tokens asked for; expected 0 or more", q->max_tokens);
    for (int i = 0; i < q->stop_count; i++)
        if (!q->stops[i][0])
            return error_set(e, ERROR_INPUT, "stop %d is empty; expected some text", i);
    if (q->score && (q->score_from < 0 || q->score_from > q->prompt_count))
        return error_set(e, ERROR_INPUT, "scored from token %d of %d; expected one of them", q->score_from,
                         q->prompt_count);
    if (q->grammar && (q->score || q->ignore_end))
        return error_set(e, ERROR_INPUT, "a grammar describes a completion that ends; it cannot go with %s",
                         q->score ? "scores of a prompt" : "ending tokens that do not end");
    if (q->grammar && q->grammar->trie != engine_trie_get(engine->trie))
        return error_set(e, ERROR_INPUT, "the grammar was compiled for another model than %s", engine->path);
    if (q->grammar_past < 0 || q->grammar_past > (q->grammar ? q->prompt_count : 0))
        return error_set(e, ERROR_INPUT,
                         "%d tokens of the prompt are said to be part of what the grammar describes; expected 0 to %d",
                         q->grammar_past, q->grammar ? q->prompt_count : 0);
    return q->score ? OK : check_sampling(&q->sampling, e);
}

/* The matcher of a request, after what of the prompt is already part of the text. */
static int match_past(const struct engine *engine, const struct engine_request *q, struct engine_matcher **out,
                      struct error *e)
{
    *out = q->grammar ? engine_matcher_create(q->grammar, ENGINE_MATCHER_MEMORY) : NULL;
    for (int i = q->prompt_count - q->grammar_past; i < q->prompt_count; i++) {
        struct string said = {0};
        struct error why;
        engine_vocabulary_detokenize(engine->vocabulary, &q->prompt[i], 1, 0, &said);
        int code = said.length ? engine_matcher_take(*out, said.text, said.length, &why)
                               : error_set(&why, ERROR_INPUT, "it says nothing");
        string_free(&said);
        if (code) {
            engine_matcher_free(*out);
            return error_set(e, code, "token %d of the prompt (%d) is not part of what the grammar describes: %s", i,
                             q->prompt[i], why.message);
        }
    }
    return OK;
}

int engine_submit(struct engine *engine, const struct engine_request *q, int *id, struct error *e)
{
    struct engine_matcher *matcher = NULL;
    int code = check_request(engine, q, e);
    if (!code)
        code = match_past(engine, q, &matcher, e);
    if (code)
        return code;
    struct engine_schedule *s = engine->schedule;
    struct request *r = xcalloc(1, sizeof *r);
    *r = (struct request){.id = s->next_id++,
                          .prompt_count = q->prompt_count,
                          .max_tokens = q->max_tokens,
                          .ignore_end = q->ignore_end,
                          .score = q->score,
                          .mix = q->mix,
                          .from = q->score_from > 1 ? q->score_from : 1,
                          .sampling = q->sampling,
                          .seed = q->seed,
                          .stream = q->stream,
                          .matcher = matcher,
                          .branch = NO_BRANCH};
    engine_tokens_append(&r->tokens, q->prompt, q->prompt_count);
    if (q->stop_count && !q->score) {
        r->stops = xcalloc((size_t)q->stop_count, sizeof *r->stops);
        r->stop_count = q->stop_count;
        for (int i = 0; i < q->stop_count; i++) {
            r->stops[i] = xstrdup(q->stops[i]);
            if (strlen(q->stops[i]) > r->longest_stop)
                r->longest_stop = strlen(q->stops[i]);
        }
    }
    ARRAY_RESERVE(s->slots, s->slot_count, s->slot_capacity);
    s->slots[s->slot_count++] = (struct slot){r->id, r};
    list_place(&s->waiting, r);
    *id = r->id;
    if (r->score ? target(r) < r->from : r->max_tokens == 0) { /* nothing to compute */
        finish(engine, r, r->score ? ENGINE_END_SCORED : ENGINE_END_LENGTH);
        sweep(s);
    } else if (r->matcher && !engine_matcher_can_go_on(r->matcher)) {
        finish(engine, r, ENGINE_END_TOKEN);
        sweep(s);
    }
    return OK;
}

int engine_so_far(const struct engine *engine, int id, const struct engine_token **tokens, int *count)
{
    const struct request *r = request_by_id(engine->schedule, id);
    if (!r)
        return 0;
    *tokens = r->out;
    *count = r->out_count;
    return 1;
}

void engine_cancel(struct engine *engine, int id)
{
    struct request *r = request_by_id(engine->schedule, id);
    if (!r)
        return;
    finish(engine, r, ENGINE_END_CANCELLED);
    sweep(engine->schedule);
}

/* Of the cache: what one mix computed is nothing to another. */
static int root_of(const struct engine *engine, int mix)
{
    return mix ? engine_mixes_at(engine->mixes, mix)->root : 0;
}

void engine_forget(struct engine *engine, const int *tokens, int n)
{
    for (int mix = 0; engine->kv && mix < engine_mixes_count(engine->mixes); mix++)
        engine_kv_forget(engine->kv, root_of(engine, mix), tokens, n);
}

/* --- who takes part ---------------------------------------------------------------------------------------------- */

/* How much of what is cached a request may take over: at least its last position is computed, for its logits. What is
 * scored is computed whether it is cached or not. */
static int shareable(const struct request *r)
{
    return r->score ? target(r) : target(r) - 1;
}

/* A request whose prompt another is computing right now waits for that, unless it would save next to nothing. */
static int waits_for_prefix(const struct engine *engine, const struct request *r)
{
    const struct engine_schedule *s = engine->schedule;
    if (r->score && r->from == 1)
        return 0;
    int found = engine_kv_find(engine->kv, root_of(engine, r->mix), r->tokens.ids, shareable(r)), worth = (target(r) - found + 1) / 2;
    if (worth > KERNEL_CELLS)
        worth = KERNEL_CELLS;
    for (const struct request *other = s->active.first; other; other = other->next) {
        int n = target(other) < shareable(r) ? target(other) : shareable(r), common = 0, next = other->done;
        if (other->mix != r->mix || next >= n || other->tokens.ids[next] != r->tokens.ids[next]) /* as with nearly all that decode */
            continue;
        while (common < n && other->tokens.ids[common] == r->tokens.ids[common])
            common++;
        if (common > next && common - found >= worth)
            return 1;
    }
    return 0;
}

static int too_large(struct engine *engine, struct request *r, struct error *e)
{
    int most = r->score ? target(r) : r->prompt_count + r->max_tokens;
    if (most > engine->info.context)
        most = engine->info.context;
    size_t block = engine_forward_block_bytes(engine->model, engine->set, engine->cache);
    size_t need = (size_t)((most + KERNEL_CELLS - 1) / KERNEL_CELLS) * block, mib = (size_t)1 << 20;
    int code =
        error_set(e, ERROR_ENGINE,
                  "a branch of %d tokens does not fit %zu MiB of keys and values; set --kv-memory to at least %zu MiB",
                  most, engine->info.kv_memory / mib, (need + mib - 1) / mib);
    finish(engine, r, ENGINE_END_CANCELLED);
    return code;
}

/* Give a waiting request its branch, with memory for all that is known of it. While others are active it also leaves
 * each of them a block to go on with: who is let in only to be put out again is computed twice. */
static int begin(struct engine *engine, struct request *r)
{
    struct engine_schedule *s = engine->schedule;
    int found, branch = engine_kv_open(engine->kv, root_of(engine, r->mix), r->tokens.ids, shareable(r), &found);
    if (s->active.count) {
        struct engine_kv_usage usage;
        engine_kv_usage(engine->kv, &usage);
        int need = (target(r) + KERNEL_CELLS - 1) / KERNEL_CELLS - found / KERNEL_CELLS;
        if (usage.available < need + s->active.count + 1) {
            engine_kv_close(engine->kv, branch);
            return 0;
        }
    }
    if (!engine_kv_reserve(engine->kv, branch, target(r))) {
        engine_kv_close(engine->kv, branch);
        return 0;
    }
    r->branch = branch;
    r->done = r->score && found > r->from - 1 ? r->from - 1 : found;
    if (r->score) /* put out while others were let on, it begins anew */
        r->out_count = 0;
    if (!r->begun)
        r->cached = r->done;
    r->begun = 1;
    list_remove(&s->waiting, r);
    list_place(&s->active, r);
    return 1;
}

/* Let requests in, in order of submission, as long as there is room. Whoever waits for a prefix holds a place already.
 */
static int admit(struct engine *engine, struct error *e)
{
    struct engine_schedule *s = engine->schedule;
    int places = s->batch - s->active.count;
    for (struct request *r = s->waiting.first, *next; r && places > 0; r = next, places--) {
        next = r->next;
        if (waits_for_prefix(engine, r) || begin(engine, r))
            continue;
        if (s->active.count)
            return OK; /* until others have ended */
        /* Alone, and what it shares with the cache is all that is left in memory: nothing shared takes the least. */
        engine_kv_clear(engine->kv);
        if (!begin(engine, r))
            return too_large(engine, r, e);
    }
    return OK;
}

/* Every active branch gets room for its next rows, the earliest first; where memory ends, the latest go back to
 * waiting. They find again what is left of theirs in the cache and compute the rest, with the same numbers. */
static void make_room(struct engine *engine)
{
    struct engine_schedule *s = engine->schedule;
    for (struct request *r = s->active.first; r; r = r->branch == NO_BRANCH ? NULL : r->next)
        while (r->branch != NO_BRANCH && !engine_kv_reserve(engine->kv, r->branch, target(r))) {
            struct request *last = s->active.last; /* r itself when no later one is left */
            leave(engine, last);
            list_place(&s->waiting, last);
        }
}

/* --- a pass ------------------------------------------------------------------------------------------------------ */

static void add_rows(struct engine *engine, struct request *r, int n)
{
    struct engine_schedule *s = engine->schedule;
    int length = engine_kv_length(engine->kv, r->branch), last = r->done + n, runs;
    if (last > length)
        engine_kv_append(engine->kv, r->branch, r->tokens.ids + length, last - length);
    for (int p = r->done; p < last; p++) {
        if (r->score ? p + 1 >= r->from : p == target(r) - 1) {
            s->chosen[s->choice_count] = s->row_count;
            s->choices[s->choice_count++] = (struct choice){.request = r, .next = r->score ? r->tokens.ids[p + 1] : -1};
        }
        s->rows[s->row_count++] =
            (struct engine_row){.token = r->tokens.ids[p],
                                .position = p,
                                .mix = engine_mixes_at(engine->mixes, r->mix),
                                .runs = engine_kv_runs(engine->kv, r->branch, &runs),
                                .block = p >= length ? engine_kv_block(engine->kv, r->branch, p) : NULL};
    }
    r->rows = n;
}

static void build_pass(struct engine *engine)
{
    struct engine_schedule *s = engine->schedule;
    int budget = ENGINE_PROMPT_ROWS;
    s->row_count = s->choice_count = 0;
    for (struct request *r = s->active.first; r; r = r->next) {
        int left = target(r) - r->done;
        if (r->out_count && left == 1 && !r->score) {
            add_rows(engine, r, 1);
            s->decode_rows++;
        } else {
            add_rows(engine, r, left < budget ? left : budget);
            budget -= r->rows;
            s->prompt_rows += r->rows;
        }
    }
}

/* No token can come. Where the text may end, only a token that says so is missing: it ends all the same (id -1). */
static int nothing_allowed(const struct request *r, struct engine_token *out, struct error *e)
{
    struct string expected = {0};
    if (engine_matcher_can_end(r->matcher)) {
        *out = (struct engine_token){.id = -1};
        return OK;
    }
    engine_matcher_expected(r->matcher, &expected);
    error_set(e, ERROR_INPUT,
              "request %d: after %d tokens the grammar allows none that this model has; expected text that begins with "
              "%.300s",
              r->id, r->out_count, string_text(&expected));
    string_free(&expected);
    return ERROR_INPUT;
}

static void sample_task(void *argument, int i)
{
    struct engine_schedule *s = argument;
    struct choice *c = &s->sampled[i];
    const struct request *r = c->request;
    const uint64_t *mask;
    int allowed;
    struct error why;
    float *logits = s->logits + (size_t)i * (size_t)s->vocabulary;
    if (c->next >= 0) {
        c->failed = engine_measure(logits, s->vocabulary, c->next, &c->token, &s->errors[i]);
        return;
    }
    int recent = r->tokens.count < ENGINE_RECENT ? r->tokens.count : ENGINE_RECENT;
    const int *recent_ids = r->tokens.ids + r->tokens.count - recent;
    int *scratch = s->scratch + (size_t)i * 2 * (size_t)s->vocabulary;
    double draw = random_uniform(r->seed, r->stream, (uint64_t)r->out_count);
    if (!r->matcher)
        c->failed = engine_sample(logits, s->vocabulary, &r->sampling, recent_ids, recent, draw, scratch, &c->token,
                                  &s->errors[i]);
    else if ((c->failed = engine_matcher_mask(r->matcher, &mask, &allowed, &why)))
        error_set(&s->errors[i], why.code, "request %d: %s", r->id, why.message);
    else
        c->failed = allowed ? engine_sample_masked(logits, s->vocabulary, mask, &r->sampling, recent_ids, recent, draw,
                                                   scratch, &c->token, &s->errors[i])
                            : nothing_allowed(r, &c->token, &s->errors[i]);
}

/* Tokens for the chosen rows, as many at a time as there is memory for logits. */
static int sample(struct engine *engine, struct error *e)
{
    struct engine_schedule *s = engine->schedule;
    int code = OK;
    for (int first = 0; first < s->choice_count; first += ENGINE_LOGITS) {
        int n = s->choice_count - first < ENGINE_LOGITS ? s->choice_count - first : ENGINE_LOGITS;
        s->logits = engine_forward_logits(engine->forward, s->chosen + first, n);
        s->sampled = s->choices + first;
        kernel_pool_run(engine->pool, n, sample_task, s);
        for (int i = 0; i < n && !code; i++)
            if (s->sampled[i].failed)
                code = error_set(e, s->errors[i].code, "%s", s->errors[i].message);
    }
    return code;
}

/* Whether the text, of which the bytes before `old` were looked at, contains a stop. */
static int stopped(const struct request *r, size_t old)
{
    size_t from = old < r->longest_stop ? 0 : old - r->longest_stop;
    for (int i = 0; i < r->stop_count; i++) {
        size_t n = strlen(r->stops[i]);
        for (size_t at = from; at + n <= r->text.length; at++)
            if (!memcmp(r->text.text + at, r->stops[i], n))
                return 1;
    }
    return 0;
}

static void add_out(struct request *r, const struct engine_token *token)
{
    ARRAY_RESERVE(r->out, r->out_count, r->out_capacity);
    r->out[r->out_count++] = *token;
}

/* The token's text is part of what the grammar describes now. The mask allowed it, so it fits. */
static int match_token(struct engine *engine, struct request *r, int id)
{
    size_t n;
    const char *text = engine_vocabulary_text(engine->vocabulary, id, &n);
    return !r->matcher || (!engine_matcher_take(r->matcher, text, n, NULL) && engine_matcher_can_go_on(r->matcher));
}

static void accept_token(struct engine *engine, struct request *r, const struct engine_token *token)
{
    if (token->id < 0 || (!r->ignore_end && engine_vocabulary_ends(engine->vocabulary, token->id))) {
        finish(engine, r, ENGINE_END_TOKEN);
        return;
    }
    add_out(r, token);
    engine_tokens_add(&r->tokens, token->id);
    size_t old = r->text.length;
    if (r->stop_count)
        engine_vocabulary_detokenize(engine->vocabulary, &token->id, 1, 0, &r->text);
    int more = match_token(engine, r, token->id);
    if (r->stop_count && stopped(r, old))
        finish(engine, r, ENGINE_END_STOP);
    else if (!more)
        finish(engine, r, ENGINE_END_TOKEN);
    else if (r->out_count == r->max_tokens)
        finish(engine, r, ENGINE_END_LENGTH);
    else if (r->tokens.count == engine->info.context)
        finish(engine, r, ENGINE_END_CONTEXT);
}

static void settle(struct engine *engine)
{
    struct engine_schedule *s = engine->schedule;
    for (struct request *r = s->active.first; r; r = r->next)
        r->done += r->rows;
    for (int i = 0; i < s->choice_count; i++) {
        const struct choice *c = &s->choices[i];
        if (c->request->ended)
            continue;
        if (c->failed) {
            finish(engine, c->request, ENGINE_END_CANCELLED);
        } else if (c->next < 0) {
            accept_token(engine, c->request, &c->token);
        } else {
            add_out(c->request, &c->token);
            if (c->request->out_count == target(c->request) - c->request->from + 1)
                finish(engine, c->request, ENGINE_END_SCORED);
        }
    }
}

/* What no token came of may be the file's fault: then it is that which is told. */
static int blame(struct engine *engine, int code, struct error *e)
{
    struct error of_file;
    if (code != ERROR_ENGINE || !engine_model_check(engine->model, engine->file, engine->pool, &of_file))
        return code;
    return error_set(e, of_file.code, "%s", of_file.message);
}

int engine_step(struct engine *engine, int *live, struct error *e)
{
    struct engine_schedule *s = engine->schedule;
    double start = clock_seconds();
    *live = 0;
    if (!s)
        return OK;
    make_room(engine);
    int code = admit(engine, e);
    if (!code && s->active.count) {
        build_pass(engine);
        engine_forward_run(engine->forward, s->rows, s->row_count);
        code = blame(engine, sample(engine, e), e);
        settle(engine);
        s->passes++;
    }
    sweep(s);
    *live = s->active.count + s->waiting.count;
    s->busy_seconds += clock_seconds() - start;
    return code;
}

void engine_statistics(const struct engine *engine, struct engine_statistics *out)
{
    const struct engine_schedule *s = engine->schedule;
    *out = (struct engine_statistics){0};
    if (!s)
        return;
    struct engine_kv_usage usage;
    engine_kv_usage(engine->kv, &usage);
    *out = (struct engine_statistics){.prompt_rows = s->prompt_rows,
                                      .decode_rows = s->decode_rows,
                                      .passes = s->passes,
                                      .evicted = usage.evicted,
                                      .busy_seconds = s->busy_seconds,
                                      .live = s->active.count,
                                      .waiting = s->waiting.count,
                                      .kv_used = (size_t)usage.blocks * usage.block_bytes,
                                      .kv_limit = (size_t)usage.limit * usage.block_bytes,
                                      .kv_segments = usage.segments,
                                      .kv_held = (size_t)(usage.limit - usage.available) * usage.block_bytes,
                                      .adapters = engine_mixes_adapters(engine->mixes),
                                      .mixes = engine_mixes_count(engine->mixes)};
    for (const struct request *r = s->active.first; r; r = r->next)
        if (r->branch != NO_BRANCH)
            out->kv_apart += (size_t)((engine_kv_length(engine->kv, r->branch) + KERNEL_CELLS - 1) / KERNEL_CELLS) * usage.block_bytes;
    for (int i = 0; i < out->adapters; i++)
        out->adapter_bytes += engine_mixes_adapter(engine->mixes, i)->about.bytes;
}
