/* run: search without a screen. The answer on stdout (or, with --json, the events), everything else on stderr. */
#include "tui/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct output {
    const struct tui_options *options;
    const struct engine *engine, *judge;
    int racing;
};

/* One strategy of the race, or the only one. */
struct runner {
    struct output *output;
    int number;
    struct search *search;
    struct search_event *result; /* kept when it comes */
    double seconds;              /* from the start to its result */
};

static void take_event(void *context, struct search_event *event)
{
    struct runner *r = context;
    if (event->kind == SEARCH_EVENT_RESULT) {
        if (r->result)
            search_event_release(r->result);
        r->result = search_event_keep(event);
    }
    if (!r->output->options->json)
        return;
    struct string line = {0};
    int judge = event->kind == SEARCH_EVENT_COMPLETION && event->completion.judge;
    search_event_json(event, judge ? r->output->judge : r->output->engine, &line);
    if (r->output->racing) /* which tree it is of */
        printf("{\"tree\":%d,%s", r->number, line.text + 1);
    else
        fwrite(line.text, 1, line.length, stdout);
    string_free(&line);
}

/* One line that rewrites itself, four times a second. */
static void show_progress(const struct runner *runners, int count, const struct engine *engine, double start, double *last)
{
    double now = clock_seconds();
    if (now - *last < 0.25 || now - start < 1)
        return;
    *last = now;
    struct engine_statistics s;
    engine_statistics(engine, &s);
    struct string line = {0};
    int steps = 0, thoughts = 0;
    for (int i = 0; i < count; i++) {
        steps += search_tree_steps(search_tree(runners[i].search));
        thoughts += search_tree(runners[i].search)->count - 1;
    }
    string_addf(&line, "step %d: %d thoughts, %" PRId64 " tokens written, %.0f tokens/s, %d branches", steps, thoughts, s.decode_rows,
                (double)s.decode_rows / (now - start), s.live);
    fprintf(stderr, "\r\033[K%.*s", 79, line.text);
    string_free(&line);
}

static void print_result(const struct runner *r)
{
    const struct search_event *event = r->result;
    struct string why = {0};
    utf8_sanitize(&why, event->result.why, strlen(event->result.why), 0);
    fprintf(stderr,
            "%s: %s\n%d thought%s, %d illegal; prompt %" PRId64 " tokens (%" PRId64 " cached), completion %" PRId64 "; %.3g FLOP; %.2f s\n",
            event->result.strategy, string_text(&why), event->result.nodes - 1, event->result.nodes == 2 ? "" : "s", event->result.illegal,
            event->result.usage.prompt, event->result.usage.cached, event->result.usage.completion, event->result.usage.flops, r->seconds);
    string_free(&why);
}

static void print_answer(const struct runner *r)
{
    struct string clean = {0};
    const char *answer = r->result->result.answer;
    if (answer)
        utf8_sanitize(&clean, answer, strlen(answer), 1);
    if (r->output->racing)
        printf("%s\t%s\n", r->result->result.strategy, answer ? string_text(&clean) : "no answer");
    else if (answer)
        puts(string_text(&clean));
    string_free(&clean);
}

static void print_statistics(const struct engine *engine, int64_t written, double seconds)
{
    struct engine_statistics s;
    engine_statistics(engine, &s);
    fprintf(stderr, "%.2f s, %.1f tokens/s written, KV %.1f of %.0f MB, peak memory %.0f MB\n", seconds,
            seconds > 0 ? (double)written / seconds : 0, (double)s.kv_used / 1e6, (double)s.kv_limit / 1e6, (double)memory_peak() / 1e6);
}

/* Until all are done; what a user might do then is done by words, one after the other, and each time the searches end again. */
static int finish(struct runner *runners, int count, const struct output *output, struct error *e)
{
    struct search_group *group = search_group_open();
    double start = clock_seconds(), last = 0;
    int progress = isatty(STDERR_FILENO), acts = 0, code = OK;
    for (int i = 0; i < count; i++)
        search_group_add(group, runners[i].search);
    while (!code) {
        struct search *moved;
        enum search_status status;
        code = search_group_advance(group, &moved, &status, e);
        for (int i = 0; i < count && status == SEARCH_DONE; i++)
            if (moved == runners[i].search)
                runners[i].seconds = clock_seconds() - start;
        if (!moved && status == SEARCH_DONE) {
            if (acts == output->options->act_count)
                break;
            for (int i = 0; i < count && !code; i++)
                code = search_do(runners[i].search, output->options->acts[acts], e);
            acts++;
        }
        if (progress)
            show_progress(runners, count, output->engine, start, &last);
    }
    if (last > 0)
        fputs("\r\033[K", stderr);
    search_group_close(group);
    if (!code) {
        int64_t written = 0;
        for (int i = 0; i < count; i++) {
            print_result(&runners[i]);
            written += runners[i].result->result.usage.completion;
        }
        print_statistics(output->engine, written, clock_seconds() - start);
    }
    return code;
}

