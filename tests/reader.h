/* A program on a terminal that libvterm reads: what it shows, cell by cell; what else came; keys and the mouse as such a terminal sends them.
 * tmux is the first reader of the explorer's bytes (tests/e2e.sh), this is the second, written by others.
 * Included after cmocka.
 */
#ifndef ESPALIER_TESTS_READER_H
#define ESPALIER_TESTS_READER_H

#if !__has_include(<vterm.h>)
#error "libvterm is not here: make test-packages installs it (Debian: libvterm-dev)"
#endif
#include <vterm.h>

#include "kernels/kernels.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

struct reader {
    VTerm *vt;
    VTermScreen *screen;
    int master;
    pid_t child;
    struct termios line;             /* as it was before the program had it */
    int columns, rows;
    int alternate, visible, mouse;   /* as the terminal was told last */
    int bells, titles, scrolls, raw; /* raw: bytes a terminal acts on, and that nothing of ours sends */
    int clears, frames, cleared_at;  /* so often all was cleared, and a frame (of 256 colours) ended; which one cleared it last */
    VTermScreenCell *before;         /* what stood there as it was cleared last, [before_rows][before_columns] */
    int before_columns, before_rows;
    char held[16];                   /* bytes that may be the beginning of a mark, or are that of a character */
    size_t held_length;
    struct string answer;            /* what the terminal wants to say */
};

/* --- what it is told --------------------------------------------------------------------------------------------- */

static inline int reader_take_property(VTermProp property, VTermValue *value, void *user)
{
    struct reader *t = user;
    if (property == VTERM_PROP_ALTSCREEN)
        t->alternate = value->boolean;
    else if (property == VTERM_PROP_CURSORVISIBLE)
        t->visible = value->boolean;
    else if (property == VTERM_PROP_MOUSE)
        t->mouse = value->number;
    t->titles += property == VTERM_PROP_TITLE || property == VTERM_PROP_ICONNAME;
    return 1;
}

static inline int reader_take_bell(void *user)
{
    ((struct reader *)user)->bells++;
    return 1;
}

/* Curses moves what is in a row, and lines between two others. Where the first line goes with them it is the screen that scrolled. */
static inline int reader_take_move(VTermRect to, VTermRect from, void *user)
{
    ((struct reader *)user)->scrolls += to.start_row != from.start_row && (!to.start_row || !from.start_row);
    return 1;
}

static inline int reader_take_line(int columns, const VTermScreenCell *cells, void *user)
{
    (void)columns, (void)cells;
    ((struct reader *)user)->scrolls++;
    return 0;
}

static inline void reader_take_answer(const char *bytes, size_t n, void *user)
{
    string_append(&((struct reader *)user)->answer, bytes, n);
}

/* --- what it shows ----------------------------------------------------------------------------------------------- */

/* A cell as it looks: what was never written to is a blank, and of a blank neither the colour of its letter nor its weight is seen. */
static inline VTermScreenCell reader_cell(const struct reader *t, int x, int y)
{
    VTermScreenCell cell;
    memset(&cell, 0, sizeof cell);
    vterm_screen_get_cell(t->screen, (VTermPos){y, x}, &cell);
    if (!cell.chars[0])
        cell.chars[0] = ' ';
    return cell;
}

static inline int reader_same(const VTermScreenCell *a, const VTermScreenCell *b)
{
    const int blank = a->chars[0] == ' ' && !a->chars[1];
    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL; i++) {
        if (a->chars[i] != b->chars[i])
            return 0;
        if (!a->chars[i])
            break;
    }
    if (a->width != b->width || a->attrs.reverse != b->attrs.reverse || a->attrs.underline != b->attrs.underline)
        return 0;
    return vterm_color_is_equal(&a->bg, &b->bg) &&
           (blank || (a->attrs.bold == b->attrs.bold && a->attrs.italic == b->attrs.italic && vterm_color_is_equal(&a->fg, &b->fg)));
}

static inline void reader_keep(struct reader *t)
{
    t->before_columns = t->columns;
    t->before_rows = t->rows;
    t->before = xrealloc(t->before, (size_t)t->columns * (size_t)t->rows * sizeof *t->before);
    for (int y = 0; y < t->rows; y++)
        for (int x = 0; x < t->columns; x++)
            t->before[y * t->columns + x] = reader_cell(t, x, y);
}

static inline char *reader_text(const struct reader *t)
{
    struct string out = {0};
    const size_t room = (size_t)t->columns * VTERM_MAX_CHARS_PER_CELL * 4;
    char *row = xmalloc(room);
    for (int y = 0; y < t->rows; y++) {
        string_append(&out, row, vterm_screen_get_text(t->screen, row, room, (VTermRect){y, y + 1, 0, t->columns}));
        string_add(&out, "\n");
    }
    free(row);
    return out.text;
}

static inline int reader_says(const struct reader *t, const char *text)
{
    char *all = reader_text(t);
    const int has = strstr(all, text) != NULL;
    free(all);
    return has;
}

/* --- bytes ------------------------------------------------------------------------------------------------------- */

/* Curses moves by these, and chooses sets of characters; CAN goes before what restores a terminal after a fault. */
static inline void reader_count_raw(struct reader *t, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)bytes[i], next = i + 1 < n ? (unsigned char)bytes[i + 1] : 0;
        t->raw += (c < 0x20 && !strchr("\033\r\n\b\t\016\017", c)) || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
        t->raw += c == '\033' && next && strchr("]P^_X", next);
    }
}

