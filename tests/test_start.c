/* The screen that opens when nothing is asked for: what it shows, and what keys and clicks choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/screen_script.h"
#include "tui/start.h"

static void some(struct tui_start *s)
{
    tui_start_open(s);
    tui_start_add(s, TUI_START_HEADING, "begin", "", NULL, NULL);
    tui_start_add(s, TUI_START_TOUR, "a tour", "explained", NULL, NULL);
    tui_start_add(s, TUI_START_HEADING, "recent sessions", "", NULL, NULL); /* there is none: no heading */
    tui_start_add(s, TUI_START_HEADING, "tasks", "", NULL, NULL);
    tui_start_add(s, TUI_START_TASK, "game24", "make 24", "game24", "1 1 4 6");
    tui_start_add(s, TUI_START_TASK, "ask", "any \033[31mquestion\xe2\x80\xae", "ask", NULL);
    tui_start_add(s, TUI_START_HEADING, "models", "", NULL, NULL);
    tui_start_add(s, TUI_START_MODEL, "small.gguf", "98 MB", "/m/small.gguf", NULL);
    tui_start_add(s, TUI_START_MODEL, "large.gguf", "9 GB", "/m/large.gguf", NULL);
}

static int shows(struct tui_start *s, int columns, int rows, const char *text)
{
    struct string out = {0};
    tui_start_draw(s, columns, rows);
    tui_canvas_dump(&s->canvas, &out);
    int found = strstr(string_text(&out), text) != NULL;
    for (size_t i = 0; i < out.length; i++)
        assert_true(out.text[i] == '\n' || (unsigned char)out.text[i] >= ' ');
    string_free(&out);
    return found;
}

static enum tui_start_act type(struct tui_start *s, const char *keys)
{
    enum tui_start_act act = TUI_START_NOTHING;
    for (; *keys; keys++)
        act = tui_start_key(s, *keys);
    return act;
}

static void test_choose(void **state)
{
    (void)state;
    struct tui_start s;
    some(&s);
    assert_true(shows(&s, 80, 24, "a tour") && shows(&s, 80, 24, "─ tasks ─") && !shows(&s, 80, 24, "recent"));
    assert_int_equal(type(&s, "k\r"), TUI_START_CHOSEN); /* the first */
    assert_int_equal(s.rows[s.selected].kind, TUI_START_TOUR);
    assert_int_equal(type(&s, "j\r"), TUI_START_NOTHING); /* headings are passed over; a problem is asked for */
    assert_true(s.asking && shows(&s, 80, 24, " game24 1 1 4 6"));
    assert_int_equal(type(&s, "\025 \r"), TUI_START_NOTHING);
    assert_true(shows(&s, 80, 24, "a problem is needed"));
    assert_int_equal(type(&s, "q 5 6\r"), TUI_START_CHOSEN);
    assert_string_equal(s.line.text.text, " q 5 6");
    type(&s, "\033");
    assert_false(s.asking);
    type(&s, "G\r");
    assert_string_equal(s.rows[s.model].value, "/m/large.gguf");
    assert_true(shows(&s, 80, 24, "● large") && !shows(&s, 80, 24, "● small"));
    type(&s, "\r"); /* once more: none */
    assert_int_equal(s.model, -1);
    type(&s, "g\t");
    assert_string_equal(s.rows[s.selected].value, "game24");
    type(&s, "\t");
    assert_string_equal(s.rows[s.selected].value, "/m/small.gguf");
    tui_start_key(&s, TUI_KEY_BACK_TAB);
    assert_string_equal(s.rows[s.selected].value, "game24");
    type(&s, "j\r");
    tui_start_key(&s, TUI_KEY_PASTE_BEGINS);
    assert_int_equal(type(&s, "what\ris"), TUI_START_NOTHING); /* pasted, it is text */
    tui_start_key(&s, TUI_KEY_PASTE_ENDS);
    assert_int_equal(type(&s, "\r"), TUI_START_CHOSEN);
    assert_string_equal(s.line.text.text, "what is");
    type(&s, "\003");
    assert_int_equal(type(&s, "q"), TUI_START_QUIT);
    assert_int_equal(type(&s, "\032"), TUI_START_SUSPEND);
    tui_start_free(&s);
}

