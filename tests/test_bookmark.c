/* A session opens as it was left: the same picture again from the lines that are kept with it, and nothing from lines that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/golden.h"
#include "tui/bookmark.h"

static void open_script(struct tui_race *r)
{
    struct tui_screen s;
    tui_race_open(r, 1);
    tui_screen_free(&r->screens[0]);
    script_game24_done(&s);
    r->screens[0] = s;
    r->screens[0].outline.tree = &r->screens[0].tree;
    r->screens[0].drawn.tidy.outline = &r->screens[0].outline;
}

static void picture(struct tui_screen *s, struct string *out)
{
    string_clear(out);
    tui_screen_draw(s, 100, 30);
    while (s->busy)
        tui_screen_work(s);
    tui_screen_draw(s, 100, 30);
    tui_canvas_dump(&s->canvas, out);
    tui_canvas_dump_roles(&s->canvas, out);
}

/* Press, close, open again: the picture is the one that was left. */
static void check_same(const char *keys)
{
    struct tui_race left, again;
    struct string lines = {0}, before = {0}, after = {0};
    open_script(&left);
    tui_screen_draw(&left.screens[0], 100, 30);
    press(&left.screens[0], keys);
    left.screens[0].notice[0] = '\0';
    picture(&left.screens[0], &before);
    tui_bookmark_write(&left, &lines);
    open_script(&again);
    again.screens[0].places = left.screens[0].places; /* these are kept elsewhere */
    again.screens[0].places.arrangement.zoom = 0;
    tui_bookmark_read(&again, lines.text);
    picture(&again.screens[0], &after);
    if (strcmp(before.text, after.text))
        printf("%s\n%s\nis not\n%s", lines.text, after.text, before.text);
    assert_string_equal(before.text, after.text);
    for (int i = 0; i < 52; i++)
        assert_int_equal(left.screens[0].marks[i], again.screens[0].marks[i]);
    assert_int_equal(left.screens[0].mark_before, again.screens[0].mark_before);
    assert_int_equal(left.screens[0].follow, again.screens[0].follow);
    string_free(&lines);
    string_free(&before);
    string_free(&after);
    tui_race_free(&left);
    tui_race_free(&again);
}

static void test_same(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "", "2G", "gjh", "2Gma3GmZ''", "\\6\r", "/6\r", "2G[[", "gjh[", "3G\rll", "\rz", "Vp", "\t\t", "*", ":view drawn\ro", ":view siblings\rll", ":view log\rkkk", "{",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        check_same(keys[i]);
}

/* Ids of elsewhere, numbers that are none, words nobody knows: passed over. */
static void test_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "selected 5000", "selected -1", "selected", "folded 0 99999 -7 99999999999999999999", "mark a 4000", "mark 5 1", "mark", "moment 0", "moment 99999",
        "moment -5", "token 77", "column 7", "column -1", "log 40000", "drawn 3 0 0", "drawn 2 -900000 900000", "top 900000 1", "filter", "find", "focus nothing 1",
        "focus", "search 9", "search -1", "shown 3", "nonsense 1", "follow 1 2 3 x", "mark \xff 2",
    };
    struct tui_race r;
    struct string out = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        open_script(&r);
        char *text = xasprintf("%s\nsearch 0\n%s\nselected 2", wrong[i], wrong[i]);
        tui_bookmark_read(&r, text);
        picture(&r.screens[0], &out);
        if (strncmp(wrong[i], "search", 6))
            assert_int_equal(r.screens[0].selected, 2);
        free(text);
        tui_race_free(&r);
    }
    string_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same), cmocka_unit_test(test_wrong)};
    return cmocka_run_group_tests(tests, NULL, close_script);
}