/* --- what it may cost -------------------------------------------------------------------------------------------- */

static int estimate(const struct tui_options *o)
{
    struct error e;
    struct tui_searches searches = {0};
    struct engine *engine = NULL, *judge = NULL;
    int code = tui_searches_open(&searches, o, 0, &e);
    if (!code)
        code = tui_engine_open_at(o, searches.model, TUI_TOKENS, &engine, &e);
    if (!code && o->judge_model)
        code = tui_engine_open_at(o, o->judge_model, TUI_TOKENS, &judge, &e);
    for (int i = 0; i < searches.count && !code; i++) {
        struct search_estimate cost;
        searches.options.strategy = searches.strategies[i];
        searches.options.judge = judge;
        code = search_estimate(&cost, engine, &searches.options, &e);
        if (code)
            break;
        int64_t computed = cost.usage.prompt - cost.usage.cached + cost.usage.completion;
        if (o->json)
            tui_print_json(json_pack("{s:s, s:I, s:{s:I, s:I, s:I}, s:f, s:i, s:b}", "strategy", searches.strategies[i], "requests",
                                     (json_int_t)cost.requests, "tokens", "prompt", (json_int_t)cost.usage.prompt, "cached",
                                     (json_int_t)cost.usage.cached, "completion", (json_int_t)cost.usage.completion, "flops", cost.usage.flops,
                                     "nodes", cost.nodes, "over_budget", cost.cut));
        else
            printf("%s: %s%" PRId64 " tokens to compute (prompt %" PRId64 ", cached %" PRId64 ", completion %" PRId64 "), %.3g FLOP, %" PRId64
                   " requests, %d thoughts%s\n",
                   searches.strategies[i], cost.cut ? "more than the budget: after " : "at most ", computed, cost.usage.prompt,
                   cost.usage.cached, cost.usage.completion, cost.usage.flops, cost.requests, cost.nodes, cost.cut ? " it would not be done" : "");
    }
    if (!code && !o->json)
        printf("(were every completion as long as it may be, every path as deep, and every proposal of %d thoughts)\n", SEARCH_ESTIMATE_PROPOSED);
    if (code)
        tui_fail(&e);
    engine_close(judge);
    engine_close(engine);
    tui_searches_close(&searches);
    return code;
}

static int run(const struct tui_options *o)
{
    if (o->estimate)
        return estimate(o);
    struct error e;
    struct tui_searches searches = {0};
    struct engine *engine = NULL, *judge = NULL;
    struct runner *runners = NULL;
    int code = tui_searches_open(&searches, o, 0, &e), answered = 0;
    if (!code)
        code = tui_engine_open_at(o, searches.model, TUI_MODEL, &engine, &e);
    if (!code)
        code = tui_judge_open(o, &judge, &e);
    struct output output = {.options = o, .engine = engine, .judge = judge, .racing = searches.count > 1};
    runners = xcalloc((size_t)searches.count + 1, sizeof *runners);
    for (int i = 0; i < searches.count && !code; i++) {
        runners[i] = (struct runner){.output = &output, .number = i};
        code = tui_searches_start(&searches, i, engine, judge, take_event, &runners[i], &runners[i].search, &e);
    }
    if (!code)
        tui_adapters_warn(engine);
    if (!code && searches.notice[0])
        fprintf(stderr, "%s\n", searches.notice);
    if (!code && searches.forked)
        fprintf(stderr, "goes on from event %lld in a session of its own: %s\n", (long long)o->at, search_journal_path(searches.journal));
    if (!code)
        code = finish(runners, searches.count, &output, &e);
    for (int i = 0; i < searches.count && !code; i++) {
        answered += runners[i].result->result.answer != NULL;
        if (!o->json)
            print_answer(&runners[i]);
    }
    if (code)
        tui_fail(&e);
    for (int i = 0; i < searches.count; i++) {
        search_event_release(runners[i].result);
        search_close(runners[i].search);
    }
    free(runners);
    engine_close(judge);
    engine_close(engine);
    tui_searches_close(&searches);
    return !code && !answered ? ERROR_NO_ANSWER : code;
}

const struct tui_command tui_command_run = {
    .name = "run",
    .summary = "search without a screen: the answer on stdout, --json the events",
    .usage = "run [OPTIONS] [PROBLEM]",
    .example = "espalier run -t ask -s self-consistency,m=16 'What is 8 * 7?'",
    .options = "model adapter task strategy judge judge-model allow-commands grammar prompts data seed temperature top-k top-p min-p repetition-penalty "
               "budget-tokens budget-flops budget-nodes budget-time act session at estimate threads batch context kv-memory kv-type kernels quant json",
    .run = run,
};
