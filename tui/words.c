#include "tui/words.h"
#include "tui/slip.h"

#include <stdlib.h>
#include <string.h>

const struct tui_word tui_words[] = {
    {"run", "", "let the search run", "space c", TUI_TAKES_NOTHING},
    {"pause", "", "stop it where it is", "space", TUI_TAKES_NOTHING},
    {"step", "[N]", "one step, or N", "s", TUI_TAKES_NOTHING},
    {"finish", "", "run until the next path is complete, with an answer or at its end, and pause", "o", TUI_TAKES_NOTHING},
    {"prune", "THOUGHT", "cut a thought off, and all below it", "p", TUI_TAKES_NODE},
    {"restore", "THOUGHT", "take the cut back, whatever was done since", "P", TUI_TAKES_NODE},
    {"edit", "THOUGHT TEXT", "put a text in the place of a thought", "e", TUI_TAKES_NODE_TEXT},
    {"add", "THOUGHT TEXT", "a thought of your own below one", "a", TUI_TAKES_NODE_TEXT},
    {"again", "THOUGHT", "sample once more from a thought", "r", TUI_TAKES_NODE},
    {"fork", "THOUGHT TOKEN ID", "another token in the place of one", "f", TUI_TAKES_NODE},
    {"keep", "THOUGHT", "keep the path to it, to learn from", "K", TUI_TAKES_NODE},
    {"unkeep", "THOUGHT", "no longer", "K", TUI_TAKES_NODE},
    {"exclude", "THOUGHT", "take the vote of its answer away", "x", TUI_TAKES_NODE},
    {"include", "THOUGHT", "give it back", "x", TUI_TAKES_NODE},
    {"weight", "plurality|normalised", "how votes are weighed", "w", TUI_TAKES_WEIGHT},
    {"revote", "[THOUGHT] [temperature=X]", "ask the judge of a thought once more", "v", TUI_TAKES_NODE},
    {"undo", "", "take back your latest act", "u", TUI_TAKES_NOTHING},
    {"redo", "", "do it again", "U", TUI_TAKES_NOTHING},
    {"back", "[EVENT]", "to before the latest step, or an event", "b", TUI_TAKES_NOTHING},
    {"break", "[RULE]", "stop by itself at wrong, right, answer, value<X, value>X (of a judge) or depth=N", "!", TUI_TAKES_RULE},
    {"unbreak", "RULE|all", "no longer", "!", TUI_TAKES_RULE_SET},
    {"copy", "thought|path|prompt", "to the clipboard of your terminal, also over ssh (--no-copy: never)", "y Y", TUI_TAKES_PART},
    {"at", "EVENT", "look at the moment after an event", "[ ]", TUI_TAKES_NOTHING},
    {"now", "", "come back from the past", "}", TUI_TAKES_NOTHING},
    {"find", "TEXT", "the next thought that has it; n and N go on", "/", TUI_TAKES_TEXT},
    {"filter", "[TEXT]", "only the thoughts that have it, or all again", "\\", TUI_TAKES_TEXT},
    {"mark", "LETTER", "remember the selected thought by a letter", "m", TUI_TAKES_TEXT},
    {"go", "THOUGHT|'LETTER", "select a thought by its number (:12 says the same), or a mark", "G '", TUI_TAKES_NODE},
    {"follow", "", "select what happens, as it happens", ".", TUI_TAKES_NOTHING},
    {"copies", "", "a row for each thought that reads as a sibling, or for all of them one", "*", TUI_TAKES_NOTHING},
    {"view", "NAME", "another view in this pane", "V", TUI_TAKES_VIEW},
    {"split", "", "one more pane at the right", "S", TUI_TAKES_NOTHING},
    {"close", "", "close this pane", "X", TUI_TAKES_NOTHING},
    {"zoom", "", "this pane alone, or all again", "z", TUI_TAKES_NOTHING},
    {"mouse", "on|off", "take the mouse, or leave it to the terminal", "", TUI_TAKES_SWITCH},
    {"set", "KEY=VALUE ...", "from here on: strategy=, judge=, a parameter of the strategy, seed=, temperature=, top_p=; budgets (0: none): tokens=, nodes=, flops=, time=", "", TUI_TAKES_SETTING},
    {"adapter", "FILE[:WEIGHT]|none", "a LoRA adapter from here on", "", TUI_TAKES_FILE},
    {"train", "[OPTION ...]|stop", "learn from what is kept, and put the adapter on", "", TUI_TAKES_OPTIONS},
    {"export", "FILE", "the tree as it is shown: .json, .dot (Graphviz), .md; how it grew: .cast", "", TUI_TAKES_FILE_NAME},
    {"theme", "NAME|FILE", "other colours; a file is read again as it is saved", "", TUI_TAKES_THEME},
    {"why", "", "what stands below the panes, in full: the latest decision and its reason, the answer", "W", TUI_TAKES_NOTHING},
    {"help", "[COMMAND]", "these, or what one takes", "?", TUI_TAKES_VERB},
    {"q", "", "quit; asks once where something would be lost", "q", TUI_TAKES_NOTHING},
    {0},
};

const struct tui_word *tui_word_find(const char *text, size_t n)
{
    for (const struct tui_word *w = tui_words; w->verb; w++)
        if (strlen(w->verb) == n && !strncmp(w->verb, text, n))
            return w;
    return NULL;
}

