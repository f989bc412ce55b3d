/* Puzzles of knights and knaves, solved by looking at all four cases.
 *
 * A step judges one case: `Ann knight, Bob knave: impossible, Ann would lie`, `...: impossible, Bob would tell the truth`, or `...:
 * possible`. It is legal when that case is not judged yet, the judgement is right, and the reason, where one is given, holds in that
 * case. The state is the list of cases left. The path ends at the case that is possible, or at an answer line, `Answer: Ann knight, Bob
 * knave`.
 */
#include "search/knights.h"
#include "search/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What may be said: @ is the other one's name. holds: in which of the cases it is true, a bit each, when the speaker is first. */
static const struct {
    const char *text;
    unsigned holds;
} forms[SEARCH_KNIGHTS_FORMS] = {
    {"@ is a knight", 1 << 0 | 1 << 2},
    {"@ is a knave", 1 << 1 | 1 << 3},
    {"I am a knight", 1 << 0 | 1 << 1},
    {"I am a knave", 1 << 2 | 1 << 3},
    {"we are both knights", 1 << 0},
    {"we are both knaves", 1 << 3},
    {"we are of the same kind", 1 << 0 | 1 << 3},
    {"we are of different kinds", 1 << 1 | 1 << 2},
    {"at least one of us is a knight", 1 << 0 | 1 << 1 | 1 << 2},
    {"at least one of us is a knave", 1 << 1 | 1 << 2 | 1 << 3},
    {"if I am a knight, @ is a knight", 1 << 0 | 1 << 2 | 1 << 3},
    {"if I am a knight, @ is a knave", 1 << 1 | 1 << 2 | 1 << 3},
    {"if @ is a knight, so am I", 1 << 0 | 1 << 1 | 1 << 3},
    {"I am a knight and @ is a knave", 1 << 1},
    {"I am a knave and @ is a knight", 1 << 2},
    {"@ would call me a knave", 1 << 1 | 1 << 2}, /* a knight calls a knave that; a knave, a knight */
};

/* --- what is true where ------------------------------------------------------------------------------------------ */

static int is_knight(int which, int person)
{
    return !(which >> (1 - person) & 1);
}

static int holds(const struct search_knights *k, int i, int which)
{
    int swapped = which >> 1 | (which & 1) << 1;
    return forms[k->said[i].form].holds >> (k->said[i].speaker ? swapped : which) & 1;
}

/* The person says something that no one of the kind he has in this case would say. */
static int is_contradicted(const struct search_knights *k, int which, int person)
{
    for (int i = 0; i < k->count; i++)
        if (k->said[i].speaker == person && holds(k, i, which) != is_knight(which, person))
            return 1;
    return 0;
}

unsigned search_knights_solve(const struct search_knights *k)
{
    unsigned possible = 0;
    for (int which = 0; which < 4; which++)
        possible |= (unsigned)(!is_contradicted(k, which, 0) && !is_contradicted(k, which, 1)) << which;
    return possible;
}

/* --- texts ------------------------------------------------------------------------------------------------------- */

static void add_statement(struct string *out, int form, const char *other)
{
    const char *text = forms[form].text, *at = strchr(text, '@');
    if (at)
        string_addf(out, "%.*s%s%s", (int)(at - text), text, other, at + 1);
    else
        string_add(out, text);
}

char *search_knights_text(const struct search_knights *k)
{
    struct string text = {0};
    for (int i = 0; i < k->count; i++) {
        string_addf(&text, "%s%s says: ", i ? " " : "", k->names[k->said[i].speaker]);
        add_statement(&text, k->said[i].form, k->names[!k->said[i].speaker]);
        string_add(&text, ".");
    }
    return text.text;
}

char *search_knights_case(const struct search_knights *k, int which)
{
    return xasprintf("%s %s, %s %s", k->names[0], is_knight(which, 0) ? "knight" : "knave", k->names[1], is_knight(which, 1) ? "knight" : "knave");
}

static char *cases_text(const struct search_knights *k, unsigned cases)
{
    struct string text = {0};
    string_add(&text, "");
    for (int which = 0; which < 4; which++) {
        char *one = cases >> which & 1 ? search_knights_case(k, which) : NULL;
        if (one)
            string_addf(&text, "%s%s", text.length ? "; " : "", one);
        free(one);
    }
    return text.text;
}

static unsigned cases_of(const struct search_knights *k, const char *state)
{
    unsigned cases = 0;
    for (int which = 0; which < 4; which++) {
        char *one = search_knights_case(k, which);
        cases |= (unsigned)(strstr(state, one) != NULL) << which;
        free(one);
    }
    return cases;
}

/* --- reading a puzzle -------------------------------------------------------------------------------------------- */

/* A word: letters, digits, and every byte of other scripts. Returns its length, 0 at the end; *p stands at it. */
static size_t next_word(const char **p, const char *end)
{
    while (*p < end && !isalnum((unsigned char)**p) && (unsigned char)**p < 0x80)
        ++*p;
    const char *s = *p;
    while (s < end && (isalnum((unsigned char)*s) || (unsigned char)*s >= 0x80))
        s++;
    return (size_t)(s - *p);
}

