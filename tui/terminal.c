#define _GNU_SOURCE /* memfd_create */
#include "tui/terminal.h"
#include "tui/keyboard.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#undef columns /* term.h gives capabilities such names */
#undef lines


/* Noted, and acted on by the loop: the first ENDING end a program that does not know better. SIGXFSZ is ignored by main: a write tells of it. */
static const int asking[] = {SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPOLL, SIGXCPU, SIGPIPE, SIGSTKFLT, SIGPWR,
                             SIGINT, SIGTSTP, SIGCONT};
static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP}; /* nothing goes on after these */
enum { ASKING = sizeof asking / sizeof *asking, ENDING = ASKING - 3, FATAL = sizeof fatal / sizeof *fatal };

/* Moves while a button is held are told, too; curses itself only asks for presses. Harmless where nobody knows it. */
#define MOUSE_DRAGS_ON "\033[?1002h"
#define MOUSE_DRAGS_OFF "\033[?1002l"
#define MOUSE_OFF "\033[?1006;1002;1000l"

/* The one terminal. What signal handlers touch is set before they are installed and not changed while they are. */
static struct {
    SCREEN *screen;
    const struct tui_theme *theme;
    int direct, colors, own;      /* colors: 0 mono; direct: colours are numbers 0xRRGGBB; own: it can go back to its own */
    int synchronized;
    const char *paste_on, *paste_off; /* or NULL */
    int mouse, mouse_wanted;      /* mouse: it is ours now */
    struct tui_keyboard keyboard;
    struct tui_canvas shown;
    struct string unsettled;      /* a byte for each row of a frame: it has cells to be placed after curses has sent its own */
    int repaint;
    struct tui_record *record;    /* or NULL */
    int capture;                  /* where curses writes while a frame is gathered, or what leaves its screen is recorded; -1: it cannot be */
    int gathering;                /* a frame is: it goes out in one piece, for each wakes whoever reads, on a core that the model computes on */
    struct string frame;
    struct {
        int ready, pair;
        attr_t attributes;
    } looks[TUI_STYLES][TUI_LEVELS][TUI_GROUNDS];
    struct sigaction before[NSIG]; /* of the signals we handle */
    atomic_int asked[ASKING];
    atomic_int ending;            /* a signal that ends the program has come; 0: none */
    atomic_int late;              /* how many seconds it has waited for the loop */
    atomic_int lent;              /* to another program: until that is back nobody hurries */
    pthread_t thread;
    int signalled;                /* readable after a signal: libraries have threads of their own, which may get it in our place */

    /* For a way out from anywhere: plain file descriptors and bytes. */
    atomic_int open;
    int tty, null, errors, errors_file; /* errors: where standard error went before */
    int brief;                    /* the terminal once more, for writes that do not wait; -1: it cannot be opened so */
    struct termios saved;
    char restore[512];
    size_t restore_length;
} terminal = {.tty = -1};

/* --- the way out ------------------------------------------------------------------------------------------------- */

static void write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        bytes += done;
        n -= (size_t)done;
    }
}

/* The bytes that give the terminal back. One that is not being read takes nothing: a second is enough to wait for it, of which most may be over. */
static void write_restore(void)
{
    struct pollfd fd = {.fd = terminal.brief >= 0 ? terminal.brief : terminal.tty, .events = POLLOUT};
    const char *bytes = terminal.restore;
    size_t n = terminal.restore_length;
    for (int waits = terminal.late ? 7 : 0; n && waits < 10;) {
        const ssize_t done = write(fd.fd, bytes, n);
        if (done > 0) {
            bytes += done;
            n -= (size_t)done;
        } else if (done < 0 && errno == EAGAIN) {
            poll(&fd, 1, 100);
            waits++;
        } else if (done == 0 || errno != EINTR) {
            return;
        }
    }
}

