/* A vote as a histogram, the winner first; which answers have no vote any more, and how votes are weighed. */
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

/* The vote as a histogram, the winner first. */
void tui_votes_write(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_event *d = s->tree.latest_decision;
    int most = 1, total = 0, w = p->canvas->w, names = 4;
    for (int i = 0; i < d->decision.tally_count; i++) {
        const char *answer = d->decision.tally[i].answer;
        int width = answer ? tui_width(answer, strlen(answer)) : 9;
        names = width > names ? width : names;
        most = d->decision.tally[i].votes > most ? d->decision.tally[i].votes : most;
        total += d->decision.tally[i].votes;
    }
    names = names > w / 3 ? w / 3 : names;
    char heading[80];
    snprintf(heading, sizeof heading, "votes: %d in all%s", total, d->decision.tie ? ", a tie" : "");
    tui_paper_heading(p, heading);
    const struct search_node *n = tui_screen_node(s, s->selected);
    const char *own = n->thought ? n->thought->thought.answer : NULL;
    for (int i = 0; i < d->decision.tally_count; i++) {
        const struct search_tally *t = &d->decision.tally[i];
        int is_own = own && t->answer && !strcmp(own, t->answer);
        double part = (double)t->votes / most;
        char votes[32];
        tui_paper_put(p, tui_style(TUI_FOCUS), is_own ? "▸ " : "  ");
        tui_canvas_cut(p->canvas, 2, p->y, names, tui_style(i ? TUI_TEXT : TUI_BEST), t->answer ? t->answer : "no answer");
        snprintf(votes, sizeof votes, "%d", t->votes);
        tui_canvas_right(p->canvas, 2 + names, p->y, 5, tui_style(TUI_TEXT), votes);
        int bar = w - names - 9;
        tui_canvas_bar(p->canvas, 8 + names, p->y, bar < 40 ? bar : 40, tui_style(i ? TUI_VOTED : TUI_BEST), part);
        tui_paper_newline(p);
    }
}

/* --- the candidates of a judge's vote ------------------------------------------------------------------------------ */

static const struct search_event *judged_vote(const struct tui_screen *s)
{
    const struct search_event *j = s->tree.count ? tui_screen_node(s, s->selected)->judgement : NULL;
    return j && j->judgement.purpose == SEARCH_VOTE ? j : NULL;
}

static const struct search_event *tally(const struct tui_screen *s)
{
    const struct search_event *d = s->tree.latest_decision;
    return d && d->decision.tally_count ? d : NULL;
}

static void write_candidates(struct tui_screen *s, struct tui_paper *p, const struct search_event *j)
{
    char heading[80], number[32];
    double most = 1;
    int w = p->canvas->w, names = w / 2;
    snprintf(heading, sizeof heading, "%d votes of the judge among %d candidates", j->judgement.samples, j->judgement.count);
    tui_paper_heading(p, heading);
    for (int i = 0; i < j->judgement.count; i++)
        most = j->judgement.scores[i] > most ? j->judgement.scores[i] : most;
    for (int i = 0; i < j->judgement.count; i++) {
        int node = j->judgement.nodes[i], own = node == s->selected, bar = w - names - 9;
        double score = j->judgement.scores[i];
        tui_paper_put(p, tui_style(TUI_FOCUS), own ? "▸ " : "  ");
        tui_canvas_cut(p->canvas, 2, p->y, names, tui_style(own ? TUI_TITLE : TUI_TEXT), node < s->tree.count ? search_node_text(&s->tree, node) : "");
        tui_canvas_right(p->canvas, 2 + names, p->y, 5, tui_style(TUI_TEXT), tui_score(score, number));
        tui_canvas_bar(p->canvas, 8 + names, p->y, bar < 40 ? bar : 40, tui_style_level(TUI_VALUE, score / most), score / most);
        tui_paper_newline(p);
    }
}

/* --- how they are counted ------------------------------------------------------------------------------------------ */

static void write_rules(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_event *revote = s->tree.revote, *d = tally(s);
    const char *strategy = s->tree.session->session.strategy ? s->tree.session->session.strategy : "", *weight = revote ? revote->revote.weight : NULL;
    tui_paper_heading(p, "counted");
    const struct search_event *result = s->tree.result; /* where other weights keep the same paths, it alone has them */
    const int counted = result && result->result.answer && result->result.why;
    char *why = counted ? xasprintf("%s: %s", result->result.why, result->result.answer) : xstrdup(d && d->decision.why ? d->decision.why : "");
    tui_paper_wrap(p, tui_style(TUI_TEXT), why);
    tui_paper_newline(p);
    free(why);
    if (tui_screen_strategy_is(s, "self-consistency")) {
        int normalised = weight ? !strcmp(weight, "normalised") : strstr(strategy, "weight=normalised") != NULL;
        tui_paper_wrap(p, tui_style(TUI_DIM), normalised ? "w: each path votes with exp(its mean log-probability a token), while the bars count paths; w makes all votes equal again"
                                                         : "w: each path has one vote; w weighs them by probability instead");
        tui_paper_newline(p);
    }
    int excluded = revote ? revote->revote.count : 0;
    tui_paper_wrap(p, tui_style(TUI_DIM), excluded ? "⊘ without a vote: x gives it back to the one selected" : "x takes the vote of the selected answer away");
    tui_paper_newline(p);
    for (int i = 0; i < excluded; i++) {
        int node = revote->revote.excluded[i];
        tui_paper_putf(p, tui_style(TUI_WRONG), "⊘ %d ", node);
        tui_paper_put(p, tui_style(TUI_TEXT), node >= 0 && node < s->tree.count ? search_node_text(&s->tree, node) : "");
        tui_paper_newline(p);
    }
}

