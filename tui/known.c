/* What the screen knows beside the tree: how wide the columns are, what was decided, the best so far against what it cost. */
#include "tui/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void note_thought(struct tui_screen *s, const struct search_tree *tree, const struct search_event *event)
{
    const char *text = event->thought.text, *state = event->thought.state, *answer = event->thought.answer;
    if (state && !s->has_states) /* the column is for states: answers stand in it where there are none */
        s->state_width = 0;
    s->has_states |= state != NULL;
    int w = state ? tui_width(state, strlen(state)) : answer && !s->has_states ? 2 + tui_width(answer, strlen(answer)) : 0;
    if (w > s->state_width)
        s->state_width = w;
    w = 2 + tree->nodes[event->thought.node].depth + tui_width(text, state ? tui_length_without_state(text, state) : strlen(text));
    if (w > s->text_width && !event->thought.illegal)
        s->text_width = w;
}

/* The best so far, against what it cost: a point for each time it became better. */
static void note_progress(struct tui_known *k, double best)
{
    if (!(best > k->best))
        return;
    k->best = best;
    ARRAY_RESERVE(k->progress, k->progress_count, k->progress_capacity);
    k->progress[k->progress_count++] = (struct tui_progress){k->tokens, best};
}

static void note_right(struct tui_known *k, int right)
{
    if (right && k->right_at < 0)
        k->right_at = k->tokens;
    else if (!right)
        k->right_at = -1;
}

static int is_right(const struct search_tree *tree, int node)
{
    const struct search_event *thought = node >= 0 && node < tree->count ? tree->nodes[node].thought : NULL;
    return thought && thought->thought.answer && thought->thought.correct == 1;
}

/* The answer it would give now is the first one kept, or the winner of the vote. */
static void note_decision(struct tui_known *k, const struct search_tree *tree, const struct search_event *event)
{
    int votes = 0, winner = event->decision.kept_count ? event->decision.kept[0] : -1;
    for (int i = 0; i < event->decision.tally_count; i++)
        votes += event->decision.tally[i].votes;
    if (votes && !k->judged)
        note_progress(k, (double)event->decision.tally[0].votes / votes);
    if (!event->decision.backup_count) /* a visit chooses no answer */
        note_right(k, is_right(tree, winner));
    ARRAY_RESERVE(k->decisions, k->decision_count, k->decision_capacity);
    k->decisions[k->decision_count++] = event; /* the tree keeps it alive */
}

static void note_scores(struct tui_screen *s, struct tui_known *k, const struct search_event *event)
{
    k->judged = 1;
    k->voted = event->judgement.purpose == SEARCH_VOTE;
    for (int i = 0; i < event->judgement.count; i++)
        if (s && event->judgement.scores[i] > s->value_most)
            s->value_most = event->judgement.scores[i];
    for (int i = 0; i < event->judgement.count && event->judgement.most > 0; i++)
        note_progress(k, fmin(event->judgement.scores[i] / event->judgement.most, 1));
}

void tui_known_pass(struct tui_known *k, const struct search_event *event)
{
    if (event->kind == SEARCH_EVENT_COMPLETION)
        k->tokens += event->completion.usage.prompt - event->completion.usage.cached + event->completion.usage.completion;
}

void tui_known_take(struct tui_screen *s, struct tui_known *k, const struct search_tree *tree, const struct search_event *event)
{
    tui_known_pass(k, event);
    switch (event->kind) {
    case SEARCH_EVENT_PLAN:
        k->written = k->to_write = 0;
        for (int i = 0; i < event->plan.count; i++)
            k->to_write += event->plan.items[i].samples;
        break;
    case SEARCH_EVENT_COMPLETION:
        k->written++;
        break;
    case SEARCH_EVENT_THOUGHT:
        if (s)
            note_thought(s, tree, event);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        note_scores(s, k, event);
        break;
    case SEARCH_EVENT_DECISION:
        note_decision(k, tree, event);
        break;
    case SEARCH_EVENT_RESULT:
        note_right(k, event->result.correct == 1);
        break;
    default:
        break;
    }
}

void tui_known_free(struct tui_known *k)
{
    free(k->decisions);
    free(k->progress);
    *k = (struct tui_known){.right_at = -1};
}
