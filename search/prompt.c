/* Prompts: texts with {placeholders}, checked when the task is read, filled when a request is made. */
#include "search/schema.h"

#include <stdlib.h>
#include <string.h>

enum word { PROBLEM, NUMBERS, STATE, TARGET, PATH, LAST, STEP, STEPS, CANDIDATES, NUMBER, WORDS };
static const char *const words[WORDS] = {"problem", "numbers", "state", "target", "path", "last", "step", "steps", "candidates", "number"};

/* Which placeholders mean something where. */
static const unsigned known[] = {
    [SEARCH_PLACE_GROW] = 1 << PROBLEM | 1 << NUMBERS | 1 << STATE | 1 << TARGET | 1 << PATH | 1 << LAST | 1 << STEP | 1 << STEPS,
    [SEARCH_PLACE_VOTE] = 1 << PROBLEM | 1 << NUMBERS | 1 << TARGET | 1 << STEP | 1 << STEPS | 1 << CANDIDATES,
    [SEARCH_PLACE_CANDIDATE] = 1 << NUMBER | 1 << STATE | 1 << PATH | 1 << LAST,
};

/* What stands next in a text: some bytes of it as they are (also for {{ and }}), or a placeholder. */
struct piece {
    const char *text;
    size_t length;
    int word; /* -1: bytes */
};
/* Returns 0 at the end, -1 at a brace that begins no placeholder (*p stands at it). */
static int next_piece(const char **p, struct piece *out)
{
    const char *s = *p;
    if (!*s)
        return 0;
    if ((*s == '{' || *s == '}') && s[1] == *s) {
        *out = (struct piece){s, 1, -1};
        *p = s + 2;
        return 1;
    }
    if (*s != '{') {
        size_t n = *s == '}' ? 1 : strcspn(s, "{}");
        *out = (struct piece){s, n, -1};
        *p = s + n;
        return 1;
    }
    size_t n = strcspn(s + 1, "{}\n");
    for (int w = 0; w < WORDS && s[1 + n] == '}'; w++)
        if (strlen(words[w]) == n && !memcmp(words[w], s + 1, n)) {
            *out = (struct piece){s, n + 2, w};
            *p = s + n + 2;
            return 1;
        }
    return -1;
}

static int is_known(const struct search_task *task, enum search_place place, int word)
{
    int there = word == STATE     ? task->verifier >= SEARCH_VERIFIER_ARITHMETIC || task->numbers
                : word == NUMBERS ? task->count_high > 0
                : word == TARGET  ? task->numbers
                                  : 1;
    return known[place] >> word & 1 && there;
}

int search_prompt_check(const struct search_task *task, enum search_place place, const struct search_yaml *node, struct error *e)
{
    const char *p = node->text;
    struct piece piece;
    int got;
    while ((got = next_piece(&p, &piece)) > 0 && (piece.word < 0 || is_known(task, place, piece.word)))
        ;
    if (!got)
        return OK;
    const char *at = got < 0 ? p : piece.text;
    struct string list = {0};
    for (int w = 0; w < WORDS; w++)
        if (is_known(task, place, w))
            string_addf(&list, "{%s} ", words[w]);
    size_t shown = strcspn(at, "}\n");
    int status = search_yaml_error_at(node, (size_t)(at - node->text), e, "unknown placeholder `%.*s%s`; known here: %sand {{ for a brace",
                                      (int)(shown > 40 ? 40 : shown), at, at[shown] == '}' ? "}" : "", string_text(&list));
    string_free(&list);
    return status;
}

/* --- filling ----------------------------------------------------------------------------------------------------- */

struct filling {
    const struct search_task *task;
    const struct search_path *path; /* of the vote: its first candidate */
    const struct search_path *candidates;
    int candidate_count;
    int number;                     /* of the candidate being listed */
};

static void fill(struct string *out, const char *text, const struct filling *f);

