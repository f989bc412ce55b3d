#include "tui/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tui_export_text(struct string *out, const char *text)
{
    if (text)
        utf8_sanitize(out, text, strlen(text), 0);
}

/* Sanitised, each of `special` with a backslash before it. */
static void add_escaped(struct string *out, const char *text, const char *special)
{
    struct string clean = {0};
    tui_export_text(&clean, text);
    for (const char *p = string_text(&clean); *p; p++) {
        if (strchr(special, *p))
            string_add(out, "\\");
        string_append(out, p, 1);
    }
    string_free(&clean);
}

/* The node after this one from top to bottom, or -1. */
static int next_node(const struct search_tree *tree, int node)
{
    if (tree->nodes[node].first_child >= 0)
        return tree->nodes[node].first_child;
    while (node >= 0 && tree->nodes[node].next_sibling < 0)
        node = tree->nodes[node].parent;
    return node < 0 ? -1 : tree->nodes[node].next_sibling;
}

/* What matters most about a node, for a sign or a colour. */
enum look { LOOK_PLAIN, LOOK_ROOT, LOOK_KEPT, LOOK_RIGHT, LOOK_WRONG, LOOK_ILLEGAL, LOOK_PRUNED };
static enum look look_of(const struct search_tree *tree, int node)
{
    const struct search_event *thought = tree->nodes[node].thought;
    if (!thought)
        return LOOK_ROOT;
    if (search_tree_is_pruned(tree, node))
        return LOOK_PRUNED;
    if (thought->thought.illegal)
        return LOOK_ILLEGAL;
    if (thought->thought.final && thought->thought.correct >= 0)
        return thought->thought.correct ? LOOK_RIGHT : LOOK_WRONG;
    return search_node_is_kept(&tree->nodes[node]) ? LOOK_KEPT : LOOK_PLAIN;
}

static const char *mark_name(char mark)
{
    return mark == SEARCH_MARK_ALIVE ? "alive" : mark == SEARCH_MARK_LOST ? "lost" : "";
}

static const char *why_of(const struct search_tree *tree, int node)
{
    return tree->nodes[node].thought ? tree->nodes[node].thought->thought.why : NULL;
}

/* --- an outline -------------------------------------------------------------------------------------------------- */

static void add_field(struct string *out, const char *name, const char *text)
{
    if (!text)
        return;
    string_addf(out, "%-9s ", name);
    tui_export_text(out, text);
    string_add(out, "\n");
}

static void add_result(const struct search_tree *tree, struct string *out)
{
    const struct search_event *result = tree->result;
    string_addf(out, "%-9s ", "result");
    if (!result) {
        string_add(out, "none yet\n");
        return;
    }
    tui_export_text(out, result->result.answer ? result->result.answer : "no answer");
    if (result->result.correct >= 0)
        string_add(out, result->result.correct ? " (right)" : " (wrong)");
    string_add(out, "; ");
    tui_export_text(out, result->result.why);
    string_add(out, "\n");
}

void tui_export_outline(const struct search_tree *tree, const char *marks, struct string *out)
{
    static const char signs[] = {' ', ' ', '*', '=', '#', 'x', '~'};
    add_field(out, "task", tree->session->session.task);
    add_field(out, "problem", tree->session->session.problem);
    add_field(out, "strategy", tree->session->session.strategy);
    add_field(out, "model", tree->session->session.model);
    add_result(tree, out);
    string_addf(out, "%-9s %d, %d illegal; %d plans; tokens: %" PRId64 " read (%" PRId64 " cached), %" PRId64 " written\n", "thoughts",
                tree->count - 1, tree->illegal, tree->steps, tree->usage.prompt, tree->usage.cached, tree->usage.completion);
    string_add(out, "signs     * kept  = right  # wrong  x illegal  ~ pruned\n\n");
    string_addf(out, "%6s %8s %s  thought\n", "number", "value", marks ? "oracle" : "");
    for (int node = 0; node >= 0; node = next_node(tree, node)) {
        const struct search_node *n = &tree->nodes[node];
        char value[32] = "";
        if (!isnan(n->value))
            snprintf(value, sizeof value, "%.4g", n->value);
        string_addf(out, "%6d %8s ", node, value);
        if (marks)
            string_addf(out, "%-6s", mark_name(marks[node]));
        string_addf(out, "%c %*s", signs[look_of(tree, node)], 2 * n->depth, "");
        tui_export_text(out, search_node_text(tree, node));
        if (why_of(tree, node)) {
            string_add(out, "   [");
            tui_export_text(out, why_of(tree, node));
            string_add(out, "]");
        }
        string_add(out, "\n");
    }
}

