/* What the judge was asked about the selected thought, what it wrote, what that was read as, and the value that came of it. */
#include "tui/screen.h"
#include "tui/spelling.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SAMPLES = 64 };

/* Why no completion was made for it. Of one that was not even read anew the value is no opinion: it is 0 whatever a judge would say. */
static const char *not_asked(const struct search_node *n)
{
    if (n->judgement->judgement.samples)
        return " · same prompt as before, not asked again";
    if (n->state == SEARCH_FINAL && n->thought && !n->thought->thought.answer)
        return " · not asked: its path ended without an answer";
    return " · not asked: its path reads as one before does, and only the first gets a value";
}

static void write_score(struct tui_screen *s, struct tui_paper *p, const struct search_node *n)
{
    const struct search_event *j = n->judgement;
    char number[32];
    int which = 0;
    while (which < j->judgement.count - 1 && j->judgement.nodes[which] != s->selected)
        which++;
    double part = n->value / (s->value_most > 0 ? s->value_most : 1);
    if (j->judgement.purpose == SEARCH_VOTE) {
        tui_paper_putf(p, tui_style_level(TUI_VALUE, part), "%s of %d votes", tui_score(n->value, number), j->judgement.samples);
        tui_paper_putf(p, tui_style(TUI_DIM), " as candidate %d of %d", which + 1, j->judgement.count);
    } else {
        tui_paper_putf(p, tui_style_level(TUI_VALUE, part), "value %s", tui_score(n->value, number));
    }
    if (j->judgement.cached)
        tui_paper_wrap(p, tui_style(TUI_DIM), not_asked(n));
    tui_paper_newline(p);
    if (!j->judgement.samples || !j->judgement.labels)
        return;
    struct string labels = {0};
    string_add(&labels, j->judgement.purpose == SEARCH_VOTE ? "voted for" : "said");
    for (int i = 0; i < j->judgement.samples; i++)
        string_addf(&labels, "%s%s", i ? ", " : " ", j->judgement.labels[i] ? j->judgement.labels[i] : "(unreadable)");
    tui_paper_wrap(p, tui_style(TUI_DIM), string_text(&labels));
    tui_paper_newline(p);
    string_free(&labels);
}

void tui_judge_write(struct tui_screen *s, struct tui_paper *p, const struct search_node *n)
{
    if (!n->judgement)
        return;
    tui_paper_heading(p, "judge");
    write_score(s, p, n);
}

/* --- the whole of it --------------------------------------------------------------------------------------------- */

/* The completions that the judgement was read from, in order: they stand right before it in the log. Returns how many. */
static int find_completions(const struct search_tree *tree, const struct search_event *j, const struct search_event *out[MOST_SAMPLES])
{
    int count = 0;
    for (int64_t i = j->number - 1; i >= 0 && i < tree->event_count && count < MOST_SAMPLES; i--) {
        const struct search_event *e = tree->events[i];
        if (e->kind == SEARCH_EVENT_PLAN || e->step != j->step)
            break;
        if (e->kind == SEARCH_EVENT_COMPLETION && e->completion.item == j->judgement.item)
            out[count++] = e;
    }
    for (int i = 0; i < count / 2; i++) {
        const struct search_event *e = out[i];
        out[i] = out[count - 1 - i];
        out[count - 1 - i] = e;
    }
    return count;
}

static void write_candidates(struct tui_screen *s, struct tui_paper *p, const struct search_event *j)
{
    char number[32];
    tui_paper_heading(p, "candidates");
    for (int i = 0; i < j->judgement.count; i++) {
        int node = j->judgement.nodes[i], own = node == s->selected;
        tui_paper_put(p, tui_style(TUI_FOCUS), own ? "▸ " : "  ");
        tui_paper_putf(p, tui_style(TUI_TEXT), "%d: %s votes  ", i + 1, tui_score(j->judgement.scores[i], number));
        tui_paper_put(p, tui_style(own ? TUI_TITLE : TUI_DIM), node < s->tree.count ? search_node_text(&s->tree, node) : "");
        tui_paper_newline(p);
    }
}

static void write_completion(struct tui_screen *s, struct tui_paper *p, const struct search_event *c, int i, int count, const char *label, int read)
{
    char heading[120];
    struct tui_spelling text;
    if (read)
        snprintf(heading, sizeof heading, "completion %d of %d: read as %.60s", i + 1, count, label ? label : "nothing (unreadable)");
    else
        snprintf(heading, sizeof heading, "completion %d of %d", i + 1, count);
    tui_paper_heading(p, heading);
    tui_spell(s, c->completion.tokens, c->completion.count, &text);
    if (s->token_text && text.text.length)
        tui_spelling_write(p, &text);
    else
        tui_paper_wrap(p, tui_style(TUI_TEXT), c->completion.text ? c->completion.text : "");
    tui_spelling_free(&text);
    tui_paper_newline(p);
}

