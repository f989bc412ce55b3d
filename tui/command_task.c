/* task: which tasks there are; is a file one; new problems by seed. */
#include "tui/command.h"

#include <stdlib.h>
#include <string.h>

static void print_clean(const char *format, const char *text)
{
    struct string clean = {0};
    utf8_sanitize(&clean, text, strlen(text), 1);
    printf(format, string_text(&clean));
    string_free(&clean);
}

/* A task that cannot be read is listed with what is wrong with it: the others are still there. */
static int list(void)
{
    char **names = search_task_names();
    for (int i = 0; names[i]; i++) {
        struct search_task *task;
        struct error e;
        printf("%-18s", names[i]);
        if (search_task_open(&task, names[i], &e)) {
            print_clean("cannot be used: %s\n", e.message);
        } else {
            print_clean("%s\n", search_task_about(task));
            print_clean("                  problem: %s\n", search_task_problem_form(task));
            print_clean("                  strategy: %s\n", search_task_strategy(task));
            search_task_close(task);
        }
        free(names[i]);
    }
    free(names);
    return OK;
}

static int check(const char *name)
{
    struct error e;
    struct search_task *task = NULL;
    struct string about = {0};
    int code = search_task_open(&task, name, &e);
    if (!code)
        code = search_task_check(task, &about, &e);
    if (code) {
        tui_fail(&e);
    } else {
        print_clean("%s: fine\n", name);
        print_clean("%s", string_text(&about));
    }
    string_free(&about);
    search_task_close(task);
    return code;
}

enum { ROWS = 100 };

/* The items of so many problems, a line each. */
static int print_traces(const struct tui_options *o, const struct search_task *task, enum search_split split, struct error *e)
{
    struct search_traces *traces;
    struct search_trace trace;
    int code = search_traces_open(&traces, task, split, o->seed, NULL, e);
    if (code)
        return code;
    search_traces_next(traces, &trace);
    while (trace.row < (uint64_t)(o->n ? o->n : ROWS) && !ferror(stdout)) {
        tui_print_json(json_pack("{s:s, s:s}", "prompt", trace.prompt, "completion", trace.completion));
        search_traces_next(traces, &trace);
    }
    search_traces_close(traces);
    return OK;
}

static int make(const struct tui_options *o)
{
    struct error e;
    struct search_task *task = NULL;
    struct string rows = {0};
    int train = o->split && !strcmp(o->split, "train");
    enum search_split split = train ? SEARCH_SPLIT_TRAIN : SEARCH_SPLIT_TEST;
    if (o->split && !train && strcmp(o->split, "test"))
        return tui_fail(&(struct error){ERROR_USAGE, "--split is train or test"});
    int code = search_task_open(&task, o->words[1], &e);
    if (!code && o->traces)
        code = print_traces(o, task, split, &e);
    else if (!code)
        code = search_task_make(task, split, o->seed, o->n ? o->n : ROWS, o->json, &rows, &e);
    if (code)
        tui_fail(&e);
    else
        fwrite(string_text(&rows), 1, rows.length, stdout);
    string_free(&rows);
    search_task_close(task);
    return code;
}

static int run(const struct tui_options *o)
{
    const char *what = o->word_count ? o->words[0] : "";
    if (!strcmp(what, "list") && o->word_count == 1)
        return list();
    if (!strcmp(what, "check") && o->word_count == 2)
        return check(o->words[1]);
    if (!strcmp(what, "make") && o->word_count == 2)
        return make(o);
    return tui_fail(&(struct error){ERROR_USAGE, "task list, task check NAME|FILE or task make NAME|FILE was expected; see espalier task --help"});
}

const struct tui_command tui_command_task = {
    .name = "task",
    .summary = "tasks: those there are, is a file one, new problems by seed",
    .usage = "task list | check NAME|FILE | make NAME|FILE [OPTIONS]",
    .example = "espalier task make countdown --seed 7 -n 100 > x.csv && espalier run -t countdown --data x.csv @1",
    .options = "seed n split traces json",
    .run = run,
};