static int is_word(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && !strncasecmp(p, word, n);
}

/* The person of that name; a name that is new becomes the next one's while there is room. -1: neither. */
static int person_of(struct search_knights *k, const char *p, size_t n, int add)
{
    for (int i = 0; i < 2; i++) {
        if (!*k->names[i] && add && n < SEARCH_KNIGHTS_NAME)
            memcpy(k->names[i], p, n);
        if (strlen(k->names[i]) == n && n && !memcmp(p, k->names[i], n)) /* a person A is not the article */
            return i;
    }
    return -1;
}

/* The same words in the same order, whatever stands between them. */
static int same_words(const char *a, const char *a_end, const char *b)
{
    const char *b_end = b + strlen(b);
    for (;;) {
        size_t n = next_word(&a, a_end), m = next_word(&b, b_end);
        if (n != m || strncasecmp(a, b, n))
            return 0;
        if (!n)
            return 1;
        a += n;
        b += m;
    }
}

static int form_of(const char *text, const char *end, const char *other)
{
    int found = -1;
    for (int form = 0; form < SEARCH_KNIGHTS_FORMS && found < 0; form++) {
        struct string statement = {0};
        add_statement(&statement, form, other);
        if (same_words(text, end, statement.text))
            found = form;
        string_free(&statement);
    }
    return found;
}

/* "Ann says: ..." or "Ann: ..." up to the next full stop. *p moves past it; 0 when it is nothing of the kind. */
static int read_sentence(const char **p, const char *end, struct search_knights *k, int *speaker, const char **from, const char **to)
{
    size_t n = next_word(p, end);
    const char *name = *p, *colon = memchr(name, ':', (size_t)(end - name));
    if (!n || !colon)
        return 0;
    const char *s = name + n;
    size_t says = next_word(&s, colon);
    if (says && (!is_word(s, says, "says") || (s += says, next_word(&s, colon))))
        return 0;
    *speaker = person_of(k, name, n, 1);
    *from = colon + 1;
    while (*from < end && isspace((unsigned char)**from))
        ++*from;
    *to = memchr(*from, '.', (size_t)(end - *from));
    *to = *to ? *to : end;
    *p = *to < end ? *to + 1 : end;
    return 1;
}

static int is_over(const char *p, const char *end)
{
    return !next_word(&p, end);
}

/* Everybody's name must be known before what they say can be read: so once for the names, once for the rest. */
static int read_puzzle(const struct search_task *task, const char *text, struct search_knights *k, struct error *e)
{
    const char *end = text + strlen(text), *from, *to;
    *k = (struct search_knights){.count = 0};
    for (int round = 0; round < 2; round++) {
        for (const char *p = text; !is_over(p, end);) {
            int speaker;
            if (!read_sentence(&p, end, k, &speaker, &from, &to))
                return search_problem_wrong(task, text, e, "'%.30s' does not begin as in Ann says: ...", p);
            if (speaker < 0)
                return search_problem_wrong(task, text, e, "more than two people speak, or one has too long a name");
            if (!round)
                continue;
            int form = form_of(from, to, k->names[!speaker]);
            if (form < 0)
                return search_problem_wrong(task, text, e, "'%.*s' is not understood", (int)(to - from > 60 ? 60 : to - from), from);
            if (k->count == SEARCH_KNIGHTS_MOST)
                return search_problem_wrong(task, text, e, "more than %d sentences", SEARCH_KNIGHTS_MOST);
            k->said[k->count].speaker = speaker;
            k->said[k->count++].form = form;
        }
        if (!*k->names[1])
            return search_problem_wrong(task, text, e, "two people must speak");
    }
    return OK;
}

static int solution_of(const struct search_knights *k)
{
    unsigned possible = search_knights_solve(k);
    for (int which = 0; which < 4; which++)
        if (possible == 1u << which)
            return which;
    return -1;
}

int search_knights_parse(const struct search_task *task, const char *text, struct search_problem *out, struct error *e)
{
    struct search_knights k;
    int status = read_puzzle(task, text, &k, e);
    if (status)
        return status;
    int solution = solution_of(&k);
    if (solution < 0)
        return search_problem_wrong(task, text, e, search_knights_solve(&k) ? "it has more than one solution" : "it has no solution");
    out->text = search_knights_text(&k);
    out->state = cases_text(&k, 15);
    out->expected = search_knights_case(&k, solution);
    return OK;
}

/* --- reading a step ---------------------------------------------------------------------------------------------- */

