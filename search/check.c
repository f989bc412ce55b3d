/* Checking a task as a whole, for whoever writes one: what only shows when its parts meet. */
#include "search/schema.h"
#include "search/strategy.h"

#include <stdlib.h>

static void list_prompts(const struct search_task *task, const char *title, struct string *about)
{
    string_addf(about, "  %-10s", title);
    for (int purpose = 0; purpose < SEARCH_SECTIONS; purpose++)
        if (search_task_has(task, (enum search_purpose)purpose))
            string_addf(about, " %s", search_purpose_name((enum search_purpose)purpose));
    string_add(about, "\n");
}

static void describe(const struct search_task *task, const char *strategy, int rows, struct string *about)
{
    string_addf(about, "%s: %s\n", task->name, task->about);
    string_addf(about, "  problem    %s\n", task->form);
    string_addf(about, "  strategy   %s\n", strategy);
    list_prompts(task, "prompts", about);
    if (task->trained)
        list_prompts(task->trained, "trained", about);
    string_addf(about, "  steps      %d at most, %s\n", task->steps, task->continues ? "one growing answer" : "each asked anew");
    string_addf(about, "  verifier   %s\n", search_verifiers[task->verifier]);
    if (task->data_file)
        string_addf(about, "  data       %s, %d row%s\n", task->data_file, rows, rows == 1 ? "" : "s");
    if (task->generator)
        string_addf(about, "  generator  %s\n", task->generator);
}

/* Of its own prompts, or of the others. */
static int check_strategy(const struct search_task *task, struct search_parameters *parameters, struct error *e)
{
    struct error wrong;
    return search_parameters_parse(parameters, task->strategy, task, &wrong)
               ? error_set(e, ERROR_INPUT, "%s: strategy %s: %s", task->path, task->strategy, wrong.message) : OK;
}

int search_task_check(const struct search_task *task, struct string *about, struct error *e)
{
    struct search_parameters parameters;
    struct string drawn = {0};
    int rows = 0, status = task->trained ? check_strategy(task->trained, &parameters, e) : OK;
    if (status || (status = check_strategy(task, &parameters, e)))
        return status;
    if (task->data_file)
        status = search_task_rows(task, &rows, e);
    if (!status && task->generator) /* a hundred rows show every size of problem it draws */
        status = search_task_make(task, SEARCH_SPLIT_TEST, 1, 100, 0, &drawn, e);
    string_free(&drawn);
    if (status)
        return status;
    char *strategy = search_parameters_text(&parameters);
    describe(task, strategy, rows, about);
    free(strategy);
    return OK;
}
