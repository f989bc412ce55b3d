/* libFuzzer: any bytes as a YAML file, and as what a model wrote, judged by each kind of shipped task.
 * The first byte says which: the YAML layer, a problem, a thought after a state, or a completion.
 */
#include "search/task.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { TASKS = 8 };
static struct search_task *tasks[TASKS];

static void open_tasks(void)
{
    static const char *const names[TASKS] = {"examples/game24.yaml", "examples/countdown.yaml", "examples/math-word.yaml", "examples/ask.yaml",
                                             "examples/sorting.yaml", "examples/knights.yaml", "examples/arithmetic-chain.yaml",
                                             "examples/reason.yaml"};
    for (int i = 0; i < TASKS; i++) {
        struct error e;
        if (search_task_open(&tasks[i], names[i], &e)) {
            fprintf(stderr, "%s\n", e.message);
            abort();
        }
    }
}

static void judge(const struct search_task *task, const char *state, const char *thought)
{
    static const char *const problems[] = {"4 5 6 10", "24: 4 4 10", "How many?", "7 2 9", "7 +5 *3",
                                           "A says: we are both knaves. B says: A is a knave."};
    for (int i = 0; i < 6; i++) {
        struct search_problem problem;
        struct search_path path = {.problem = &problem, .ended = 1};
        struct search_verdict v;
        struct error e;
        if (!search_problem_parse(task, problems[i], NULL, &problem, &e)) {
            path.state = problem.state ? state : NULL;
            search_task_verify(task, &path, thought, &v);
            if (v.illegal && (v.final || v.answer || !v.why))
                abort();
            search_verdict_free(&v);
        }
        search_problem_free(&problem);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const states[] = {"4 5 6 10", "-1 2/3 7", "24", "1/3 8", "7 2 9", "7/2 *3 -1", "A knave, B knight; A knave, B knave", ""};
    if (!tasks[0])
        open_tasks();
    if (n < 2)
        return 0;
    const struct search_task *task = tasks[bytes[1] % TASKS];
    char *text = xstrndup((const char *)bytes + 2, n - 2);
    struct search_yaml_document *document;
    struct search_problem problem;
    struct search_cut *cuts;
    struct error e;
    double weight;
    switch (bytes[0] % 4) {
    case 0:
        if (!search_yaml_parse(&document, "f", text, n - 2, &e)) {
            const struct search_yaml *root = search_yaml_root(document);
            for (int i = 0; i < root->count; i++)
                for (size_t at = 0; at < root->values[i]->length; at += 7)
                    search_yaml_error_at(root->values[i], at, &e, "here");
            search_yaml_close(document);
        }
        break;
    case 1:
        search_problem_parse(task, text, text, &problem, &e);
        search_problem_free(&problem);
        break;
    case 2:
        judge(task, states[bytes[0] / 4 % 8], text);
        break;
    default:
        for (enum search_purpose purpose = SEARCH_SAMPLE; purpose <= SEARCH_PROPOSE; purpose++) {
            int count = search_task_cut(task, purpose, text, &cuts);
            for (int i = 0; i < count; i++)
                if (cuts[i].first + cuts[i].length > strlen(text))
                    abort();
            free(cuts);
        }
        search_task_value(task, text, &weight);
        if (search_task_vote(task, text, 12) > 12)
            abort();
    }
    free(text);
    return 0;
}
