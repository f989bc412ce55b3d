/* Terminals that find characters wider or narrower than we do: what stands right of them is where it should be all the same. The other end is a
 * reader of our own, which counts as such a terminal does.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tui/terminal.h"

#include <locale.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { W = 60, H = 12, FRAMES = 60 };

/* --- what is drawn ----------------------------------------------------------------------------------------------- */

static const char *const pieces[] = {
    "plain words", "e\xcc\x81\xcc\x80 marks", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa flags",
    "\xe2\x9a\xa0\xef\xb8\x8f sign", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87",
    "\xd8\xa7\xd9\x84\xd8\xb3", "\xf0\x9f\xab\xa8 new", "\xef\xbd\xb1\xef\xbd\xb2", "\xc2\xb7 \xe2\x80\xa6 \xc3\xa9\xd0\xb6", "\xee\x80\x80 private", "",
};

/* Rows of stranger's text with lines and signs among it; a part of them changes from frame to frame. */
static void draw(struct tui_canvas *c, int frame)
{
    tui_canvas_size(c, W, H);
    for (int y = 0; y < H; y++) {
        const int since = frame - frame % (1 + y % 4), at = 3 + (int)(random_uniform(7, (uint64_t)y, (uint64_t)since) * 40); /* the row's latest change */
        struct string text = {0};
        for (int i = 0; i < 4; i++)
            string_addf(&text, "%s ", pieces[(int)(random_uniform((uint64_t)i, (uint64_t)y, (uint64_t)since) * (double)(sizeof pieces / sizeof *pieces))]);
        const struct tui_style style = {.role = (uint8_t)(y % 3)};
        tui_canvas_text(c, 0, y, 1, (struct tui_style){0}, "\xe2\x94\x82");
        tui_canvas_cut(c, 1, y, at, style, text.text);
        tui_canvas_text(c, 1 + at, y, 2, (struct tui_style){0}, "\xe2\x94\x82\xe2\x98\x85");
        tui_canvas_cut(c, 4 + at, y, W - 5 - at, style, text.text);
        tui_canvas_text(c, W - 1, y, 1, (struct tui_style){0}, "\xe2\x94\x82");
        string_free(&text);
    }
}

/* --- the other end ----------------------------------------------------------------------------------------------- */

struct reader {
    int32_t cells[H][W], last;
    int x, y, odd; /* odd: how many cells what is not usual takes */
    int parameters[16], count;
    char bytes[4];
    int state, byte_count, private;
};

static int is_usual(int32_t c)
{
    return c < 0x300 || (c >= 0x370 && c < 0x530) || (c >= 0x2010 && c < 0x2060) || (c >= 0x2190 && c < 0x2300) || (c >= 0x2500 && c < 0x2900);
}

static void show(struct reader *r, int32_t c)
{
    for (int i = is_usual(c) ? 1 : r->odd; i > 0; i--) {
        if (r->x >= W) {
            r->x = 0;
            r->y += r->y < H - 1;
        }
        r->cells[r->y][r->x++] = c;
    }
    r->last = c;
}

static void blank(struct reader *r, int y, int from, int end)
{
    for (int x = from; x < end && x < W; x++)
        r->cells[y][x] = ' ';
}

static void shift(struct reader *r, int by)
{
    int32_t row[W];
    memcpy(row, r->cells[r->y], sizeof row);
    for (int x = r->x; x < W; x++)
        r->cells[r->y][x] = x - by >= r->x && x - by < W ? row[x - by] : ' ';
}

static void control(struct reader *r, char final)
{
    const int n = r->count && r->parameters[0] ? r->parameters[0] : 1, mode = r->count ? r->parameters[0] : 0;
    if (r->private)
        return;
    switch (final) {
    case 'H': r->y = n - 1; r->x = (r->count > 1 && r->parameters[1] ? r->parameters[1] : 1) - 1; break;
    case 'A': r->y -= n; break;
    case 'B': r->y += n; break;
    case 'C': r->x += n; break;
    case 'D': r->x -= n; break;
    case 'G': r->x = n - 1; break;
    case 'd': r->y = n - 1; break;
    case 'K': blank(r, r->y, mode ? 0 : r->x, mode == 1 ? r->x + 1 : W); break;
    case 'X': blank(r, r->y, r->x, r->x + n); break;
    case '@': shift(r, n); break;
    case 'P': shift(r, -n); break;
    case 'b': for (int i = 0; i < n; i++) show(r, r->last); break;
    case 'J':
        blank(r, r->y, mode == 2 ? 0 : r->x, W);
        for (int y = mode == 2 ? 0 : r->y + 1; y < H; y++)
            blank(r, y, 0, W);
        break;
    case 'm': case 'r': case 'h': case 'l': case 't': break;
    default: fail_msg("the reader does not know CSI %c", final);
    }
    r->x = r->x < 0 ? 0 : r->x;
    r->y = r->y < 0 ? 0 : r->y >= H ? H - 1 : r->y;
}

