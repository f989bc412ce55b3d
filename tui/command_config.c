/* config: what holds in the explorer, and where each value comes from. What it prints can stand in the file. */
#include "tui/command.h"
#include "tui/config.h"

#include <stdlib.h>
#include <string.h>

/* A text as YAML has it: in quotes where it could be taken for something else. */
static void add_text(struct string *out, const char *text)
{
    const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
    if (*text && strspn(text, safe) == strlen(text)) {
        string_add(out, text);
        return;
    }
    json_t *value = tui_json_text(text, strlen(text));
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    string_add(out, quoted);
    free(quoted);
    json_decref(value);
}

static void print_line(const struct string *left, const char *origin)
{
    printf("%-*s  # %s\n", left->length < 36 ? 36 : 0, left->text, origin);
}

/* "all processors" of "worker threads (default: all processors)". */
static void add_default(struct string *out, const char *about)
{
    const char *at = strstr(about, "(default"), *end = at ? strchr(at, ')') : NULL;
    if (!end)
        return;
    at += strlen("(default");
    at += strspn(at, ": ");
    string_addf(out, " %.*s", (int)(end - at), at);
}

static void print_option(const struct tui_config *c, const struct tui_options *o, const struct tui_option *option)
{
    struct string line = {0}, value = {0};
    int row = 0, count = 0;
    const char *origin = tui_config_origin(c, o, option->name, &row);
    char *file = row ? xasprintf("file, line %d", row) : NULL;
    for (; tui_options_value(o, option->name, count, &value); count++, string_clear(&value)) {
        string_add(&line, count ? ", " : "");
        add_text(&line, string_text(&value));
    }
    char *values = xstrdup(string_text(&line));
    string_clear(&line);
    if (!strcmp(origin, "environment")) {
        string_addf(&line, "%s: ", option->name);
        add_text(&line, getenv("ESPALIER_MODEL"));
        origin = "environment: ESPALIER_MODEL";
    } else if (!strcmp(origin, "default") || !count) { /* a flag may be said to be off */
        string_addf(&line, "# %s:", option->name);
        add_default(&line, option->about);
    } else {
        string_addf(&line, count > 1 ? "%s: [%s]" : "%s: %s", option->name, values);
    }
    print_line(&line, file ? file : origin);
    free(values);
    free(file);
    string_free(&value);
    string_free(&line);
}

static void print_mouse(const struct tui_config *c)
{
    struct string line = {0};
    const struct search_yaml *node = c->document ? search_yaml_get(search_yaml_root(c->document), "mouse") : NULL;
    char *origin = node ? xasprintf("file, line %d", node->line) : xstrdup("default");
    string_add(&line, !node ? "# mouse: as it was left" : c->mouse ? "mouse: on" : "mouse: off");
    print_line(&line, origin);
    string_free(&line);
    free(origin);
}

static void print_keys(const struct tui_config *c)
{
    struct string line = {0};
    if (c->keys.count)
        printf("keys:\n");
    for (int i = 0; i < c->keys.count; i++) {
        string_clear(&line);
        string_add(&line, "  ");
        add_text(&line, c->keys.list[i].from);
        string_add(&line, ": ");
        add_text(&line, c->keys.list[i].to);
        print_line(&line, "file");
    }
    string_free(&line);
}

static int run(const struct tui_options *o)
{
    struct error e;
    struct tui_config config;
    struct tui_options effective;
    struct tui_option option;
    tui_options_copy(&effective, o);
    int code = tui_config_open(&config, &e);
    if (!code && o->word_count)
        code = error_set(&e, ERROR_USAGE, "config takes options of the explorer, and nothing else; as in espalier config --theme light");
    if (!code)
        code = tui_config_apply(&config, &effective, 0, &e);
    if (code) {
        tui_fail(&e);
    } else {
        printf("# %s%s\n", config.path ? config.path : "no place for a file: HOME is not set", config.path && !config.document ? " (not there)" : "");
        for (int at = 0; tui_options_next(tui_command_explore.options, &at, &option);)
            print_option(&config, &effective, &option);
        print_mouse(&config);
        print_keys(&config);
    }
    tui_options_free(&effective);
    tui_config_free(&config);
    return code;
}

const struct tui_command tui_command_config = {
    .name = "config",
    .summary = "what holds in the explorer, and where it comes from: default, file, environment, option",
    .usage = "config [OPTIONS]",
    .example = "mkdir -p ~/.config/espalier && echo 'theme: nord' >~/.config/espalier/config.yaml && espalier config",
    .options = TUI_EXPLORER_OPTIONS,
    .run = run,
};
