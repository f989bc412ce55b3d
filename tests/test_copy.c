/* What is copied, and as which bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/golden.h"
#include "tui/copy.h"

static void copies(struct tui_screen *s, const char *what, const char *text)
{
    struct string out = {0};
    assert_int_equal(tui_copy_text(s, what, &out), text[0] != 0);
    assert_string_equal(string_text(&out), text);
    string_free(&out);
}

static void test_text(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    press(&s, "6G");
    copies(&s, "thought", "5 * 6 = 30 (left: 6 30)");
    copies(&s, "", "5 * 6 = 30 (left: 6 30)");
    copies(&s, "path", "4 5 6 10\n10 - 4 = 6 (left: 5 6 6)\n5 * 6 = 30 (left: 6 30)");
    copies(&s, "prompt", ""); /* this log has none */
    assert_non_null(strstr(s.notice, "not kept"));
    copies(&s, "all", "");
    assert_non_null(strstr(s.notice, "expected thought, path or prompt"));
    struct search_event *written = (struct search_event *)tui_screen_node(&s, 6)->completion;
    written->completion.prompt_count = 2;
    written->completion.prompt = xmalloc(2 * sizeof(int));
    written->completion.prompt[0] = script_word("say\x1b[31m\n", 9);
    written->completion.prompt[1] = script_word("more\xe2\x80\xae", 7);
    copies(&s, "prompt", "say\xef\xbf\xbd[31m\nmore\xef\xbf\xbd"); /* it may be pasted into a shell */
    assert_int_equal(tui_screen_key(&s, 'y').act, TUI_ACT_COPY);
    assert_string_equal(tui_screen_key(&s, 'Y').words, "path");
    struct tui_action a = tui_command(&s, "copy prompt");
    assert_int_equal(a.act, TUI_ACT_COPY);
    assert_string_equal(a.words, "prompt");
    tui_screen_free(&s);
    tui_screen_open(&s);
    copies(&s, "thought", "");
    tui_screen_free(&s);
}

static void test_sequence(void **state)
{
    (void)state;
    static const char *const known[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
                                           {"\xe2\x9c\x93\xff", "4pyT/w=="}};
    struct string text = {0}, out = {0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        string_clear(&text);
        string_clear(&out);
        string_add(&text, known[i][0]);
        char *expected = xasprintf("\033]52;c;%s\a", known[i][1]);
        assert_int_equal(tui_copy_sequence(&text, 0, &out), text.length);
        assert_string_equal(out.text, expected);
        free(expected);
    }
    string_clear(&text);
    string_clear(&out);
    string_add(&text, "foo");
    tui_copy_sequence(&text, 1, &out);
    assert_string_equal(out.text, "\033]52;c;Zm9v\a\033Ptmux;\033\033]52;c;Zm9v\a\033\\");
    string_clear(&text);
    for (int i = 0; i < TUI_COPY_MOST / 3 + 10; i++)
        string_add(&text, i ? "\xe2\x9c\x93" : "a"); /* the longest ends in the middle of one */
    string_clear(&out);
    assert_int_equal(tui_copy_sequence(&text, 0, &out), TUI_COPY_MOST - 2);
    assert_int_equal(out.length, 8 + 64 * 1024);
    string_free(&text);
    string_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_text, close_script), cmocka_unit_test(test_sequence)};
    return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
