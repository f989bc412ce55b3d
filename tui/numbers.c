/* Numbers for people: short, and as exact as the place allows. */
#include "tui/screen.h"

#include <math.h>
#include <string.h>

const char *tui_number(int64_t n, char out[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0 && digits[i - 1] != '-')
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

int tui_screen_copies_text(const struct tui_screen *s, int node, char out[40])
{
    char number[32];
    int copies = tui_outline_copies(&s->outline, node);
    out[0] = '\0';
    return copies ? snprintf(out, 40, "×%s", tui_number(copies + 1, number)) - 1 : 0;
}

const char *tui_score(double score, char out[32])
{
    if (!isfinite(score))
        snprintf(out, 32, "-");
    else if (fabs(score - round(score)) < 0.005 && (fabs(score) >= 1 || score == 0))
        snprintf(out, 32, "%.0f", score);
    else if (fabs(score) >= 10)
        snprintf(out, 32, "%.1f", score);
    else
        snprintf(out, 32, fabs(score) < 0.095 ? "%.3f" : "%.2f", score);
    if (out[0] == '0' && out[1] == '.') /* ".92": the place is dear */
        memmove(out, out + 1, strlen(out));
    return out;
}

const char *tui_probability(double p, char out[32])
{
    if (p >= 0.9995)
        snprintf(out, 32, "1.00");
    else if (!(p >= 0.0005))
        snprintf(out, 32, "<.001");
    else
        snprintf(out, 32, ".%03d", (int)(p * 1000 + 0.5));
    return out;
}

const char *tui_flops(double flops, char out[64])
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    int unit = 0;
    for (; flops >= 1000 && unit < 6; unit++)
        flops /= 1000;
    snprintf(out, 64, "%.*f %sFLOP", flops < 10 && unit ? 2 : flops < 100 && unit ? 1 : 0, flops, units[unit]);
    return out;
}