/* Standard error back in its place, and what was said meanwhile said there. Safe in a signal handler. */
static void restore_errors(void)
{
    char buffer[4096];
    ssize_t n;
    off_t at = 0;
    if (terminal.errors < 0)
        return;
    dup2(terminal.errors, STDERR_FILENO);
    while ((n = pread(terminal.errors_file, buffer, sizeof buffer, at)) > 0) {
        write_all(STDERR_FILENO, buffer, (size_t)n);
        at += n;
    }
}

/* Without curses, which may be in the middle of anything: from a signal handler, or from exit() in another thread. What the
 * terminal's thread still draws goes nowhere. */
static void restore_at_once(void)
{
    if (!atomic_exchange(&terminal.open, 0))
        return;
    dup2(terminal.null, STDOUT_FILENO);
    write_restore();
    tcsetattr(terminal.tty, TCSANOW, &terminal.saved);
    restore_errors();
}

static void take_fatal(int number)
{
    restore_at_once();
    sigaction(number, &terminal.before[number], NULL);
    raise(number); /* pending until this returns; then it ends the program as if we had never been here */
}

static void wake(void)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t written = write(terminal.signalled, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
    errno = saved;
}

/* Whoever is to end has a second to come to it. */
static void hurry(void)
{
    if (terminal.open && terminal.ending && !terminal.lent)
        alarm(1);
}

static void take_asking(int number)
{
    for (int i = 0; i < ASKING; i++)
        if (asking[i] == number) {
            terminal.asked[i] = 1;
            if (i < ENDING && !terminal.ending)
                terminal.ending = number;
        }
    hurry();
    wake();
}

/* Ours, where the program is ending: the loop waits for a terminal that takes nothing. What is still written goes nowhere from here on, and
 * the write under way ends with EINTR. Where even that does not help, the signal that came ends the program from here. */
static void take_alarm(int number)
{
    const int saved = errno;
    if (!terminal.ending) {
        take_asking(number);
    } else if (!pthread_equal(pthread_self(), terminal.thread)) {
        pthread_kill(terminal.thread, number);
    } else if (terminal.late++) {
        restore_at_once();
        signal(terminal.ending, SIG_DFL);
        raise(terminal.ending);
    } else {
        dup2(terminal.null, STDOUT_FILENO);
        hurry();
    }
    errno = saved;
}

static void take_resize(int number)
{
    terminal.before[number].sa_handler(number); /* curses' own, which makes a key of it */
    wake();
}

static int add_restore(int c)
{
    if (terminal.restore_length < sizeof terminal.restore)
        terminal.restore[terminal.restore_length++] = (char)c;
    return c;
}

/* The bytes that undo what curses and we do to a terminal. CAN first: a sequence may have been cut in its middle. */
static void build_restore(void)
{
    const char *parts[] = {"\x18", terminal.synchronized ? "\033[?2026l" : NULL, terminal.paste_off, key_mouse ? MOUSE_OFF : NULL, exit_attribute_mode, orig_pair,
                           keypad_local, exit_ca_mode, cursor_normal, "\r"};
    terminal.restore_length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i])
            tputs(parts[i], 1, add_restore);
}

/* A stack that has run over cannot carry its own handler. */
void tui_terminal_guard_stack(void *memory, size_t bytes)
{
    stack_t stack = {.ss_sp = memory, .ss_size = bytes}, before;
    if (!sigaltstack(NULL, &before) && before.ss_flags & SS_DISABLE) /* a sanitizer may have given one already */
        sigaltstack(&stack, NULL);
}

static void set_handler(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigfillset(&action.sa_mask);
    sigaction(number, &action, &terminal.before[number]);
}

static void install_handlers(void)
{
    struct sigaction resize;
    terminal.ending = terminal.late = terminal.lent = 0;
    terminal.thread = pthread_self();
    for (int i = 0; i < ASKING; i++) {
        terminal.asked[i] = 0;
        set_handler(asking[i], asking[i] == SIGALRM ? take_alarm : take_asking, asking[i] == SIGALRM ? 0 : SA_RESTART);
    }
    for (int i = 0; i < FATAL; i++)
        set_handler(fatal[i], take_fatal, SA_ONSTACK);
    if (!sigaction(SIGWINCH, NULL, &resize) && resize.sa_handler != SIG_DFL && resize.sa_handler != SIG_IGN) {
        terminal.before[SIGWINCH] = resize;
        set_handler(SIGWINCH, take_resize, SA_RESTART);
    }
}

