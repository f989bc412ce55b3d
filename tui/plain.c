#include "tui/plain.h"
#include "tui/width.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* 0: it is no terminal, or does not say. */
static int width_of_terminal(void)
{
    struct winsize size;
    return !isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 0 : size.ws_col;
}

int tui_plain_columns(int otherwise)
{
    const int width = width_of_terminal();
    return !width ? otherwise : width < 40 ? 40 : width > 120 ? 120 : width;
}

int tui_plain_fits(int columns)
{
    const int width = width_of_terminal();
    return !width || columns <= width;
}

void tui_plain_wrap(struct string *out, const char *text, int at, int indent, int columns)
{
    for (int begins = 1; *text; begins = 0) {
        const size_t n = strcspn(text, " ");
        const int w = tui_width(text, n);
        if (!begins && columns && at > indent && at + 1 + w > columns) {
            string_addf(out, "\n%*s", indent, "");
            at = indent;
        } else if (!begins) {
            string_add(out, " ");
            at++;
        }
        string_append(out, text, n);
        at += w;
        text += n + (text[n] == ' ');
    }
}

void tui_plain_print(const char *text, int at, int indent, int columns)
{
    struct string out = {0};
    tui_plain_wrap(&out, text, at, indent, columns);
    string_add(&out, "\n");
    fwrite(string_text(&out), 1, out.length, stdout);
    string_free(&out);
}
