#include "tui/command.h"

static int run(const struct tui_options *o)
{
    struct error e;
    int code = tui_explore(o, &e);
    return code > ERROR_NO_ANSWER ? tui_fail(&e) : code;
}

const struct tui_command tui_command_explore = {
    .name = "explore",
    .summary = "watch a model's reasoning grow as a tree",
    .usage = "[OPTIONS] [PROBLEM]",
    .example = "espalier -t game24 -s tot,b=5 '4 5 6 10'",
    .options = "model adapter task strategy judge judge-model allow-commands grammar prompts data seed temperature top-k top-p min-p repetition-penalty "
               "budget-tokens budget-flops budget-nodes budget-time session at threads batch context kv-memory kv-type kernels quant theme ascii "
               "paused dump",
    .run = run,
};
