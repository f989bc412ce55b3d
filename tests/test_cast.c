/* A session made into an asciicast, read by another program's terminal (libvterm): what that shows is what the canvas has, cell by cell with its
 * colours, after each frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/screen_script.h"
#include "tui/cast.h"
#include "tui/words.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vterm.h>

static const char hostile[] = "\x1b[31mred\x1b]0;title\x07 \xe2\x80\xae" "backwards \xc2\x9b" "2J \xff\xfe cafe\xcc\x81 \xe4\xb8\xad\xe6\x96\x87 "
                              "\xf0\x9f\x98\x80\xe2\x80\x8d\xf0\x9f\x91\xa9 \r\n\t\b end";
static char folder[] = "/tmp/espalier-cast-XXXXXX";

/* --- the other terminal ------------------------------------------------------------------------------------------ */

struct reader {
    VTerm *term;
    VTermScreen *screen;
    int other, cursor; /* the other screen is shown; the cursor is */
};

static int take_property(VTermProp what, VTermValue *value, void *user)
{
    struct reader *r = user;
    if (what == VTERM_PROP_ALTSCREEN)
        r->other = value->boolean;
    else if (what == VTERM_PROP_CURSORVISIBLE)
        r->cursor = value->boolean;
    return 1;
}

static void reader_open(struct reader *r, int columns, int rows)
{
    static const VTermScreenCallbacks callbacks = {.settermprop = take_property};
    *r = (struct reader){.term = vterm_new(rows, columns)};
    vterm_set_utf8(r->term, 1);
    r->screen = vterm_obtain_screen(r->term);
    vterm_screen_set_callbacks(r->screen, &callbacks, r);
    vterm_screen_enable_altscreen(r->screen, 1);
    vterm_screen_reset(r->screen, 1);
}

static void reader_take(struct reader *r, const struct string *bytes)
{
    vterm_input_write(r->term, string_text(bytes), bytes->length);
}

static void check_color(const VTermColor *seen, int color, int colors, int is_own)
{
    if (color < 0) {
        assert_true(is_own);
    } else if (colors == TUI_DIRECT) {
        assert_true(VTERM_COLOR_IS_RGB(seen));
        assert_int_equal(seen->rgb.red << 16 | seen->rgb.green << 8 | seen->rgb.blue, color);
    } else {
        assert_true(VTERM_COLOR_IS_INDEXED(seen));
        assert_int_equal(seen->indexed.idx, color);
    }
}

static void check_cell(struct reader *r, const struct tui_theme *theme, int colors, const struct tui_cell *cell, int x, int y, int strict)
{
    VTermScreenCell seen;
    const struct tui_look look = colors == TUI_DIRECT ? tui_theme_look(theme, cell->style) : tui_theme_mapped(theme, cell->style, colors);
    assert_true(vterm_screen_get_cell(r->screen, (VTermPos){.row = y, .col = x}, &seen));
    for (int i = 0; i < TUI_CLUSTER && (!i || cell->scalars[i]); i++)
        assert_int_equal(seen.chars[i] ? seen.chars[i] : ' ', cell->scalars[i]);
    assert_true(!strict || seen.width == cell->width);
    assert_int_equal(seen.attrs.bold, !!(look.attributes & TUI_BOLD));
    assert_int_equal(seen.attrs.italic, !!(look.attributes & TUI_ITALIC));
    assert_int_equal(seen.attrs.underline, look.attributes & TUI_UNDERLINE ? VTERM_UNDERLINE_SINGLE : VTERM_UNDERLINE_OFF);
    assert_int_equal(seen.attrs.reverse, !!(look.attributes & TUI_REVERSE));
    check_color(&seen.fg, look.color, colors, VTERM_COLOR_IS_DEFAULT_FG(&seen.fg));
    check_color(&seen.bg, look.background, colors, VTERM_COLOR_IS_DEFAULT_BG(&seen.bg));
}

/* strict: all cells; else those of whose width all terminals think alike, which is what must stand where it belongs on any of them. */
static void check_screen(struct reader *r, const struct tui_theme *theme, int colors, const struct tui_canvas *c, int strict)
{
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            const struct tui_cell *cell = &c->cells[y * c->w + x];
            if (cell->width && (strict || tui_cell_is_settled(cell)))
                check_cell(r, theme, colors, cell, x, y, strict);
        }
}

