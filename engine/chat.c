#include "engine/chat.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- the families ------------------------------------------------------------------------------------------------ */

enum role { SYSTEM, USER, ASSISTANT, ROLES };
enum trims { TRIM_NOTHING, TRIM_TEXTS, TRIM_TURNS, TRIM_ANSWERS }; /* turns: with what was folded into them */
enum place { APART, FIRST, LAST }; /* a system message is a turn of its own, or stands in the next user's turn, or in the last */

/* A family is known by words that are all in a template's text: the first row that fits. In what is written {begin} and {end} stand for the
 * names of these tokens, {role} for the message's own. */
static const struct engine_chat_family {
    const char *name;
    const char *words[3], *tokens[3]; /* tokens: names that the vocabulary must have, or a message could write them */
    struct {
        const char *open, *close;
    } turns[ROLES];
    const char *answer;
    enum place place;
    enum trims trims;
    const char *preface; /* before the first system message, which is there even if it is empty; NULL: none */
} families[] = {
    {"phi-4",
     {"<|im_start|>", "<|im_sep|>"},
     {"<|im_start|>", "<|im_sep|>", "<|im_end|>"},
     {{"<|im_start|>{role}<|im_sep|>", "<|im_end|>"}, {"<|im_start|>{role}<|im_sep|>", "<|im_end|>"}, {"<|im_start|>{role}<|im_sep|>", "<|im_end|>"}},
     "<|im_start|>assistant<|im_sep|>", APART, TRIM_NOTHING, NULL},
    {"chatml",
     {"<|im_start|>"},
     {"<|im_start|>", "<|im_end|>"},
     {{"<|im_start|>{role}\n", "<|im_end|>\n"}, {"<|im_start|>{role}\n", "<|im_end|>\n"}, {"<|im_start|>{role}\n", "<|im_end|>\n"}},
     "<|im_start|>assistant\n", APART, TRIM_NOTHING, NULL},
    /* Mistral's versions differ in their blanks, which are part of tokens. */
    {"mistral-v7",
     {"[SYSTEM_PROMPT] ", "[INST] "},
     {"[INST]", "[/INST]", "[SYSTEM_PROMPT]"},
     {{"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"}, {"[INST] ", "[/INST]"}, {" ", "{end}"}},
     "", APART, TRIM_NOTHING, NULL},
    {"mistral-v7-tekken",
     {"[SYSTEM_PROMPT]", "[INST]"},
     {"[INST]", "[/INST]", "[SYSTEM_PROMPT]"},
     {{"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"}, {"[INST]", "[/INST]"}, {"", "{end}"}},
     "", APART, TRIM_NOTHING, NULL},
    {"mistral-v3-tekken",
     {"[AVAILABLE_TOOLS]", "\"[INST]\""},
     {"[INST]", "[/INST]"},
     {{"", "\n\n"}, {"[INST]", "[/INST]"}, {"", "{end}"}},
     "", LAST, TRIM_NOTHING, NULL},
    {"mistral-v3",
     {"[AVAILABLE_TOOLS]", "[INST] "},
     {"[INST]", "[/INST]"},
     {{"", "\n\n"}, {"[INST] ", "[/INST]"}, {" ", "{end}"}},
     "", LAST, TRIM_ANSWERS, NULL},
    {"mistral-v1", {"' [INST] '"}, {NULL}, {{"", "\n\n"}, {" [INST] ", " [/INST]"}, {" ", "{end}"}}, "", FIRST, TRIM_NOTHING, NULL},
    {"llama-2",
     {"<<SYS>>", "bos_token + '[INST] '"},
     {NULL},
     {{"<<SYS>>\n", "\n<</SYS>>\n\n"}, {"{begin}[INST] ", " [/INST]"}, {" ", " {end}"}},
     "", FIRST, TRIM_TURNS, NULL},
    {"llama-2",
     {"<<SYS>>", "[INST] "},
     {NULL},
     {{"<<SYS>>\n", "\n<</SYS>>\n\n"}, {"[INST] ", " [/INST]"}, {" ", " {end}"}},
     "", FIRST, TRIM_TURNS, NULL},
    {"mistral", {"[INST] "}, {NULL}, {{"", "\n\n"}, {"[INST] ", " [/INST]"}, {"", "{end}"}}, "", FIRST, TRIM_NOTHING, NULL},
    {"phi-3",
     {"<|assistant|>", "<|end|>"},
     {"<|user|>", "<|assistant|>", "<|end|>"},
     {{"<|{role}|>\n", "<|end|>\n"}, {"<|{role}|>\n", "<|end|>\n"}, {"<|{role}|>\n", "<|end|>\n"}},
     "<|assistant|>\n", APART, TRIM_NOTHING, NULL},
    {"zephyr",
     {"<|assistant|>", "<|user|>", "eos_token"},
     {NULL},
     {{"<|{role}|>\n", "{end}\n"}, {"<|{role}|>\n", "{end}\n"}, {"<|{role}|>\n", "{end}\n"}},
     "<|assistant|>\n", APART, TRIM_NOTHING, NULL},
    {"gemma",
     {"<start_of_turn>"},
     {"<start_of_turn>", "<end_of_turn>"},
     {{"", "\n\n"}, {"<start_of_turn>user\n", "<end_of_turn>\n"}, {"<start_of_turn>model\n", "<end_of_turn>\n"}},
     "<start_of_turn>model\n", FIRST, TRIM_TEXTS, NULL},
    /* 3.1 and later date themselves; the day is what the template says where it is not told the day, so that a prompt is the same tomorrow. */
    {"llama-3.1",
     {"<|start_header_id|>", "Cutting Knowledge Date: December 2023", "26 Jul 2024"},
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     {{"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"},
      {"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"},
      {"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"}},
     "<|start_header_id|>assistant<|end_header_id|>\n\n", APART, TRIM_TEXTS,
     "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"},
    {"llama-3",
     {"<|start_header_id|>"},
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     {{"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"},
      {"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"},
      {"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"}},
     "<|start_header_id|>assistant<|end_header_id|>\n\n", APART, TRIM_TEXTS, NULL},
    {"deepseek",
     {"<｜User｜>", "<｜Assistant｜>"},
     {"<｜User｜>", "<｜Assistant｜>"},
     {{"", ""}, {"<｜User｜>", ""}, {"<｜Assistant｜>", "{end}"}},
     "<｜Assistant｜>", APART, TRIM_NOTHING, NULL},
};
enum { FAMILIES = sizeof families / sizeof *families };