static void spell_prompt(struct tui_screen *s, const struct search_event *c, struct string *out)
{
    for (int i = 0; i < c->completion.prompt_count && c->completion.prompt; i++) {
        size_t bytes;
        const char *token = tui_screen_token(s, c->completion.prompt[i], &bytes);
        string_append(out, token, bytes);
    }
}

int tui_judge_asked(struct tui_screen *s, const struct search_event *judgement, struct string *out)
{
    const struct search_event *completions[MOST_SAMPLES];
    const int count = find_completions(&s->tree, judgement, completions);
    if (count)
        spell_prompt(s, completions[0], out);
    return count;
}

/* As it was sent: with what the chat's form puts around it. */
static void write_prompt(struct tui_screen *s, struct tui_paper *p, const struct search_event *c)
{
    char heading[80], number[32];
    struct string text = {0};
    snprintf(heading, sizeof heading, "prompt sent: %s tokens%s", tui_number(c->completion.prompt_count, number), c->completion.judge ? ", to the second model" : "");
    tui_paper_heading(p, heading);
    spell_prompt(s, c, &text);
    tui_paper_wrap(p, tui_style(TUI_DIM), string_text(&text));
    tui_paper_newline(p);
    string_free(&text);
}

static void write_all(struct tui_screen *s, struct tui_paper *p, const struct search_node *n)
{
    const struct search_event *j = n->judgement, *completions[MOST_SAMPLES];
    int count = find_completions(&s->tree, j, completions), asked = j->judgement.samples && count;
    write_score(s, p, n);
    if (j->judgement.count > 1)
        write_candidates(s, p, j);
    for (int i = 0; i < count; i++)
        write_completion(s, p, completions[i], i, count, i < j->judgement.samples ? j->judgement.labels[i] : NULL,
                         j->judgement.purpose == SEARCH_VALUE || j->judgement.purpose == SEARCH_VOTE);
    if (asked && completions[0]->completion.prompt)
        write_prompt(s, p, completions[0]);
    if (j->judgement.cached)
        tui_paper_wrap(p, tui_style(TUI_DIM), "The same prompt was judged before, or the thought is a copy of an earlier one: nothing was asked.");
    else if (!count)
        tui_paper_wrap(p, tui_style(TUI_DIM), "No model was asked: this judge works the score out from what is there.");
}

static const char *why_nothing(const struct tui_screen *s)
{
    if (!s->tree.count)
        return "Nothing has been thought yet: space begins.";
    if (!s->selected)
        return "The problem is not judged: select a thought.";
    if (s->known.judged)
        return "No judge has scored this thought: an illegal one is not judged, nor one whose turn has not come.";
    return "No judge has scored anything: this strategy asks none, or has not yet. -s tot, -s beam, -s mcts and others with evaluate= do.";
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    const struct search_node *n = s->tree.count ? tui_screen_node(s, s->selected) : NULL;
    char title[64] = "judge", more[48] = "";
    struct tui_paper p;
    if (n && n->judgement)
        snprintf(title, sizeof title, "judge: %s", search_purpose_name(n->judgement->judgement.purpose));
    if (n && s->selected)
        snprintf(more, sizeof more, "thought %d", s->selected);
    tui_sheet_title(s, &tui_view_judge, r, title, more);
    if (!n || !n->judgement) {
        s->judge.lines = 0;
        tui_sheet_says(s, r, why_nothing(s));
        return;
    }
    uint64_t stamp = tui_sheet_stamp(s, (uint64_t)n->judgement->number);
    if (!tui_sheet_kept(&s->judge, s, r, stamp)) {
        tui_sheet_begin(&s->judge, s, r, &p);
        write_all(s, &p, n);
        tui_sheet_write(&s->judge, &p, stamp);
    }
    tui_sheet_end(&s->judge, s, r);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    return tui_sheet_key(&s->judge, k, count);
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = tui_sheet_hints(&s->judge, out);
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

const struct tui_view tui_view_judge = {
    .name = "judge", .letter = 'g', .about = "what the judge was asked, what it wrote, how it was read", .help = tui_help_pages,
    .draw = draw, .key = key, .hints = hints,
};
