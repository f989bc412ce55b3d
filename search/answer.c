/* Answers: where a text states one, and the form in which two that mean the same are the same. */
#include "search/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

/* --- patterns ---------------------------------------------------------------------------------------------------- */

/* Group 1 of the last match, or all of it; 0 when there is none. Bounded: an expression that backtracks without end is
 * one that does not match. */
static int last_match(pcre2_code *code, pcre2_match_data *data, pcre2_match_context *context, const char *text, size_t n,
                      struct search_cut *out)
{
    int found = 0, got;
    for (size_t at = 0; at <= n; found = 1) {
        got = pcre2_match(code, (PCRE2_SPTR)text, n, at, 0, data, context);
        if (got < 0)
            break;
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(data);
        int group = got > 1 && range[2] != PCRE2_UNSET && range[2] <= range[3];
        *out = (struct search_cut){range[2 * group], range[2 * group + 1] - range[2 * group]};
        at = range[1] > at ? range[1] : at + 1;
        while (at < n && ((unsigned char)text[at] & 0xc0) == 0x80)
            at++;
    }
    return found;
}

int search_patterns_find(const struct search_patterns *patterns, const char *text, size_t n, int *from, struct search_cut *out)
{
    int found = 0, i = from ? *from : 0;
    pcre2_match_data *data = pcre2_match_data_create(8, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    if (data && context) {
        pcre2_set_match_limit(context, 200000);
        pcre2_set_depth_limit(context, 2000);
        pcre2_set_heap_limit(context, 4096); /* KiB */
        for (; i < patterns->count && !found; i++)
            found = last_match(patterns->list[i], data, context, text, n, out);
    }
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    if (from && found)
        *from = i - 1;
    return found;
}

/* --- numbers in a text ------------------------------------------------------------------------------------------- */

static int is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* Digits with or without commas between thousands, and decimals: 1,234.50. *p moves past it. */
static int read_grouped(const char **p, const char *end, struct search_rational *out)
{
    char digits[64];
    size_t n = 0;
    const char *s = *p;
    int lead = 0;
    for (; is_digit(s, end); s++, lead++)
        if (n < sizeof digits)
            digits[n++] = *s;
    while (lead > 0 && lead <= 3 && s < end && *s == ',' && is_digit(s + 1, end) && is_digit(s + 2, end) && is_digit(s + 3, end) &&
           !is_digit(s + 4, end))
        for (int i = 0; i < 4; i++, s++)
            if (*s != ',' && n < sizeof digits)
                digits[n++] = *s;
    if (s < end && *s == '.' && is_digit(s + 1, end))
        do
            if (n < sizeof digits)
                digits[n++] = *s;
        while (is_digit(++s, end));
    *p = s;
    const char *d = digits;
    return n && n < sizeof digits && search_rational_read(&d, digits + n, out) == SEARCH_RATIONAL_OK && d == digits + n;
}

/* "/4" after a 3 or a 3 1: a fraction. Sums like 3 1/2 are read too. */
static void read_fraction(const char **p, const char *end, struct search_rational *value)
{
    const char *s = *p;
    struct search_rational below, part;
    if (s < end && *s == '/' && is_digit(s + 1, end)) {
        s++;
        if (read_grouped(&s, end, &below) && !search_rational_do(*value, '/', below, &part))
            *value = part, *p = s;
        return;
    }
    if (s >= end || *s != ' ' || !is_digit(s + 1, end))
        return;
    s++;
    if (read_grouped(&s, end, &part) && s < end && *s == '/' && is_digit(s + 1, end)) {
        s++;
        if (read_grouped(&s, end, &below) && !search_rational_do(part, '/', below, &part) &&
            !search_rational_do(*value, '+', part, &part))
            *value = part, *p = s;
    }
}

/* A minus sign that belongs to a number: before it, or before its currency sign, and after nothing it could subtract from. */
static int is_negative(const char *text, const char *number)
{
    static const char *const signs[] = {"$", "\xe2\x82\xac", "\xc2\xa3", "\xc2\xa5"}, *const minus[] = {"-", "\xe2\x88\x92"};
    const char *p = number;
    for (int i = 0; i < 4; i++) {
        size_t n = strlen(signs[i]);
        if ((size_t)(p - text) >= n && !memcmp(p - n, signs[i], n)) {
            p -= n;
            break;
        }
    }
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(minus[i]);
        if ((size_t)(p - text) >= n && !memcmp(p - n, minus[i], n)) {
            p -= n;
            return p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == ')' || p[-1] == '-' || (unsigned char)p[-1] >= 0x80);
        }
    }
    return 0;
}

/* The next number at or after *p; *p moves past it. Digits inside a word (x2, B12) are no number. */
static int next_number(const char *text, const char **p, const char *end, struct search_rational *out)
{
    while (*p < end) {
        const char *start = *p;
        if (!is_digit(start, end) && !(*start == '.' && is_digit(start + 1, end) && (start == text || !is_digit(start - 1, end)))) {
            *p += 1;
            continue;
        }
        int in_word = start > text && (isalpha((unsigned char)start[-1]) || start[-1] == '_');
        int good = read_grouped(p, end, out);
        if (!good || in_word)
            continue;
        read_fraction(p, end, out);
        if (is_negative(text, start))
            out->num = -out->num;
        return 1;
    }
    return 0;
}

