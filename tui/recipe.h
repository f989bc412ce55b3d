/* What `espalier train` is to do: a recipe's file under the options of the command line, which win. Private to tui/.
 *
 * A recipe is YAML. Its keys are the options of train by their names, and those that say more than one thing:
 *
 *   data         a list of files, or of {file: x.jsonl, weight: 2}, {task: game24, weight: 0.25}, {sessions: folder}
 *   validation   a file, a list of files, or the share of the data that is held out
 *   targets      a list, or as on the command line
 *   model        a file; or the shape of a new one: width, layers, heads, kv_heads, ff_width, context, head_dim, rope_base, tied
 *   vocabulary   of a new model: texts that are tokens, beside the 256 bytes, <s> and </s>
 *   name, prompts  of a new model: what its file says it is called, and how it is to be asked
 *
 * Files are looked for beside the recipe, but for `out`.
 */
#ifndef ESPALIER_TUI_RECIPE_H
#define ESPALIER_TUI_RECIPE_H

#include "tui/options.h"

struct tui_recipe {
    struct search_yaml_document *document; /* or NULL */
    struct tui_options o;                  /* of both; its lists are the command line's */
    char *folder;                          /* of the recipe, "" or with '/' at the end */
    char *model;                           /* a path; of a new model, which is to be put there: OUT/begin.gguf */
    struct engine_shape shape;             /* of a new model, with o.scratch */
    const char **vocabulary;
    struct search_lesson_source *sources;
    int source_count;
    const char **validation;
    int validation_count;
    double held_out;
    unsigned targets; /* bits, as in struct engine_learner_options */
    int rows;
    char **owned; /* texts */
    int owned_count, owned_capacity;
};
/* path NULL: the command line alone. ERROR_INPUT at a place of the recipe, ERROR_USAGE of an option. To be freed whatever is returned. */
int tui_recipe_open(struct tui_recipe *out, const struct tui_options *o, const char *path, struct error *e);
void tui_recipe_free(struct tui_recipe *recipe);

#endif
