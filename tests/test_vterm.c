/* The real program on a terminal that libvterm reads (reader.h), and beside it the screen that it should have: one of this process, which has the
 * same events, keys and sizes and no terminal (the mirror). After each key what is seen is what the mirror has, cell by cell.
 *   test_vterm [SEED]     other keys and sizes
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "search/search.h"
#include "tests/hostile_text.h"
#include "tests/reader.h"
#include "tests/screen_script.h"
#include "tui/key.h"
#include "tui/screen.h"

#include <locale.h>

enum { PATIENCE = 30 }; /* seconds after which nothing is waited for any more; a machine may be slow */

static char folder[] = "/tmp/espalier-vterm-XXXXXX", *program;
static const char model[] = "examples/steps.gguf";
static uint64_t seed = 51, drawn_numbers;
static pid_t living; /* the program, 0: none; one that a test has left behind is ended */

static int any(int n)
{
    return (int)(random_uniform(seed, 1, drawn_numbers++) * n);
}

/* --- the mirror -------------------------------------------------------------------------------------------------- */

struct mirror {
    struct tui_screen screen;
    struct search_sessions sessions;
    struct engine *engine;
    int columns, rows;
};

static const char *token_text(const void *owner, int id, size_t *bytes)
{
    return owner ? engine_token_text(owner, id, bytes) : NULL;
}

static void mirror_draw(struct mirror *m)
{
    do
        tui_screen_draw(&m->screen, m->columns, m->rows);
    while (m->screen.busy);
}

