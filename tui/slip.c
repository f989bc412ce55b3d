#include "tui/slip.h"

#include <string.h>

int tui_slip_distance(const char *text, size_t n, const char *word)
{
    enum { LONGEST = 32 };
    int row[LONGEST];
    const size_t m = strlen(word);
    const int most = n < 4 ? 1 : TUI_SLIP_FAR - 1;
    if (n >= LONGEST || m >= LONGEST)
        return TUI_SLIP_FAR;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int before = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            const int changed = before + (text[i - 1] != word[j - 1]), either = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            before = row[j];
            row[j] = changed < either ? changed : either;
        }
    }
    return row[m] > most ? TUI_SLIP_FAR : row[m];
}
