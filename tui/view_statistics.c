/* What it costs and how fast it goes: speed, batch, memory of keys and values, memory of the program; and how large the search is. */
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

enum { NAME = 10 };

static const char *bytes_text(double bytes, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1000;
    snprintf(out, 32, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return out;
}

/* The last minute as a row of bars, a column a second. */
static void write_speeds(struct tui_screen *s, struct tui_paper *p)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    int w = p->canvas->w - NAME, from = s->speed_count > w ? s->speed_count - w : 0, most = 1;
    for (int i = from; i < s->speed_count; i++)
        most = s->speeds[i] > most ? s->speeds[i] : most;
    if (s->speed_count < 2 || w < 1)
        return;
    tui_paper_putf(p, tui_style(TUI_DIM), "%-*s", NAME, "");
    for (int i = from; i < s->speed_count; i++)
        tui_paper_put(p, tui_style_level(TUI_VALUE, (double)s->speeds[i] / most), bars[7 * s->speeds[i] / most]);
    tui_paper_newline(p);
}

static void write_speed(struct tui_screen *s, struct tui_paper *p)
{
    const struct engine_statistics *e = &s->now.statistics;
    char a[32], b[32], line[160];
    int64_t rows = e->prompt_rows + e->decode_rows;
    tui_paper_heading(p, "speed");
    if (s->speed_count) {
        snprintf(line, sizeof line, "%s tokens a second", tui_number(s->speeds[s->speed_count - 1], a));
        tui_sheet_fact(p, NAME, "now", line);
    }
    write_speeds(s, p);
    if (e->busy_seconds > 0) {
        snprintf(line, sizeof line, "%s tokens a second, over %.1f s", tui_number((int64_t)((double)rows / e->busy_seconds), a), e->busy_seconds);
        tui_sheet_fact(p, NAME, "mean", line);
    }
    snprintf(line, sizeof line, "%s of prompts, %s written", tui_number(e->prompt_rows, a), tui_number(e->decode_rows, b));
    tui_sheet_fact(p, NAME, "in all", line);
    if (e->passes) {
        snprintf(line, sizeof line, "%.1f tokens a pass, %s passes", (double)rows / (double)e->passes, tui_number(e->passes, a));
        tui_sheet_fact(p, NAME, "batch", line);
    }
    snprintf(line, sizeof line, "%d now, %d waiting", e->live, e->waiting);
    tui_sheet_fact(p, NAME, "branches", line);
}

/* Of what is in use, each cell an equal part: what branches stand on, what is kept for later; and what is free, where there is little left. */
static void write_map(struct tui_paper *p, const struct engine_statistics *e)
{
    int w = p->canvas->w;
    double whole = e->kv_used * 8 > e->kv_limit ? (double)e->kv_limit : (double)e->kv_used;
    if (w < 8 || whole <= 0)
        return;
    for (int i = 0; i < w; i++) {
        double at = (i + 0.5) / w * whole;
        int held = at < (double)e->kv_held, used = at < (double)e->kv_used;
        tui_canvas_text(p->canvas, i, p->y, 1, tui_style(held ? TUI_EXPANDING : used ? TUI_DIM : TUI_BORDER), held ? "▓" : used ? "░" : "·");
    }
    p->x = w;
    tui_paper_newline(p);
}

static void write_cache(struct tui_paper *p, const struct engine_statistics *e)
{
    char a[32], b[32], line[160];
    tui_paper_heading(p, "keys and values");
    write_map(p, e);
    snprintf(line, sizeof line, "%s of %s, in %d segments", bytes_text((double)e->kv_used, a), bytes_text((double)e->kv_limit, b), e->kv_segments);
    tui_sheet_fact(p, NAME, "used", line);
    snprintf(line, sizeof line, "%s: branches stand on it", bytes_text((double)e->kv_held, a));
    tui_sheet_fact(p, NAME, "▓ held", line);
    snprintf(line, sizeof line, "%s: kept in case it is asked for again", bytes_text((double)(e->kv_used > e->kv_held ? e->kv_used - e->kv_held : 0), a));
    tui_sheet_fact(p, NAME, "░ cached", line);
    if (e->kv_apart && e->kv_held) {
        snprintf(line, sizeof line, "apart, these branches would need %s: %.1f times as much", bytes_text((double)e->kv_apart, a), (double)e->kv_apart / (double)e->kv_held);
        tui_sheet_fact(p, NAME, "shared", line);
    }
    snprintf(line, sizeof line, e->evicted ? "%s segments for lack of room: computed again when asked for" : "nothing yet: there was room for all", tui_number(e->evicted, a));
    tui_sheet_fact(p, NAME, "dropped", line);
}

