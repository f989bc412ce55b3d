/* What every key does, and what the signs mean. */
#include "tui/keymap.h"
#include "tui/words.h"

#include <string.h>

enum { KEYS = 11 }; /* columns for them, before what they do */

const char tui_help_pages[] = "judge, path, compare, statistics";
const struct tui_help_line tui_help_lines[] = {
    {"the search", NULL},
    {"space", "run, or pause"},
    {"s", "one step: one plan, one decision, or the answer (5s: five)"},
    {"o", "run until the next path is complete, and pause"},
    {"b", "take the latest step back, and pause"},
    {"u  U", "undo the latest act of yours, do it again"},
    {":", "the same in words, and more: tab completes, ↑ ↓ the ones before (:set seed=7, :theme nord, :help)"},
    {"!", "stop by itself: where a step is wrong, a value is low, at a depth, at an answer (:unbreak takes it away)"},
    {"W", "why: what stands below the panes, in full; on siblings first how the number is made"},
    {"^C", "stop the generation; when stopped, quit"},
    {"q  ^Z  ^L", "quit, suspend, paint the screen anew"},
    {"?", "all of this; what the pane with the keys takes stands first"},
    {"c  C", "go on, as space does; in a race (several -s): the next search, the previous"},
    {"the selected thought", NULL},
    {"p  P", "prune it and all below it (of a ×9 the one that stands for it); restore it, whatever was done since"},
    {"e  E", "edit it, here or in $EDITOR: the search goes on from yours"},
    {"a", "add one of your own below it"},
    {"r", "sample once more from it"},
    {"f", "fork: another token in the place of one (h l j k, enter)"},
    {"K", "keep the path to it, to learn from; or no longer"},
    {"y  Y", "copy it, the path to it, to the terminal's clipboard (:copy prompt)"},
    {"x", "take the vote of its answer away, or give it back"},
    {"v", "ask its judge once more, for a value or a vote (:revote 12 temperature=1)"},
    {"w", "weigh the votes: plurality, or normalised by probability; best-of-n, dvts: by score"},
    {"time", NULL},
    {"[ ]", "a step into the past, and forward again"},
    {"{ }", "to the beginning, back to now"},
    {"B", "let the search go on from the moment shown"},
    {"+ -", "in a replay: twice as fast, half as fast"},
    {"the panes", NULL},
    {"tab", "to the next pane; shift-tab: back"},
    {"V", "another view in this pane: a list, and a letter (or :view NAME)"},
    {"S  X", "one more pane at the right, close this one"},
    {"z", "this pane alone, or all again"},
    {"< >", "move the line between left and right (10>: twenty columns)"},
    {"- +", "this pane lower, higher"},
    {"mouse", "click: select, or read in full what stands below the panes; wheel: scroll; drag a line between panes. Shift-drag selects text; :mouse off leaves it to the terminal"},
    {"a line at the bottom", NULL},
    {"enter esc", "do what it says, leave it"},
    {"tab", "complete a command, or show what may stand there"},
    {"↑ ↓", "the command before, after"},
    {"^A ^E", "to the beginning, to the end"},
    {"^U ^K ^W", "delete what is before the cursor, after it; the word before it"},
    {"the tree", NULL},
    {"j k ↓ ↑", "next, previous row (10j: ten)"},
    {"h ←", "fold; when folded, to the parent"},
    {"l →", "unfold; when unfolded, to the first child"},
    {"g G", "first, last row (12G: thought 12)"},
    {"pgup pgdn", "a page up, down"},
    {".", "follow: select what happens, as it happens"},
    {"*", "a row for each thought that reads as a sibling does (×2, ×3, …), or for all of them one"},
    {"enter", "to the thought"},
    {"/  \\", "search the thoughts; show only those that have it, and those above them (nothing: all again)"},
    {"n  N", "the next that has it, the one before"},
    {"m  '", "mark the thought with a letter, go to a mark ('': where you were before)"},
    {"the drawn tree", NULL},
    {"j k h l", "down and up a level, to the thought above, to the children"},
    {"i  I", "nearer: labels; farther: numbers, dots"},
    {"M", "the map of the whole, or none; what is shown stands on another ground"},
    {"the thought", NULL},
    {"h l ← →", "previous, next token"},
    {"j k ↓ ↑", "next, previous line"},
    {"g G", "first, last token"},
    {"pgup pgdn", "scroll what stands below the text"},
    {"esc", "to the tree"},
    {"siblings", NULL},
    {"j k", "next, previous sibling: it is selected everywhere"},
    {"h l", "the number left, right of it; below the table stands where it comes from (W: in full)"},
    {"votes", NULL},
    {"j k", "next, previous answer: its first path is selected, and x takes its vote"},
    {"time, log", NULL},
    {"h l", "time: one mark earlier, later"},
    {"j k enter", "log: next, previous event; the tree as it was then"},
    {tui_help_pages, NULL},
    {"j k ↓ ↑", "a line down, up (10j: ten)"},
    {"pgdn pgup", "a page down, up"},
    {"g G", "to its beginning, to its end"},
    {"the start screen", NULL},
    {"j k ↓ ↑", "next, previous row"},
    {"g G", "first, last row"},
    {"tab", "the next part: sessions, tasks, models; shift-tab: the one before"},
    {"enter", "open a session as it was left; write a problem for a task; use a model (●) for what is opened next"},
    {"?", "this"},
    {"q", "quit"},
    {"signs", NULL},
    {"▾ ▸", "unfolded, folded"},
    {"»", "being grown, judged or written now"},
    {"★", "kept by a decision (bright: the latest)"},
    {"✓ ✗", "the answer is right, wrong (in the drawing ✗ is an illegal step, too)"},
    {"lost", "in a value's place: the exact solver (judge=oracle) finds no answer below"},
    {"○ ● ✂", "in the drawing: not grown yet, grown, pruned"},
    {"×9", "stands for nine siblings that read the same; in the drawing from afar: ×"},
    {"✎ ◆ ⊘", "your own thought; kept to learn from; has no vote"},
    {"left", "what the task says is left after the thought"},
    {"value", "the judge's score: what it said, as the task weighs it, summed (game24: sure 20, likely 1); votes: how many voted for it"},
    {"prob", "the geometric mean of its tokens' probabilities, before temperature and filters"},
    {"tokens", "prompts (cached ones left out) and completions so far, + those being written"},
    {"tok/s", "tokens computed in the last second, prompts included"},
    {"KV", "memory of the branches' keys and values, and its limit"},
    {0},
};

