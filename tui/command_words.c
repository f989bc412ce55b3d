/* What may follow on a command line, for the shell's completion: espalier __complete -- WORDS..., the last one begun. tui/espalier.bash asks
 * it, so there is no second list to keep.
 */
#include "tui/candidates.h"
#include "tui/command.h"

#include <stdlib.h>
#include <string.h>

/* --- values ------------------------------------------------------------------------------------------------------ */

/* "a|b|c" as words. */
static void add_alternatives(struct tui_candidates *c, const char *before, const char *alternatives, size_t n)
{
    for (const char *p = alternatives, *end = alternatives + n; p < end;) {
        const size_t length = strcspn(p, "|") < (size_t)(end - p) ? strcspn(p, "|") : (size_t)(end - p);
        char *word = xasprintf("%s%.*s", before, (int)length, p);
        tui_candidate(c, word);
        free(word);
        p += length + 1;
    }
}

/* After "tot,b=3,": its parameters, with the values they may have where those are words. */
static void add_parameters(struct tui_candidates *c, const struct search_strategy_about *strategy)
{
    const char *comma = strrchr(c->prefix, ',');
    const int kept = (int)(comma + 1 - c->prefix);
    for (const char *p = strategy->parameters; *p;) {
        const size_t n = strcspn(p, " "), name = strcspn(p, "=") + 1;
        char *before = xasprintf("%.*s%.*s", kept, c->prefix, (int)(name < n ? name : n), p);
        if (name < n && memchr(p, '|', n))
            add_alternatives(c, before, p + name, n - name);
        else
            tui_candidate(c, before);
        free(before);
        p += n + (p[n] == ' ');
    }
}

static void add_strategies(struct tui_candidates *c)
{
    int count;
    const struct search_strategy_about *s = search_strategies(&count);
    for (int i = 0; i < count; i++) {
        const size_t n = strlen(s[i].name);
        if (!strncmp(c->prefix, s[i].name, n) && c->prefix[n] == ',')
            add_parameters(c, &s[i]);
        tui_candidate(c, s[i].name);
    }
}

/* Who may judge is a parameter of every strategy that judges. */
static void add_judges(struct tui_candidates *c)
{
    int count;
    const struct search_strategy_about *s = search_strategies(&count);
    for (int i = 0; i < count; i++) {
        const char *judges = strstr(s[i].parameters, "evaluate=");
        if (judges)
            add_alternatives(c, "", judges + strlen("evaluate="), strcspn(judges, " ") - strlen("evaluate="));
    }
}

static void add_sessions(struct tui_candidates *c)
{
    struct error e;
    struct search_journal_entry *list = NULL;
    int count = 0;
    char *folder = search_journal_folder(&e);
    if (folder && !search_journal_list(&list, &count, folder, &e))
        for (int i = 0; i < count; i++) {
            const char *name = strrchr(list[i].path, '/') + 1;
            char *bare = xasprintf("%.*s", (int)(strlen(name) - strlen(".session")), name);
            tui_candidate(c, bare);
            free(bare);
        }
    search_journal_list_free(list, count);
    free(folder);
}

/* A file by its ending, or one of the names where no path was begun. */
static void add_named(struct tui_candidates *c, char **names, const char *ending)
{
    tui_candidates_names(c, names);
    if (!c->count || strchr(c->prefix, '/'))
        tui_candidates_files(c, ending);
}

static void add_values(struct tui_candidates *c, const struct tui_option *option)
{
    static const struct {
        const char *name, *words;
    } words[] = {
        {"kernels", "auto avx512 avx2 neon reference"}, {"prompts", "auto trained plain"}, {"only", "prefill stream branches limits"},
        {"type", "f32 f16 q8_0 q4_0 iq4_nl"}, {"schedule", "cosine linear constant"}, {"train-on", "completion all"}, {"dump", "80x24 200x50"},
        {"size", "80x24 120x36"},
    };
    const char *name = option->name, *argument = option->argument;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].name, name)) {
            tui_candidates_words(c, words[i].words);
            return;
        }
    if (!strcmp(name, "task"))
        add_named(c, search_task_names(), ".yaml");
    else if (!strcmp(name, "theme"))
        add_named(c, search_data_names("themes"), ".yaml");
    else if (!strcmp(name, "strategy"))
        add_strategies(c);
    else if (!strcmp(name, "judge"))
        add_judges(c);
    else if (!strcmp(name, "session"))
        add_sessions(c);
    else if (!strcmp(name, "model") || !strcmp(name, "judge-model"))
        tui_candidates_files(c, ".gguf");
    else if (strstr(argument, "FILE") || strstr(argument, "FOLDER"))
        tui_candidates_files(c, NULL);
    else if (strchr(argument, '|') && argument[strspn(argument, "abcdefghijklmnopqrstuvwxyz0123456789+|")] == '\0')
        add_alternatives(c, "", argument, strlen(argument));
}

/* --- words ------------------------------------------------------------------------------------------------------- */

