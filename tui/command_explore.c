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
    .options = TUI_EXPLORER_OPTIONS,
    .run = run,
};
