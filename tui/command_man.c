/* The manual pages, from the tables that --help and the explorer's own have: espalier __man [COMMAND]. `make install` puts them in their place. */
#include "tui/command.h"
#include "tui/words.h"

#include <string.h>

/* Text as roff has it: in ASCII, since not every roff is told of other encodings. */
static void put(const char *text)
{
    const char *end = text + strlen(text);
    for (int32_t c, before = '\n'; text < end; before = c) {
        c = utf8_next(&text, end);
        if (before == '\n' && (c == '.' || c == '\''))
            fputs("\\&", stdout);
        if (c == '\\')
            fputs("\\e", stdout);
        else if (c == '-')
            fputs("\\-", stdout);
        else if (c == '^')
            fputs("\\(ha", stdout);
        else if (c == '|')
            fputs("|\\:", stdout); /* long lists of words may be broken here */
        else if (c >= 0x80)
            printf("\\[u%04X]", (unsigned)c);
        else
            putchar(c);
    }
}

static void heading(const char *title)
{
    printf(".SH %s\n", title);
}

static void item(const char *name, const char *argument, const char *about)
{
    printf(".TP\n\\fB");
    put(name);
    printf("\\fR");
    if (argument && *argument) {
        printf(" \\fI");
        put(argument);
        printf("\\fR");
    }
    putchar('\n');
    put(about);
    putchar('\n');
}

static void options(const struct tui_command *c)
{
    struct tui_option option;
    heading("OPTIONS");
    for (int at = 0; tui_options_next(c->options, &at, &option);) {
        char name[80];
        char letter[8] = "";
        if (option.letter)
            snprintf(letter, sizeof letter, "-%c, ", option.letter);
        snprintf(name, sizeof name, "%s--%s", letter, option.name);
        item(name, option.argument, option.about);
    }
    item("--help", NULL, "all of this, shorter");
}

static void example(const struct tui_command *c)
{
    heading("EXAMPLE");
    printf(".nf\n");
    put(c->example);
    printf("\n.fi\n");
}

static void exit_status(void)
{
    heading("EXIT STATUS");
    puts("0 done, 1 the search ended without an answer, 2 usage, 3 bad input, 4 the engine failed, 130 interrupted.");
}

static void title(const char *name, const char *about)
{
    printf(".TH %s 1 \"\" \"espalier %s\"\n.nh\n.ad l\n", name, ESPALIER_VERSION);
    heading("NAME");
    put(name);
    printf(" \\- ");
    put(about);
    putchar('\n');
    heading("SYNOPSIS");
}

static void page_of(const struct tui_command *c)
{
    char name[64];
    snprintf(name, sizeof name, "espalier-%s", c->name);
    title(name, c->summary);
    printf("\\fBespalier\\fR ");
    put(c->usage);
    putchar('\n');
    options(c);
    example(c);
    exit_status();
    heading("SEE ALSO");
    puts(".BR espalier (1)");
}

static void keys(void)
{
    heading("KEYS IN THE EXPLORER");
    for (const struct tui_help_line *line = tui_help_lines; line->keys; line++)
        if (line->does)
            item(line->keys, NULL, line->does);
        else if (!strcmp(line->keys, "signs"))
            heading("SIGNS IN THE EXPLORER");
        else
            printf(".SS %s\n", line->keys);
}

static void environment(void)
{
    heading("ENVIRONMENT");
    item("ESPALIER_MODEL", NULL, "the model where no --model says otherwise");
    item("NO_COLOR", NULL, "when not empty: no colours");
    item("VISUAL, EDITOR", NULL, "what E edits a thought with");
    item("XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME, XDG_CACHE_HOME", NULL, "where the files below are; ~/.config, ~/.local/share, ~/.local/state, ~/.cache");
    heading("FILES");
    item("~/.config/espalier/config.yaml", NULL, "options of the explorer by their names, mouse: on or off, and keys: a map from a key to keys in a row, to \":command\", or to none");
    item("~/.config/espalier/themes, ~/.config/espalier/examples", NULL, "themes and tasks of your own, by their names");
    item("~/.local/share/espalier/sessions", NULL, "the sessions");
    item("~/.local/state/espalier/history", NULL, "commands of the explorer");
    item("~/.cache/espalier/models", NULL, "models that the start screen offers");
}

static void main_page(void)
{
    int count;
    const struct search_strategy_about *s = search_strategies(&count);
    title("espalier", "grow the reasoning of a language model as a tree");
    puts("\\fBespalier\\fR [OPTIONS] [PROBLEM]\n.br\n\\fBespalier\\fR COMMAND [OPTIONS] ...");
    heading("DESCRIPTION");
    puts("Without a command the explorer opens: watch a search, stop it, step it one decision at a time, look inside every token, prune a branch and go on.\n"
         "Without a problem it offers a tour, the sessions there are, the tasks and the models. \\fB?\\fR explains every key.");
    heading("COMMANDS");
    for (const struct tui_command *const *c = tui_commands; *c; c++)
        if ((*c)->summary)
            item((*c)->name, NULL, (*c)->summary);
    options(&tui_command_explore);
    heading("STRATEGIES");
    for (int i = 0; i < count; i++) {
        item(s[i].name, NULL, s[i].about);
        if (*s[i].parameters) {
            printf(".br\n");
            put(s[i].parameters);
            putchar('\n');
        }
    }
    keys();
    heading("COMMANDS IN THE EXPLORER");
    puts("After \\fB:\\fR; tab completes.");
    for (const struct tui_word *w = tui_words; w->verb; w++)
        item(w->verb, w->takes, w->does);
    environment();
    example(&tui_command_explore);
    exit_status();
    heading("SEE ALSO");
    for (const struct tui_command *const *c = tui_commands; *c; c++)
        if ((*c)->summary)
            printf(".BR espalier\\-%s (1)%s\n", (*c)->name, c[1] && c[1]->summary ? "," : "");
}

static int run(const struct tui_options *o)
{
    if (!o->word_count)
        main_page();
    for (const struct tui_command *const *c = tui_commands; *c && o->word_count; c++)
        if ((*c)->summary && !strcmp((*c)->name, o->words[0]))
            page_of(*c);
    return OK;
}

const struct tui_command tui_command_man = {.name = "__man", .options = "", .run = run};