/* "Ann knight, Bob knave", also "Ann is a knight and Bob is a knave": the case, or -1. */
static int read_case(struct search_knights *k, const char *p, const char *end)
{
    static const char *const filler[] = {"is", "a", "and", "if", "case"};
    int kind[2] = {-1, -1}, person = -1;
    for (size_t n; (n = next_word(&p, end)); p += n) {
        int who = person_of(k, p, n, 0), skip = 0;
        for (size_t i = 0; i < sizeof filler / sizeof *filler; i++)
            skip |= is_word(p, n, filler[i]);
        if (who >= 0) {
            person = who;
        } else if (is_word(p, n, "knight") || is_word(p, n, "knave")) {
            if (person < 0 || kind[person] >= 0)
                return -1;
            kind[person] = is_word(p, n, "knave");
            person = -1;
        } else if (!skip) {
            return -1;
        }
    }
    return kind[0] < 0 || kind[1] < 0 ? -1 : kind[0] << 1 | kind[1];
}

/* "Ann would lie", "Bob, a knave, would tell the truth": who, and whether he lies; -1: neither. *kind: what he is called, 1 for a knave;
 * -1 where that is not said. */
static int read_reason(struct search_knights *k, const char *p, const char *end, int *lies, int *kind)
{
    size_t n = next_word(&p, end);
    int person = n ? person_of(k, p, n, 0) : -1;
    p += n;
    *kind = -1;
    if ((n = next_word(&p, end)) && is_word(p, n, "a"))
        p += n, n = next_word(&p, end);
    if (is_word(p, n, "knight") || is_word(p, n, "knave")) {
        *kind = is_word(p, n, "knave");
        p += n;
    }
    *lies = same_words(p, end, "would lie");
    return *lies || same_words(p, end, "would tell the truth") ? person : -1;
}

static char *contradiction(const struct search_knights *k, int which, int person)
{
    return xasprintf("%s, a %s, would %s", k->names[person], is_knight(which, person) ? "knight" : "knave",
                     is_knight(which, person) ? "lie" : "tell the truth");
}

/* What is wrong with "possible", "impossible" or "impossible, and why" said of a case; or NULL, with *possible. */
static char *wrong_judgement(struct search_knights *k, int which, const char *p, const char *end, int *possible)
{
    size_t n = next_word(&p, end);
    *possible = is_word(p, n, "possible");
    if (!*possible && !is_word(p, n, "impossible"))
        return xstrdup("neither possible nor impossible is said");
    p += n;
    for (int person = 0; person < 2 && *possible; person++)
        if (is_contradicted(k, which, person))
            return contradiction(k, which, person);
    if (*possible)
        return is_over(p, end) ? NULL : xstrdup("more text follows the step");
    if (search_knights_solve(k) >> which & 1)
        return xstrdup("it is possible: what both say fits");
    if (is_over(p, end))
        return NULL;
    int lies, kind, person = read_reason(k, p, end, &lies, &kind);
    if (person < 0)
        return xasprintf("not a reason such as %s would lie", k->names[0]);
    if (is_knight(which, person) != lies || is_knight(which, person) == kind)
        return xasprintf("%s is a %s in this case", k->names[person], is_knight(which, person) ? "knight" : "knave");
    return is_contradicted(k, which, person) ? NULL : xasprintf("%s would not %s", k->names[person], lies ? "lie" : "tell the truth");
}

/* `Answer: Ann is a knight, Bob is a knave` */
static void verify_answer(struct search_knights *k, const char *p, const char *end, struct search_verdict *out)
{
    int which = read_case(k, p, end);
    if (which < 0) {
        out->illegal = 1;
        out->why = xasprintf("not an answer such as %s knight, %s knave", k->names[0], k->names[1]);
        return;
    }
    out->final = 1;
    out->answer = search_knights_case(k, which);
    out->state = xstrdup(out->answer);
    out->correct = which == solution_of(k);
    for (int person = 0; person < 2 && !out->correct && !out->why; person++)
        if (is_contradicted(k, which, person))
            out->why = contradiction(k, which, person);
}

void search_knights_verify(const struct search_task *task, const struct search_path *path, const char *text, size_t n,
                           struct search_verdict *out)
{
    struct search_knights k;
    struct search_cut cut;
    struct error e;
    if (read_puzzle(task, path->problem->text, &k, &e)) /* a problem's text is one that was understood */
        return;
    if (search_patterns_find(&task->answer, text, n, NULL, &cut)) {
        verify_answer(&k, text + cut.first, text + cut.first + cut.length, out);
        return;
    }
    const char *end = text + n, *colon = memchr(text, ':', n);
    int which = colon ? read_case(&k, text, colon) : -1, possible = 0;
    unsigned left = cases_of(&k, path->state ? path->state : path->problem->state);
    if (which < 0)
        out->why = xasprintf("not a step such as %s knight, %s knave: impossible, %s would lie", k.names[0], k.names[1], k.names[0]);
    else if (!(left >> which & 1))
        out->why = xstrdup("this case has been judged already");
    else
        out->why = wrong_judgement(&k, which, colon + 1, end, &possible);
    if (out->why) {
        out->illegal = 1;
        return;
    }
    out->state = cases_text(&k, possible ? 1u << which : left & ~(1u << which));
    if (!possible)
        return;
    out->final = out->correct = 1;
    out->answer = search_knights_case(&k, which);
}
