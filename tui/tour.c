#include "tui/tour.h"
#include "tui/paper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A page. Its text is written anew for each frame from the tree as it is then. */
struct page {
    const char *title;
    void (*write)(struct tui_screen *s, struct tui_paper *p);
    int (*ready)(const struct tui_screen *s); /* there is what it tells of: until then the search steps. NULL: always */
    void (*show)(struct tui_screen *s);       /* select what it tells of, once; or NULL */
    int runs;                                 /* it lets the search run to its end */
};

static void say(struct tui_paper *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct tui_paper *p, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    char *text = xmalloc((size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    tui_paper_wrap(p, tui_style(TUI_TEXT), text);
    free(text);
}

/* --- what there is to tell of ------------------------------------------------------------------------------------- */

/* There is room for one pane only: what would stand beside the tree is in it after tab. */
static int alone(const struct tui_screen *s)
{
    return s->layout.split < 0;
}

static int over(const struct tui_screen *s)
{
    return s->now.state == TUI_DONE || s->now.state == TUI_FAILED;
}

static const struct engine_token *tokens_of(const struct tui_screen *s, int node, int *count)
{
    *count = 0;
    return node > 0 && node < s->tree.count ? tui_screen_tokens(s, node, count) : NULL;
}

/* The first thought that the model wrote, rather a legal one, and of several tokens. */
static int first_thought(const struct tui_screen *s)
{
    int best = -1, count;
    for (int i = 1; i < s->tree.count && i < 100; i++) {
        const struct search_node *n = tui_screen_node(s, i);
        if (n->gone || !tokens_of(s, i, &count) || count < 2)
            continue;
        if (n->state != SEARCH_ILLEGAL)
            return i;
        best = best < 0 ? i : best;
    }
    return best;
}

static int first_illegal(const struct tui_screen *s)
{
    for (int i = 1; i < s->tree.count && i < 1000; i++)
        if (tui_screen_node(s, i)->state == SEARCH_ILLEGAL && tui_screen_node(s, i)->thought->thought.why)
            return i;
    return -1;
}

static int first_judged(const struct tui_screen *s)
{
    for (int i = 1; i < s->tree.count && i < 1000; i++)
        if (tui_screen_node(s, i)->judgement && !tui_screen_node(s, i)->gone)
            return i;
    return -1;
}

/* The token at which the model was least sure. */
static int unsure(const struct engine_token *tokens, int count)
{
    int at = 0;
    for (int i = 1; i < count; i++)
        if (tokens[i].logprob < tokens[at].logprob)
            at = i;
    return at;
}

static int has_thought(const struct tui_screen *s)
{
    return first_thought(s) > 0;
}

static int has_decision(const struct tui_screen *s)
{
    return s->tree.latest_decision != NULL;
}

/* A judge's word, or a decision without one. */
static int has_judgement(const struct tui_screen *s)
{
    return first_judged(s) > 0 || has_decision(s);
}

/* --- the pages --------------------------------------------------------------------------------------------------- */

static void write_welcome(struct tui_screen *s, struct tui_paper *p)
{
    say(p, "The top line has the task, the problem, the strategy and the model. %s %s All keys work during the tour; ? tells what each does.",
        alone(s) ? "Below it the tree of thoughts will grow, its root is the problem; tab leads to all that is known of the selected thought."
                 : "On the left the tree of thoughts will grow, its root is the problem; on the right stands all that is known of the selected thought.",
        s->now.state == TUI_LOADING ? "The model is being loaded." : "Nothing is computed yet: the search is paused, and goes on a step at a time.");
}

static void write_plan(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_event *plan = s->tree.latest_plan;
    if (!plan)
        return;
    int samples = 0;
    for (int i = 0; i < plan->plan.count; i++)
        samples += plan->plan.items[i].samples;
    say(p, "The strategy decides what to do next; that is a plan. The latest: \"%s\". It asks the model for %d completion%s, which are written side by "
           "side and become thoughts; there are %d now. A step (key s) is one plan or one decision, and the answer the last; those "
           "made are counted at the right of \"now\": %d.",
        plan->plan.why ? plan->plan.why : "", samples, samples == 1 ? "" : "s", s->tree.count - 1, search_tree_steps(&s->tree));
}

static void show_thought(struct tui_screen *s)
{
    tui_screen_select(s, first_thought(s));
}

static void write_thought(struct tui_screen *s, struct tui_paper *p)
{
    int count;
    const struct engine_token *tokens = tokens_of(s, s->selected, &count);
    if (!count) {
        say(p, "This thought has no tokens of the model's; select another with j and k.");
        return;
    }
    struct string product = {0};
    char number[32];
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += (double)tokens[i].logprob;
        if (i < 3)
            string_addf(&product, "%s%s", i ? " x " : "", tui_probability(exp((double)tokens[i].logprob), number));
    }
    say(p, "Thought %d was written in %d tokens. To each the model gave a probability: %s%s. Their geometric mean, %s, stands as \"prob\" beside the "
           "thought: how sure the model was of a token on average, whatever the length. A word is coloured, or underlined, where it was unsure.",
        s->selected, count, string_text(&product), count > 3 ? " ..." : "", tui_probability(exp(sum / count), number));
    string_free(&product);
}

static void show_token(struct tui_screen *s)
{
    int count, node = first_thought(s);
    const struct engine_token *tokens = tokens_of(s, node, &count);
    tui_screen_select(s, node);
    tui_screen_focus(s, &tui_view_thought);
    s->thought.node = node;
    s->thought.token = count ? unsure(tokens, count) : 0;
    s->thought.token_moved = 1;
}

static void write_token(struct tui_screen *s, struct tui_paper *p)
{
    int count;
    const struct engine_token *tokens = tokens_of(s, s->selected, &count);
    const int at = s->thought.node == s->selected && s->thought.token < count ? s->thought.token : 0;
    if (!count)
        return;
    char a[32], b[32];
    double top = 0;
    int rank = 1;
    for (int i = 0; i < ENGINE_TOP && tokens[at].top[i].id >= 0; i++) {
        top += exp((double)tokens[at].top[i].logprob);
        rank += tokens[at].top[i].logprob > tokens[at].logprob;
    }
    say(p, "The keys are in the thought now: h and l walk over its tokens. Token %d is where the model was least sure: %s, number %d by probability. %s "
           "the eight it held most probable there, together %s. A token is drawn by chance from these numbers, by a die that the seed fixes: the "
           "same seed gives the same tree. f forks here: another token in its place.",
        at + 1, tui_probability(exp((double)tokens[at].logprob), a), rank, alone(s) ? "Below its text are (pgdn)" : "On the right are", tui_probability(top, b));
}

static void show_illegal(struct tui_screen *s)
{
    tui_screen_focus(s, &tui_view_tree);
    if (first_illegal(s) > 0)
        tui_screen_select(s, first_illegal(s));
}

static void write_illegal(struct tui_screen *s, struct tui_paper *p)
{
    const int node = first_illegal(s);
    if (node > 0)
        say(p, "Each step is checked by the program, without the model. %d of %d thoughts so far are illegal; thought %d: %s. It is shown and counted, "
               "and never grown.", s->tree.illegal, s->tree.count - 1, node, tui_screen_node(s, node)->thought->thought.why);
    else
        say(p, "Each step is checked by the program, without the model: what is illegal would stand here with the reason, and would never be grown. None "
               "of these %d thoughts is.", s->tree.count - 1);
}

static void show_judged(struct tui_screen *s)
{
    tui_screen_focus(s, &tui_view_tree);
    if (first_judged(s) > 0)
        tui_screen_select(s, first_judged(s));
}

/* The end of what it was asked, on one line: the task's words for it. */
static void say_question(struct tui_screen *s, struct tui_paper *p, const struct search_event *j)
{
    enum { MOST = 90 };
    struct string asked = {0};
    if (tui_judge_asked(s, j, &asked) && asked.length) {
        size_t from = asked.length > MOST ? asked.length - MOST : 0;
        while (asked.length > from && (asked.text[asked.length - 1] == '\n' || asked.text[asked.length - 1] == ' '))
            asked.text[--asked.length] = '\0';
        while (from && ((unsigned char)asked.text[from] & 0xc0) == 0x80) /* no part of a character */
            from++;
        for (size_t i = from; i < asked.length; i++)
            asked.text[i] = asked.text[i] == '\n' ? ' ' : asked.text[i];
        say(p, "It read \"%s%s\". ", from ? "..." : "", asked.text + from);
    }
    string_free(&asked);
}

/* A label as "sure 0.98" is a word and what it was given. */
static int word_length(const char *label)
{
    const char *end = strrchr(label, ' ');
    return end ? (int)(end - label) : (int)strlen(label);
}

/* Judges that write nothing: where the number comes from, one way each. */
static void write_scored(struct tui_screen *s, struct tui_paper *p, int node)
{
    const struct search_event *j = tui_screen_node(s, node)->judgement;
    const char *const *label = (const char *const *)j->judgement.labels, *name = search_purpose_name(j->judgement.purpose);
    const int labels = label && j->judgement.samples && label[0] ? j->judgement.samples : 0;
    char value[32];
    tui_score(tui_screen_node(s, node)->value, value);
    switch (j->judgement.purpose) {
    case SEARCH_SELF_EVALUATION:
    case SEARCH_PROCESS_REWARD:
        say(p, "Who judges here (%s) is the model itself. ", name);
        say_question(s, p, j);
        if (labels > 1 && label[1])
            say(p, "It writes no answer: how probable the word after it is tells more. Of thought %d: %s, %s. The value is the first "
                   "word's part of the two, P(%.*s) / (P(%.*s) + P(%.*s)) = %s%s.",
                node, label[0], label[1], word_length(label[0]), label[0], word_length(label[0]), label[0], word_length(label[1]), label[1], value, tui_screen_node(s, node)->value < 0.0005 ? ": it holds this thought for lost" : "");
        else
            say(p, "It writes no answer: of two words after it, a good one and a bad one, the good one's part of the probability is the value. "
                   "Thought %d has %s.", node, value);
        return;
    case SEARCH_LIKELIHOOD:
        say(p, "Who judges here (%s) asks nobody: the value is the mean probability of a thought's tokens. Thought %d has %s.", name, node, value);
        return;
    case SEARCH_AGREEMENT:
        say(p, "Who judges here (%s) asks nobody: the value is the part of the siblings that come to the same. Thought %d has %s%s%s.", name, node,
            value, labels ? ": " : "", labels ? label[0] : "");
        return;
    case SEARCH_VERIFIER:
        say(p, "Who judges here (%s) is the task's own check: 1 is right or legal, 0 wrong, .50 not known. Thought %d has %s%s%s.", name, node, value,
            labels ? ": " : "", labels ? label[0] : "");
        return;
    default:
        say(p, "Who judges here (%s) is an exact solver, which no model has: 1 where an answer can still be reached, 0 where it is lost. Thought "
               "%d has %s.", name, node, value);
    }
}

static void write_judged(struct tui_screen *s, struct tui_paper *p)
{
    const int node = s->selected < s->tree.count && tui_screen_node(s, s->selected)->judgement ? s->selected : first_judged(s);
    if (node < 0) {
        say(p, "This strategy asks no judge: thoughts are grown to their end, and the answers decide. Others (tot, beam, mcts) have each thought judged, and "
               "show what the judge was asked and what it said.");
        return;
    }
    const struct search_event *j = tui_screen_node(s, node)->judgement;
    if (j->judgement.purpose != SEARCH_VALUE && j->judgement.purpose != SEARCH_VOTE) {
        write_scored(s, p, node);
        return;
    }
    struct string labels = {0};
    char a[32], b[32];
    for (int i = 0; i < j->judgement.samples && j->judgement.labels; i++)
        string_addf(&labels, "%s%s", i ? ", " : "", j->judgement.labels[i] ? j->judgement.labels[i] : "(unreadable)");
    say(p, "Who judges here (%s) is the model itself, asked %d time%s about a thought. ", search_purpose_name(j->judgement.purpose), j->judgement.samples,
        j->judgement.samples == 1 ? "" : "s");
    if (labels.length && j->judgement.purpose == SEARCH_VALUE)
        say(p, "Of thought %d it said: %s. Each word has a weight that the task gives, and the sum, %s, is its value%s%s.", node, labels.text,
            tui_score(tui_screen_node(s, node)->value, a), j->judgement.most > 0 ? " of at most " : "", j->judgement.most > 0 ? tui_score(j->judgement.most, b) : "");
    else if (labels.length && j->judgement.purpose == SEARCH_VOTE)
        say(p, "It voted for: %s. Thought %d has %s of these votes.", labels.text, node, tui_score(tui_screen_node(s, node)->value, a));
    else
        say(p, "Thought %d has %s.", node, tui_score(tui_screen_node(s, node)->value, a));
    string_free(&labels);
}

/* Of those that are chosen from by terms the one that is gone down to: an end, or an illegal one, has none. */
static void show_siblings(struct tui_screen *s)
{
    int node = first_judged(s) > 0 ? first_judged(s) : first_thought(s), parent = -1;
    double most = -INFINITY;
    for (int i = 1; i < s->tree.count && i < 100; i++) {
        struct search_terms terms = {0};
        const int above = tui_screen_node(s, i)->parent;
        if ((parent < 0 || above == parent) && search_tree_terms(&s->tree, i, &terms) && terms.total > most) {
            most = terms.total;
            node = i;
            parent = above;
        }
    }
    tui_screen_focus(s, &tui_view_siblings);
    if (node > 0)
        tui_screen_select(s, node);
}

static void write_siblings(struct tui_screen *s, struct tui_paper *p)
{
    const int node = s->selected > 0 && s->selected < s->tree.count ? s->selected : first_thought(s);
    struct search_terms t = {0};
    char q[32], u[32], sum[32];
    if (node < 0)
        return;
    const struct search_node *n = tui_screen_node(s, node);
    search_tree_terms(&s->tree, node, &t);
    if (t.there) {
        say(p, "Beside each other stand the thoughts that are chosen from; the search goes down to the one of the greatest Q + U. N is how often it passed "
               "through thought %d: %d. Q, %s, is %s, and U, %s, %s. Together %s.", node, t.visits, tui_score(t.q, q),
            t.visits                ? "what was found below it"
            : t.form == SEARCH_UCT ? "its own value until it is visited"
                                    : "0 until it is visited",
            tui_score(t.u, u),
            t.form == SEARCH_THOMPSON ? "what a draw by chance adds to it or takes away, less the more is known"
            : t.form == SEARCH_PUCT   ? "what is hoped for: the more, the more probable the model holds it and the less it was seen"
                                      : "what is hoped for: the more, the less it was seen",
            tui_score(t.total, sum));
    } else if (n->judgement) {
        say(p, "Beside each other stand the thoughts that are chosen from, and the number they are chosen by, the judge's %s: thought %d has %s.",
            n->judgement->judgement.purpose == SEARCH_VOTE ? "votes" : "value", node, tui_score(n->value, q));
    } else {
        say(p, "Beside each other stand the thoughts of one parent. No judge gave them a number: paths are followed to their end, and the votes for "
               "the answers they come to stand here.");
    }
    if (!t.there)
        say(p, " Tree searches (-s mcts, -s ab-mcts) choose by Q + U: Q is what was found below a thought so far, U what is hoped for where it was "
               "seldom visited, and N how often it was.");
    say(p, " h and l go over the numbers; below stands how each is made%s.", alone(s) ? " (W)" : "");
}

static void show_decision(struct tui_screen *s)
{
    const struct search_event *d = s->tree.latest_decision;
    tui_screen_focus(s, &tui_view_thought); /* where it was before the siblings came */
    tui_screen_focus(s, &tui_view_tree);
    if (d && d->decision.kept_count && d->decision.kept[0] < s->tree.count)
        tui_screen_select(s, d->decision.kept[0]);
}

static void write_decision(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_event *d = s->tree.latest_decision;
    if (!d)
        return;
    if (d->decision.backup_count)
        say(p, "Then the strategy made a visit: \"%s\". What it found at its end counts for every thought on its path; a visit keeps and drops "
               "nothing. ", d->decision.why ? d->decision.why : "");
    else
        say(p, "Then the strategy chose: \"%s\". A star marks what was kept%s. ", d->decision.why ? d->decision.why : "",
            d->decision.tally_count ? ", the answers that won" : "; the others stay in the tree, but do not grow");
    if (d->decision.tally_count) {
        int votes = 0;
        for (int i = 0; i < d->decision.tally_count; i++)
            votes += d->decision.tally[i].votes;
        say(p, "Each path has one vote, for its answer: %s has %d of %d%s. %s the count; x takes a vote away, w weighs them by probability.",
            d->decision.tally[0].answer ? d->decision.tally[0].answer : "no answer", d->decision.tally[0].votes, votes, d->decision.tie ? ", a tie" : "",
            alone(s) ? "Tab leads to" : "On the right is");
    } else {
        say(p, "The line \"chose\" below the panes always has the latest decision and its reason.");
    }
}

static void write_end(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_event *r = s->tree.result;
    char a[32];
    if (!over(s) || !r) {
        say(p, "The search runs (space stops it): %s thoughts, step %d. Live branches are decoded together, in one pass of the model.",
            tui_number(s->tree.count - 1, a), search_tree_steps(&s->tree));
        return;
    }
    if (!r->result.answer)
        say(p, "The search ended without an answer: %s. A small model often does; another seed is another tree (:set seed=2).",
            r->result.why ? r->result.why : "");
    else
        say(p, "It ended with %s: %s. %s Select a thought and press p, and the search looks elsewhere.", r->result.answer, r->result.why ? r->result.why : "",
            r->result.correct == 1   ? "The program knows the right answer, and this is it."
            : r->result.correct == 0 ? "The program knows the right answer, and this is not: go up the path and read where it was lost."
                                     : "Nobody here knows whether it is right.");
}

static void show_root(struct tui_screen *s)
{
    tui_screen_select(s, 0);
}

static void write_cost(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_usage *u = &s->tree.usage;
    char a[32], b[32], c[32], d[32], flops[64];
    say(p, "What it cost: all prompts together have %s tokens, of which %s were part of an earlier one and not computed again, as branches share what they "
           "have in common; %s were written. So %s were computed, which is the number in the line of figures; that took %s, operations of arithmetic.",
        tui_number(u->prompt, a), tui_number(u->cached, b), tui_number(u->completion, c), tui_number(u->prompt - u->cached + u->completion, d), tui_flops(u->flops, flops));
}

/* The other two of the figures: who shares a pass, and what is held so that branches can share. */
static void write_figures(struct tui_screen *s, struct tui_paper *p)
{
    write_cost(s, p);
    say(p, " Branches that are written at the same time are one batch: each pass of the model reads its weights once for all of them. KV is the memory of "
           "their keys and values, what the model noted at each token; branches share it as far as they have the same tokens.");
}

static void write_yours(struct tui_screen *s, struct tui_paper *p)
{
    (void)s;
    say(p, "Now it is yours. p prunes the selected thought and space goes on without it; e edits it, a adds one of your own, f forks at a token, [ and ] "
           "go through time, and u takes anything back. The session is kept: the start screen has it again, and `espalier show` lists it.");
}

static const struct page pages[] = {
    {"what is on the screen", write_welcome, NULL, NULL, 0},
    {"a plan", write_plan, has_thought, NULL, 0},
    {"a thought, and its probability", write_thought, has_thought, show_thought, 0},
    {"a token, and what else it may be", write_token, has_thought, show_token, 0},
    {"what is illegal", write_illegal, has_thought, show_illegal, 0},
    {"a judge", write_judged, has_judgement, show_judged, 0},
    {"siblings, and what is chosen by", write_siblings, has_judgement, show_siblings, 0},
    {"a decision", write_decision, has_decision, show_decision, 0},
    {"to the end", write_end, NULL, NULL, 1},
    {"what it cost", write_figures, NULL, show_root, 0},
    {"now you", write_yours, NULL, NULL, 0},
};
enum { PAGES = sizeof pages / sizeof *pages };

/* --- turning them ------------------------------------------------------------------------------------------------ */

void tui_tour_begin(struct tui_tour *t, struct tui_screen *s)
{
    *t = (struct tui_tour){0};
    s->tour = t;
}

void tui_tour_free(struct tui_tour *t)
{
    tui_canvas_free(&t->text);
}

static int is_ready(const struct tui_screen *s)
{
    const struct page *page = &pages[s->tour->page];
    return !page->ready || page->ready(s) || over(s);
}

int tui_tour_key(struct tui_screen *s, int32_t key)
{
    struct tui_tour *t = s->tour;
    if (s->ask.what || s->overlay || s->thought.forking || s->pasting)
        return 0;
    if (key == TUI_KEY_ESCAPE) {
        s->tour = NULL;
        tui_screen_notice(s, "the tour is over; ? has all keys");
        return 1;
    }
    if (key == TUI_KEY_ENTER && t->rows > 1 && t->top + t->rows - 1 < t->lines) { /* the rest of it first */
        t->top += t->rows - 1;
        return 1;
    }
    if (key == TUI_KEY_ENTER && t->page == PAGES - 1) {
        s->tour = NULL;
        return 1;
    }
    if (key == TUI_KEY_ENTER && !is_ready(s)) /* the user may have stopped it */
        t->asked = 0;
    if (key == TUI_KEY_ENTER && s->tree.count && is_ready(s))
        t->page++;
    else if ((key == TUI_KEY_BACKSPACE || key == 0x7f || key == 'H' - TUI_KEY_CONTROL) && t->page)
        t->page--;
    else
        return key == TUI_KEY_ENTER || key == TUI_KEY_BACKSPACE || key == 0x7f;
    t->entered = t->top = t->rows = t->lines = 0;
    t->asked = 0;
    s->notice[0] = '\0';
    return 1;
}

struct tui_action tui_tour_wants(struct tui_screen *s)
{
    struct tui_tour *t = s->tour;
    if (!t || s->past.on || !s->tree.count)
        return (struct tui_action){0};
    const struct page *page = &pages[t->page];
    if (is_ready(s) && !t->entered) {
        t->entered = 1;
        if (page->show && has_thought(s))
            page->show(s);
        if (page->runs && s->now.state == TUI_PAUSED)
            return (struct tui_action){.act = TUI_ACT_RUN};
    }
    if (is_ready(s) || s->now.state != TUI_PAUSED || t->asked == s->tree.event_count) /* one at a time: it may not have begun yet */
        return (struct tui_action){0};
    t->asked = s->tree.event_count;
    return (struct tui_action){TUI_ACT_STEP, 1, NULL, 0};
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

int tui_tour_rows(struct tui_screen *s, int columns, int rows)
{
    struct tui_tour *t = s->tour;
    struct tui_paper p;
    tui_paper_open(&p, &t->text, columns > 4 ? columns - 2 : 2, s->canvas.ascii);
    if (is_ready(s) && (s->tree.count || !t->page))
        pages[t->page].write(s, &p);
    else
        say(&p, "The search steps until there is something to show ...");
    const int most = rows / 2;
    t->lines = tui_paper_lines(&p);
    t->rows = 1 + t->lines > most ? most : 1 + t->lines;
    t->top = t->top + t->rows - 1 > t->lines ? t->lines - t->rows + 1 : t->top;
    return t->rows;
}

void tui_tour_draw(struct tui_screen *s, int y)
{
    struct tui_tour *t = s->tour;
    const int w = s->canvas.w;
    char title[96], keys[64];
    tui_canvas_fill(&s->canvas, (struct tui_rect){0, y, w, t->rows}, tui_style(TUI_TEXT), ' ');
    tui_canvas_fill(&s->canvas, (struct tui_rect){0, y, w, 1}, tui_style(TUI_FOCUS), 0x2501);
    snprintf(title, sizeof title, " tour %d of %d: %s ", t->page + 1, PAGES, pages[t->page].title);
    snprintf(keys, sizeof keys, t->top + t->rows - 1 < t->lines ? " enter: more " : t->page == PAGES - 1 ? " enter ends it " : w < 60 ? " enter " : " enter goes on, esc leaves ");
    const int room = (int)strlen(keys); /* how one goes on is told whatever becomes of the title */
    tui_canvas_cut(&s->canvas, 1, y, w - room - 3, tui_style(TUI_FOCUS), title);
    tui_canvas_text(&s->canvas, w - room - 1, y, room, tui_style(TUI_KEY), keys);
    tui_canvas_paste(&s->canvas, (struct tui_rect){1, y + 1, w - 2, t->rows - 1}, &t->text, t->top);
}