/* A number for how it looks. */
static uint64_t sum_of(const struct mirror *m)
{
    uint64_t sum = 14695981039346656037u;
    const unsigned char *bytes = (const unsigned char *)m->screen.canvas.cells;
    for (size_t i = 0; i < (size_t)m->columns * (size_t)m->rows * sizeof *m->screen.canvas.cells; i++)
        sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

/* with_model: texts of tokens are known. */
static void mirror_open(struct mirror *m, const char *session, int with_model, int columns, int rows)
{
    struct error e;
    *m = (struct mirror){.columns = columns, .rows = rows};
    if (search_sessions_load(&m->sessions, session, &e))
        fail_msg("%s", e.message);
    if (with_model && engine_open(&m->engine, &(struct engine_options){.model = model, .vocabulary_only = 1, .threads = 1}, &e))
        fail_msg("%s", e.message);
    const struct search_tree *tree = &m->sessions.list[0].tree;
    tui_screen_open(&m->screen);
    m->screen.race = &m->screen;
    m->screen.race_count = 1;
    if (with_model)
        m->screen.model = strrchr(model, '/') + 1;
    m->screen.token_text = token_text;
    m->screen.token_owner = m->engine;
    for (int64_t i = 0; i < tree->event_count; i++)
        tui_screen_event(&m->screen, tree->events[i]);
    tui_screen_snapshot(&m->screen, &(struct tui_snapshot){.state = TUI_DONE, .engine = m->engine});
    mirror_draw(m);
}

static void mirror_close(struct mirror *m)
{
    tui_screen_free(&m->screen);
    search_sessions_free(&m->sessions);
    engine_close(m->engine);
}

/* --- what is seen, and what should be ---------------------------------------------------------------------------- */

static int color_is(const VTermColor *color, int entry, int background)
{
    if (entry < 0)
        return background ? VTERM_COLOR_IS_DEFAULT_BG(color) : VTERM_COLOR_IS_DEFAULT_FG(color);
    return VTERM_COLOR_IS_INDEXED(color) && color->indexed.idx == entry;
}

static int text_is(const VTermScreenCell *seen, const struct tui_cell *cell)
{
    int i = 0;
    while (i < TUI_CLUSTER && i < VTERM_MAX_CHARS_PER_CELL && cell->scalars[i] && (uint32_t)cell->scalars[i] == seen->chars[i])
        i++;
    return i && (i == TUI_CLUSTER || !cell->scalars[i]) && (i == VTERM_MAX_CHARS_PER_CELL || !seen->chars[i]);
}

/* As in a terminal of 256 colours; it shows no faint ones. */
static int look_is(const VTermScreenCell *seen, const struct tui_cell *cell)
{
    const struct tui_look look = tui_theme_mapped(&tui_theme_builtin, cell->style, 256);
    const unsigned a = look.attributes;
    if (!color_is(&seen->bg, look.background, 1))
        return 0;
    if (seen->attrs.reverse != !!(a & TUI_REVERSE) || seen->attrs.underline != !!(a & TUI_UNDERLINE))
        return 0;
    return cell->scalars[0] == ' ' ||
           (color_is(&seen->fg, look.color, 0) && seen->attrs.bold == !!(a & TUI_BOLD) && seen->attrs.italic == !!(a & TUI_ITALIC));
}

/* Letters and signs whose width terminals agree on: these must stand where they belong, whatever stands left of them. */
static int is_plain(const struct tui_cell *cell)
{
    const int32_t c = cell->scalars[0];
    const int agreed = c < 0x300 || (c >= 0x2010 && c < 0x2060) || (c >= 0x2190 && c < 0x2300) || (c >= 0x2500 && c < 0x2900);
    return agreed && cell->width == 1 && !cell->scalars[1];
}

/* Where the view of the engine's numbers stands, of which the mirror has none; -1: nowhere. */
static int statistics_pane(const struct mirror *m)
{
    const int pane = tui_screen_pane(&m->screen, &tui_view_statistics);
    return !m->screen.layout.too_small && pane >= 0 && m->screen.layout.panes[pane].w ? pane : -1;
}

/* What only the program knows: those numbers, with their keys as long as they are; the status line has some of them, too. */
static int is_unknown(const struct mirror *m, int x, int y)
{
    const struct tui_layout *l = &m->screen.layout;
    const int pane = statistics_pane(m);
    return !l->too_small && (y == l->status.y || (pane >= 0 && (y == l->keys.y || tui_layout_pane(l, x, y) == pane)));
}

/* Others are placed by themselves: these where every terminal takes them for one character, and where they cannot wrap. */
static int is_placed(const struct tui_cell *cell, int x, int w)
{
    const int32_t c = cell->scalars[0];
    int n = 0;
    while (n < TUI_CLUSTER && cell->scalars[n])
        n++;
    const int alone = n == 1 && (c == 0xfffd || (c >= 0x4e00 && c < 0xa000)), marked = n > 1 && c > ' ' && c < 0x300 && cell->scalars[1] < 0x370;
    return x + 2 * n <= w && (alone || marked);
}

/* The first cell that differs, in *x and *y; 0: none. */
static int differs(const struct reader *t, const struct mirror *m, int colors, int *x, int *y)
{
    const struct tui_canvas *c = &m->screen.canvas;
    for (*y = 0; *y < c->h; ++*y)
        for (*x = 0; *x < c->w; ++*x) {
            const struct tui_cell *cell = &c->cells[*y * c->w + *x];
            const VTermScreenCell seen = reader_cell(t, *x, *y);
            const int plain = is_plain(cell), same = plain ? text_is(&seen, cell) : seen.chars[0] == (uint32_t)cell->scalars[0];
            if (!(same && (!colors || look_is(&seen, cell))) && (plain || is_placed(cell, *x, c->w)) && !is_unknown(m, *x, *y))
                return 1;
        }
    return 0;
}

static void show_difference(const struct reader *t, const struct mirror *m, int x, int y)
{
    struct string want = {0};
    char *have = reader_text(t);
    const struct tui_cell *cell = &m->screen.canvas.cells[y * m->screen.canvas.w + x];
    const VTermScreenCell seen = reader_cell(t, x, y);
    const struct tui_look look = tui_theme_mapped(&tui_theme_builtin, cell->style, 256);
    tui_canvas_dump(&m->screen.canvas, &want);
    print_error("column %d, row %d of %dx%d\n", x, y, t->columns, t->rows);
    print_error("expected: U+%04X, colours %d on %d, attributes %u\n", (unsigned)cell->scalars[0], look.color, look.background, look.attributes);
    print_error("seen: U+%04X, entries %d on %d, bold %d, reverse %d\n", seen.chars[0], seen.fg.indexed.idx, seen.bg.indexed.idx, seen.attrs.bold,
                seen.attrs.reverse);
    fprintf(stderr, "--- expected:\n%s--- seen:\n%s", string_text(&want), have); /* longer than cmocka's lines may be */
    string_free(&want);
    free(have);
}

/* It comes to be what the mirror has. No time is too short for that, so none is waited for in vain. */
static void agree(struct reader *t, struct mirror *m, int colors, const char *after)
{
    int x, y;
    const double begun = clock_seconds();
    mirror_draw(m);
    while (differs(t, m, colors, &x, &y)) {
        const int came = reader_wait(t, 100);
        if (came >= 0 && clock_seconds() - begun < PATIENCE)
            continue;
        show_difference(t, m, x, y);
        fail_msg("after %s the screen is another one (seed %llu)%s", after, (unsigned long long)seed, came < 0 ? ": the program has ended" : "");
    }
}

/* --- the program on its terminal --------------------------------------------------------------------------------- */

static void until(struct reader *t, const char *what, int (*is)(const struct reader *t, const void *context), const void *context)
{
    const double begun = clock_seconds();
    while (!is(t, context)) {
        const int came = reader_wait(t, 100);
        if (came >= 0 && clock_seconds() - begun < PATIENCE)
            continue;
        char *text = reader_text(t);
        fputs(text, stderr);
        free(text);
        fail_msg("%s is waited for in vain at %dx%d (seed %llu)%s", what, t->columns, t->rows, (unsigned long long)seed,
                 came < 0 ? ": the program has ended" : "");
    }
}

static int says(const struct reader *t, const void *text)
{
    return reader_says(t, text);
}

/* Cleared since then, and the frame that did so has ended, where frames have an end. */
static int is_painted(const struct reader *t, const void *clears)
{
    return t->clears > *(const int *)clears && (t->frames > t->cleared_at || !t->frames);
}

/* All of it anew, which answers every key before it. */
static void repaint(struct reader *t)
{
    const int clears = t->clears;
    reader_keys(t, "\f");
    until(t, "^L", is_painted, &clears);
}

static void repaint_both(struct reader *t, struct mirror *m, int colors)
{
    assert_int_equal(tui_screen_key(&m->screen, 'L' - TUI_KEY_CONTROL).act, TUI_ACT_REPAINT);
    repaint(t);
    agree(t, m, colors, "^L");
}

/* What only changes were sent for is what all of it is, sent anew: every cell, its look, and the lines the mirror does not know. */
static void check_repaint(struct reader *t, struct mirror *m, int colors)
{
    const uint64_t looked = sum_of(m);
    repaint_both(t, m, colors);
    /* As a key, ^L takes a notice away, or goes back to the selection. Numbers that are not the mirror's may have been yet to come; and without
     * colours nobody says when a frame ends. */
    if (sum_of(m) != looked || statistics_pane(m) >= 0 || !colors)
        return;
    assert_int_equal(t->before_columns, t->columns);
    assert_int_equal(t->before_rows, t->rows);
    for (int y = 0; y < t->rows; y++)
        for (int x = 0; x < t->columns; x++) {
            const VTermScreenCell now = reader_cell(t, x, y), before = t->before[y * t->columns + x];
            if (!reader_same(&now, &before))
                fail_msg("painted anew, column %d of row %d at %dx%d is U+%04X and was U+%04X (seed %llu)", x, y, t->columns, t->rows,
                         now.chars[0], before.chars[0], (unsigned long long)seed);
        }
}

/* Nothing came that acts on a terminal: no title, no bell, no line that moved, no cell with what is no text. */
static void check_harmless(const struct reader *t)
{
    assert_int_equal(t->titles, 0);
    assert_int_equal(t->bells, 0);
    assert_int_equal(t->scrolls, 0);
    assert_int_equal(t->raw, 0);
    for (int y = 0; y < t->rows; y++)
        for (int x = 0; x < t->columns; x++) {
            const VTermScreenCell cell = reader_cell(t, x, y);
            for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i] && cell.chars[i] != (uint32_t)-1; i++) {
                const uint32_t c = cell.chars[i];
                const int bidi = c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
                if (c < 0x20 || (c >= 0x7f && c < 0xa0) || bidi || (c >= 0xd800 && c < 0xe000))
                    fail_msg("U+%04X in column %d of row %d (seed %llu)", c, x, y, (unsigned long long)seed);
            }
        }
}

