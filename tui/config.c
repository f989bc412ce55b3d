#include "tui/config.h"
#include "tui/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a session has of its own. */
static const char *const of_session[] = {"model", "task", "strategy", "judge", "adapter", "grammar", "prompts", "data", "seed", "temperature", "top-k",
                                         "top-p", "min-p", "repetition-penalty", "budget-tokens", "budget-flops", "budget-nodes", "budget-time",
                                         "session", "at", "kv-type", "quant", NULL};

static int is_of_session(const char *name)
{
    int i = 0;
    while (of_session[i] && strcmp(of_session[i], name))
        i++;
    return of_session[i] != NULL;
}

static char *find_path(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && *config == '/')
        return xasprintf("%s/espalier/config.yaml", config);
    return home && *home ? xasprintf("%s/.config/espalier/config.yaml", home) : NULL;
}

static int check_keys(const struct search_yaml *root, struct error *e)
{
    const char *known[128];
    struct tui_option option;
    int n = 0;
    known[n++] = "keys";
    known[n++] = "mouse";
    for (int at = 0; n < 127 && tui_options_next(tui_command_explore.options, &at, &option);)
        known[n++] = option.name;
    known[n] = NULL;
    return search_yaml_known(root, known, e);
}

/* As ":mouse" has it, or as other truths of the file. */
static int read_mouse(const struct search_yaml *node, int *on, struct error *e)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", NULL};
    int word = 0, code = search_yaml_choice(node, words, &word, e);
    if (!code)
        *on = word & 1;
    return code;
}

int tui_config_open(struct tui_config *c, struct error *e)
{
    struct tui_options scratch;
    const struct search_yaml *keys, *mouse;
    char *none[] = {"espalier", NULL};
    int help, code;
    *c = (struct tui_config){.path = find_path(), .mouse = -1};
    if (!c->path || access(c->path, F_OK))
        return OK;
    code = search_yaml_open(&c->document, c->path, e);
    if (!code)
        code = check_keys(search_yaml_root(c->document), e);
    if (!code && (keys = search_yaml_said(search_yaml_root(c->document), "keys")))
        code = tui_keymap_read(&c->keys, keys, e);
    if (!code && (mouse = search_yaml_said(search_yaml_root(c->document), "mouse")))
        code = read_mouse(mouse, &c->mouse, e);
    if (code)
        return code;
    code = tui_options_parse(1, none, tui_command_explore.options, &scratch, &help, e);
    if (!code)
        code = tui_config_apply(c, &scratch, 0, e); /* a wrong value is told even where the command line has another */
    tui_options_free(&scratch);
    return code;
}

char *tui_home_path(const char *text)
{
    const char *home = getenv("HOME");
    return home && !strncmp(text, "~/", 2) ? xasprintf("%s%s", home, text + 1) : xstrdup(text);
}

static void expand_home(struct tui_config *c, const char **text)
{
    if (!*text)
        return;
    ARRAY_RESERVE(c->owned, c->owned_count, c->owned_capacity);
    *text = c->owned[c->owned_count++] = tui_home_path(*text);
}

static int is_in_environment(const char *name)
{
    const char *model = getenv("ESPALIER_MODEL");
    return !strcmp(name, "model") && model && *model;
}

int tui_config_apply(struct tui_config *c, struct tui_options *o, int again, struct error *e)
{
    struct tui_option option;
    const struct search_yaml *root = c->document ? search_yaml_root(c->document) : NULL, *node;
    int code = OK;
    for (int at = 0; root && !code && tui_options_next(tui_command_explore.options, &at, &option);)
        if ((node = search_yaml_said(root, option.name)) && !is_in_environment(option.name) && !(again && is_of_session(option.name)))
            code = tui_options_read(o, option.name, node, e);
    const char **paths[] = {&o->model, &o->judge_model, &o->task, &o->theme, &o->data, &o->session};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        expand_home(c, paths[i]);
    for (int i = 0; i < o->adapter_count; i++)
        expand_home(c, &o->adapters[i]);
    return code;
}

const char *tui_config_origin(const struct tui_config *c, const struct tui_options *o, const char *name, int *line)
{
    const struct search_yaml *node = c->document ? search_yaml_said(search_yaml_root(c->document), name) : NULL;
    if (tui_options_given(o, name))
        return "option";
    if (is_in_environment(name))
        return "environment";
    if (node)
        *line = node->line;
    return node ? "file" : "default";
}

void tui_config_free(struct tui_config *c)
{
    search_yaml_close(c->document);
    tui_keymap_free(&c->keys);
    for (int i = 0; i < c->owned_count; i++)
        free(c->owned[i]);
    free(c->owned);
    free(c->path);
    *c = (struct tui_config){0};
}