/* Only what is ours: moves, looks, the screen, the cursor, wrapping; and text. */
static void check_bytes(const char *text, size_t n)
{
    for (const char *p = text, *end = text + n; p < end;) {
        if (*p == '\033') {
            assert_true(p + 1 < end && p[1] == '[');
            p += 2 + strspn(p + 2, "?0123456789;");
            assert_true(p < end && strchr("Hmhl", *p));
            p++;
            continue;
        }
        const int32_t c = utf8_next(&p, end);
        assert_true(c >= ' ' && c != 0x7f && !(c >= 0x80 && c < 0xa0) && !(c >= 0x202a && c <= 0x202e));
    }
}

/* --- the painter ------------------------------------------------------------------------------------------------- */

static const int depths[] = {TUI_MONO, TUI_PALETTE, TUI_DIRECT};

static struct tui_style any_style(uint64_t round, uint64_t i)
{
    const int role = (int)(random_uniform(3, round, i) * TUI_STYLES), ground = (int)(random_uniform(4, round, i) * TUI_GROUNDS);
    struct tui_style style = {.role = (uint8_t)role};
    if (role >= TUI_ROLES)
        style = tui_style_level((enum tui_role)role, random_uniform(5, round, i));
    style.ground = (uint8_t)ground;
    return style;
}

/* A few texts here and there, over what was there. */
static void scribble(struct tui_canvas *c, uint64_t round, const char *const *texts, int count)
{
    for (uint64_t i = 0; i < 12; i++) {
        const int x = (int)(random_uniform(1, round, i) * c->w), y = (int)(random_uniform(2, round, i) * c->h);
        tui_canvas_text(c, x, y, c->w - x, any_style(round, i), texts[(int)(random_uniform(6, round, i) * count)]);
    }
}

static void paint(int columns, int rows, int colors, const char *const *texts, int count, int strict)
{
    struct tui_theme theme;
    struct error e;
    struct reader r;
    struct tui_painter p;
    struct tui_canvas c = {0};
    struct string out = {0};
    assert_int_equal(tui_theme_open("themes/light.yaml", &theme, &e), OK); /* it has a ground of its own */
    reader_open(&r, columns, rows);
    tui_canvas_size(&c, columns, rows);
    tui_painter_open(&p, &theme, colors, &out);
    for (uint64_t round = 0; round < 150; round++) {
        scribble(&c, round, texts, count);
        tui_painter_draw(&p, &c, &out);
        check_bytes(string_text(&out), out.length);
        reader_take(&r, &out);
        assert_true(r.other && !r.cursor);
        check_screen(&r, &theme, colors, &c, strict);
        string_clear(&out);
        tui_painter_draw(&p, &c, &out);
        assert_int_equal(out.length, 0); /* nothing changed */
    }
    tui_painter_close(&p, &out);
    reader_take(&r, &out);
    assert_true(!r.other && r.cursor);
    string_free(&out);
    tui_canvas_free(&c);
    vterm_free(r.term);
}

static void test_painter(void **state)
{
    (void)state;
    static const char *const agreed[] = {"│ ├▾ 4 * 5 = 20", "kept ★✓ .998", "é à ü", "cafe\xcc\x81", "中文字", "left", " ", "x"};
    static const char *const all[] = {"a", hostile, "│", hostile + 20};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        paint(80, 24, depths[i], agreed, 8, 1);
        paint(40, 12, depths[i], all, 4, 0);
        paint(7, 3, depths[i], agreed, 8, 1);
    }
}

/* What a terminal is sent, byte for byte: a change costs what changed. */
static void test_bytes(void **state)
{
    (void)state;
    struct tui_painter p;
    struct tui_canvas c = {0};
    struct string out = {0};
    const struct tui_style text = {.role = TUI_TEXT}, pruned = {.role = TUI_PRUNED};
    tui_canvas_size(&c, 9, 2);
    tui_painter_open(&p, &tui_theme_builtin, TUI_PALETTE, &out);
    assert_string_equal(out.text, "\033[?1049h\033[?25l\033[?7l");
    string_clear(&out);
    tui_painter_draw(&p, &c, &out);
    assert_string_equal(out.text, "\033[1;1H         \033[2;1H         ");
    string_clear(&out);
    tui_canvas_text(&c, 2, 1, 7, pruned, "ab");
    tui_canvas_text(&c, 7, 1, 2, text, "c");
    tui_painter_draw(&p, &c, &out);
    assert_string_equal(out.text, "\033[2;3H\033[0;2;3;38;5;243mab\033[2;8H\033[0mc");
    string_clear(&out);
    tui_canvas_text(&c, 0, 0, 9, text, "\xe4\xb8\xad!"); /* two cells wide: all of its row, and what follows it by a move */
    tui_painter_draw(&p, &c, &out);
    assert_string_equal(out.text, "\033[1;1H  \033[1;1H\xe4\xb8\xad\033[1;3H!      ");
    string_free(&out);
    tui_painter_close(&p, NULL);
    tui_canvas_free(&c);
}