static void write_title(struct tui_paper *p, const char *title)
{
    p->indent = 0;
    if (p->x)
        tui_paper_newline(p);
    tui_paper_put(p, tui_style(TUI_TITLE), title);
}

static void write_line(struct tui_paper *p, const char *keys, const char *does)
{
    p->indent = 0;
    tui_paper_newline(p);
    tui_paper_put(p, tui_style(TUI_KEY), keys);
    p->x = p->x < KEYS ? KEYS : p->x + 2;
    p->indent = KEYS;
    tui_paper_wrap(p, tui_style(TUI_TEXT), does);
}

static const struct tui_help_line *find_section(const char *title)
{
    const struct tui_help_line *line = tui_help_lines;
    while (line->keys && (line->does || strcmp(line->keys, title)))
        line++;
    return line->keys ? line : NULL;
}

/* Its lines, without its title. Returns the next one's. */
static const struct tui_help_line *write_section(struct tui_paper *p, const struct tui_help_line *title)
{
    const struct tui_help_line *line = title + 1;
    for (; line->keys && line->does; line++)
        write_line(p, line->keys, line->does);
    return line;
}

void tui_help_write(struct tui_paper *p, const char *title, const char *about)
{
    const struct tui_help_line *section = find_section(title);
    write_title(p, title);
    if (*about) {
        p->x += 2;
        tui_paper_wrap(p, tui_style(TUI_DIM), about);
    }
    if (section)
        write_section(p, section);
}

/* Those of the user's own, which come before all others. */
static void write_keymap(struct tui_paper *p, const struct tui_keymap *m)
{
    write_title(p, "keys of your own (config.yaml)");
    for (int i = 0; i < m->count; i++)
        write_line(p, m->list[i].from, strcmp(m->list[i].to, "none") ? m->list[i].to : "nothing");
}