/* --- Markdown ---------------------------------------------------------------------------------------------------- */

/* Characters that could begin emphasis, code, a link, a table, HTML or an entity. */
static const char markdown_special[] = "\\`*_[]<>#|~&$!";

static void add_markdown_field(struct string *out, const char *name, const char *text)
{
    string_addf(out, "- %s: ", name);
    add_escaped(out, text ? text : "none", markdown_special);
    string_add(out, "\n");
}

static void add_best_path(const struct search_tree *tree, struct string *out)
{
    int path[1024], count = 0;
    for (int node = tree->result->result.node; node > 0 && count < 1024; node = tree->nodes[node].parent)
        path[count++] = node;
    if (!count)
        return;
    string_add(out, "\n## The path of the answer\n\n");
    for (int i = 1; count; i++) {
        string_addf(out, "%d. ", i);
        add_escaped(out, search_node_text(tree, path[--count]), markdown_special);
        string_add(out, "\n");
    }
}

void tui_export_markdown(const struct search_tree *tree, const char *marks, struct string *out)
{
    static const char *const looks[] = {"", "", "kept", "right", "wrong", "illegal", "pruned"};
    string_add(out, "# ");
    add_escaped(out, tree->session->session.problem, markdown_special);
    string_add(out, "\n\n");
    add_markdown_field(out, "task", tree->session->session.task);
    add_markdown_field(out, "strategy", tree->session->session.strategy);
    add_markdown_field(out, "model", tree->session->session.model);
    if (tree->result) {
        add_markdown_field(out, "answer", tree->result->result.answer);
        add_markdown_field(out, "why", tree->result->result.why);
        add_best_path(tree, out);
    }
    string_add(out, "\n## The tree\n\n");
    for (int node = next_node(tree, 0); node >= 0; node = next_node(tree, node)) {
        const struct search_node *n = &tree->nodes[node];
        enum look look = look_of(tree, node);
        string_addf(out, "%*s- **%d** ", 2 * (n->depth - 1), "", node); /* the number first: a thought may begin as a list does */
        add_escaped(out, search_node_text(tree, node), markdown_special);
        if (!isnan(n->value))
            string_addf(out, " · %.4g", n->value);
        if (*looks[look])
            string_addf(out, " · %s", looks[look]);
        if (marks && *mark_name(marks[node]))
            string_addf(out, " · %s", mark_name(marks[node]));
        if (why_of(tree, node)) {
            string_add(out, ": ");
            add_escaped(out, why_of(tree, node), markdown_special);
        }
        string_add(out, "\n");
    }
}

/* --- Graphviz ---------------------------------------------------------------------------------------------------- */

/* A label in quotes, lines broken at blanks after some 40 bytes. */
static void add_label(struct string *out, const char *text)
{
    struct string label = {0};
    size_t column = 0;
    add_escaped(&label, text, "\\\"");
    for (const char *p = string_text(&label); *p; p++, column++) {
        if (*p == ' ' && column >= 40) {
            string_add(out, "\\n");
            column = 0;
        } else {
            string_append(out, p, 1);
        }
    }
    string_free(&label);
}