static void write_memory(struct tui_screen *s, struct tui_paper *p)
{
    char a[32], b[32], line[160];
    const struct engine_info *info = s->now.engine ? engine_info(s->now.engine) : NULL;
    if (!s->now.memory && !info)
        return;
    tui_paper_heading(p, "memory");
    if (s->now.memory)
        tui_sheet_fact(p, NAME, "program", bytes_text((double)s->now.memory, a));
    if (info) {
        snprintf(line, sizeof line, "%s laid out anew, %s used in the file", bytes_text((double)info->packed_bytes, a), bytes_text((double)info->in_place_bytes, b));
        tui_sheet_fact(p, NAME, "weights", line);
        tui_sheet_fact(p, NAME, "scratch", bytes_text((double)info->scratch_bytes, a));
        snprintf(line, sizeof line, "%d threads, batches of %d, %s", info->threads, info->batch, info->kernels);
        tui_sheet_fact(p, NAME, "engine", line);
    }
    if (s->now.statistics.adapters) {
        snprintf(line, sizeof line, "%d, %s", s->now.statistics.adapters, bytes_text((double)s->now.statistics.adapter_bytes, a));
        tui_sheet_fact(p, NAME, "adapters", line);
    }
}

static void write_search(struct tui_screen *s, struct tui_paper *p)
{
    const struct search_tree *t = &s->tree;
    char a[32], b[32], c[32], line[160];
    if (!t->session)
        return;
    tui_paper_heading(p, "search");
    snprintf(line, sizeof line, "%s, %s of them illegal; %s events", tui_number(t->count - 1, a), tui_number(t->illegal, b), tui_number(t->event_count, c));
    tui_sheet_fact(p, NAME, "thoughts", line);
    snprintf(line, sizeof line, "%s for prompts, %s written", tui_number(t->usage.prompt - t->usage.cached, a), tui_number(t->usage.completion, b));
    tui_sheet_fact(p, NAME, "tokens", line);
    snprintf(line, sizeof line, "%s of %s prompt tokens were there already", tui_number(t->usage.cached, a), tui_number(t->usage.prompt, b));
    tui_sheet_fact(p, NAME, "cached", line);
    tui_sheet_fact(p, NAME, "computed", tui_flops(t->usage.flops, line));
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    const struct engine_statistics *e = &s->now.statistics;
    struct tui_paper p;
    tui_sheet_title(s, &tui_view_statistics, r, "statistics", NULL);
    if (!s->tree.session && !e->passes) {
        s->statistics.lines = 0;
        tui_sheet_says(s, r, "Nothing has been computed yet: speed, batch and memory will stand here once the model is loaded.");
        return;
    }
    tui_sheet_begin(&s->statistics, s, r, &p);
    if (e->kv_limit) {
        write_speed(s, &p);
        write_cache(&p, e);
    }
    write_memory(s, &p);
    write_search(s, &p);
    tui_sheet_write(&s->statistics, &p, 0);
    tui_sheet_end(&s->statistics, s, r);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    return tui_sheet_key(&s->statistics, k, count);
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = tui_sheet_hints(&s->statistics, out);
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

const struct tui_view tui_view_statistics = {
    .name = "statistics", .letter = 'a', .about = "speed, the batch, keys and values, memory", .help = tui_help_pages,
    .draw = draw, .key = key, .hints = hints,
};