enum { TEXT, ESCAPE, CONTROL, CHARSET };

/* 1: that was the end of a frame. */
static int take(struct reader *r, char c)
{
    switch (r->state) {
    case ESCAPE:
        r->state = c == '[' ? CONTROL : c == '(' || c == ')' ? CHARSET : TEXT;
        r->count = r->private = 0;
        memset(r->parameters, 0, sizeof r->parameters);
        return 0;
    case CHARSET:
        r->state = TEXT;
        return 0;
    case CONTROL:
        if (c >= '0' && c <= '9') {
            r->count += !r->count;
            r->parameters[r->count - 1] = 10 * r->parameters[r->count - 1] + c - '0';
        } else if (c == ';') {
            r->count += 1 + !r->count;
        } else if (c < '@') {
            r->private = 1;
        } else {
            r->state = TEXT;
            control(r, c);
            return r->private && c == 'l' && r->parameters[0] == 2026;
        }
        return 0;
    default:
        break;
    }
    if (c == '\033')
        r->state = ESCAPE;
    else if (c == '\r')
        r->x = 0;
    else if (c == '\b')
        r->x -= r->x > 0;
    else if (c == '\n')
        r->y += r->y < H - 1;
    else if ((unsigned char)c >= ' ') {
        r->bytes[r->byte_count++] = c;
        const unsigned char first = (unsigned char)r->bytes[0];
        if (r->byte_count == (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4)) {
            const char *p = r->bytes;
            show(r, utf8_next(&p, p + r->byte_count));
            r->byte_count = 0;
        }
    }
    return 0;
}

static void check_frame(const struct reader *r, int frame)
{
    struct tui_canvas c = {0};
    draw(&c, frame);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const struct tui_cell *cell = &c.cells[y * W + x];
            if (cell->width != 1 || cell->scalars[1] || !is_usual(cell->scalars[0]))
                continue;
            if (r->cells[y][x] != cell->scalars[0])
                fail_msg("odd ones %d wide, frame %d, row %d, column %d: U+%04X instead of U+%04X", r->odd, frame, y, x, r->cells[y][x], cell->scalars[0]);
        }
    tui_canvas_free(&c);
}

static void live(void)
{
    struct tui_theme theme;
    struct tui_canvas c = {0};
    struct error e;
    char go;
    if (tui_theme_open(NULL, &theme, &e) || tui_terminal_open(&theme, NULL, &e))
        _exit(99);
    for (int i = 0; i < FRAMES; i++) {
        draw(&c, i);
        tui_terminal_draw(&c);
        if (read(STDIN_FILENO, &go, 1) != 1)
            _exit(98);
    }
    tui_canvas_free(&c);
    tui_terminal_close();
    _exit(0);
}

static void check_terminal(int odd)
{
    struct winsize size = {.ws_row = H, .ws_col = W};
    struct reader r = {.odd = odd};
    int master, frame = 0, status;
    char buffer[4096];
    fflush(NULL);
    const pid_t child = forkpty(&master, NULL, NULL, &size);
    assert_true(child >= 0);
    if (!child)
        live();
    for (ssize_t n; (n = read(master, buffer, sizeof buffer)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            if (take(&r, buffer[i]) && frame < FRAMES) {
                check_frame(&r, frame++);
                assert_int_equal(write(master, "g", 1), 1);
            }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(frame, FRAMES);
    close(master);
}

static void test_widths(void **state)
{
    (void)state;
    for (int odd = 0; odd <= 2; odd++)
        check_terminal(odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_widths)};
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setlocale(LC_CTYPE, "");
    unsetenv("NO_COLOR");
    return cmocka_run_group_tests_name("widths", tests, NULL, NULL);
}