/* q ends it, and the terminal is as it was. */
static void leave(struct reader *t)
{
    int status;
    struct termios now;
    reader_keys(t, "q");
    while (reader_wait(t, 1000 * PATIENCE) > 0) {
    }
    assert_int_equal(waitpid(t->child, &status, 0), t->child);
    living = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(t->alternate);
    assert_true(t->visible);
    assert_int_equal(t->mouse, VTERM_PROP_MOUSE_NONE);
    assert_false(reader_pastes(t));
    assert_int_equal(tcgetattr(t->master, &now), 0);
    assert_true(now.c_iflag == t->line.c_iflag && now.c_oflag == t->line.c_oflag && now.c_lflag == t->line.c_lflag && now.c_cflag == t->line.c_cflag);
    reader_close(t);
}

static int end_living(void **state)
{
    (void)state;
    if (living && !kill(living, SIGKILL))
        waitpid(living, NULL, 0);
    living = 0;
    return 0;
}

/* A search that has ended, in a session of this test's own. */
static char *session_path(const char *name)
{
    return xasprintf("%s/%s.session", folder, name);
}

static void begin_session(struct reader *t, struct mirror *m, const char *term, int colors, int columns, int rows)
{
    static int number; /* where each was left is none of the next one's concern */
    char *name = xasprintf("done-%d", ++number), *session = session_path(name);
    char *command = xasprintf("cp %s/done.session %s && rm -rf %s/espalier", folder, session, folder);
    assert_int_equal(system(command), 0);
    free(command);
    free(name);
    char *argv[] = {program, "-j", "1", "-m", (char *)model, "--session", session, NULL};
    mirror_open(m, session, 1, columns, rows);
    reader_open(t, term, columns, rows, argv);
    living = t->child;
    agree(t, m, colors, "the start");
    until(t, "the end of the search", says, "\xe2\x96\xa0 done");
    free(session);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static void press(struct reader *t, struct mirror *m, int32_t key)
{
    static const struct { int32_t key; VTermKey as; } named[] = {
        {TUI_KEY_UP, VTERM_KEY_UP}, {TUI_KEY_DOWN, VTERM_KEY_DOWN}, {TUI_KEY_LEFT, VTERM_KEY_LEFT}, {TUI_KEY_RIGHT, VTERM_KEY_RIGHT},
        {TUI_KEY_PAGE_UP, VTERM_KEY_PAGEUP}, {TUI_KEY_PAGE_DOWN, VTERM_KEY_PAGEDOWN},
    };
    VTermKey as = VTERM_KEY_NONE;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        as = named[i].key == key ? named[i].as : as;
    const struct tui_action action = tui_screen_key(&m->screen, key);
    if (action.act != TUI_ACT_NONE)
        fail_msg("key %d acts (%d), which the mirror cannot know of", (int)key, action.act);
    if (as)
        reader_key(t, as);
    else
        reader_type(t, &(char){(char)key}, 1);
}

static void press_all(struct reader *t, struct mirror *m, const char *keys, int colors)
{
    for (const char *k = keys; *k; k++) {
        press(t, m, *k);
        agree(t, m, colors, keys);
    }
}

static void click(struct reader *t, struct mirror *m, int what, int x, int y, int colors)
{
    const int button = what == TUI_MOUSE_WHEEL_UP ? 4 : what == TUI_MOUSE_WHEEL_DOWN ? 5 : 1;
    reader_button(t, button, 1, x, y);
    tui_screen_mouse(&m->screen, (struct tui_mouse){what, x, y});
    agree(t, m, colors, "the mouse");
    if (button != 1)
        return;
    reader_button(t, button, 0, x, y);
    tui_screen_mouse(&m->screen, (struct tui_mouse){TUI_MOUSE_RELEASE, x, y});
    agree(t, m, colors, "the mouse let go");
}

/* Keys that go about in the tree, the panes and time, and none that acts on the search. */
static void one_key(struct reader *t, struct mirror *m, int colors)
{
    static const int32_t keys[] = {
        'j', 'j', 'j', 'k', 'k', 'h', 'l', 'l', 'l', 'g', 'G', 'n', 'N', '2', '\t', '\t', '\t', '\r', '<', '>', '-', '+', 'z', 'S', 'X', '.', '?',
        '*', 'i', 'I', 'M', '[', '[', ']', '{', '}', '}', 'W', TUI_KEY_UP, TUI_KEY_DOWN, TUI_KEY_LEFT, TUI_KEY_RIGHT, TUI_KEY_PAGE_UP,
        TUI_KEY_PAGE_DOWN, TUI_KEY_ESCAPE,
    };
    static const char *const more[] = {"ma", "'a", "''", "/24\r", "/left\r", "\\", "?j", "Vv", "Vd", "Vt", "Vi", ":view t\r", ":zz\r"};
    const int which = t->mouse ? any(10) : 9 * !!any(10); /* where there is no mouse some other keys are missing as well */
    const int begun = m->screen.overlay || m->screen.ask.what || m->screen.mark_asked;
    if (which == 0 && !begun) /* else the first of them would mean something else */
        press_all(t, m, more[any(sizeof more / sizeof *more)], colors);
    else if (which == 1)
        click(t, m, TUI_MOUSE_PRESS, any(t->columns), any(t->rows), colors);
    else if (which == 2)
        click(t, m, any(2) ? TUI_MOUSE_WHEEL_UP : TUI_MOUSE_WHEEL_DOWN, any(t->columns), any(t->rows), colors);
    else {
        char name[24];
        int32_t key = keys[any(sizeof keys / sizeof *keys)];
        key = !t->mouse && key >= TUI_KEY_UP ? 'k' : key;
        snprintf(name, sizeof name, "key %d", (int)key);
        press(t, m, key);
        agree(t, m, colors, name);
    }
}

/* What changes nothing that is seen would be waited for in vain: painting anew says that it has been taken. */
static void any_key(struct reader *t, struct mirror *m, int colors)
{
    const uint64_t before = sum_of(m);
    one_key(t, m, colors);
    if (sum_of(m) == before)
        repaint_both(t, m, colors);
}

/* What was on its way at the old size may have wrapped at the new one's margin; a screen that is cleared is of the new one. */
static void resize(struct reader *t, int columns, int rows)
{
    reader_size(t, columns, rows);
    repaint(t);
    t->scrolls = 0;
}

static void resize_both(struct reader *t, struct mirror *m, int columns, int rows, int colors)
{
    m->columns = columns;
    m->rows = rows;
    mirror_draw(m);
    tui_screen_key(&m->screen, 'L' - TUI_KEY_CONTROL);
    resize(t, columns, rows);
    agree(t, m, colors, "a new size");
}

/* A third of them about where a screen is too small. */
static void any_size(int *columns, int *rows)
{
    const int small = !any(3);
    *columns = 1 + any(small ? 50 : 300);
    *rows = 1 + any(small ? 16 : 80);
}

/* --- the tests --------------------------------------------------------------------------------------------------- */

static void through_views(struct reader *t, struct mirror *m, const char *keys)
{
    for (int v = 0; tui_view_at(v); v++) {
        press_all(t, m, (char[]){'V', tui_view_at(v)->letter, '\0'}, 1);
        press_all(t, m, keys, 1);
        check_repaint(t, m, 1);
        check_harmless(t);
    }
}

/* Every view at several sizes. */
static void test_views(void **state)
{
    (void)state;
    static const int sizes[][2] = {{80, 24}, {200, 50}, {40, 12}};
    struct reader t;
    struct mirror m;
    begin_session(&t, &m, "xterm-256color", 1, 120, 40);
    assert_true(t.alternate);
    assert_false(t.visible);
    assert_int_equal(t.mouse, VTERM_PROP_MOUSE_DRAG);
    assert_true(reader_pastes(&t));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        resize_both(&t, &m, sizes[i][0], sizes[i][1], 1);
        through_views(&t, &m, "jjl");
    }
    leave(&t);
    mirror_close(&m);
}