/* The table of commands. Returns the line where it begins. */
static int write_words(struct tui_paper *p)
{
    write_title(p, "commands, after : (tab completes, ↑ ↓ the ones before)");
    const int top = p->y;
    for (const struct tui_word *w = tui_words; w->verb; w++) {
        p->indent = 0;
        tui_paper_newline(p);
        tui_paper_put(p, tui_style(TUI_KEY), w->verb);
        p->x += 1;
        tui_paper_put(p, tui_style(TUI_TEXT), w->takes);
        if (p->x > 27)
            p->x++;
        else
            p->x = 28;
        p->indent = p->canvas->w > 60 ? 28 : KEYS;
        tui_paper_wrap(p, tui_style(TUI_TEXT), w->does);
        if (*w->key) {
            tui_paper_wrap(p, tui_style(TUI_DIM), "  ");
            tui_paper_wrap(p, tui_style(TUI_KEY), w->key);
        }
    }
    p->indent = 0;
    return top;
}

/* Over the panes, what the one with the keys takes comes first. */
static int write_all(const struct tui_screen *s, struct tui_paper *p)
{
    const struct tui_help_line *first = s->overlay && s->focus->help ? find_section(s->focus->help) : NULL, *line = tui_help_lines;
    if (first)
        tui_help_write(p, first->keys, s->focus->about);
    if (s->keymap && s->keymap->count)
        write_keymap(p, s->keymap);
    while (line->keys) {
        if (line == first) {
            for (line++; line->keys && line->does;)
                line++;
            continue;
        }
        write_title(p, line->keys);
        line = write_section(p, line);
    }
    return write_words(p);
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    struct tui_paper p;
    tui_paper_open(&p, &s->overlay_text, r.w - 2, s->canvas.ascii);
    const int words = write_all(s, &p), rows = tui_paper_lines(&p);
    s->overlay_page = r.h > 2 ? r.h - 1 : 1; /* the last line stays, as the first */
    if (s->overlay_top == TUI_HELP_WORDS)
        s->overlay_top = words;
    if (s->overlay_top > rows - r.h)
        s->overlay_top = rows - r.h;
    if (s->overlay_top < 0)
        s->overlay_top = 0;
    tui_canvas_fill(&s->canvas, r, tui_style(TUI_TEXT), ' ');
    tui_canvas_fill(&s->canvas, (struct tui_rect){r.x, r.y - 1, r.w, 1}, tui_style(TUI_BORDER), 0x2500);
    int focused = s->overlay || s->focus == &tui_view_help;
    tui_canvas_text(&s->canvas, r.x + (s->overlay ? 1 : 0), r.y - 1, r.w, tui_style(focused ? TUI_FOCUS : TUI_TITLE), " help ");
    if (rows > s->overlay_top + r.h) {
        char more[32];
        snprintf(more, sizeof more, " ↓ %d more ", rows - s->overlay_top - r.h);
        tui_canvas_right(&s->canvas, r.x, r.y - 1, r.w - 1, tui_style(TUI_DIM), more);
    }
    tui_canvas_paste(&s->canvas, (struct tui_rect){r.x + 1, r.y, r.w - 2, r.h}, &s->overlay_text, s->overlay_top);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    const int times = count ? count : 1, page = s->overlay_page ? s->overlay_page : 10; /* before it was drawn nobody knows */
    (void)action;
    switch (k) {
    case 'j':
    case TUI_KEY_DOWN:
        s->overlay_top += times;
        return 1;
    case 'k':
    case TUI_KEY_UP:
        s->overlay_top -= times;
        return 1;
    case ' ':
        if (!s->overlay) /* in a pane it is the search's */
            return 0;
        s->overlay_top += page;
        return 1;
    case TUI_KEY_PAGE_DOWN:
    case TUI_KEY_PAGE_UP:
        s->overlay_top += k == TUI_KEY_PAGE_DOWN ? page : -page;
        return 1;
    default:
        return 0;
    }
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    out[n++] = (struct tui_hint){"j k", "scroll"};
    if (s->overlay)
        out[n++] = (struct tui_hint){"space", "a page"};
    out[n++] = (struct tui_hint){"esc", s->overlay ? "close" : "tree"};
    return n;
}

const struct tui_view tui_view_help = {
    .name = "help", .letter = '?', .about = "what every key does, and what the signs mean", .draw = draw, .key = key, .hints = hints,
};
