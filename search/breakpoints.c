/* Where a search is to stop by itself: rules, and what an event says to them. Which rules hold is in the log; nothing else follows from it: a
 * search that is stopped comes to what it would have come to.
 */
#include "search/search.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- rules in words ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int number; /* one follows */
} kinds[] = {
    [SEARCH_BREAK_WRONG] = {"wrong", 0},  [SEARCH_BREAK_RIGHT] = {"right", 0},  [SEARCH_BREAK_ANSWER] = {"answer", 0},
    [SEARCH_BREAK_BELOW] = {"value<", 1}, [SEARCH_BREAK_ABOVE] = {"value>", 1}, [SEARCH_BREAK_DEPTH] = {"depth=", 1},
};

static char *without_blanks(const char *text)
{
    char *out = xstrdup(text), *end = out;
    for (; *text; text++)
        if (*text != ' ')
            *end++ = *text;
    *end = '\0';
    return out;
}

static int parse(const char *rule, struct search_breakpoint *out, struct error *e)
{
    char *words = without_blanks(rule), *end;
    int code = error_set(e, ERROR_USAGE, "break '%.40s': expected wrong, right, answer, value<X, value>X or depth=N", rule);
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds) && code; i++) {
        const size_t n = strlen(kinds[i].name);
        const double x = strncmp(words, kinds[i].name, n) ? NAN : strtod(words + n, &end);
        if (strncmp(words, kinds[i].name, n) || (kinds[i].number ? end == words + n || *end || !isfinite(x) : words[n] != '\0'))
            continue;
        if (i == SEARCH_BREAK_DEPTH && (x < 1 || x > 1e6 || x != floor(x)))
            continue;
        *out = (struct search_breakpoint){.kind = (enum search_break)i, .than = kinds[i].number ? x : 0, .step = -2};
        code = OK;
    }
    free(words);
    return code;
}

static void name_of(const struct search_breakpoint *b, struct string *out)
{
    string_add(out, kinds[b->kind].name);
    if (kinds[b->kind].number)
        string_addf(out, "%g", b->than);
}

static int find(const struct search_breakpoints *list, const struct search_breakpoint *b)
{
    for (int i = 0; i < list->count; i++)
        if (list->list[i].kind == b->kind && list->list[i].than == b->than)
            return i;
    return -1;
}

int search_breakpoint_add(struct search_breakpoints *list, const char *rule, struct error *e)
{
    struct search_breakpoint b;
    int code = parse(rule, &b, e);
    if (code)
        return code;
    if (find(list, &b) >= 0)
        return error_set(e, ERROR_INPUT, "it stops at %.40s already; unbreak %.40s takes that away", rule, rule);
    if (list->count == SEARCH_BREAKPOINTS)
        return error_set(e, ERROR_INPUT, "there are %d breakpoints already; take one away with unbreak", SEARCH_BREAKPOINTS);
    list->list[list->count++] = b;
    return OK;
}

int search_breakpoint_remove(struct search_breakpoints *list, const char *rule, struct error *e)
{
    struct search_breakpoint b;
    if (!strcmp(rule, "all")) {
        list->count = 0;
        return OK;
    }
    int code = parse(rule, &b, e), at = code ? -1 : find(list, &b);
    if (!code && at < 0)
        return error_set(e, ERROR_INPUT, "it does not stop at %.40s; there is nothing to take away", rule);
    if (!code)
        memmove(&list->list[at], &list->list[at + 1], (size_t)(--list->count - at) * sizeof b);
    return code;
}

void search_breakpoints_text(const struct search_breakpoints *list, struct string *out)
{
    for (int i = 0; i < list->count; i++) {
        string_add(out, i ? ", " : "");
        name_of(&list->list[i], out);
    }
}

int search_breakpoints_read(struct search_breakpoints *list, const char *text, struct error *e)
{
    const struct search_breakpoints before = *list;
    int code = OK;
    *list = (struct search_breakpoints){0};
    for (size_t n; *text && !code; text += n + (text[n] == ',')) {
        n = strcspn(text, ",");
        char *rule = xstrndup(text, n);
        code = search_breakpoint_add(list, rule, e);
        free(rule);
    }
    for (int i = 0, was; i < list->count; i++)
        if ((was = find(&before, &list->list[i])) >= 0)
            list->list[i].step = before.list[was].step;
    return code;
}

/* --- what an event says to them ---------------------------------------------------------------------------------- */

static char *hit_by_thought(struct search_breakpoint *b, const struct search_tree *tree, const struct search_event *event)
{
    const int depth = tree->nodes[event->thought.parent].depth + 1;
    switch (b->kind) {
    case SEARCH_BREAK_WRONG:
        if (event->thought.illegal)
            return xasprintf("is illegal: %s", event->thought.why ? event->thought.why : "a verifier refused it");
        return event->thought.answer && event->thought.correct == 0 ? xasprintf("answers %s, which is wrong", event->thought.answer) : NULL;
    case SEARCH_BREAK_RIGHT:
        return event->thought.answer && event->thought.correct == 1 ? xasprintf("answers %s, which is right", event->thought.answer) : NULL;
    case SEARCH_BREAK_ANSWER:
        return event->thought.answer ? xasprintf("answers %s", event->thought.answer) : NULL;
    case SEARCH_BREAK_DEPTH: /* the first of a plan: its siblings would each stop it again */
        if (depth != (int)b->than || b->step == event->step)
            return NULL;
        b->step = event->step;
        return xasprintf("is the first of step %d at depth %d", event->step + 1, depth);
    default:
        return NULL;
    }
}

/* What was judged before stopped it then. */
static char *hit_by_judgement(const struct search_breakpoint *b, const struct search_event *event, int *node)
{
    if (event->judgement.cached || event->judgement.purpose == SEARCH_VOTE)
        return NULL;
    for (int i = 0; i < event->judgement.count; i++) {
        const double score = event->judgement.scores[i];
        *node = event->judgement.nodes[i];
        if ((b->kind == SEARCH_BREAK_BELOW && score < b->than) || (b->kind == SEARCH_BREAK_ABOVE && score > b->than))
            return xasprintf("has value %.4g", score);
        if (b->kind == SEARCH_BREAK_WRONG && event->judgement.purpose == SEARCH_VERIFIER && score == 0)
            return xstrdup("is wrong, says the verifier");
    }
    return NULL;
}

char *search_breakpoints_hit(struct search_breakpoints *list, const struct search_tree *tree, const struct search_event *event, int *node)
{
    for (int i = 0; i < list->count; i++) {
        struct search_breakpoint *b = &list->list[i];
        char *why = NULL;
        if (event->kind == SEARCH_EVENT_THOUGHT && !event->thought.by_user) {
            *node = event->thought.node;
            why = hit_by_thought(b, tree, event);
        } else if (event->kind == SEARCH_EVENT_JUDGEMENT) {
            why = hit_by_judgement(b, event, node);
        }
        if (!why)
            continue;
        struct string out = {0};
        name_of(b, &out);
        string_addf(&out, ": thought %d %s", *node, why);
        free(why);
        return out.text;
    }
    return NULL;
}