static void walk(const char *term, int colors, int steps)
{
    struct reader t;
    struct mirror m;
    begin_session(&t, &m, term, colors, 100, 30);
    for (int i = 1; i <= steps; i++) {
        any_key(&t, &m, colors);
        if (i % 10 == 0)
            check_repaint(&t, &m, colors);
    }
    check_harmless(&t);
    press_all(&t, &m, "\033", colors);
    press_all(&t, &m, "\033", colors);
    leave(&t);
    mirror_close(&m);
}

static void test_walk(void **state)
{
    (void)state;
    walk("xterm-256color", 1, 200);
}

static void test_other_terminals(void **state)
{
    (void)state;
    static const char *const terms[] = {"xterm", "linux", "vt100"};
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        walk(terms[i], 0, 40);
}

/* What the mirror compares is no empty promise: the selection and what is bold have looks of their own. */
static void test_looks(void **state)
{
    (void)state;
    struct reader t;
    struct mirror m;
    int selected = 0, bold = 0, colors = 0;
    begin_session(&t, &m, "xterm-256color", 1, 80, 24);
    const int ground = tui_theme_mapped(&tui_theme_builtin, (struct tui_style){.role = TUI_TEXT, .ground = TUI_SELECTION}, 256).background;
    for (int y = 0; y < 24; y++)
        for (int x = 0; x < 80; x++) {
            const VTermScreenCell cell = reader_cell(&t, x, y);
            selected += color_is(&cell.bg, ground, 1);
            bold += cell.attrs.bold && cell.chars[0] != ' ';
            colors += VTERM_COLOR_IS_INDEXED(&cell.fg) && cell.chars[0] != ' ';
        }
    assert_true(ground >= 16);
    assert_in_range(selected, 20, 80);
    assert_in_range(bold, 20, 800);
    assert_in_range(colors, 200, 80 * 24);
    leave(&t);
    mirror_close(&m);
}

