#include "tui/keyboard.h"
#include "kernels/kernels.h"

#include <curses.h>
#include <string.h>

enum { KEY_PASTE_BEGINS = KEY_MAX + 100, KEY_PASTE_ENDS };

void tui_keyboard_open(struct tui_keyboard *k, const char *paste_begins, const char *paste_ends)
{
    *k = (struct tui_keyboard){.window = newwin(1, 1, 0, 0)};
    keypad(k->window, TRUE);
    nodelay(k->window, TRUE);
    if (paste_begins)
        define_key(paste_begins, KEY_PASTE_BEGINS);
    if (paste_ends)
        define_key(paste_ends, KEY_PASTE_ENDS);
}

void tui_keyboard_close(struct tui_keyboard *k)
{
    delwin(k->window);
    k->window = NULL;
}

static int32_t key_of_code(int code)
{
    static const struct {
        int code;
        int32_t key;
    } keys[] = {
        {KEY_UP, TUI_KEY_UP},         {KEY_DOWN, TUI_KEY_DOWN},   {KEY_LEFT, TUI_KEY_LEFT},       {KEY_RIGHT, TUI_KEY_RIGHT},
        {KEY_HOME, TUI_KEY_HOME},     {KEY_END, TUI_KEY_END},     {KEY_PPAGE, TUI_KEY_PAGE_UP},   {KEY_NPAGE, TUI_KEY_PAGE_DOWN},
        {KEY_ENTER, TUI_KEY_ENTER},   {KEY_BTAB, TUI_KEY_BACK_TAB}, {KEY_RESIZE, TUI_KEY_RESIZE},
        {KEY_BACKSPACE, TUI_KEY_BACKSPACE}, {KEY_DC, TUI_KEY_DELETE}, {KEY_PASTE_BEGINS, TUI_KEY_PASTE_BEGINS}, {KEY_PASTE_ENDS, TUI_KEY_PASTE_ENDS},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].code == code)
            return keys[i].key;
    return code >= KEY_F(1) && code <= KEY_F(12) ? TUI_KEY_F1 + (code - KEY_F(1)) : TUI_KEY_OTHER;
}

static int kind_of(mmask_t state)
{
    static const struct { mmask_t mask; int what; } kinds[] = {
        {BUTTON4_PRESSED, TUI_MOUSE_WHEEL_UP}, {BUTTON5_PRESSED, TUI_MOUSE_WHEEL_DOWN}, {BUTTON1_PRESSED, TUI_MOUSE_PRESS},
        {BUTTON1_RELEASED, TUI_MOUSE_RELEASE}, {REPORT_MOUSE_POSITION, TUI_MOUSE_DRAG},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (state & kinds[i].mask)
            return kinds[i].what;
    return TUI_MOUSE_NOTHING;
}

static int32_t next_move(struct tui_keyboard *k)
{
    if (!k->move_count)
        return TUI_KEY_OTHER;
    k->moved = k->moves[0];
    memmove(k->moves, k->moves + 1, (size_t)--k->move_count * sizeof *k->moves);
    return TUI_KEY_MOUSE;
}

/* One key may stand for several moves that came together, of which curses gives the latest first. */
static int32_t take_mouse(struct tui_keyboard *k)
{
    MEVENT event;
    k->move_count = 0;
    while (k->move_count < TUI_MOVES && getmouse(&event) == OK) {
        memmove(k->moves + 1, k->moves, (size_t)k->move_count++ * sizeof *k->moves);
        k->moves[0] = (struct tui_mouse){kind_of(event.bstate), event.x, event.y};
    }
    return next_move(k);
}

/* The next character of the bytes that came, U+FFFD for each that is of none; -1: what there is may be the beginning of one. */
static int32_t next_scalar(struct tui_keyboard *k)
{
    const size_t n = (size_t)k->byte_count;
    if (!n || (!k->code && utf8_unfinished(k->bytes, n) == n))
        return -1;
    const char *p = k->bytes;
    const int32_t scalar = utf8_next(&p, k->bytes + k->byte_count);
    k->byte_count -= (int)(p - k->bytes);
    memmove(k->bytes, p, (size_t)k->byte_count);
    return scalar < 0 ? 0xfffd : scalar == '\n' ? TUI_KEY_ENTER : scalar;
}

/* Bytes become characters here: curses keeps those that are of none, and all that come after them. */
int32_t tui_keyboard_key(struct tui_keyboard *k)
{
    if (k->move_count)
        return next_move(k);
    for (;;) {
        const int32_t scalar = next_scalar(k);
        if (scalar >= 0)
            return scalar;
        const int code = k->code ? k->code : wgetch(k->window);
        k->code = 0;
        if (code == ERR)
            return TUI_KEY_NONE;
        if (code < KEY_MIN)
            k->bytes[k->byte_count++] = (char)code;
        else if (k->byte_count)
            k->code = code;
        else
            return code == KEY_MOUSE ? take_mouse(k) : key_of_code(code);
    }
}