#define NO_THOUGHTS "<think>\n\n</think>\n\n" /* as Qwen 3 writes them */

/* --- reading a template ------------------------------------------------------------------------------------------ */

static const char *find(struct engine_text text, size_t from, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = from; i + n <= text.length; i++)
        if (text.bytes[i] == *what && !memcmp(text.bytes + i, what, n))
            return text.bytes + i;
    return NULL;
}

static int fits(const struct engine_chat_family *f, struct engine_text template)
{
    for (size_t i = 0; i < sizeof f->words / sizeof *f->words && f->words[i]; i++)
        if (!find(template, 0, f->words[i]))
            return 0;
    return 1;
}

static int has_tokens(const struct engine_chat_family *f, int (*has)(const void *vocabulary, const char *name), const void *vocabulary)
{
    for (size_t i = 0; i < sizeof f->tokens / sizeof *f->tokens && f->tokens[i]; i++)
        if (!has(vocabulary, f->tokens[i]))
            return 0;
    return 1;
}

static int begins(const char *p, const char *end, const char *what)
{
    return (size_t)(end - p) >= strlen(what) && !memcmp(p, what, strlen(what));
}

/* One character of a template's literal at *p: itself, or in a quoted literal what its backslash escape stands for. */
static char literal_next(const char **p, const char *end, char quote)
{
    static const char escapes[][2] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}};
    char c = *(*p)++;
    if (!quote || c != '\\' || *p == end)
        return c;
    c = *(*p)++;
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (escapes[i][0] == c)
            return escapes[i][1];
    return c;
}

/* The literal from p to <|im_end|>, or 0 when it ends before that or holds something the template puts in. */
static int literal_message(const char *p, const char *end, char quote, struct string *out)
{
    while (p < end && !begins(p, end, "<|im_end|>")) {
        if (quote ? *p == quote : begins(p, end, "{{") || begins(p, end, "{%"))
            return 0;
        char c = literal_next(&p, end, quote);
        string_append(out, &c, 1);
    }
    return p < end;
}