/* --- any size ---------------------------------------------------------------------------------------------------- */

enum { SIZES = 30 };

static void test_sizes(void **state)
{
    (void)state;
    struct reader t;
    struct mirror m;
    int columns, rows;
    begin_session(&t, &m, "xterm-256color", 1, 80, 24);
    for (int i = 0; i < SIZES; i++) {
        any_size(&columns, &rows);
        resize_both(&t, &m, i ? columns : 1, i ? rows : 1, 1);
        for (int keys = any(4); keys > 0; keys--)
            any_key(&t, &m, 1);
        check_repaint(&t, &m, 1);
        check_harmless(&t);
    }
    press_all(&t, &m, "\033\033", 1);
    leave(&t);
    mirror_close(&m);
}

/* A size that was another one for a moment: the terminal has lost its last column meanwhile, though nothing is of another size. */
static void test_came_and_went(void **state)
{
    (void)state;
    struct reader t;
    struct mirror m;
    begin_session(&t, &m, "xterm-256color", 1, 120, 40);
    for (int i = 0; i < 20; i++) {
        reader_size(&t, 119, 40);
        reader_size(&t, 120, 40);
        agree(&t, &m, 1, "a size that came and went");
    }
    leave(&t);
    mirror_close(&m);
}

/* While the search runs nobody knows what is on the screen; but it answers, and does no harm. These keys act as well. */
static void test_sizes_running(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "j", "k", "h", "l", "g", "G", "\t", "\r", "?", "\033", "z", "S", "X", "s", "o", " ", " ", "c", "p", "u", "U", "r", "K", "[", "}", ".", "W",
        "*", "f", "/24\r", "Vt", "Vd", "Vs", "Vl", "Vi", "aown words\r", ":set seed=7\r",
    };
    struct reader t;
    int columns, rows;
    char *session = session_path("running");
    char *argv[] = {program, "-j", "1", "-m", (char *)model, "-t", "game24", "-s", "mcts,iterations=100000", "--session", session, "4 5 6 10",
                    NULL};
    reader_open(&t, "xterm-256color", 80, 24, argv);
    living = t.child;
    until(&t, "the search", says, "\xe2\x96\xb8 running");
    for (int i = 0; i < SIZES; i++) {
        any_size(&columns, &rows);
        resize(&t, columns, rows);
        for (int n = any(6); n > 0; n--) {
            reader_keys(&t, keys[any(sizeof keys / sizeof *keys)]);
            reader_wait(&t, 20);
        }
        repaint(&t);
        check_harmless(&t);
    }
    for (int i = 0; i < 3; i++) { /* whatever is open */
        reader_keys(&t, "\033");
        repaint(&t);
    }
    leave(&t);
    free(session);
}

