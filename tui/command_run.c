/* run: search without a screen. The answer on stdout (or, with --json, the events), everything else on stderr. */
#include "tui/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct output {
    int json;
    const struct engine *engine;
    struct search_event *result; /* kept when it comes */
};

static void take_event(void *context, struct search_event *event)
{
    struct output *out = context;
    if (event->kind == SEARCH_EVENT_RESULT)
        out->result = search_event_keep(event);
    if (!out->json)
        return;
    struct string line = {0};
    search_event_json(event, out->engine, &line);
    fwrite(line.text, 1, line.length, stdout);
    string_free(&line);
}

/* One line that rewrites itself, four times a second. */
static void show_progress(const struct search *search, const struct engine *engine, double start, double *last)
{
    double now = clock_seconds();
    if (now - *last < 0.25 || now - start < 1)
        return;
    *last = now;
    const struct search_tree *tree = search_tree(search);
    struct engine_statistics s;
    engine_statistics(engine, &s);
    struct string line = {0};
    string_addf(&line, "step %d: %d nodes, %" PRId64 " tokens written, %.0f tokens/s, %d branches", tree->steps, tree->count, s.decode_rows,
                (double)s.decode_rows / (now - start), s.live);
    fprintf(stderr, "\r\033[K%.*s", 79, line.text);
    string_free(&line);
}

static void print_statistics(const struct search_event *event, const struct engine *engine, double seconds)
{
    struct engine_statistics s;
    engine_statistics(engine, &s);
    struct string why = {0};
    utf8_sanitize(&why, event->result.why, strlen(event->result.why), 0);
    fprintf(stderr,
            "%s: %s\n%d nodes, %d illegal; prompt %" PRId64 " tokens (%" PRId64 " cached), completion %" PRId64 "; %.3g FLOP\n"
            "%.2f s, %.1f tokens/s written, KV %.1f of %.0f MB\n",
            event->result.strategy, string_text(&why), event->result.nodes, event->result.illegal, event->result.usage.prompt,
            event->result.usage.cached, event->result.usage.completion, event->result.usage.flops, seconds,
            seconds > 0 ? (double)event->result.usage.completion / seconds : 0, (double)s.kv_used / 1e6, (double)s.kv_limit / 1e6);
    string_free(&why);
}

static int run(const struct tui_options *o)
{
    struct error e;
    struct search_task *task = NULL;
    struct search_options options;
    struct search *search = NULL;
    struct engine *engine = NULL;
    struct output out = {.json = o->json};
    char *problem = NULL;
    enum search_status status = SEARCH_WORKING;
    int progress = isatty(STDERR_FILENO);
    double start = 0, last = 0;

    int code = tui_search_options(o, &task, &options, &problem, &e);
    if (!code)
        code = tui_engine_open(o, 0, &engine, &e);
    if (!code) {
        out.engine = engine;
        options.sink = take_event;
        options.context = &out;
        start = clock_seconds();
        code = search_open(&search, engine, &options, &e);
    }
    while (!code && status != SEARCH_DONE) {
        code = search_advance(search, &status, &e);
        if (progress)
            show_progress(search, engine, start, &last);
    }
    if (last > 0)
        fputs("\r\033[K", stderr);
    if (!code) {
        if (!o->json && out.result->result.answer) {
            struct string clean = {0};
            utf8_sanitize(&clean, out.result->result.answer, strlen(out.result->result.answer), 1);
            puts(string_text(&clean));
            string_free(&clean);
        }
        print_statistics(out.result, engine, clock_seconds() - start);
        if (!out.result->result.answer)
            code = ERROR_NO_ANSWER;
    } else {
        tui_fail(&e);
    }
    if (out.result)
        search_event_release(out.result);
    search_close(search);
    engine_close(engine);
    search_task_close(task);
    free(problem);
    return code;
}

const struct tui_command tui_command_run = {
    .name = "run",
    .summary = "search without a screen: the answer on stdout, --json the events",
    .usage = "run [OPTIONS] [PROBLEM]",
    .example = "espalier run -t ask -s self-consistency,m=16 'What is 8 * 7?'",
    .options = "model task strategy data seed temperature top-k top-p min-p repetition-penalty budget-tokens threads batch context "
               "kv-memory kernels json",
    .run = run,
};
