/* The keys that act on the search: each becomes words for search_do, or a line in which the user writes the rest. */
#include "tui/screen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct tui_action tui_act(struct tui_screen *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *text = xmalloc((size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    string_clear(&s->words);
    string_append(&s->words, text, (size_t)n);
    free(text);
    return (struct tui_action){.act = TUI_ACT_DO, .words = s->words.text};
}

static struct tui_action refuse(struct tui_screen *s, const char *why)
{
    tui_screen_notice(s, why);
    return (struct tui_action){0};
}

const char tui_not_begun[] = "the search has not begun yet";

/* --- on the selected thought ------------------------------------------------------------------------------------- */

static struct tui_action prune(struct tui_screen *s)
{
    if (s->selected == 0)
        return refuse(s, "the problem itself cannot be pruned; select a thought below it");
    if (search_tree_is_pruned(&s->tree, s->selected))
        return refuse(s, "pruned already; P restores it");
    return tui_act(s, "prune %d", s->selected);
}

/* The tombstone stands on it, or on a thought above it. */
static struct tui_action restore(struct tui_screen *s)
{
    int node = s->selected;
    while (node > 0 && !tui_screen_node(s, node)->pruned)
        node = tui_screen_node(s, node)->parent;
    return node > 0 ? tui_act(s, "restore %d", node) : refuse(s, "it is not pruned; p prunes it");
}

static struct tui_action keep(struct tui_screen *s)
{
    if (s->selected == 0)
        return refuse(s, "the problem itself cannot be kept; select a thought: the path to it is kept");
    return tui_act(s, tui_screen_node(s, s->selected)->training ? "unkeep %d" : "keep %d", s->selected);
}

/* It holds while one writes, so that the line can say it; a search has not begun, or a moment is past, only meanwhile. */
const char *tui_act_why_not(const struct tui_screen *s, enum tui_asking what, int node)
{
    if (!s->tree.count)
        return tui_not_begun;
    if (s->past.on)
        return tui_past_refusal;
    if (what == TUI_ASKS_EDIT && node == 0)
        return "the problem itself cannot be edited; select a thought below it, or add one with a";
    if (node >= s->tree.count || tui_screen_node(s, node)->gone)
        return "that thought is not in the tree now";
    if (search_tree_is_pruned(&s->tree, node))
        return "it is pruned; P restores it";
    const enum search_state state = tui_screen_node(s, node)->state;
    if (what == TUI_ASKS_ADD && (state == SEARCH_FINAL || state == SEARCH_ILLEGAL))
        return "the path has ended here: nothing can follow";
    return NULL;
}

static int can(struct tui_screen *s, enum tui_asking what)
{
    const char *why = tui_act_why_not(s, what, s->selected);
    if (why)
        tui_screen_notice(s, why);
    return !why;
}

static struct tui_action edit_outside(struct tui_screen *s)
{
    return can(s, TUI_ASKS_EDIT) ? (struct tui_action){.act = TUI_ACT_EDITOR, .number = s->selected} : (struct tui_action){0};
}

static struct tui_action again(struct tui_screen *s)
{
    return can(s, TUI_ASKS_ADD) ? tui_act(s, "again %d", s->selected) : (struct tui_action){0};
}

/* --- votes ------------------------------------------------------------------------------------------------------- */

static struct tui_action exclude(struct tui_screen *s)
{
    const struct search_node *n = tui_screen_node(s, s->selected);
    if (!n->excluded && (!n->thought || !n->thought->thought.answer))
        return refuse(s, "this is no answer: select one, and x takes its vote away");
    return tui_act(s, n->excluded ? "include %d" : "exclude %d", s->selected);
}

static struct tui_action revote(struct tui_screen *s)
{
    if (!tui_screen_node(s, s->selected)->judgement)
        return refuse(s, "no judge was asked about it; r samples another, x and w count the votes again");
    return tui_act(s, "revote %d", s->selected);
}

static struct tui_action weigh(struct tui_screen *s)
{
    const char *weighted = strstr(s->tree.session->session.strategy, ",weighted="); /* best-of-n and dvts sum scores by answer */
    if (weighted)
        return tui_act(s, "set weighted=%d", weighted[strlen(",weighted=")] != '1');
    if (!tui_screen_strategy_is(s, "self-consistency"))
        return refuse(s, "only self-consistency, best-of-n and dvts weigh votes; v asks a judge again");
    const struct search_event *revote = s->tree.revote;
    const char *weight = revote ? revote->revote.weight : NULL;
    int normalised = weight ? !strcmp(weight, "normalised") : strstr(s->tree.session->session.strategy, "weight=normalised") != NULL;
    return tui_act(s, "weight %s", normalised ? "plurality" : "normalised");
}

/* --- another token in the place of one ----------------------------------------------------------------------------- */