static const struct tui_command *command_of(const char *word)
{
    for (const struct tui_command *const *c = tui_commands; *c; c++)
        if ((*c)->summary && !strcmp((*c)->name, word))
            return *c;
    return NULL;
}

/* The option that takes a value and is written so: "-m", "--model", or the n bytes before the '=' of "--model=x". */
static int option_of(const struct tui_command *command, const char *word, size_t n, struct tui_option *out)
{
    for (int at = 0; *word == '-' && tui_options_next(command->options, &at, out);)
        if (out->argument && ((n == strlen(out->name) + 2 && word[1] == '-' && !strncmp(word + 2, out->name, n - 2)) ||
                              (n == 2 && out->letter && word[1] == out->letter)))
            return 1;
    return 0;
}

static void add_options(struct tui_candidates *c, const struct tui_command *command)
{
    struct tui_option option;
    for (int at = 0; tui_options_next(command->options, &at, &option);) {
        char *word = xasprintf("--%s", option.name);
        tui_candidate(c, word);
        free(word);
    }
    tui_candidate(c, "--help");
}

/* What a command takes beside options. number: how many words came before it. */
static void add_words(struct tui_candidates *c, const struct tui_command *command, char **words, int number)
{
    if (!strcmp(command->name, "show") && !number) {
        add_sessions(c);
        tui_candidates_files(c, NULL);
    } else if (!strcmp(command->name, "task") && !number) {
        tui_candidates_words(c, "list check make");
    } else if (!strcmp(command->name, "task") && number == 1 && strcmp(words[0], "list")) {
        add_named(c, search_task_names(), ".yaml");
    } else if (!strcmp(command->name, "info")) {
        tui_candidates_files(c, ".gguf");
    } else if (!strcmp(command->name, "train")) {
        tui_candidates_files(c, ".yaml");
    }
}

/* Returns how many bytes of the last word stand before what is completed of it. */
static size_t complete(struct tui_candidates *c, char **words, int count)
{
    const struct tui_command *command = count > 1 ? command_of(words[0]) : NULL;
    struct tui_option option;
    char **rest = words + (command != NULL), *last = words[count - 1], *equals = strchr(last, '=');
    const int n = count - 1 - (int)(rest - words); /* before the last */
    if (!command)
        command = &tui_command_explore;
    c->prefix = last;
    if (equals && option_of(command, last, (size_t)(equals - last), &option)) {
        c->prefix = equals + 1;
        add_values(c, &option);
    } else if (n > 0 && option_of(command, rest[n - 1], strlen(rest[n - 1]), &option)) {
        add_values(c, &option);
    } else if (*last == '-') {
        add_options(c, command);
    } else {
        int plain = 0;
        for (int i = 0; i < n; i++)
            plain += rest[i][0] != '-' && (!i || !option_of(command, rest[i - 1], strlen(rest[i - 1]), &option));
        if (count == 1)
            for (const struct tui_command *const *each = tui_commands; *each; each++)
                if ((*each)->summary)
                    tui_candidate(c, (*each)->name);
        add_words(c, command, rest, plain);
    }
    return (size_t)(c->prefix - last);
}

/* "~/x" is not expanded by the shell before it asks. */
static char *expanded(const char *word)
{
    const char *home = getenv("HOME");
    return !strncmp(word, "~/", 2) && home ? xasprintf("%s%s", home, word + 1) : xstrdup(word);
}

/* Bash makes words of "a=b": a, = and b. Here they are one again. *apart: how much of the last one is no part of bash's. */
static char **join(const struct tui_options *o, int *count, size_t *apart)
{
    char **words = xcalloc((size_t)o->word_count, sizeof *words);
    *count = 0;
    *apart = 0;
    for (int i = 0; i < o->word_count; i++) {
        const int equals = !strcmp(o->words[i], "="), goes_on = i > 0 && (equals || !strcmp(o->words[i - 1], "="));
        if (goes_on && *count) {
            char *word = xasprintf("%s%s", words[*count - 1], o->words[i]);
            *apart = strlen(word) - (equals ? 0 : strlen(o->words[i]));
            free(words[*count - 1]);
            words[*count - 1] = word;
        } else {
            words[(*count)++] = expanded(o->words[i]);
            *apart = 0;
        }
    }
    return words;
}

static int run(const struct tui_options *o)
{
    struct tui_candidates c = {.prefix = ""};
    int count;
    size_t apart;
    if (!o->word_count)
        return OK;
    char **words = join(o, &count, &apart);
    const size_t before = complete(&c, words, count);
    for (int i = 0; i < c.count; i++) {
        char *whole = xasprintf("%.*s%s", (int)before, words[count - 1], c.list[i]);
        puts(strlen(whole) > apart ? whole + apart : "");
        free(whole);
    }
    tui_candidates_free(&c);
    for (int i = 0; i < count; i++)
        free(words[i]);
    free(words);
    return OK;
}

const struct tui_command tui_command_words = {.name = "__complete", .options = "", .run = run};
