#include "tui/command.h"

static int run(const struct tui_options *o)
{
    struct error e;
    struct tui_options tour;
    tui_options_copy(&tour, o);
    tour.tour = tour.paused = 1;
    int code = tui_explore(&tour, &e);
    tui_options_free(&tour);
    return code > ERROR_NO_ANSWER ? tui_fail(&e) : code;
}

const struct tui_command tui_command_tour = {
    .name = "tour",
    .summary = "a small search, one step at a time, each number on the screen explained",
    .usage = "tour [OPTIONS] [PROBLEM]",
    .example = "espalier tour",
    .options = TUI_EXPLORER_OPTIONS,
    .run = run,
};