/* What its keys do, scrolled where it has no room; then the rows again, as they were. */
static void test_help(void **state)
{
    (void)state;
    struct tui_start s;
    some(&s);
    type(&s, "jx");
    assert_true(shows(&s, 80, 24, "x is no key here; ? shows them"));
    type(&s, "?");
    assert_true(shows(&s, 40, 12, "the start screen") && !shows(&s, 40, 12, "? help"));
    assert_true(shows(&s, 40, 12, "more") && !shows(&s, 40, 12, " ?          this"));
    type(&s, "G");
    assert_true(shows(&s, 40, 12, " ?          this") && !shows(&s, 40, 12, "the start screen") && !shows(&s, 40, 12, "more"));
    type(&s, "kkg");
    assert_true(shows(&s, 40, 12, "the start screen"));
    assert_int_equal(type(&s, "\033"), TUI_START_NOTHING);
    assert_true(shows(&s, 80, 24, "─ tasks ─") && shows(&s, 80, 24, "? help"));
    assert_string_equal(s.rows[s.selected].value, "game24");
    type(&s, "?");
    assert_int_equal(type(&s, "\032"), TUI_START_SUSPEND);
    assert_int_equal(tui_start_click(&s, 5, 6), TUI_START_NOTHING); /* closes it */
    assert_true(shows(&s, 80, 24, "─ tasks ─"));
    type(&s, "?");
    assert_int_equal(type(&s, "q"), TUI_START_QUIT);
    tui_start_free(&s);
}

static void test_click(void **state)
{
    (void)state;
    struct tui_start s;
    some(&s);
    tui_start_draw(&s, 80, 24);
    assert_int_equal(tui_start_click(&s, 5, 3), TUI_START_CHOSEN); /* the selected one */
    assert_int_equal(tui_start_click(&s, 5, 4), TUI_START_NOTHING); /* a heading */
    assert_int_equal(s.selected, 1);
    assert_int_equal(tui_start_click(&s, 5, 6), TUI_START_NOTHING);
    assert_string_equal(s.rows[s.selected].value, "ask");
    tui_start_click(&s, 5, 23);
    tui_start_click(&s, 5, 0);
    assert_string_equal(s.rows[s.selected].value, "ask");
    tui_start_move(&s, 2);
    assert_string_equal(s.rows[s.selected].value, "/m/large.gguf");
    tui_start_free(&s);
}

/* At any size what is selected is shown, where anything is. */
static void test_sizes(void **state)
{
    (void)state;
    struct tui_start s;
    some(&s);
    for (int rows = 1; rows < 16; rows++)
        for (int columns = 1; columns < 90; columns += 7)
            for (int at = 0; at < s.count; at++) {
                type(&s, at % 5 ? "j" : "G");
                tui_start_draw(&s, columns, rows);
                if (columns >= 40 && rows >= 12)
                    assert_true(s.selected >= s.top && s.selected < s.top + s.page);
            }
    type(&s, "gj\r");
    tui_start_draw(&s, 40, 12);
    tui_start_draw(&s, 3, 2);
    tui_start_free(&s);
}

static void make(const char *cache, const char *name, const char *bytes)
{
    char *path = xasprintf("%s/espalier/models/%s", cache, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(bytes, f);
    fclose(f);
    free(path);
}

/* GGUF files, and folders with a configuration and weights; no others. */
static void test_models(void **state)
{
    (void)state;
    char cache[] = "/tmp/espalier-start-XXXXXX", found[200] = "";
    assert_non_null(mkdtemp(cache));
    make(cache, "a.gguf", "GGUF");
    make(cache, "mine/config.json", "{}");
    make(cache, "mine/model.safetensors", "x");
    make(cache, "empty/config.json", "{}");
    make(cache, "adapter/adapter_config.json", "{}");
    make(cache, "adapter/adapter_model.safetensors", "x");
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("XDG_DATA_HOME", cache, 1);
    struct tui_start s;
    tui_start_open(&s);
    tui_start_find(&s, &(struct tui_options){0});
    for (int i = 0; i < s.count; i++)
        if (s.rows[i].kind == TUI_START_MODEL && strstr(s.rows[i].value ? s.rows[i].value : "", "/espalier/models/")) {
            strcat(found, s.rows[i].title);
            strcat(found, " ");
        }
    assert_string_equal(found, "a.gguf mine ");
    tui_start_free(&s);
    char *remove = xasprintf("rm -r %s", cache);
    assert_int_equal(system(remove), 0);
    free(remove);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choose), cmocka_unit_test(test_help), cmocka_unit_test(test_click), cmocka_unit_test(test_sizes), cmocka_unit_test(test_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
