#include "tui/recipe.h"
#include "tui/command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Keys that are options, and those that are read here. */
static const char *const options[] = {
    "type", "out", "quant", "all", "scratch", "rank", "alpha", "rslora", "train-on", "rate", "schedule", "warm-up", "floor", "beta1",
    "beta2", "epsilon", "decay", "clip", "moments8", "checkpoints", "int16", "context", "rows", "step-tokens", "step-lessons", "steps", "epochs",
    "minutes", "validate-every", "save-every", "skip-bad", "seed", "threads", "kernels", NULL};
static const char *const others[] = {"data", "validation", "targets", "model", "vocabulary", "name", "prompts", NULL};

static const char *own(struct tui_recipe *r, char *text)
{
    ARRAY_RESERVE(r->owned, r->owned_count, r->owned_capacity);
    return r->owned[r->owned_count++] = text;
}

/* A path of the recipe's: beside it. */
static const char *beside(struct tui_recipe *r, const char *name)
{
    return own(r, *name == '/' ? xstrdup(name) : xasprintf("%s%s", r->folder, name));
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static int check_keys(const struct search_yaml *root, struct error *e)
{
    const char *known[sizeof options / sizeof *options + sizeof others / sizeof *others];
    int n = 0;
    for (int i = 0; others[i]; i++)
        known[n++] = others[i];
    for (int i = 0; options[i]; i++)
        known[n++] = options[i];
    known[n] = NULL;
    return search_yaml_known(root, known, e);
}

static void keep_source(struct tui_recipe *r, struct search_lesson_source source)
{
    r->sources = xrealloc(r->sources, (size_t)(r->source_count + 1) * sizeof *r->sources);
    r->sources[r->source_count++] = source;
}

static int add_source(struct tui_recipe *r, const struct search_yaml *node, struct error *e)
{
    static const char *const known[] = {"file", "task", "sessions", "weight", NULL};
    struct search_lesson_source source = {0};
    const char *text = NULL;
    int code = OK;
    if (node->kind == SEARCH_YAML_MAP) {
        const struct search_yaml *file = search_yaml_get(node, "file"), *task = search_yaml_get(node, "task"),
                                 *sessions = search_yaml_get(node, "sessions"), *weight = search_yaml_get(node, "weight");
        if ((code = search_yaml_known(node, known, e)))
            return code;
        if (!!file + !!task + !!sessions != 1)
            return search_yaml_error(node, e, "expected one of `file`, `task` and `sessions`");
        if (weight && (code = search_yaml_number(weight, 1e-9, 1e9, &source.weight, e)))
            return code;
        code = search_yaml_string(file ? file : task ? task : sessions, &text, e);
        if (!code && file)
            source.file = beside(r, text);
        else if (!code && sessions)
            source.session = beside(r, text);
        else if (!code) /* a path is beside the recipe, a name is not */
            source.task = strchr(text, '/') || strstr(text, ".yaml") ? beside(r, text) : text;
    } else if (!(code = search_yaml_string(node, &text, e))) {
        source.file = beside(r, text);
    }
    if (!code)
        keep_source(r, source);
    return code;
}

static int read_data(struct tui_recipe *r, const struct search_yaml *node, struct error *e)
{
    int code = OK;
    if (node->kind != SEARCH_YAML_LIST)
        return add_source(r, node, e);
    for (int i = 0; i < node->count && !code; i++)
        code = add_source(r, node->values[i], e);
    return code;
}

/* --- what is said in one text ------------------------------------------------------------------------------------- */

/* A number is a share, anything else a file. */
static int add_validation(struct tui_recipe *r, const char *text, const char *path, struct error *e)
{
    char *end;
    const double x = strtod(text, &end);
    if (end != text && !*end) {
        r->held_out = x;
        return x > 0 && x < 1 ? OK : error_set(e, ERROR_USAGE, "--validation %s: a share above 0 and below 1 was expected, or a file", text);
    }
    r->validation = xrealloc(r->validation, (size_t)(r->validation_count + 1) * sizeof *r->validation);
    r->validation[r->validation_count++] = path;
    return OK;
}

/* A text, or a list of them, each handed to `add`, whose message begins with "--". */
static int read_each(struct tui_recipe *r, const struct search_yaml *node, int (*add)(struct tui_recipe *r, const char *text, struct error *e),
                     struct error *e)
{
    const int n = node->kind == SEARCH_YAML_LIST ? node->count : 1;
    int code = OK;
    for (int i = 0; i < n && !code; i++) {
        const struct search_yaml *one = node->kind == SEARCH_YAML_LIST ? node->values[i] : node;
        const char *text;
        struct error why;
        code = search_yaml_string(one, &text, e);
        if (!code && add(r, text, &why))
            code = search_yaml_error(one, e, "%s", why.message + strspn(why.message, "-"));
    }
    return code;
}

static int add_validation_beside(struct tui_recipe *r, const char *text, struct error *e)
{
    return add_validation(r, text, beside(r, text), e);
}

static int add_target(struct tui_recipe *r, const char *text, size_t n, struct error *e)
{
    static const char *const names[ENGINE_TARGETS] = {"q", "k", "v", "o", "gate", "up", "down"};
    for (int t = 0; t < ENGINE_TARGETS; t++)
        if (strlen(names[t]) == n && !memcmp(names[t], text, n)) {
            r->targets |= 1u << t;
            return OK;
        }
    return error_set(e, ERROR_USAGE, "--targets %.*s: q, k, v, o, gate, up or down was expected", (int)(n < 40 ? n : 40), text);
}

static int add_targets(struct tui_recipe *r, const char *text, struct error *e)
{
    int code = OK;
    for (size_t n; !code; text += n + 1) {
        n = strcspn(text, ",");
        code = add_target(r, text, n, e);
        if (!text[n])
            break;
    }
    return code;
}

/* --- a new model ------------------------------------------------------------------------------------------------- */

static int read_shape(struct tui_recipe *r, const struct search_yaml *node, struct error *e)
{
    static const char *const known[] = {"width", "layers", "heads", "kv_heads", "ff_width", "context", "head_dim", "rope_base", "tied", NULL};
    struct engine_shape *s = &r->shape;
    int *const sizes[] = {&s->width, &s->layers, &s->heads, &s->kv_heads, &s->ff_width, &s->context, &s->head_dim};
    const struct search_yaml *value;
    double base = 0;
    int tied = 1, code = search_yaml_known(node, known, e);
    for (int i = 0; i < 7 && !code; i++)
        if ((value = search_yaml_get(node, known[i])))
            code = search_yaml_integer(value, 1, 1 << 20, sizes[i], e);
    if (!code && (value = search_yaml_get(node, "rope_base")))
        code = search_yaml_number(value, 1, 1e9, &base, e);
    if (!code && (value = search_yaml_get(node, "tied")))
        code = search_yaml_boolean(value, &tied, e);
    s->rope_base = (float)base;
    s->untied = !tied;
    return code;
}

static int read_vocabulary(struct tui_recipe *r, const struct search_yaml *node, struct error *e)
{
    int code = search_yaml_expect(node, SEARCH_YAML_LIST, e);
    if (code)
        return code;
    r->vocabulary = xcalloc((size_t)node->count + 1, sizeof *r->vocabulary);
    for (int i = 0; i < node->count && !code; i++)
        code = search_yaml_string(node->values[i], &r->vocabulary[i], e);
    r->shape.tokens = r->vocabulary;
    r->shape.token_count = node->count;
    return code;
}

/* A map under `model` is the shape of a new one, a text the file of one that is there; -m wins over either. */
static int read_model(struct tui_recipe *r, const struct search_yaml *root, struct error *e)
{
    const struct search_yaml *model = search_yaml_get(root, "model"), *node;
    const char *text;
    int code = OK;
    if (r->o.model && !r->o.scratch)
        return OK;
    if (model && model->kind == SEARCH_YAML_MAP) {
        r->o.scratch = 1;
        code = read_shape(r, model, e);
    } else if (model && !(code = search_yaml_string(model, &text, e))) {
        r->model = xstrdup(beside(r, text));
    }
    if (!code && (node = search_yaml_get(root, "vocabulary")))
        code = read_vocabulary(r, node, e);
    if (!code && (node = search_yaml_get(root, "name")))
        code = search_yaml_string(node, &r->shape.name, e);
    if (!code && (node = search_yaml_get(root, "prompts")))
        code = search_yaml_string(node, &r->shape.prompts, e);
    return code;
}

/* Small enough to learn something within an hour. */
static int finish_shape(struct tui_recipe *r, struct error *e)
{
    static const struct engine_shape usual = {.width = 256, .layers = 5, .heads = 8, .kv_heads = 4, .ff_width = 768, .context = 512};
    struct engine_shape *s = &r->shape;
    if (r->o.model || r->model)
        return error_set(e, ERROR_USAGE, "--scratch makes a new model, and one is given: leave out --scratch, or the model's file");
    if (!r->o.out)
        return error_set(e, ERROR_USAGE, "train needs --out FOLDER, where what is learned is put");
    s->width = s->width ? s->width : usual.width;
    s->layers = s->layers ? s->layers : usual.layers;
    s->heads = s->heads ? s->heads : usual.heads;
    s->kv_heads = s->kv_heads ? s->kv_heads : s->heads % usual.kv_heads ? s->heads : usual.kv_heads;
    s->ff_width = s->ff_width ? s->ff_width : usual.ff_width;
    s->context = s->context ? s->context : usual.context;
    r->model = xasprintf("%s/begin.gguf", r->o.out);
    return OK;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static int read_recipe(struct tui_recipe *r, const char *path, struct error *e)
{
    const char *slash = strrchr(path, '/');
    int code = search_yaml_open(&r->document, path, e);
    if (code)
        return code;
    const struct search_yaml *root = search_yaml_root(r->document), *node;
    r->folder = xstrndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    code = check_keys(root, e);
    for (int i = 0; options[i] && !code; i++)
        if ((node = search_yaml_get(root, options[i])))
            code = tui_options_read(&r->o, options[i], node, e);
    if (!code && (node = search_yaml_get(root, "data")) && !r->o.data_count && !r->o.from_sessions_count)
        code = read_data(r, node, e);
    if (!code && (node = search_yaml_get(root, "validation")) && !r->o.validation_count)
        code = read_each(r, node, add_validation_beside, e);
    if (!code && (node = search_yaml_get(root, "targets")) && !r->o.targets)
        code = read_each(r, node, add_targets, e);
    return code ? code : read_model(r, root, e);
}

/* A name is that of a session where they are kept, as for --session. */
static int add_session(struct tui_recipe *r, const char *name, struct error *e)
{
    char *path = NULL;
    if (access(name, F_OK) && !strchr(name, '/') && tui_session_path(name, &path, e))
        return e->code;
    keep_source(r, (struct search_lesson_source){.session = path ? own(r, path) : name});
    return OK;
}

/* The model that the latest session was made with, where no other is given and its file is there; NULL. */
static char *model_of_sessions(const struct tui_recipe *r)
{
    const char *given = getenv("ESPALIER_MODEL");
    struct error e;
    struct stat about;
    char *model = NULL;
    if (r->o.model || (given && *given))
        return NULL;
    for (int i = 0; i < r->source_count && !model; i++) {
        const char *path = r->sources[i].session;
        struct search_journal_entry *list = NULL;
        struct search_journal *journal;
        int count = 0;
        if (!path || stat(path, &about))
            continue;
        if (S_ISDIR(about.st_mode))
            path = !search_journal_list(&list, &count, path, &e) && count ? list[0].path : NULL;
        if (path && !search_journal_open(&journal, path, 0, &e)) {
            model = search_journal_get(journal, "model");
            search_journal_close(journal);
        }
        search_journal_list_free(list, count);
        if (model && access(model, R_OK)) {
            free(model);
            model = NULL;
        }
    }
    return model;
}

static int read_command_line(struct tui_recipe *r, struct error *e)
{
    const struct tui_options *o = &r->o;
    int code = OK;
    char end;
    for (int i = 0; i < o->data_count; i++)
        keep_source(r, (struct search_lesson_source){.file = o->all_data[i]});
    for (int i = 0; i < o->from_sessions_count && !code; i++)
        code = add_session(r, o->from_sessions[i], e);
    for (int i = 0; i < o->validation_count && !code; i++)
        code = add_validation(r, o->validation[i], o->validation[i], e);
    if (!code && o->targets)
        code = add_targets(r, o->targets, e);
    if (!code && o->rows && (sscanf(o->rows, "%7d%c", &r->rows, &end) != 1 || r->rows < 2))
        code = error_set(e, ERROR_USAGE, "--rows %.40s: a number of positions from 2 on was expected, as in 1024", o->rows);
    return code;
}

int tui_recipe_open(struct tui_recipe *r, const struct tui_options *o, const char *path, struct error *e)
{
    int code = OK;
    *r = (struct tui_recipe){.o = *o};
    if (path)
        code = read_recipe(r, path, e);
    if (!code)
        code = read_command_line(r, e);
    if (!code && r->o.scratch)
        code = finish_shape(r, e);
    else if (!code && !r->model && !(r->model = model_of_sessions(r)))
        code = tui_model_path(&r->o, NULL, &r->model, e);
    return code;
}

void tui_recipe_free(struct tui_recipe *r)
{
    search_yaml_close(r->document);
    for (int i = 0; i < r->owned_count; i++)
        free(r->owned[i]);
    free(r->owned);
    free(r->sources);
    free(r->validation);
    free(r->vocabulary);
    free(r->folder);
    free(r->model);
}