/* --- a stranger's text ------------------------------------------------------------------------------------------- */

/* A session of which every text is hostile. */
static char *hostile_session(int number)
{
    char text[4][300], *name = xasprintf("hostile-%d", number), *path = session_path(name);
    struct search_journal *journal;
    struct tui_screen s;
    struct error e;
    for (uint64_t i = 0; i < 4; i++)
        hostile_text(seed + 4 * (uint64_t)number + i, text[i], sizeof text[i]);
    script_begin(&s, "ask", text[0], "self-consistency,m=3");
    script_plan(&s, text[1], SEARCH_SAMPLE, (int[]){0}, 1, 3);
    for (int i = 0; i < 3; i++) {
        int count;
        const int64_t completion = script_completion(&s, 0, i, text[i]);
        free(script_tokens(text[i], &count));
        script_thought(&s, 0, completion, 0, count, text[i], text[i + 1], i == 1 ? text[3] : NULL, -1, i == 2 ? text[0] : NULL);
    }
    script_decide(&s, text[2], (int[]){1}, 1);
    script_result(&s, text[3], 1, -1, text[0]);
    if (search_journal_create(&journal, path, &e) || search_journal_copy(journal, 0, s.tree.events, s.tree.event_count, &e))
        fail_msg("%s", e.message);
    search_journal_close(journal);
    tui_screen_free(&s);
    free(name);
    return path;
}