/* The system message that a template of chatml says itself when a conversation begins without one. */
static void read_system(struct engine_chat *c, struct engine_text template)
{
    static const char mark[] = "<|im_start|>system";
    const char *end = template.bytes + template.length;
    for (size_t from = 0;;) {
        const char *start = find(template, from, mark), *p;
        if (!start)
            return;
        from = (size_t)(start - template.bytes) + 1;
        char quote = start > template.bytes && (start[-1] == '\'' || start[-1] == '"') ? start[-1] : '\0';
        struct string message = {0};
        p = start + strlen(mark);
        if (p < end && literal_next(&p, end, quote) == '\n' && literal_message(p, end, quote, &message) && message.length) {
            string_append(&c->system, string_text(&message), message.length);
            c->says_system = 1;
            from = template.length;
        }
        string_free(&message);
    }
}

/* Whether the template has this text: written with newlines, or with escapes for them. */
static int writes(struct engine_text template, const char *text)
{
    struct string escaped = {0};
    for (const char *p = text; *p; p++)
        string_add(&escaped, *p == '\n' ? "\\n" : (char[]){*p, '\0'});
    const int found = find(template, 0, text) || find(template, 0, string_text(&escaped));
    string_free(&escaped);
    return found;
}

/* Whether the words with which an answer begins are followed by <think> somewhere. */
static int answers_think(struct engine_text template, const char *answer)
{
    char *text = xasprintf("%s<think>", answer);
    const int found = *answer && writes(template, text);
    free(text);
    return found;
}

void engine_chat_read(struct engine_chat *c, struct engine_text template, int (*has)(const void *vocabulary, const char *name),
                      const void *vocabulary)
{
    c->thinks = c->thought = "";
    for (int i = 0; i < FAMILIES && !c->family; i++)
        if (fits(&families[i], template) && has_tokens(&families[i], has, vocabulary))
            c->family = &families[i];
    c->unknown = !c->family;
    if (c->unknown)
        return;
    c->begins = find(template, 0, "bos_token") && !strstr(c->family->turns[USER].open, "{begin}");
    c->forgets = find(template, 0, "split('</think>')[-1]") ? 1 + (find(template, 0, "split('</think>')[-1].lstrip(") != NULL) : 0;
    c->thinks = answers_think(template, c->family->answer) ? "<think>\n" : "";
    c->thought = find(template, 0, "enable_thinking") && writes(template, NO_THOUGHTS) ? NO_THOUGHTS : c->thinks;
    c->says_system = c->family->preface != NULL;
    if (!strcmp(c->family->name, "chatml"))
        read_system(c, template);
}

void engine_chat_free(struct engine_chat *c)
{
    string_free(&c->begin);
    string_free(&c->end);
    string_free(&c->system);
}

const char *engine_chat_name(const struct engine_chat *c)
{
    return c->family ? c->family->name : c->unknown ? "unknown" : "none";
}

/* --- writing a conversation -------------------------------------------------------------------------------------- */

struct page {
    const struct engine_chat *c;
    struct string *text, *own;
};

static void put(struct page *p, const char *bytes, size_t n, int own)
{
    string_append(p->text, bytes, n);
    for (size_t i = 0; i < n; i++)
        string_append(p->own, own ? "\1" : "", 1);
}

/* What the family writes. */
static void put_words(struct page *p, const char *words, const char *role)
{
    while (*words) {
        size_t n = strcspn(words, "{");
        put(p, words, n, 1);
        words += n;
        if (begins(words, words + strlen(words), "{begin}"))
            put(p, string_text(&p->c->begin), p->c->begin.length, 1);
        else if (begins(words, words + strlen(words), "{end}"))
            put(p, string_text(&p->c->end), p->c->end.length, 1);
        else if (*words)
            put(p, role, strlen(role), 0);
        words += strcspn(words, "}") + (*words != '\0');
    }
}

static enum role role_of(const char *role)
{
    return !strcmp(role, "system") ? SYSTEM : !strcmp(role, "assistant") ? ASSISTANT : USER;
}

static int is_space(char c)
{
    return isspace((unsigned char)c) != 0;
}

static struct engine_text trimmed(struct engine_text t)
{
    while (t.length && is_space(t.bytes[0]))
        t.bytes++, t.length--;
    while (t.length && is_space(t.bytes[t.length - 1]))
        t.length--;
    return t;
}

