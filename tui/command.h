/* The table of commands, and what they share. Private to tui/. */
#ifndef ESPALIER_TUI_COMMAND_H
#define ESPALIER_TUI_COMMAND_H

#include "tui/options.h"

#include <jansson.h>

extern const struct tui_command tui_command_bench, tui_command_train;
extern const struct tui_command tui_command_explore, tui_command_run, tui_command_complete, tui_command_score, tui_command_tokenize,
    tui_command_detokenize, tui_command_info, tui_command_speed, tui_command_quantize, tui_command_merge, tui_command_show, tui_command_task;
extern const struct tui_command tui_command_config, tui_command_tour, tui_command_words, tui_command_man;
extern const struct tui_command *const tui_commands[]; /* all but the explorer; NULL at the end */

/* What the explorer takes, and so what may stand in config.yaml. */
#define TUI_EXPLORER_OPTIONS \
    "model adapter task strategy judge judge-model allow-commands grammar prompts data seed temperature top-k top-p min-p repetition-penalty " \
    "budget-tokens budget-flops budget-nodes budget-time session at threads batch context kv-memory kv-type kernels quant theme ascii no-copy " \
    "paused record dump"

/* The words of the command line joined by blanks, or, where there are none, all of standard input. */
int tui_read_text(const struct tui_options *o, struct string *out, struct error *e);
/* Print one JSON value and a newline on stdout; releases it. */
void tui_print_json(json_t *value);
/* Bytes as a JSON string: what is not UTF-8 becomes U+FFFD, everything else stays. */
json_t *tui_json_text(const char *bytes, size_t n);
/* The text of a token as a quoted string of ASCII, for a person to tell blanks apart; malloc'ed. */
char *tui_token_quoted(const struct engine *engine, int id);
/* From here on the first of each of these signals (0 ends the list) is only noted, so that a command can end where nothing is lost; the
 * second ends it at once. */
void tui_interrupts_listen(const int *signals);
int tui_interrupted(void); /* the signal; 0: none */
/* Run one request to its end. */
int tui_complete(struct engine *engine, const struct engine_request *request, struct engine_result *out, struct error *e);

#endif