static void fill_word(struct string *out, int word, const struct filling *f)
{
    const struct search_path *path = f->path;
    switch (word) {
    case PROBLEM:
        string_add(out, path->problem->text);
        break;
    case NUMBERS:
        string_add(out, path->problem->state ? path->problem->state : "");
        break;
    case STATE:
        string_add(out, path->state ? path->state : path->problem->state ? path->problem->state : "");
        break;
    case TARGET:
        string_add(out, path->problem->target ? path->problem->target : "");
        break;
    case PATH:
        for (int i = 0; i < path->count; i++)
            string_addf(out, "%s%s", i ? "\n" : "", path->thoughts[i]);
        break;
    case LAST:
        string_add(out, path->count ? path->thoughts[path->count - 1] : "");
        break;
    case STEP:
        string_addf(out, "%d", path->count + 1);
        break;
    case STEPS:
        string_addf(out, "%d", f->task->steps);
        break;
    case CANDIDATES:
        for (int i = 0; i < f->candidate_count; i++)
            fill(out, f->task->candidate, &(struct filling){.task = f->task, .path = &f->candidates[i], .number = i + 1});
        break;
    default:
        string_addf(out, "%d", f->number);
    }
}

static void fill(struct string *out, const char *text, const struct filling *f)
{
    struct piece piece;
    while (next_piece(&text, &piece) > 0) {
        if (piece.word < 0)
            string_append(out, piece.text, piece.length);
        else
            fill_word(out, piece.word, f);
    }
}

/* One number is left: what is asked for is the answer, not another step. */
static int is_finishing(const struct search_task *task, const struct search_path *path)
{
    const char *state = path->state ? path->state : path->problem->state;
    return task->numbers && state && *state && !strchr(state, ' ');
}

int search_task_messages(const struct search_task *task, enum search_purpose purpose, const struct search_path *path,
                         const struct search_path *candidates, int candidate_count, struct search_messages *out, struct error *e)
{
    const struct search_section *section = &task->sections[purpose];
    *out = (struct search_messages){0};
    if (!section->messages.count)
        return error_set(e, ERROR_INPUT, "%s: the task has no `%s` prompt; add a `%s:` section or choose a strategy that asks for none",
                         task->path, search_purpose_name(purpose), search_purpose_name(purpose));
    const struct search_path *about = path ? path : candidates;
    const struct search_prompt *prompt = section->finish.count && is_finishing(task, about) ? &section->finish : &section->messages;
    struct filling f = {.task = task, .path = about, .candidates = candidates, .candidate_count = candidate_count};
    out->list = xcalloc((size_t)prompt->count, sizeof *out->list);
    out->count = prompt->count;
    for (int i = 0; i < prompt->count; i++) {
        struct string text = {0};
        string_add(&text, ""); /* so that an empty message is "" */
        fill(&text, prompt->list[i].text, &f);
        out->list[i] = (struct engine_message){xstrdup(prompt->list[i].role), text.text};
    }
    return OK;
}

void search_messages_free(struct search_messages *m)
{
    for (int i = 0; i < m->count; i++) {
        free((char *)m->list[i].role);
        free((char *)m->list[i].text);
    }
    free(m->list);
    *m = (struct search_messages){0};
}

int search_task_has(const struct search_task *task, enum search_purpose purpose)
{
    switch (purpose) {
    case SEARCH_LIKELIHOOD:
    case SEARCH_AGREEMENT:
        return 1;
    case SEARCH_VERIFIER:
        return task->verifier != SEARCH_VERIFIER_NONE || search_task_command(task);
    case SEARCH_ORACLE:
        return task->numbers;
    default:
        return task->sections[purpose].messages.count > 0;
    }
}

const char *const *search_task_words(const struct search_task *task, enum search_purpose purpose)
{
    int judged_by_words = purpose == SEARCH_SELF_EVALUATION || purpose == SEARCH_PROCESS_REWARD;
    return judged_by_words ? (const char *const *)task->sections[purpose].words : NULL;
}