/* --- a session --------------------------------------------------------------------------------------------------- */

/* Of everything: a hostile thought, one of the user's, a pruned one, a step back that makes the tree anew. */
static void script_all(struct tui_screen *s)
{
    script_game24_done(s);
    script_thought(s, 1, -1, 0, 0, hostile, "5 6 6", NULL, -1, hostile);
    script_own(s, 2, 0, hostile);
    script_prune(s, 3);
    struct search_event *back = script_make(SEARCH_EVENT_BACK);
    back->back.target = s->tree.event_count - 8;
    script_emit(s, back);
    while (s->busy)
        tui_screen_work(s);
}

static struct tui_cast_of cast_of(const struct search_tree *const *trees, int count, int columns, int rows)
{
    return (struct tui_cast_of){.trees = trees, .count = count, .theme = &tui_theme_builtin, .colors = TUI_PALETTE, .columns = columns, .rows = rows,
                                .speed = 1};
}

/* All of the file after its header, [seconds, "o", text] each: times never fall, and no two are nearer than a thirtieth. */
static json_t *read_events(FILE *f, int columns, int rows)
{
    json_t *events = json_array(), *line;
    json_error_t why;
    double before = -1;
    rewind(f);
    json_t *header = json_loadf(f, JSON_DISABLE_EOF_CHECK, &why);
    assert_int_equal(json_integer_value(json_object_get(header, "version")), 2);
    assert_int_equal(json_integer_value(json_object_get(header, "width")), columns);
    assert_int_equal(json_integer_value(json_object_get(header, "height")), rows);
    assert_null(json_object_get(header, "timestamp"));
    json_decref(header);
    while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, &why))) {
        const double now = json_real_value(json_array_get(line, 0));
        assert_string_equal(json_string_value(json_array_get(line, 1)), "o");
        assert_true(before < 0 ? now == 0 : now - before > 1 / 30.0);
        before = now;
        check_bytes(json_string_value(json_array_get(line, 2)), json_string_length(json_array_get(line, 2)));
        json_array_append_new(events, line);
    }
    return events;
}

static void take_events(struct reader *r, const json_t *events, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const json_t *text = json_array_get(json_array_get(events, i), 2);
        vterm_input_write(r->term, json_string_value(text), json_string_length(text));
    }
}

/* Played by the other terminal, it ends at the canvas on which it was drawn, and then gives all back. Returns its seconds. */
static double check_cast(const struct tui_cast_of *of)
{
    struct tui_cast c;
    struct error e;
    struct reader r;
    FILE *f = tmpfile();
    tui_cast_open(&c, of, f);
    while (tui_cast_work(&c))
        ;
    json_t *events = read_events(f, of->columns, of->rows);
    const size_t count = json_array_size(events);
    assert_true(count >= 2);
    reader_open(&r, of->columns, of->rows);
    take_events(&r, events, 0, count - 1);
    assert_true(r.other && !r.cursor);
    check_screen(&r, of->theme, of->colors, &tui_race_shown(&c.race)->canvas, 0);
    take_events(&r, events, count - 1, count);
    assert_true(!r.other && r.cursor);
    for (int i = 0; i < of->count; i++)
        assert_int_equal(c.race.screens[i].tree.event_count, of->trees[i]->event_count);
    const double seconds = tui_cast_seconds(&c);
    assert_int_equal(tui_cast_close(&c, &e), OK);
    json_decref(events);
    vterm_free(r.term);
    fclose(f);
    return seconds;
}

static void test_session(void **state)
{
    (void)state;
    static const struct { int columns, rows; } sizes[] = {{80, 24}, {40, 12}, {200, 50}, {20, 5}};
    struct tui_screen s;
    script_all(&s);
    const struct search_tree *tree = &s.tree;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof depths / sizeof *depths; k++) {
            struct tui_cast_of of = cast_of(&tree, 1, sizes[i].columns, sizes[i].rows);
            of.colors = depths[k];
            of.ascii = k == 0;
            check_cast(&of);
        }
    struct tui_cast_of of = cast_of(&tree, 1, 80, 24);
    const double once = check_cast(&of) - 3; /* the last screen stays so long */
    of.speed = 4;
    const double faster = check_cast(&of) - 3;
    assert_true(faster > once / 5 && faster < once / 3);
    tui_screen_free(&s);
}