static void test_hostile(void **state)
{
    (void)state;
    static const int sizes[][2] = {{80, 24}, {41, 13}, {140, 30}};
    char text[300];
    for (int number = 0; number < 6; number++) {
        struct reader t;
        struct mirror m;
        char *session = hostile_session(number);
        char *argv[] = {program, "show", session, "--replay", "--speed", "1000", NULL};
        reader_open(&t, "xterm-256color", 80, 24, argv);
        living = t.child;
        mirror_open(&m, session, 0, 80, 24);
        until(&t, "all of the session", says, "\xe2\x96\xa0 done");
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            resize_both(&t, &m, sizes[i][0], sizes[i][1], 1);
            through_views(&t, &m, "j");
        }
        hostile_text(seed + 1000 + (uint64_t)number, text, sizeof text);
        reader_keys(&t, ":\033[200~");
        reader_keys(&t, text);
        reader_keys(&t, "\033[201~");
        repaint(&t);
        check_harmless(&t);
        reader_keys(&t, "\033");
        repaint(&t);
        leave(&t);
        mirror_close(&m);
        free(session);
    }
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static void open_world(const char *name)
{
    static const char *const folders[] = {"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        setenv(folders[i], folder, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setlocale(LC_CTYPE, "");
    setenv("NCURSES_GPM_TERMS", "none", 1); /* as in tmux.bash */
    unsetenv("NO_COLOR");
    unsetenv("TMUX");
    const char *end = strstr(name, "/tests/");
    program = xasprintf("%.*s/espalier", end ? (int)(end - name) : 1, end ? name : ".");
}

/* The search that most of these open again. Whatever this machine's kernels think of, the mirror reads it from the session. */
static int search_once(void)
{
    char *command = xasprintf("%s run -m %s -j 1 -t game24 -s tot,b=2 --session %s/done.session 4 5 6 10 >%s/out 2>&1", program, model, folder,
                              folder);
    const int status = system(command);
    free(command);
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1; /* 1: without an answer */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_looks, end_living), cmocka_unit_test_teardown(test_views, end_living),
        cmocka_unit_test_teardown(test_walk, end_living), cmocka_unit_test_teardown(test_other_terminals, end_living),
        cmocka_unit_test_teardown(test_sizes, end_living), cmocka_unit_test_teardown(test_came_and_went, end_living),
        cmocka_unit_test_teardown(test_sizes_running, end_living), cmocka_unit_test_teardown(test_hostile, end_living),
    };
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : seed;
    if (!mkdtemp(folder))
        return 1;
    open_world(argv[0]);
    int failed = !search_once();
    if (failed)
        fprintf(stderr, "%s does not search: make %s builds it\n", program, program);
    else
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *command = xasprintf("rm -rf '%s'", folder);
    failed |= system(command) != 0;
    free(command);
    free(program);
    return failed;
}