/* --- the view ---------------------------------------------------------------------------------------------------- */

/* The answers, or the candidates: how many, and the node that each row selects. */
static int row_count(const struct tui_screen *s)
{
    const struct search_event *t = tally(s), *j = judged_vote(s);
    return t ? t->decision.tally_count : j ? j->judgement.count : 0;
}

static int node_of(const struct tui_screen *s, int row)
{
    const struct search_event *t = tally(s), *j = judged_vote(s);
    return t ? t->decision.tally[row].node : j->judgement.nodes[row];
}

static int own_row(const struct tui_screen *s)
{
    const struct search_event *t = tally(s);
    const struct search_node *n = tui_screen_node(s, s->selected);
    const char *own = n->thought ? n->thought->thought.answer : NULL;
    for (int i = 0, count = row_count(s); i < count; i++)
        if (t ? own && t->decision.tally[i].answer && !strcmp(own, t->decision.tally[i].answer) : node_of(s, i) == s->selected)
            return i;
    return -1;
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    struct tui_paper p;
    int count = s->tree.count ? row_count(s) : 0;
    tui_sheet_title(s, &tui_view_votes, r, "votes", NULL);
    if (!count) {
        s->votes.lines = 0;
        tui_sheet_says(s, r, !s->tree.result ? "Nobody has voted yet. Answers are counted at the end of self-consistency, candidates as a judge votes "
                                               "(evaluate=vote): then their votes stand here."
                                             : "Nobody has voted here. Answers are counted by self-consistency (-s self-consistency,m=16), candidates "
                                               "by a judge that votes (-s tot,evaluate=vote): then their votes stand here.");
        return;
    }
    tui_sheet_begin(&s->votes, s, r, &p);
    int own = own_row(s);
    if (tally(s))
        tui_votes_write(s, &p);
    else
        write_candidates(s, &p, judged_vote(s));
    s->votes.at = own >= 0 && own != s->votes_shown ? own + 1 : -1; /* the selection is seen when it moves; else one scrolls freely */
    s->votes_shown = own;
    write_rules(s, &p);
    tui_sheet_write(&s->votes, &p, 0);
    tui_sheet_end(&s->votes, s, r);
}

static void go_to(struct tui_screen *s, int row)
{
    int count = row_count(s), node;
    row = row < 0 ? 0 : row >= count ? count - 1 : row;
    node = node_of(s, row);
    if (node >= 0 && node < s->tree.count && !tui_screen_node(s, node)->gone)
        tui_screen_select(s, node);
    if (row == count - 1)
        s->votes.top = s->votes.lines; /* and what stands below them */
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    if (!s->tree.count || !row_count(s))
        return 0;
    if (k == TUI_KEY_PAGE_DOWN || k == TUI_KEY_PAGE_UP)
        return tui_sheet_key(&s->votes, k, count);
    const int own = own_row(s), begins = own < 0 && (k == 'j' || k == TUI_KEY_DOWN); /* the first, however far */
    const int64_t to = begins ? 0 : tui_key_place(k, count, 0, own, row_count(s) - 1);
    if (to >= 0)
        go_to(s, (int)to);
    return to >= 0;
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    if (s->tree.count && row_count(s)) {
        out[n++] = (struct tui_hint){"j k", tally(s) ? "answer" : "candidate"};
        if (tally(s) && own_row(s) >= 0)
            out[n++] = (struct tui_hint){"x", tui_screen_node(s, s->selected)->excluded ? "give its vote back" : "take its vote"};
        if (tally(s) && tui_screen_strategy_is(s, "self-consistency"))
            out[n++] = (struct tui_hint){"w", "weigh"};
    }
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

static void click(struct tui_screen *s, int x, int y)
{
    (void)x;
    int row = y + s->votes.top - 1;
    if (s->tree.count && row >= 0 && row < row_count(s))
        go_to(s, row);
}

static void scroll(struct tui_screen *s, int lines)
{
    tui_sheet_key(&s->votes, lines < 0 ? TUI_KEY_UP : TUI_KEY_DOWN, abs(lines));
}

const struct tui_view tui_view_votes = {
    .name = "votes", .letter = 'v', .about = "who was voted for; whose vote is gone, how they are weighed", .help = "votes",
    .draw = draw, .key = key, .hints = hints, .click = click, .scroll = scroll,
};