/* The next alternative from `from` on in that direction that is another token; -1: none. */
static int find_choice(const struct engine_token *token, int from, int by)
{
    for (int i = from; i >= 0 && i < ENGINE_TOP; i += by)
        if (token->top[i].id >= 0 && token->top[i].id != token->id)
            return i;
    return -1;
}

static const struct engine_token *token_at(const struct tui_screen *s)
{
    int count;
    const struct engine_token *tokens = tui_screen_tokens(s, s->selected, &count);
    return s->thought.token < count ? &tokens[s->thought.token] : NULL;
}

static void begin_choice(struct tui_screen *s)
{
    const struct engine_token *token = token_at(s);
    s->thought.choice = token ? find_choice(token, 0, 1) : -1;
    s->thought.token_moved = 1;
}

static struct tui_action begin_fork(struct tui_screen *s)
{
    int count;
    tui_screen_tokens(s, s->selected, &count);
    if (!count)
        return refuse(s, s->selected ? "no tokens of the model's are here to fork at" : "the problem has no tokens to fork at; select a thought");
    if (search_tree_is_pruned(&s->tree, s->selected))
        return refuse(s, "it is pruned; P restores it");
    if (s->thought.node != s->selected) {
        s->thought.node = s->selected;
        s->thought.token = s->thought.text_top = s->thought.detail_top = s->thought.cell_count = 0;
    }
    if (s->thought.token >= count)
        s->thought.token = count - 1;
    s->thought.forking = 1;
    tui_screen_focus(s, &tui_view_thought);
    s->follow = 0;
    begin_choice(s);
    return (struct tui_action){0};
}

static void move_choice(struct tui_screen *s, int by)
{
    const struct engine_token *token = token_at(s);
    int next = token && s->thought.choice >= 0 ? find_choice(token, s->thought.choice + by, by) : -1;
    if (next >= 0)
        s->thought.choice = next;
    s->thought.token_moved = 1;
}

static struct tui_action fork_here(struct tui_screen *s)
{
    const struct engine_token *token = token_at(s);
    if (!token || s->thought.choice < 0)
        return refuse(s, "the model saw no alternative to this token; h and l go to another");
    s->thought.forking = 0;
    return tui_act(s, "fork %d %d %d", s->selected, s->thought.token, token->top[s->thought.choice].id);
}

int tui_fork_key(struct tui_screen *s, int32_t key, struct tui_action *action)
{
    if (s->focus != &tui_view_thought || s->thought.node != s->selected) { /* it went elsewhere */
        s->thought.forking = 0;
        return 0;
    }
    switch (key) {
    case 'h':
    case 'l':
    case TUI_KEY_LEFT:
    case TUI_KEY_RIGHT:
    case 'g':
    case 'G':
    case TUI_KEY_HOME:
    case TUI_KEY_END:
        tui_view_thought.key(s, key, 0, action);
        begin_choice(s);
        return 1;
    case 'j':
    case TUI_KEY_DOWN:
        move_choice(s, 1);
        return 1;
    case 'k':
    case TUI_KEY_UP:
        move_choice(s, -1);
        return 1;
    case TUI_KEY_ENTER:
        *action = fork_here(s);
        return 1;
    case TUI_KEY_ESCAPE:
    case 'f':
        s->thought.forking = 0;
        return 1;
    case TUI_KEY_TAB:
    case TUI_KEY_BACK_TAB:
        s->thought.forking = 0;
        return 0;
    default:
        return 0;
    }
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

static struct tui_action undo(struct tui_screen *s)
{
    return tui_act(s, "undo");
}

static struct tui_action redo(struct tui_screen *s)
{
    return tui_act(s, "redo");
}

static struct tui_action back(struct tui_screen *s)
{
    return tui_act(s, "back");
}

/* Whoever presses one of these goes on writing: a line takes it, and says where it would be of no use. */
static int opens_line(struct tui_screen *s, int32_t key)
{
    if (key != 'e' && key != 'a')
        return 0;
    const int known = key == 'e' && s->tree.count;
    tui_ask_open(s, key == 'e' ? TUI_ASKS_EDIT : TUI_ASKS_ADD, s->selected, known ? search_node_text(&s->tree, s->selected) : "");
    return 1;
}

int tui_act_key(struct tui_screen *s, int32_t key, struct tui_action *action)
{
    static const struct {
        char key;
        struct tui_action (*act)(struct tui_screen *s);
    } acts[] = {
        {'p', prune}, {'P', restore}, {'K', keep}, {'E', edit_outside}, {'r', again}, {'f', begin_fork}, {'x', exclude}, {'w', weigh}, {'v', revote},
        {'u', undo}, {'U', redo}, {'b', back},
    };
    if (opens_line(s, key))
        return 1;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (acts[i].key == key) {
            if (!s->tree.count || s->past.on)
                tui_screen_notice(s, s->past.on ? tui_past_refusal : tui_not_begun);
            else
                *action = acts[i].act(s);
            return 1;
        }
    return 0;
}
