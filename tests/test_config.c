/* The user's configuration: what it says over what was not said, where a value comes from, keys that stand for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tui/command.h"
#include "tui/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[] = "/tmp/espalier-config-XXXXXX";

static void write_config(const char *text)
{
    char *path = xasprintf("%s/espalier/config.yaml", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

/* The options of a command line, with the file's; in the way the explorer has them. */
static int effective(struct tui_config *c, struct tui_options *o, int again, char **argv, struct error *e)
{
    int argc = 0, help;
    while (argv[argc])
        argc++;
    assert_int_equal(tui_options_parse(argc, argv, tui_command_explore.options, o, &help, e), 0);
    int code = tui_config_open(c, e);
    return code ? code : tui_config_apply(c, o, again, e);
}

static void test_precedence(void **state)
{
    (void)state;
    struct tui_config c;
    struct tui_options o;
    struct error e = {0};
    char *bare[] = {"espalier", NULL}, *given[] = {"espalier", "--seed", "9", "-s", "greedy", "--model", "x.gguf", NULL};
    unsetenv("ESPALIER_MODEL");
    setenv("HOME", "/home/her", 1);
    write_config("model: ~/m.gguf\nseed: 7\nstrategy: [tot, 'beam,n=4']\nascii: yes\npaused: no\ntemperature: 0.5\nkv-memory: 512M\n");
    assert_int_equal(effective(&c, &o, 0, bare, &e), 0);
    assert_string_equal(o.model, "/home/her/m.gguf");
    assert_int_equal(o.seed, 7);
    assert_int_equal(o.strategy_count, 2);
    assert_string_equal(o.strategies[0], "tot");
    assert_string_equal(o.strategy, "beam,n=4");
    assert_true(o.ascii && !o.paused && o.kv_memory == (size_t)512 << 20);
    int line = 0;
    assert_string_equal(tui_config_origin(&c, &o, "seed", &line), "file");
    assert_int_equal(line, 2);
    assert_string_equal(tui_config_origin(&c, &o, "theme", &line), "default");
    tui_options_free(&o);
    tui_config_free(&c);
    assert_int_equal(effective(&c, &o, 0, given, &e), 0);
    assert_string_equal(o.model, "x.gguf");
    assert_int_equal(o.seed, 9);
    assert_int_equal(o.strategy_count, 1); /* not added to */
    assert_string_equal(tui_config_origin(&c, &o, "seed", &line), "option");
    tui_options_free(&o);
    tui_config_free(&c);
    setenv("ESPALIER_MODEL", "env.gguf", 1);
    assert_int_equal(effective(&c, &o, 0, bare, &e), 0);
    assert_null(o.model); /* the environment's is taken where models are opened */
    assert_string_equal(tui_config_origin(&c, &o, "model", &line), "environment");
    tui_options_free(&o);
    tui_config_free(&c);
    unsetenv("ESPALIER_MODEL");
    assert_int_equal(effective(&c, &o, 1, bare, &e), 0); /* a session that is there has these of its own */
    assert_true(!o.model && o.seed == 1 && !o.strategy_count && o.sampling.temperature < 0);
    assert_true(o.ascii && o.kv_memory);
    tui_options_free(&o);
    tui_config_free(&c);
}

static void test_copy(void **state)
{
    (void)state;
    struct tui_options a, b;
    struct error e;
    int help;
    char *argv[] = {"x", "-s", "tot", "-s", "beam", "-s", "dvts", "--adapter", "f", "what", "is", "it", NULL};
    assert_int_equal(tui_options_parse(12, argv, tui_command_explore.options, &a, &help, &e), 0);
    tui_options_copy(&b, &a);
    assert_int_equal(b.strategy_count, 3);
    assert_string_equal(b.strategies[2], "dvts");
    assert_ptr_not_equal(b.strategies, a.strategies);
    assert_int_equal(b.word_count, 3);
    assert_string_equal(b.words[2], "it");
    struct string text = {0};
    assert_true(tui_options_value(&b, "strategy", 1, &text) && !strcmp(text.text, "beam"));
    assert_false(tui_options_value(&b, "strategy", 3, &text));
    assert_false(tui_options_value(&b, "temperature", 0, &text));
    string_free(&text);
    tui_options_free(&a);
    tui_options_free(&b);
}