void tui_export_dot(const struct search_tree *tree, const char *marks, struct string *out)
{
    static const char *const looks[] = {
        [LOOK_PLAIN] = "shape=box, color=gray50",
        [LOOK_ROOT] = "shape=box, style=\"rounded,filled\", color=black",
        [LOOK_KEPT] = "shape=box, color=blue, penwidth=2",
        [LOOK_RIGHT] = "shape=doubleoctagon, color=darkgreen, penwidth=2",
        [LOOK_WRONG] = "shape=box, style=\"rounded,filled\", color=gray50",
        [LOOK_ILLEGAL] = "shape=octagon, color=red",
        [LOOK_PRUNED] = "shape=box, style=\"dashed,filled\", color=gray70, fontcolor=gray50",
    };
    string_add(out, "digraph espalier {\n  rankdir=LR;\n  node [fontname=\"monospace\", fontsize=10, style=filled, fillcolor=white];\n");
    for (int node = 0; node >= 0; node = next_node(tree, node)) {
        const struct search_node *n = &tree->nodes[node];
        string_addf(out, "  n%d [label=\"", node);
        add_label(out, search_node_text(tree, node));
        if (!isnan(n->value))
            string_addf(out, "\\n%.4g", n->value);
        if (why_of(tree, node)) {
            string_add(out, "\\n");
            add_label(out, why_of(tree, node));
        }
        string_addf(out, "\", %s", looks[look_of(tree, node)]);
        if (marks && marks[node] != SEARCH_MARK_UNKNOWN)
            string_addf(out, ", fillcolor=%s", marks[node] == SEARCH_MARK_ALIVE ? "palegreen" : "mistyrose");
        string_add(out, "];\n");
        if (n->parent >= 0)
            string_addf(out, "  n%d -> n%d%s;\n", n->parent, node, n->on_best_path ? " [penwidth=3, color=darkgreen]" : "");
    }
    string_add(out, "}\n");
}

/* --- a file ------------------------------------------------------------------------------------------------------ */

static void export_events(const struct search_tree *tree, const struct engine *engine, struct string *out)
{
    for (int64_t i = 0; i < tree->event_count; i++)
        search_event_json(tree->events[i], engine, out);
}

static int refuse(const char *path, int why, struct error *e)
{
    if (why == EEXIST)
        return error_set(e, ERROR_INPUT, "export: %s is there already; give another name", path);
    return error_set(e, ERROR_INPUT, "export: %s cannot be written: %s", path, strerror(why));
}

int tui_fresh_open(struct tui_fresh *f, const char *path, struct error *e)
{
    char *name = xasprintf("%s.%ld.new", path, (long)getpid());
    *f = (struct tui_fresh){0};
    if (!access(path, F_OK)) { /* told before the work rather than after it */
        free(name);
        return refuse(path, EEXIST, e);
    }
    const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    f->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f->file) {
        refuse(path, errno, e);
        free(name);
        return ERROR_INPUT;
    }
    f->path = xstrdup(path);
    f->name = name;
    return OK;
}

/* A link, unlike a renaming, takes no file's place. */
int tui_fresh_close(struct tui_fresh *f, int keep, struct error *e)
{
    int failed = 0;
    if (!f->file)
        return OK;
    if (keep && (fflush(f->file) || fsync(fileno(f->file))))
        failed = errno;
    if (fclose(f->file) && !failed)
        failed = errno;
    if (keep && !failed && link(f->name, f->path))
        failed = errno;
    unlink(f->name);
    const int code = keep && failed ? refuse(f->path, failed, e) : OK;
    free(f->name);
    free(f->path);
    *f = (struct tui_fresh){0};
    return code;
}

static int write_new(const char *path, const struct string *text, struct error *e)
{
    struct tui_fresh f;
    if (tui_fresh_open(&f, path, e))
        return e->code;
    if (fwrite(string_text(text), 1, text->length, f.file) != text->length) {
        refuse(path, errno, e);
        tui_fresh_close(&f, 0, NULL);
        return e->code;
    }
    return tui_fresh_close(&f, 1, e);
}

int tui_export_file(const struct search_tree *tree, const struct engine *engine, const char *path, struct error *e)
{
    const char *dot = strrchr(path, '.'), *ending = dot ? dot : "";
    struct string out = {0};
    if (!strcmp(ending, ".json") || !strcmp(ending, ".jsonl"))
        export_events(tree, engine, &out);
    else if (!strcmp(ending, ".dot"))
        tui_export_dot(tree, NULL, &out);
    else if (!strcmp(ending, ".md"))
        tui_export_markdown(tree, NULL, &out);
    else
        return error_set(e, ERROR_INPUT, "export '%.60s': expected a file whose name ends in .json, .dot, .md or .cast", path);
    const int code = write_new(path, &out, e);
    string_free(&out);
    return code;
}