static void remove_handlers(void)
{
    for (int i = 0; i < ASKING; i++)
        sigaction(asking[i], &terminal.before[asking[i]], NULL);
    for (int i = 0; i < FATAL; i++)
        sigaction(fatal[i], &terminal.before[fatal[i]], NULL);
    signal(SIGWINCH, SIG_DFL);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

int tui_terminal_check(struct error *e)
{
    const char *name = getenv("TERM");
    int status;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return error_set(e, ERROR_INPUT, "standard %s is no terminal: the explorer needs one; `espalier run` works without",
                         isatty(STDIN_FILENO) ? "output" : "input");
    if (!name || !*name)
        return error_set(e, ERROR_INPUT, "TERM is not set: the explorer must know the terminal; `espalier run` works without");
    if (setupterm(NULL, STDOUT_FILENO, &status) != 0)
        return error_set(e, ERROR_INPUT, "the terminal TERM=%s is not known here: set TERM to one that is, or use `espalier run`", name);
    int able = cursor_address && clear_screen;
    del_curterm(cur_term);
    if (!able)
        return error_set(e, ERROR_INPUT, "TERM=%s cannot place its cursor: the explorer needs that; `espalier run` works without", name);
    return OK;
}

static const char *extended(const char *name)
{
    char *text = tigetstr(name);
    return text && text != (char *)-1 ? text : NULL;
}

static void open_colors(void)
{
    const char *no_color = getenv("NO_COLOR");
    terminal.colors = 0;
    if ((no_color && *no_color) || !has_colors() || start_color() == ERR)
        return;
    terminal.own = use_default_colors() != ERR;
    terminal.colors = COLORS;
    terminal.direct = COLORS >= 1 << 24 && (tigetflag("RGB") > 0 || tigetnum("RGB") > 0 || extended("RGB"));
}

static void open_keyboard(void)
{
    const char *begins = extended("PS"), *ends = extended("PE");
    terminal.paste_on = extended("BE");
    terminal.paste_off = extended("BD");
    if (!terminal.paste_on || !terminal.paste_off || !begins || !ends)
        terminal.paste_on = terminal.paste_off = begins = ends = NULL;
    tui_keyboard_open(&terminal.keyboard, begins, ends);
}

/* To the terminal and into the record; of a frame not before it is whole. */
static void put_out(const char *bytes, size_t n)
{
    if (terminal.gathering) {
        string_append(&terminal.frame, bytes, n);
        return;
    }
    if (terminal.record)
        tui_record_write(terminal.record, bytes, n);
    write_all(STDOUT_FILENO, bytes, n);
}

static void send(const char *bytes)
{
    if (bytes)
        put_out(bytes, strlen(bytes));
}

/* Curses writes to the descriptor it was opened with: meanwhile that is a file in memory, and the terminal gets it from there. */
static void begin_capture(void)
{
    if (terminal.capture >= 0)
        dup2(terminal.capture, STDOUT_FILENO);
}

static void end_capture(void)
{
    char buffer[65536];
    ssize_t n;
    off_t at = 0;
    if (terminal.capture < 0)
        return;
    dup2(terminal.open && !terminal.late ? terminal.tty : terminal.null, STDOUT_FILENO); /* closed: by a fault in another thread */
    while ((n = pread(terminal.capture, buffer, sizeof buffer, at)) > 0) {
        put_out(buffer, (size_t)n);
        at += n;
    }
    if (!ftruncate(terminal.capture, 0))
        lseek(terminal.capture, 0, SEEK_SET);
}

static struct string placed; /* tputs takes a function of a byte alone */

static int add_placed(int c)
{
    string_append(&placed, &(char){(char)c}, 1);
    return c;
}

void tui_terminal_mouse_on(int on)
{
    mmask_t all = BUTTON1_PRESSED | BUTTON1_RELEASED | BUTTON4_PRESSED | BUTTON5_PRESSED | REPORT_MOUSE_POSITION;
    terminal.mouse_wanted = on;
    if (!terminal.open || on == terminal.mouse || !key_mouse)
        return;
    terminal.mouse = on;
    if (!on)
        send(MOUSE_DRAGS_OFF);
    mousemask(on ? all : 0, NULL);
    fflush(stdout);
    if (on)
        send(MOUSE_DRAGS_ON);
}

static void redirect_errors(void)
{
    fflush(stderr);
    FILE *file = tmpfile();
    terminal.errors = -1;
    if (!file)
        return;
    terminal.errors_file = dup(fileno(file));
    fclose(file);
    terminal.errors = dup(STDERR_FILENO);
    dup2(terminal.errors_file, STDERR_FILENO);
}

static int add_recorded(int c)
{
    tui_record_write(terminal.record, &(char){(char)c}, 1);
    return c;
}

/* Curses has told the terminal to show its other screen already. */
static void open_record(struct tui_record *record)
{
    int columns, rows;
    terminal.capture = memfd_create("espalier", MFD_CLOEXEC);
    terminal.record = terminal.capture < 0 ? NULL : record;
    if (!terminal.record)
        return;
    tui_terminal_size(&columns, &rows);
    tui_record_size(record, columns, rows);
    if (enter_ca_mode)
        tputs(enter_ca_mode, 1, add_recorded);
}

int tui_terminal_open(const struct tui_theme *theme, struct tui_record *record, struct error *e)
{
    static int registered;
    static char stack[TUI_GUARD_STACK];
    int code = tui_terminal_check(e);
    if (code)
        return code;
    terminal.theme = theme;
    terminal.tty = dup(STDOUT_FILENO);
    terminal.null = open("/dev/null", O_WRONLY);
    const char *name = ttyname(STDOUT_FILENO); /* another opening: that it does not wait is not for the shell to find */
    terminal.brief = name ? open(name, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;
    tcgetattr(terminal.tty, &terminal.saved);
    set_escdelay(25);
    use_tioctl(TRUE); /* the size is the terminal's, not that of $LINES and $COLUMNS */
    terminal.signalled = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    terminal.screen = newterm(NULL, stdout, stdin);
    if (!terminal.screen || terminal.null < 0 || terminal.signalled < 0) {
        if (terminal.screen)
            endwin();
        return error_set(e, ERROR_INPUT, "the terminal could not be opened; `espalier run` works without");
    }
    raw();
    noecho();
    nonl();
    curs_set(0);
    typeahead(-1); /* a frame is sent whole: what curses left out for a key would stay so until something else changes */
    mouseinterval(0);
    open_colors();
    open_keyboard();
    memset(terminal.looks, 0, sizeof terminal.looks);
    terminal.synchronized = terminal.colors >= 256; /* a terminal of our days: others need not be told what they do not know */
    build_restore();
    redirect_errors();
    terminal.open = 1;
    if (!registered)
        atexit(restore_at_once);
    registered = 1;
    tui_terminal_guard_stack(stack, sizeof stack);
    install_handlers();
    open_record(record);
    send(terminal.paste_on);
    terminal.repaint = 1;
    return OK;
}

/* Curses shows the cursor before it leaves its screen. Where leaving brings back a cursor saved while it was hidden (libvterm does), it is shown once
 * more. */
static void end_screen(void)
{
    begin_capture();
    endwin();
    end_capture();
    if (cursor_normal)
        tputs(cursor_normal, 1, add_placed);
    send(string_text(&placed));
    string_free(&placed);
}

void tui_terminal_close(void)
{
    if (!terminal.open)
        return;
    tui_terminal_mouse_on(0);
    send(terminal.paste_off);
    end_screen();
    if (terminal.late)
        write_restore();
    tcsetattr(terminal.tty, terminal.late ? TCSANOW : TCSADRAIN, &terminal.saved);
    restore_errors();
    terminal.open = 0;
    alarm(0);
    remove_handlers();
    tui_keyboard_close(&terminal.keyboard);
    delscreen(terminal.screen);
    tui_canvas_free(&terminal.shown);
    string_free(&terminal.unsettled);
    string_free(&terminal.frame);
    close(terminal.tty);
    close(terminal.null);
    if (terminal.brief >= 0)
        close(terminal.brief);
    close(terminal.signalled);
    if (terminal.capture >= 0)
        close(terminal.capture);
    terminal.record = NULL;
    if (terminal.errors >= 0) {
        close(terminal.errors);
        close(terminal.errors_file);
    }
}

void tui_terminal_size(int *columns, int *rows)
{
    getmaxyx(stdscr, *rows, *columns);
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

static attr_t curses_attributes(unsigned a)
{
    return (attr_t)((a & TUI_BOLD ? A_BOLD : 0) | (a & TUI_FAINT ? A_DIM : 0) | (a & TUI_ITALIC ? A_ITALIC : 0) |
                    (a & TUI_UNDERLINE ? A_UNDERLINE : 0) | (a & TUI_REVERSE ? A_REVERSE : 0));
}

/* Where colours are numbers, those below 8 are the palette's still. */
static int direct_color(int color)
{
    return color > 0 && color < 8 ? 8 : color;
}

static void find_look(struct tui_style style, attr_t *attributes, int *pair)
{
    __typeof__(&terminal.looks[0][0][0]) look = &terminal.looks[style.role][style.level][style.ground];
    if (!look->ready) {
        struct tui_look l = terminal.direct ? tui_theme_look(terminal.theme, style) : tui_theme_mapped(terminal.theme, style, terminal.colors);
        if (terminal.direct) {
            l.color = direct_color(l.color);
            l.background = direct_color(l.background);
        }
        if (!terminal.own) {
            l.color = l.color < 0 ? COLOR_WHITE : l.color;
            l.background = l.background < 0 ? COLOR_BLACK : l.background;
        }
        int p = terminal.colors ? alloc_pair(l.color, l.background) : 0;
        look->pair = p > 0 ? p : 0;
        look->attributes = curses_attributes(l.attributes);
    }
    look->ready = 1;
    *attributes = look->attributes;
    *pair = look->pair;
}

static int scalars_of(const struct tui_cell *cell)
{
    int n = 0;
    while (n < TUI_CLUSTER && cell->scalars[n])
        n++;
    return n;
}

/* Blanks stand in for what is not settled: curses must not count on where that leaves the cursor. place_unsettled puts it there. */
static void put_cell(int y, int x, const struct tui_cell *cell)
{
    wchar_t text[TUI_CLUSTER + 1] = {(wchar_t)cell->scalars[0]};
    attr_t attributes;
    int pair;
    cchar_t out;
    find_look(cell->style, &attributes, &pair);
    if (!tui_cell_is_settled(cell))
        text[0] = L' ';
    else if (wcwidth(text[0]) != 1) /* curses counts with the C library's widths */
        text[0] = L'?';
    setcchar(&out, text, attributes, 0, &pair);
    for (int i = 0; i < cell->width; i++)
        mvwadd_wch(stdscr, y, x + i, &out);
}

/* --- what terminals may find wider, or narrower, than we do ------------------------------------------------------- */

/* Curses sends the way back to a terminal's own colours with its next frame, whoever is given the rest of a look. So here it is sent as well; each
 * look begins from there, and the last ends there: what comes late changes nothing. */
static void place_plain(void)
{
    vid_puts(A_NORMAL, 0, &(int){0}, add_placed);
    if (terminal.colors && orig_pair)
        tputs(orig_pair, 1, add_placed);
}

static void place_look(struct tui_style style)
{
    static struct tui_style last; /* counts while something is placed */
    attr_t attributes;
    int pair;
    if (placed.length && !memcmp(&style, &last, sizeof style))
        return;
    last = style;
    find_look(style, &attributes, &pair);
    place_plain();
    vid_puts(attributes, (short)pair, &pair, add_placed);
}

static void place_cell(int y, int x, const struct tui_cell *cell)
{
    char bytes[MB_LEN_MAX];
    place_look(cell->style);
    tputs(tparm(cursor_address, y, x, 0, 0, 0, 0, 0, 0, 0), 1, add_placed);
    for (int i = 0; i < scalars_of(cell); i++) {
        mbstate_t none = {0};
        const size_t n = wcrtomb(bytes, (wchar_t)cell->scalars[i], &none);
        if (n != (size_t)-1)
            string_append(&placed, bytes, n);
    }
}

/* Each by an absolute move, and again what stands right of it as far as it may have reached. At the margin it would wrap: the blank stays. */
static void place_unsettled(int y, const struct tui_cell *row, int w)
{
    for (int x = 0, covered = 0; x < w; x++) {
        const struct tui_cell *cell = &row[x];
        const int unsettled = cell->width && !tui_cell_is_settled(cell), most = x + 2 * scalars_of(cell);
        if (unsettled ? most <= w : cell->width && x < covered)
            place_cell(y, x, cell);
        if (unsettled && most > covered)
            covered = most;
    }
}

static int has_unsettled(const struct tui_cell *row, int w)
{
    for (int x = 0; x < w; x++)
        if (row[x].width && !tui_cell_is_settled(&row[x]))
            return 1;
    return 0;
}

/* After curses. The cursor ends where curses counts on it. */
static void send_placed(const struct tui_canvas *canvas, int columns)
{
    int y, x;
    for (size_t row = 0; row < terminal.unsettled.length; row++)
        if (terminal.unsettled.text[row])
            place_unsettled((int)row, canvas->cells + row * (size_t)canvas->w, columns);
    if (!placed.length)
        return;
    place_plain();
    getyx(curscr, y, x);
    tputs(tparm(cursor_address, y, x, 0, 0, 0, 0, 0, 0, 0), 1, add_placed);
    send(placed.text);
    string_free(&placed);
}

/* Cells of a row that changed. Where one of them is not settled all of the row is sent: nobody knows what it left behind. */
static int draw_row(int y, const struct tui_cell *row, struct tui_cell *shown, int w)
{
    const int changed = memcmp(row, shown, (size_t)w * sizeof *row) != 0, unsettled = changed && (has_unsettled(row, w) || has_unsettled(shown, w));
    for (int x = 0; x < w && changed; x++)
        if (row[x].width && memcmp(&row[x], &shown[x], sizeof *row))
            put_cell(y, x, &row[x]);
    if (unsettled)
        wredrawln(stdscr, y, 1);
    if (changed)
        memcpy(shown, row, (size_t)w * sizeof *row);
    string_append(&terminal.unsettled, &(char){(char)unsettled}, 1);
    return changed;
}

void tui_terminal_draw(const struct tui_canvas *canvas)
{
    int rows, columns, changed = terminal.repaint;
    struct tui_canvas *shown = &terminal.shown;
    tui_terminal_size(&columns, &rows);
    columns = canvas->w < columns ? canvas->w : columns;
    string_clear(&terminal.unsettled);
    if (terminal.repaint || shown->w != canvas->w || shown->h != canvas->h) {
        tui_canvas_size(shown, canvas->w, canvas->h);
        memset(shown->cells, 0, (size_t)shown->w * (size_t)shown->h * sizeof *shown->cells);
        attr_t attributes;
        int pair;
        cchar_t blank;
        find_look((struct tui_style){.role = TUI_TEXT}, &attributes, &pair);
        setcchar(&blank, L" ", attributes, 0, &pair);
        bkgrndset(&blank);
        erase();
        clearok(curscr, TRUE);
        terminal.repaint = 0;
        changed = 1;
    }
    for (int y = 0; y < canvas->h && y < rows; y++) {
        size_t at = (size_t)y * (size_t)canvas->w;
        changed |= draw_row(y, canvas->cells + at, shown->cells + at, columns);
    }
    if (!changed)
        return;
    wnoutrefresh(stdscr);
    if (terminal.record)
        tui_record_size(terminal.record, COLS, LINES);
    terminal.gathering = terminal.capture >= 0;
    if (terminal.synchronized)
        send("\033[?2026h"); /* the terminal shows nothing until it has the whole frame */
    begin_capture();
    doupdate();
    end_capture();
    send_placed(canvas, columns);
    if (terminal.synchronized)
        send("\033[?2026l");
    terminal.gathering = 0;
    put_out(string_text(&terminal.frame), terminal.frame.length);
    string_clear(&terminal.frame);
}

void tui_terminal_theme(const struct tui_theme *theme)
{
    terminal.theme = theme;
    memset(terminal.looks, 0, sizeof terminal.looks);
    if (terminal.colors)
        reset_color_pairs();
    terminal.repaint = 1;
}

void tui_terminal_repaint(void)
{
    terminal.repaint = 1;
}

/* What has 256 colours skips sequences that it does not know. */
int tui_terminal_tell(const char *bytes, size_t n)
{
    if (!terminal.open || tigetnum("colors") < 256)
        return 0;
    write_all(STDOUT_FILENO, bytes, n);
    return 1;
}

/* --- keys and signals -------------------------------------------------------------------------------------------- */

/* Curses asks the descriptor that it writes to, which may be a file as it does; and who sleeps is not told of new sizes. */
static void fit(void)
{
    struct winsize size;
    if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
        resizeterm(size.ws_row, size.ws_col);
}

int tui_terminal_wait(const int *others, int count, double seconds)
{
    struct pollfd fds[2 + TUI_WAIT_FDS] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = terminal.signalled, .events = POLLIN}};
    for (int i = 0; i < count; i++)
        fds[2 + i] = (struct pollfd){.fd = others[i], .events = POLLIN};
    int happened = 0, n = poll(fds, 2 + (nfds_t)count, seconds < 0 ? -1 : (int)(seconds * 1000) + (seconds > 0));
    if (n <= 0)
        return 0;
    if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        take_asking(SIGHUP); /* gone, and with the signal ignored */
    if (fds[0].revents)
        happened |= TUI_WAIT_KEY;
    for (int i = 0; i < count; i++)
        if (fds[2 + i].revents)
            happened |= TUI_WAIT_FD << i;
    if (fds[1].revents) {
        uint64_t ignored;
        ssize_t got = read(terminal.signalled, &ignored, sizeof ignored);
        (void)got;
        fit();
        terminal.repaint = 1; /* even a size that came and went has moved what was shown */
        happened |= TUI_WAIT_KEY | TUI_WAIT_SIGNAL; /* a new size waits as a key */
    }
    return happened;
}

int32_t tui_terminal_key(void)
{
    return tui_keyboard_key(&terminal.keyboard);
}

struct tui_mouse tui_terminal_mouse(void)
{
    return terminal.keyboard.moved;
}

int tui_terminal_signal(void)
{
    for (int i = 0; i < ASKING; i++)
        if (atomic_exchange(&terminal.asked[i], 0))
            return asking[i];
    return 0;
}

void tui_terminal_resume(void)
{
    reset_prog_mode();
    fit();
    terminal.lent = 0;
    hurry();
    send(terminal.paste_on);
    tui_terminal_mouse_on(terminal.mouse_wanted);
    terminal.repaint = 1;
}

void tui_terminal_leave(void)
{
    int wanted = terminal.mouse_wanted;
    tui_terminal_mouse_on(0);
    terminal.mouse_wanted = wanted;
    send(terminal.paste_off);
    def_prog_mode();
    end_screen();
    terminal.lent = 1;
}

void tui_terminal_suspend(void)
{
    struct sigaction ours;
    tui_terminal_leave();
    sigaction(SIGTSTP, &(struct sigaction){.sa_handler = SIG_DFL}, &ours);
    raise(SIGTSTP); /* here we stand still, until SIGCONT */
    sigaction(SIGTSTP, &ours, NULL);
    tui_terminal_resume();
}
