/* What a screen looks like on a terminal of no colours, of 16 and of 256: looks compared with stored ones, after themes have been mapped.
 *   test_colours          compare with tests/golden/colours-*
 *   test_colours update   write them anew; read the difference before you commit it
 *
 * A file has a part for each depth: its looks, each with a name (ink, ground, attributes; entries of the palette, - the terminal's own), then
 * the rows, those that are alike together, as runs of cells: 12a is twelve of the look a.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/golden.h"
#include "tui/race.h"

enum { MOST_LOOKS = 26 * 27 };
struct looks {
    struct tui_look list[MOST_LOOKS];
    int count;
};

/* As it is seen: the ink of a blank is not, nor whether it is bold. */
static struct tui_look seen(const struct tui_theme *theme, const struct tui_cell *cell, int colors)
{
    struct tui_look look = tui_theme_mapped(theme, cell->style, colors);
    if (cell->scalars[0] == ' ' && !cell->scalars[1]) {
        look.attributes &= TUI_UNDERLINE | TUI_REVERSE;
        look.color = look.attributes ? look.color : TUI_DEFAULT_COLOR;
    }
    return look;
}

static int index_of(struct looks *looks, struct tui_look look)
{
    for (int i = 0; i < looks->count; i++)
        if (looks->list[i].color == look.color && looks->list[i].background == look.background && looks->list[i].attributes == look.attributes)
            return i;
    assert_true(looks->count < MOST_LOOKS);
    looks->list[looks->count] = look;
    return looks->count++;
}

/* a, b, ... z, aa, ab, ... */
static const char *name_of(int look, char out[3])
{
    const char last = (char)('a' + look % 26);
    out[0] = look < 26 ? last : (char)('a' + look / 26 - 1);
    out[1] = look < 26 ? '\0' : last;
    out[2] = '\0';
    return out;
}

static void add_entry(struct string *out, int color)
{
    if (color < 0)
        string_add(out, " -");
    else
        string_addf(out, " %d", color);
}

static void add_looks(struct string *out, const struct looks *looks)
{
    static const char *const attributes[] = {"bold", "faint", "italic", "underline", "reverse"};
    char name[3];
    for (int i = 0; i < looks->count; i++) {
        string_addf(out, "%s", name_of(i, name));
        add_entry(out, looks->list[i].color);
        add_entry(out, looks->list[i].background);
        for (int bit = 0; bit < 5; bit++)
            if (looks->list[i].attributes & 1u << bit)
                string_addf(out, " %s", attributes[bit]);
        string_add(out, "\n");
    }
}

/* Blanks between words of a look are of it, where nobody could see another. */
static int goes_on(const struct tui_cell *cell, struct tui_look look, struct tui_look run)
{
    const int bare = !look.attributes && !(run.attributes & (TUI_UNDERLINE | TUI_REVERSE));
    return (cell->scalars[0] == ' ' && bare && look.background == run.background) ||
           (look.color == run.color && look.background == run.background && look.attributes == run.attributes);
}

static void write_row(struct looks *looks, const struct tui_theme *theme, const struct tui_canvas *c, int y, int colors, struct string *out)
{
    const struct tui_cell *row = &c->cells[y * c->w];
    char name[3];
    for (int x = 0, end; x < c->w; x = end) {
        const struct tui_look look = seen(theme, &row[x], colors);
        for (end = x + 1; end < c->w && goes_on(&row[end], seen(theme, &row[end], colors), look); end++)
            ;
        string_addf(out, " %d%s", end - x, name_of(index_of(looks, look), name));
    }
}

static void add_rows(struct string *out, int from, int to, const char *runs)
{
    if (from == to)
        string_addf(out, "%d:%s\n", from, runs);
    else
        string_addf(out, "%d-%d:%s\n", from, to, runs);
}

static void dump_looks(const struct tui_canvas *c, const struct tui_theme *theme, int colors, struct string *out)
{
    struct looks *looks = xcalloc(1, sizeof *looks);
    struct string rows = {0}, last = {0};
    int from = 0;
    for (int y = 0; y < c->h; y++) {
        struct string row = {0};
        write_row(looks, theme, c, y, colors, &row);
        if (y && strcmp(row.text, last.text)) {
            add_rows(&rows, from, y - 1, last.text);
            from = y;
        }
        string_free(&last);
        last = row;
    }
    add_rows(&rows, from, c->h - 1, last.text);
    string_addf(out, "%d colours\n", colors);
    add_looks(out, looks);
    string_add(out, rows.text);
    string_free(&rows);
    string_free(&last);
    free(looks);
}

static void compare_looks(struct tui_screen *s, const char *theme_name, const char *name)
{
    static const struct { int columns, rows; } sizes[] = {{200, 50}, {80, 24}, {40, 12}};
    static const int depths[] = {0, 16, 256};
    char *path = xasprintf("themes/%s.yaml", theme_name), *file = xasprintf("colours-%s-%s", theme_name, name);
    struct tui_theme theme;
    struct error e;
    assert_int_equal(tui_theme_open(path, &theme, &e), OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct string out = {0};
        tui_screen_draw(s, sizes[i].columns, sizes[i].rows);
        for (size_t k = 0; k < sizeof depths / sizeof *depths; k++)
            dump_looks(&s->canvas, &theme, depths[k], &out);
        compare_text(file, sizes[i].columns, sizes[i].rows, out.text);
        string_free(&out);
    }
    free(path);
    free(file);
}

static void test_tree(void **state)
{
    close_script(state); /* made-up probabilities depend on the words before */
    struct tui_screen s;
    script_game24_done(&s);
    compare_looks(&s, "dark", "main");
    compare_looks(&s, "light", "main"); /* a theme with a ground of its own */
    press(&s, "gj\r");
    compare_looks(&s, "dark", "thought");
    press(&s, "\033?");
    compare_looks(&s, "dark", "help");
    press(&s, "\033:view drawn\r");
    compare_looks(&s, "dark", "drawn");
    tui_screen_free(&s);
}

static void test_siblings(void **state)
{
    close_script(state);
    struct tui_screen s;
    script_mcts(&s, "mcts,iterations=10,depth=5,select=uct,w=1,q=mean,evaluate=value");
    press(&s, "gjjjj\t:view siblings\r");
    compare_looks(&s, "dark", "siblings");
    tui_screen_free(&s);
}

static void test_votes(void **state)
{
    close_script(state);
    struct tui_screen s;
    script_votes(&s);
    press(&s, "gj\t:view votes\r");
    compare_looks(&s, "dark", "votes");
    tui_screen_free(&s);
}

static void test_compare(void **state)
{
    close_script(state);
    static const char *const strategies[] = {"tot,b=3", "self-consistency,m=6"};
    struct tui_race race;
    tui_race_open(&race, 2);
    for (int i = 0; i < 2; i++) { /* the script opens its screen itself */
        struct tui_screen *s = &race.screens[i];
        tui_screen_free(s);
        (i ? script_votes : script_game24_done)(s);
        s->race = race.screens;
        s->race_count = 2;
        s->asked_strategy = strategies[i];
    }
    tui_race_key(&race, '\t');
    press(tui_race_shown(&race), ":view compare\r");
    compare_looks(tui_race_shown(&race), "dark", "compare");
    tui_race_free(&race);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tree), cmocka_unit_test(test_siblings), cmocka_unit_test(test_votes),
                                       cmocka_unit_test(test_compare)};
    golden_updating = argc > 1 && !strcmp(argv[1], "update");
    return cmocka_run_group_tests(tests, NULL, close_script);
}