static void test_wrong(void **state)
{
    (void)state;
    static const struct { const char *text, *where, *what; } wrong[] = {
        {"sede: 7", "config.yaml:1:1: ", "sede"},
        {"\nseed: -7", "config.yaml:2:7: ", "seed -7: a whole number"},
        {"ascii: maybe", "config.yaml:1:8: ", "true"},
        {"theme: [a, b]", "config.yaml:1:8: ", "text"},
        {"seed: 1\nseed: 2", "config.yaml:2:1: ", "seed"},
        {"keys: {jj: k}", "config.yaml:1:8: ", "no key \"jj\""},
        {"keys: {ctrl-c: k}", "config.yaml:1:8: ", "stay"},
        {"keys: {ctrl-i: k}", "config.yaml:1:8: ", "no key"},
        {"keys: {f13: k}", "config.yaml:1:8: ", "no key"},
        {"keys: {space: k, ' ': j}", "config.yaml:1:18: ", "no key"},
        {"keys: {j: [k]}", "config.yaml:1:11: ", "text"},
        {"keys: {j: \"k\\tl\"}", "config.yaml:1:11: ", "no key is written so"},
        {"keys: {space: \":nonsense\"}", "config.yaml:1:15: ", "no command \"nonsense\"; there are run pause"},
        {"keys:\n  d: \":themes light\"", "config.yaml:2:6: ", "no command \"themes\""},
        {"keys: {d: \": \"}", "config.yaml:1:11: ", "no command \"\""},
        {"keys: {^c: k}", "config.yaml:1:8: ", "stay"},
        {"keys: {^I: k}", "config.yaml:1:8: ", "no key"},
        {"keys: {ctrl-N: k}", "config.yaml:1:8: ", "no key"},
        {"mouse: maybe", "config.yaml:1:8: ", "true"},
        {"keys: k", "config.yaml:1:7: ", "keys"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct tui_config c;
        struct error e = {0};
        write_config(wrong[i].text);
        int code = tui_config_open(&c, &e);
        if (code != ERROR_INPUT || !strstr(e.message, wrong[i].where) || !strstr(e.message, wrong[i].what))
            printf("%s\n  gives %d: %s\n", wrong[i].text, code, e.message);
        assert_int_equal(code, ERROR_INPUT);
        assert_non_null(strstr(e.message, wrong[i].where));
        assert_non_null(strstr(e.message, wrong[i].what));
        tui_config_free(&c);
    }
}

/* What "espalier config" prints, with every line a comment still. */
static void test_nothing_said(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# mouse: off\n", "---\n# seed: 7\n", "keys:\n  # J: 10j\nmouse:\ntheme:\nseed: ~\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct tui_config c;
        struct error e = {0};
        write_config(texts[i]);
        assert_int_equal(tui_config_open(&c, &e), 0);
        assert_true(c.mouse == -1 && !c.keys.count);
        tui_config_free(&c);
    }
}

static void test_keys(void **state)
{
    (void)state;
    struct tui_config c;
    struct error e = {0};
    write_config("keys:\n  J: 10j\n  d: p\n  f5: ':theme light'\n  ctrl-n: page-down\n  w: none\n  é: ':'\n  ^G: ^E\n  ^b: ^\n");
    assert_int_equal(tui_config_open(&c, &e), 0);
    const struct tui_binding *b = tui_keymap_find(&c.keys, 'J');
    assert_non_null(b);
    assert_int_equal(b->count, 3);
    assert_int_equal(b->keys[2], 'j');
    assert_string_equal(tui_keymap_find(&c.keys, TUI_KEY_F1 + 4)->command, "theme light");
    assert_int_equal(tui_keymap_find(&c.keys, 'N' - TUI_KEY_CONTROL)->keys[0], TUI_KEY_PAGE_DOWN);
    assert_int_equal(tui_keymap_find(&c.keys, 'w')->count, 0);
    assert_int_equal(tui_keymap_find(&c.keys, 0xe9)->keys[0], ':');
    assert_null(tui_keymap_find(&c.keys, 'j'));
    b = tui_keymap_find(&c.keys, 'G' - TUI_KEY_CONTROL);
    assert_true(b && b->count == 1 && b->keys[0] == 'E' - TUI_KEY_CONTROL);
    assert_int_equal(tui_keymap_find(&c.keys, 'B' - TUI_KEY_CONTROL)->keys[0], '^');
    assert_int_equal(c.mouse, -1);
    tui_config_free(&c);
}

static void test_mouse(void **state)
{
    (void)state;
    struct tui_config c;
    struct error e = {0};
    for (int on = 0; on < 2; on++) {
        write_config(on ? "mouse: on\n" : "theme: nord\nmouse: off\n");
        assert_int_equal(tui_config_open(&c, &e), 0);
        assert_int_equal(c.mouse, on);
        tui_config_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence), cmocka_unit_test(test_copy), cmocka_unit_test(test_wrong), cmocka_unit_test(test_nothing_said), cmocka_unit_test(test_keys), cmocka_unit_test(test_mouse),
    };
    if (!mkdtemp(folder) || setenv("XDG_CONFIG_HOME", folder, 1))
        return 1;
    char *path = xasprintf("%s/espalier", folder), *command = xasprintf("rm -rf '%s'", folder);
    mkdir(path, 0700);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    failed |= system(command) != 0;
    free(path);
    free(command);
    return failed;
}