/* A race has its comparison; an export the panes of the screen that it is of, and the events until then. */
static void test_race(void **state)
{
    (void)state;
    struct tui_screen a, b;
    script_all(&a);
    script_votes(&b);
    const struct search_tree *trees[] = {&a.tree, &b.tree};
    struct tui_cast_of of = cast_of(trees, 2, 80, 24);
    struct tui_cast c;
    struct error e;
    FILE *f = tmpfile();
    check_cast(&of);
    tui_cast_open(&c, &of, f);
    while (tui_cast_work(&c))
        ;
    assert_true(tui_screen_shows(tui_race_shown(&c.race), &tui_view_compare));
    tui_cast_close(&c, &e);
    of.shown = 1;
    of.like = &b;
    for (const char *k = ":view log\r"; *k; k++)
        tui_screen_key(&b, *k);
    check_cast(&of);
    tui_cast_open(&c, &of, f);
    script_own(&b, 1, 0, "later");
    while (tui_cast_work(&c))
        ;
    assert_true(tui_screen_shows(&c.race.screens[1], &tui_view_log));
    assert_int_equal(c.race.screens[1].tree.event_count, b.tree.event_count - 1);
    tui_cast_close(&c, &e);
    fclose(f);
    tui_screen_free(&a);
    tui_screen_free(&b);
}

/* --- a file ------------------------------------------------------------------------------------------------------ */

static char *contents(const char *path)
{
    struct string text = {0};
    FILE *f = fopen(path, "r");
    for (int c; f && (c = getc(f)) != EOF;)
        string_append(&text, &(char){(char)c}, 1);
    if (f)
        fclose(f);
    return text.text;
}

static void refuses(const struct tui_cast_of *of, const char *path, const char *part)
{
    struct tui_cast c;
    struct error e = {0};
    assert_int_equal(tui_cast_export(&c, of, path, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, part));
    assert_null(strchr(e.message, '\n'));
}

static int is_empty(void) /* the folder */
{
    return !rmdir(folder) && !mkdir(folder, 0700);
}

static void test_export(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_cast c;
    struct error e;
    script_all(&s);
    const struct search_tree *tree = &s.tree;
    const struct tui_cast_of of = cast_of(&tree, 1, 80, 24);
    char *path = xasprintf("%s/x.cast", folder), *again = xasprintf("%s/y.cast", folder);
    struct tui_action action = tui_command(&s, "export some where.cast ");
    assert_int_equal(action.act, TUI_ACT_CAST);
    assert_string_equal(action.words, "some where.cast");
    assert_int_equal(tui_cast_export(&c, &of, path, &e), OK);
    assert_int_equal(tui_cast_work(&c), 1);
    assert_int_not_equal(access(path, F_OK), 0); /* not before it is whole */
    assert_int_equal(tui_cast_close(&c, &e), OK);
    assert_true(is_empty());
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tui_cast_export(&c, &of, i ? again : path, &e), OK);
        while (tui_cast_work(&c))
            ;
        assert_int_equal(tui_cast_close(&c, &e), OK);
    }
    char *one = contents(path), *two = contents(again);
    assert_string_equal(one, two);
    refuses(&of, path, "is there already");
    refuses(&of, "/no/such/x.cast", "cannot be written: No such file");
    char *still = contents(path);
    assert_string_equal(one, still);
    unlink(path);
    unlink(again);
    assert_true(is_empty());
    free(one);
    free(two);
    free(still);
    free(path);
    free(again);
    tui_screen_free(&s);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_cast c;
    struct error e = {0};
    FILE *full = fopen("/dev/full", "w");
    if (!full)
        skip();
    script_all(&s);
    const struct search_tree *tree = &s.tree;
    const struct tui_cast_of of = cast_of(&tree, 1, 80, 24);
    tui_cast_open(&c, &of, full);
    assert_int_equal(tui_cast_work(&c), 0);
    assert_int_equal(tui_cast_close(&c, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "standard output cannot be written: No space"));
    fclose(full);
    tui_screen_free(&s);
}

static int open_folder(void **state)
{
    (void)state;
    return !mkdtemp(folder);
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < script_word_count; i++)
        free(script_words[i]);
    free(script_words);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_painter), cmocka_unit_test(test_bytes), cmocka_unit_test(test_session),
                                       cmocka_unit_test(test_race), cmocka_unit_test(test_export), cmocka_unit_test(test_full_disk)};
    return cmocka_run_group_tests(tests, open_folder, close_all);
}