const struct tui_word *tui_word_nearest(const char *text, size_t n)
{
    const struct tui_word *nearest = NULL;
    int least = TUI_SLIP_FAR;
    for (const struct tui_word *w = tui_words; w->verb; w++) {
        if (!strncmp(w->verb, text, n))
            return w;
        if (tui_slip_nearer(text, n, w->verb, &least))
            nearest = w;
    }
    return nearest;
}

static void complete_setting(struct tui_candidates *out, const char *key, size_t length, const char *value, size_t n)
{
    char *text = xasprintf("%.*s=%.*s", (int)length, key, (int)n, value);
    tui_candidate(out, text);
    free(text);
}

/* "name=a|b|c" of a strategy's parameters, n bytes: the name, or what it may be where that is a list. */
static void complete_parameter(struct tui_candidates *out, const char *text, size_t n, int values)
{
    const size_t key = strcspn(text, "="), judge = !strncmp(text, "evaluate=", 9);
    if (!values)
        complete_setting(out, text, key, "", 0);
    for (const char *p = text + key + 1, *end = text + n; values && p < end && memchr(text, '|', n);) {
        const size_t one = strcspn(p, "| ");
        complete_setting(out, text, key, p, one);
        if (judge)
            complete_setting(out, "judge", 5, p, one);
        p += one + 1;
    }
}

/* Strategies by name; the parameters of the one there is. */
static void complete_settings(const struct tui_screen *s, struct tui_candidates *out)
{
    const int values = strchr(out->prefix, '=') != NULL;
    int count;
    const struct search_strategy_about *about = search_strategies(&count);
    if (!values)
        tui_candidates_words(out, "strategy= judge= seed= temperature= top_k= top_p= min_p= tokens= nodes= flops= time=");
    for (int i = 0; i < count; i++) {
        if (values)
            complete_setting(out, "strategy", 8, about[i].name, strlen(about[i].name));
        if (!tui_screen_strategy_is(s, about[i].name))
            continue;
        for (const char *p = about[i].parameters; *p; p += strspn(p, " ")) {
            complete_parameter(out, p, strcspn(p, " "), values);
            p += strcspn(p, " ");
        }
    }
}

/* Those that are set. */
static void complete_rules(const struct tui_screen *s, struct tui_candidates *out)
{
    for (const char *p = s->now.breakpoints ? s->now.breakpoints : ""; *p; p += strspn(p, ", ")) {
        const size_t n = strcspn(p, ",");
        char *rule = xstrndup(p, n);
        tui_candidate(out, rule);
        free(rule);
        p += n;
    }
}

static void complete_argument(const struct tui_screen *s, const struct tui_word *word, int first, struct tui_candidates *out)
{
    char node[16];
    snprintf(node, sizeof node, "%d", s->selected);
    switch (word->kind) {
    case TUI_TAKES_NODE:
    case TUI_TAKES_NODE_TEXT:
        if (first)
            tui_candidate(out, node);
        break;
    case TUI_TAKES_WEIGHT:
        tui_candidates_words(out, "plurality normalised");
        break;
    case TUI_TAKES_SETTING:
        complete_settings(s, out);
        break;
    case TUI_TAKES_FILE:
        tui_candidate(out, "none");
        tui_candidates_files(out, NULL);
        break;
    case TUI_TAKES_FILE_NAME:
        tui_candidates_files(out, NULL);
        break;
    case TUI_TAKES_THEME:
        if (strchr(out->prefix, '/'))
            tui_candidates_files(out, ".yaml");
        else
            tui_candidates_names(out, search_data_names("themes"));
        break;
    case TUI_TAKES_OPTIONS:
        tui_candidates_words(out, "--steps --epochs --rate --rank --targets --checkpoints --minutes --seed stop");
        break;
    case TUI_TAKES_VIEW:
        for (int i = 0; tui_view_at(i); i++)
            tui_candidate(out, tui_view_at(i)->name);
        break;
    case TUI_TAKES_PART:
        tui_candidates_words(out, "thought path prompt");
        break;
    case TUI_TAKES_RULE:
        tui_candidates_words(out, "wrong right answer value< value> depth=");
        break;
    case TUI_TAKES_RULE_SET:
        complete_rules(s, out);
        tui_candidate(out, "all");
        break;
    case TUI_TAKES_SWITCH:
        tui_candidates_words(out, "on off");
        break;
    case TUI_TAKES_VERB:
        for (const struct tui_word *w = tui_words; w->verb && first; w++)
            tui_candidate(out, w->verb);
        break;
    default:
        break;
    }
}

void tui_words_complete(const struct tui_screen *s, const char *text, struct tui_candidates *out)
{
    text += strspn(text, " ");
    const char *last = strrchr(text, ' ');
    *out = (struct tui_candidates){.prefix = last ? last + 1 : text};
    if (!last) {
        for (const struct tui_word *w = tui_words; w->verb; w++)
            tui_candidate(out, w->verb);
        return;
    }
    const size_t n = strcspn(text, " ");
    const struct tui_word *word = tui_word_find(text, n);
    if (word)
        complete_argument(s, word, last == text + n, out);
}