/* What remains of an earlier answer. */
static struct engine_text remembered(const struct engine_chat *c, struct engine_text t)
{
    static const char mark[] = "</think>";
    for (const char *found; c->forgets && (found = find(t, 0, mark));) {
        t.length -= (size_t)(found - t.bytes) + strlen(mark);
        t.bytes = found + strlen(mark);
        while (c->forgets > 1 && t.length && *t.bytes == '\n')
            t.bytes++, t.length--;
    }
    return t;
}

/* A turn, with n system messages folded into it. */
static void put_turn(struct page *p, const struct engine_message *m, const struct engine_message *folded, int n, int preface)
{
    const struct engine_chat_family *f = p->c->family;
    enum role role = role_of(m->role);
    struct engine_text text = {m->text, strlen(m->text)};
    if (role == ASSISTANT)
        text = remembered(p->c, text);
    if (f->trims == TRIM_TEXTS || (f->trims == TRIM_ANSWERS && role == ASSISTANT) || (f->trims == TRIM_TURNS && !n))
        text = trimmed(text);
    else if (f->trims == TRIM_TURNS)
        while (text.length && is_space(text.bytes[text.length - 1]))
            text.length--;
    put_words(p, f->turns[role].open, m->role);
    if (preface && f->preface)
        put_words(p, f->preface, "");
    for (int i = 0; i < n; i++) {
        put_words(p, f->turns[SYSTEM].open, "");
        put(p, folded[i].text, strlen(folded[i].text), 0);
        put_words(p, f->turns[SYSTEM].close, "");
    }
    put(p, text.bytes, text.length, 0);
    put_words(p, f->turns[role].close, "");
}

/* The user's turn that takes the system message at i, or n: none does. */
static int fold_into(const struct engine_chat *c, const struct engine_message *messages, int n, int i)
{
    int found = n;
    for (int j = i + 1; j < n && (found == n || c->family->place == LAST); j++)
        if (role_of(messages[j].role) == USER)
            found = j;
    return found;
}

static void put_conversation(struct page *p, const struct engine_message *messages, int n)
{
    const struct engine_chat *c = p->c;
    const struct engine_message own = {"system", string_text(&c->system)};
    struct engine_message *folded = xcalloc((size_t)n + 1, sizeof *folded);
    if (c->begins)
        put_words(p, "{begin}", "");
    if (n && c->says_system && role_of(messages[0].role) != SYSTEM)
        put_turn(p, &own, NULL, 0, 1);
    for (int i = 0; i < n; i++) {
        int apart = role_of(messages[i].role) != SYSTEM || c->family->place == APART, count = 0;
        for (int j = 0; j < i && c->family->place != APART; j++)
            if (role_of(messages[j].role) == SYSTEM && fold_into(c, messages, n, j) == i)
                folded[count++] = messages[j];
        if (apart)
            put_turn(p, &messages[i], folded, count, i == 0 && role_of(messages[i].role) == SYSTEM);
        else if (fold_into(c, messages, n, i) == n) /* nobody takes it: it is what the user says */
            put_turn(p, &(struct engine_message){"user", messages[i].text}, NULL, 0, 0);
    }
    free(folded);
}

static void put_plain(struct page *p, const struct engine_message *messages, int n)
{
    if (p->c->begins)
        put_words(p, "{begin}", "");
    for (int i = 0; i < n; i++) {
        put(p, "\n\n", i ? 2 : 0, 1);
        put(p, messages[i].text, strlen(messages[i].text), 0);
    }
}

void engine_chat_render(const struct engine_chat *c, const struct engine_message *messages, int n, int how, struct string *text,
                        struct string *own)
{
    struct page p = {c, text, own};
    if (!c->family) {
        put_plain(&p, messages, n);
        return;
    }
    int open = n && role_of(messages[n - 1].role) == ASSISTANT;
    put_conversation(&p, messages, n - open);
    put_words(&p, c->family->answer, "assistant");
    put_words(&p, how & ENGINE_BRIEF ? c->thought : c->thinks, "");
    if (open)
        put(&p, messages[n - 1].text, strlen(messages[n - 1].text), 0);
}

void engine_chat_close(const struct engine_chat *c, struct string *text)
{
    struct string own = {0};
    struct page p = {c, text, &own};
    if (c->family)
        put_words(&p, c->family->turns[ASSISTANT].close, "assistant");
    string_free(&own);
}