/* All is cleared: what stood there is kept. The end of a frame is counted. */
static inline size_t reader_mark(struct reader *t, const char *bytes, size_t n, int *partial)
{
    static const struct { const char *bytes; int clears; } marks[] = {{"\033[H\033[2J", 1}, {"\033[H\033[J", 1}, {"\033[?2026l", 0}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const size_t length = strlen(marks[i].bytes), part = n < length ? n : length;
        if (memcmp(bytes, marks[i].bytes, part) != 0)
            continue;
        *partial = part < length;
        if (*partial)
            return 0;
        if (marks[i].clears) {
            reader_keep(t);
            t->cleared_at = t->frames;
        }
        t->clears += marks[i].clears;
        t->frames += !marks[i].clears;
        return length;
    }
    return 0;
}

static inline void reader_feed(struct reader *t, const char *bytes, size_t n)
{
    struct string all = {0};
    size_t from = 0, i = 0;
    string_append(&all, t->held, t->held_length);
    string_append(&all, bytes, n);
    t->held_length = 0;
    for (int partial = 0; i < all.length && !partial; i++) {
        if (all.text[i] != '\033')
            continue;
        vterm_input_write(t->vt, all.text + from, i - from);
        from = i;
        reader_mark(t, all.text + i, all.length - i, &partial);
        if (partial)
            t->held_length = all.length - i;
    }
    if (!t->held_length) /* libvterm 0.1.4 does not go on with a character in what it is given next */
        t->held_length = utf8_unfinished(all.text, all.length);
    const size_t end = all.length - t->held_length;
    memcpy(t->held, all.text + end, t->held_length);
    vterm_input_write(t->vt, all.text + from, end - from);
    reader_count_raw(t, all.text, end);
    string_free(&all);
}

static inline void reader_type(struct reader *t, const char *bytes, size_t n)
{
    assert_int_equal(write(t->master, bytes, n), n);
}

static inline void reader_answer(struct reader *t)
{
    if (t->answer.length)
        reader_type(t, t->answer.text, t->answer.length);
    string_clear(&t->answer);
}

/* Take what comes within so long. 1: something did; 0: nothing; -1: nothing more will. */
static inline int reader_wait(struct reader *t, int milliseconds)
{
    char buffer[65536];
    struct pollfd fd = {.fd = t->master, .events = POLLIN};
    if (poll(&fd, 1, milliseconds) < 1)
        return 0;
    const ssize_t n = read(t->master, buffer, sizeof buffer);
    if (n <= 0)
        return -1;
    reader_feed(t, buffer, (size_t)n);
    reader_answer(t);
    return 1;
}

/* --- keys, sizes, the end ---------------------------------------------------------------------------------------- */

static inline void reader_keys(struct reader *t, const char *keys)
{
    reader_type(t, keys, strlen(keys));
}

static inline void reader_key(struct reader *t, VTermKey key)
{
    vterm_keyboard_key(t->vt, key, VTERM_MOD_NONE);
    reader_answer(t);
}

static inline void reader_button(struct reader *t, int button, int pressed, int x, int y)
{
    vterm_mouse_move(t->vt, y, x, VTERM_MOD_NONE);
    string_clear(&t->answer); /* that it came there is not told */
    vterm_mouse_button(t->vt, button, pressed, VTERM_MOD_NONE);
    reader_answer(t);
}

static inline int reader_pastes(struct reader *t)
{
    vterm_keyboard_start_paste(t->vt);
    const int told = t->answer.length > 0;
    vterm_keyboard_end_paste(t->vt);
    string_clear(&t->answer);
    return told;
}

static inline void reader_size(struct reader *t, int columns, int rows)
{
    const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    while (reader_wait(t, 0) > 0) {
    }
    t->columns = columns;
    t->rows = rows;
    vterm_set_size(t->vt, rows, columns);
    assert_int_equal(ioctl(t->master, TIOCSWINSZ, &size), 0);
}

static inline void reader_open(struct reader *t, const char *term, int columns, int rows, char *const *argv)
{
    static const VTermScreenCallbacks callbacks = {
        .settermprop = reader_take_property, .bell = reader_take_bell, .moverect = reader_take_move, .sb_pushline = reader_take_line};
    const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    int slave;
    *t = (struct reader){.columns = columns, .rows = rows, .visible = 1};
    t->vt = vterm_new(rows, columns);
    vterm_set_utf8(t->vt, 1);
    vterm_output_set_callback(t->vt, reader_take_answer, t);
    t->screen = vterm_obtain_screen(t->vt);
    vterm_screen_enable_altscreen(t->screen, 1);
    vterm_screen_set_callbacks(t->screen, &callbacks, t);
    vterm_screen_reset(t->screen, 1);
    assert_int_equal(openpty(&t->master, &slave, NULL, NULL, &size), 0);
    tcgetattr(slave, &t->line);
    fflush(NULL);
    t->child = fork();
    assert_true(t->child >= 0);
    if (!t->child) {
        close(t->master);
        setenv("TERM", term, 1);
        if (!login_tty(slave))
            execv(argv[0], argv);
        _exit(127);
    }
    close(slave);
}

static inline void reader_close(struct reader *t)
{
    vterm_free(t->vt);
    close(t->master);
    free(t->before);
    string_free(&t->answer);
}

#endif
