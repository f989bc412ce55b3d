/* Keys as screens know them: a Unicode scalar, or one of these. Only tui/keyboard.c knows the codes of curses. */
#ifndef ESPALIER_TUI_KEY_H
#define ESPALIER_TUI_KEY_H

enum tui_key {
    TUI_KEY_NONE = 0,
    TUI_KEY_TAB = '\t',
    TUI_KEY_ENTER = '\r',
    TUI_KEY_ESCAPE = 27,
    TUI_KEY_CONTROL = 0x40, /* ^C is 'C' - TUI_KEY_CONTROL */
    TUI_KEY_UP = 0x110000,  /* beyond Unicode */
    TUI_KEY_DOWN,
    TUI_KEY_LEFT,
    TUI_KEY_RIGHT,
    TUI_KEY_HOME,
    TUI_KEY_END,
    TUI_KEY_PAGE_UP,
    TUI_KEY_PAGE_DOWN,
    TUI_KEY_BACK_TAB,
    TUI_KEY_BACKSPACE,
    TUI_KEY_DELETE,
    TUI_KEY_PASTE_BEGINS, /* what comes until it ends is text, whatever it looks like */
    TUI_KEY_PASTE_ENDS,
    TUI_KEY_F1,
    TUI_KEY_F12 = TUI_KEY_F1 + 11,
    TUI_KEY_RESIZE, /* the terminal has another size now */
    TUI_KEY_MOUSE,  /* tui_terminal_mouse says what it did */
    TUI_KEY_OTHER,  /* one we have no use for */
};

struct tui_mouse {
    enum { TUI_MOUSE_NOTHING, TUI_MOUSE_PRESS, TUI_MOUSE_DRAG, TUI_MOUSE_RELEASE, TUI_MOUSE_WHEEL_UP, TUI_MOUSE_WHEEL_DOWN } what;
    int x, y; /* of the screen, from 0 */
};

#endif
