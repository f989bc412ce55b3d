#include "tui/slip.h"

#include <string.h>

enum { LONGEST = 32 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

int tui_slip_distance(const char *text, size_t n, const char *word)
{
    int d[LONGEST][LONGEST]; /* d[i][j]: from i letters of the text to j of the word */
    const size_t m = strlen(word);
    const int most = n < 4 ? 1 : TUI_SLIP_FAR - 1;
    if (n >= LONGEST || m >= LONGEST)
        return TUI_SLIP_FAR;
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = (int)(i + j);
                continue;
            }
            d[i][j] = least(d[i - 1][j - 1] + (text[i - 1] != word[j - 1]), 1 + least(d[i - 1][j], d[i][j - 1]));
            if (i > 1 && j > 1 && text[i - 1] == word[j - 2] && text[i - 2] == word[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m] > most ? TUI_SLIP_FAR : d[n][m];
}

int tui_slip_nearer(const char *text, size_t n, const char *word, int *so_far)
{
    const int d = tui_slip_distance(text, n, word), nearer = d < *so_far;
    if (nearer)
        *so_far = d;
    return nearer;
}