int search_answer_number(const char *text, size_t n, int last, struct search_rational *out)
{
    const char *p = text;
    int found = 0;
    struct search_rational value;
    while (next_number(text, &p, text + n, &value)) {
        *out = value;
        found = 1;
        if (!last)
            break;
    }
    return found;
}

/* --- canonical forms --------------------------------------------------------------------------------------------- */

static char *number_text(struct search_rational value)
{
    struct string text = {0};
    search_rational_print(&text, value, 1);
    return text.text;
}

/* Letters and digits of the text, folded (case, width, composition), everything else one blank between them. */
static char *fold(const char *text, size_t n)
{
    char *copy = xstrndup(text, n);
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)copy, 0, &mapped,
                                           UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                               UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
    const char *p = length < 0 ? copy : (const char *)mapped, *end = p + strlen(p);
    struct string out = {0};
    for (int blank = 0; p < end;) {
        const char *start = p;
        int32_t c = utf8_next(&p, end);
        utf8proc_category_t kind = c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);
        int word = (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_NO) || kind == UTF8PROC_CATEGORY_SC ||
                   kind == UTF8PROC_CATEGORY_SM;
        if (!word) {
            blank = 1;
            continue;
        }
        if (blank && out.length)
            string_add(&out, " ");
        blank = 0;
        string_append(&out, start, (size_t)(p - start));
    }
    free(mapped);
    free(copy);
    return out.text;
}

/* A text of words as an answer. A short one is folded, to agree with others; whole paragraphs agree with nobody, and are for
 * reading: only their blanks are evened out. */
static char *words(const char *text, size_t n)
{
    enum { SHORT = 100 };
    char *folded = fold(text, n);
    if (!folded || strlen(folded) <= SHORT)
        return folded;
    free(folded);
    struct string out = {0};
    for (size_t i = 0; i < n; i++) {
        if (!isspace((unsigned char)text[i]))
            string_append(&out, text + i, 1);
        else if (out.length && out.text[out.length - 1] != ' ')
            string_add(&out, " ");
    }
    if (out.text[out.length - 1] == ' ')
        out.text[--out.length] = '\0';
    return out.text;
}

char *search_answer_canonical(const struct search_task *task, const char *text, size_t n)
{
    struct search_rational first, last;
    /* "The answer is 8 * 7 = 56": what is after the last = , where a number is */
    for (size_t i = n; i-- > 0;)
        if (text[i] == '=') {
            if (search_answer_number(text + i, n - i, 0, &first))
                text += i + 1, n -= i + 1;
            break;
        }
    if (!search_answer_number(text, n, 0, &first))
        return task->verifier == SEARCH_VERIFIER_NUMERIC ? NULL : words(text, n);
    /* "56", "56 apples" and "$56.00" are one answer; a text of several numbers is a text */
    search_answer_number(text, n, 1, &last);
    return task->verifier == SEARCH_VERIFIER_NUMERIC || !search_rational_compare(first, last) ? number_text(first) : words(text, n);
}

char *search_answer_stated(const struct search_task *task, const char *thought)
{
    struct search_cut cut;
    char *answer = NULL;
    for (int i = 0; !answer && search_patterns_find(&task->answer, thought, strlen(thought), &i, &cut); i++)
        answer = search_answer_canonical(task, thought + cut.first, cut.length);
    return answer;
}

/* The last sentence of a text: from after the last . ! ? or line end that more text follows. */
static const char *last_sentence(const char *text)
{
    const char *start = text;
    for (const char *p = text; *p; p++)
        if (*p == '\n' || ((*p == '.' || *p == '!' || *p == '?') && isspace((unsigned char)p[1]))) {
            const char *next = p + 1 + strspn(p + 1, " \t\r\n");
            if (*next)
                start = next;
        }
    return start;
}

static char *otherwise_in(const struct search_task *task, const char *text)
{
    struct search_rational value;
    const char *sentence = task->otherwise == SEARCH_OTHERWISE_TEXT ? last_sentence(text) : text;
    if (search_answer_number(sentence, strlen(sentence), 1, &value))
        return number_text(value);
    return task->otherwise == SEARCH_OTHERWISE_TEXT ? words(text, strlen(text)) : NULL;
}

char *search_answer_otherwise(const struct search_task *task, const struct search_path *path, const char *thought)
{
    if (task->otherwise == SEARCH_OTHERWISE_NONE)
        return NULL;
    char *answer = otherwise_in(task, thought);
    for (int i = path->count; i-- > 0 && !answer;) /* "So that is it.": the number stands in a thought before */
        answer = otherwise_in(task, path->thoughts[i]);
    return answer;
}
