/* Prompts and grammars: texts with {placeholders}, checked when the task is read, filled when a request is made. */
#include "search/schema.h"

#include <stdlib.h>
#include <string.h>

enum word { PROBLEM, NUMBERS, STATE, TARGET, PATH, LAST, STEP, STEPS, CANDIDATES, NUMBER, LEFT, OTHERS, MOVES, WORDS };
static const char *const words[WORDS] = {"problem", "numbers", "state",      "target", "path", "last",   "step",
                                         "steps",   "candidates", "number", "left", "others", "moves"};

/* Which placeholders mean something where. */
enum { GROW = 1 << PROBLEM | 1 << NUMBERS | 1 << STATE | 1 << TARGET | 1 << PATH | 1 << LAST | 1 << STEP | 1 << STEPS };
static const unsigned known[] = {
    [SEARCH_PLACE_GROW] = GROW,
    [SEARCH_PLACE_GRAMMAR] = GROW | 1 << LEFT | 1 << OTHERS | 1 << MOVES,
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
    int there = word == STATE                      ? task->verifier >= SEARCH_VERIFIER_ARITHMETIC || task->numbers
                : word == NUMBERS || word == LEFT  ? task->count_high > 0
                : word == TARGET                   ? task->numbers
                : word == OTHERS || word == MOVES  ? task->verifier == SEARCH_VERIFIER_ARITHMETIC
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
    int grammar;                    /* words are written as they stand inside a literal */
};

static void fill(struct string *out, const char *text, const struct filling *f);

static const char *state_of(const struct search_path *path)
{
    return path->state ? path->state : path->problem->state ? path->problem->state : "";
}

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
        string_add(out, state_of(path));
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

/* --- in grammars ------------------------------------------------------------------------------------------------- */

/* As it is written between quotes in GBNF. */
static void escape(struct string *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (strchr("\"\\[]", c))
            string_addf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            string_addf(out, "\\x%02X", c);
        else
            string_append(out, text + i, 1);
    }
}

/* The parts of a text, cut at any of `marks`, as alternatives in parentheses, each once. */
static void add_alternatives(struct string *out, const char *text, const char *marks)
{
    int count = 0;
    string_add(out, "(");
    for (const char *p = text + strspn(text, marks), *next; *p; p = next + strspn(next, marks)) {
        size_t n = strcspn(p, marks), length;
        int seen = 0;
        next = p + n;
        for (const char *q = text + strspn(text, marks); q < p && !seen; q += length + strspn(q + length, marks)) {
            length = strcspn(q, marks);
            seen = length == n && !memcmp(q, p, n);
        }
        if (seen)
            continue;
        string_add(out, count++ ? " | \"" : "\"");
        escape(out, p, n);
        string_add(out, "\"");
    }
    string_add(out, count ? ")" : "\"\")");
}

static int count_words(const char *text)
{
    int count = 0;
    for (text += strspn(text, " "); *text; text += strspn(text, " "), count++)
        text += strcspn(text, " ");
    return count;
}

static void fill_grammar_word(struct string *out, int word, const struct filling *f)
{
    const char *state = state_of(f->path);
    struct string plain = {0};
    if (word == LEFT) {
        add_alternatives(out, state, " ");
    } else if (word == OTHERS) {
        int count = count_words(state);
        string_addf(out, "%d", count > 2 ? count - 2 : 0);
    } else if (word == MOVES) {
        char *moves = search_step_moves(state);
        add_alternatives(out, moves, "\n");
        free(moves);
    } else {
        fill_word(&plain, word, f);
        escape(out, string_text(&plain), plain.length);
        string_free(&plain);
    }
}

/* --- texts ------------------------------------------------------------------------------------------------------- */

static void fill_piece(struct string *out, const struct piece *piece, const struct filling *f)
{
    if (piece->word < 0)
        string_append(out, piece->text, piece->length);
    else if (f->grammar)
        fill_grammar_word(out, piece->word, f);
    else
        fill_word(out, piece->word, f);
}

static void fill(struct string *out, const char *text, const struct filling *f)
{
    struct piece piece;
    while (next_piece(&text, &piece) > 0)
        fill_piece(out, &piece, f);
}

/* One number is left: what is asked for is the answer, not another step. */
static int is_finishing(const struct search_task *task, const struct search_path *path)
{
    const char *state = path->state ? path->state : path->problem->state;
    return task->numbers && state && *state && !strchr(state, ' ');
}

char *search_task_grammar(const struct search_task *task, enum search_purpose purpose, const struct search_path *path)
{
    const char *text = task->sections[purpose].grammar;
    struct string out = {0};
    if (!text || is_finishing(task, path))
        return NULL;
    string_add(&out, "");
    fill(&out, text, &(struct filling){.task = task, .path = path, .grammar = 1});
    return out.text;
}

/* Filled from a problem that is made up, with as many numbers as there may be; what is wrong is shown where it stands in
 * the file, or at the placeholder that brought it. */
int search_grammar_check(const struct search_task *task, const struct search_yaml *node, struct error *e)
{
    struct string numbers = {0}, out = {0};
    int status = search_prompt_check(task, SEARCH_PLACE_GRAMMAR, node, e);
    if (status)
        return status;
    for (int i = 1; i <= task->count_high; i++)
        string_addf(&numbers, "%s%d", i > 1 ? " " : "", i);
    string_add(&numbers, task->count_high ? "" : "1");
    struct search_problem problem = {.text = numbers.text, .state = numbers.text, .target = numbers.text};
    struct search_path path = {.problem = &problem, .state = numbers.text};
    struct filling f = {.task = task, .path = &path, .grammar = 1};
    struct error why;
    struct piece piece;
    const char *p = node->text;
    size_t offset, at;
    fill(&out, node->text, &f);
    if (engine_grammar_check(string_text(&out), &offset, &why)) {
        string_clear(&out);
        at = node->length; /* something is missing at its end */
        while (out.length <= offset && next_piece(&p, &piece) > 0) {
            size_t before = out.length;
            fill_piece(&out, &piece, &f);
            if (out.length > offset)
                at = (size_t)(piece.text - node->text) + (piece.word < 0 ? offset - before : 0);
        }
        status = search_yaml_error_at(node, at, e, "not a grammar: %s", why.message);
    }
    string_free(&out);
    string_free(&numbers);
    return status;
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
