/* Screens compared with those stored in tests/golden/, cell by cell; keys pressed on them. After cmocka.h. */
#ifndef ESPALIER_TESTS_GOLDEN_H
#define ESPALIER_TESTS_GOLDEN_H

#include "tests/screen_script.h"

#include <utf8proc.h>

static int golden_updating;

static inline char *read_golden(const char *path)
{
    FILE *f = fopen(path, "r");
    struct string text = {0};
    char buffer[4096];
    size_t n;
    while (f && (n = fread(buffer, 1, sizeof buffer, f)) > 0)
        string_append(&text, buffer, n);
    if (f)
        fclose(f);
    return text.text;
}

/* Against the file of that name, or into it. */
static inline void compare_text(const char *name, int columns, int rows, const char *now)
{
    char *path = xasprintf("tests/golden/%s-%dx%d.txt", name, columns, rows);
    if (golden_updating) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(now, f);
        fclose(f);
    } else {
        char *golden = read_golden(path);
        if (!golden || strcmp(golden, now))
            printf("%s differs; now it is\n%s", path, now);
        assert_non_null(golden);
        assert_string_equal(now, golden);
        free(golden);
    }
    free(path);
}

/* The dump, a line of four dashes, the roles. Wide screens only as text: the smaller ones have told the roles. */
static inline void compare(struct tui_screen *s, const char *name, int columns, int rows)
{
    struct string now = {0};
    tui_screen_draw(s, columns, rows);
    tui_canvas_dump(&s->canvas, &now);
    if (columns <= 80) {
        string_add(&now, "----\n");
        tui_canvas_dump_roles(&s->canvas, &now);
    }
    compare_text(name, columns, rows, now.text);
    string_free(&now);
}

static inline void press(struct tui_screen *s, const char *keys)
{
    for (; *keys; keys++)
        tui_screen_key(s, *keys);
}

static inline int shows_at(struct tui_screen *s, const char *text, int columns, int rows)
{
    struct string out = {0};
    tui_screen_draw(s, columns, rows);
    tui_canvas_dump(&s->canvas, &out);
    int found = strstr(string_text(&out), text) != NULL;
    string_free(&out);
    return found;
}

static inline int shows(struct tui_screen *s, const char *text)
{
    return shows_at(s, text, 80, 24);
}

/* Nothing in the dump acts on a terminal, and every row has exactly the columns it should. */
static inline void check_dump(const struct tui_canvas *c)
{
    for (int y = 0; y < c->h; y++) {
        int columns = 0;
        for (int x = 0; x < c->w; x++) {
            const struct tui_cell *cell = &c->cells[y * c->w + x];
            assert_in_range(cell->width, 0, 2);
            columns += cell->width;
            if (cell->width == 2) {
                assert_true(x + 1 < c->w);
                assert_int_equal(cell[1].width, 0);
            }
            if (cell->width == 0)
                assert_true(x > 0 && cell[-1].width == 2 && !cell->scalars[0]);
            else
                assert_true(cell->scalars[0] >= ' ');
            for (int i = 0; i < TUI_CLUSTER && cell->scalars[i]; i++) {
                int category = (int)utf8proc_category(cell->scalars[i]);
                assert_true(category != UTF8PROC_CATEGORY_CC && category != UTF8PROC_CATEGORY_CF && category != UTF8PROC_CATEGORY_CS);
                assert_true(cell->scalars[i] != 0x2028 && cell->scalars[i] != 0x2029);
                if (c->ascii)
                    assert_in_range(cell->scalars[i], ' ', '~');
            }
        }
        assert_int_equal(columns, c->w);
    }
}

static inline int close_script(void **state)
{
    (void)state;
    for (int i = 0; i < script_word_count; i++)
        free(script_words[i]);
    free(script_words);
    script_words = NULL;
    script_word_count = script_word_capacity = 0;
    return 0;
}

#endif
