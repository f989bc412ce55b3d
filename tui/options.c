#include "tui/options.h"
#include "tui/plain.h"
#include "tui/slip.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, TEXT, LIST, COUNT, NATURAL, BYTES, TOKENS, AMOUNT, NUMBER, SEED, EVENT };

struct option_row {
    const char *name;
    char letter;
    enum kind kind;
    size_t offset;
    double least, most; /* of COUNT, NATURAL and NUMBER */
    const char *argument, *about;
};

/* Those that are built here. */
#if defined(__x86_64__)
#define SETS "auto, avx512, avx2"
#elif defined(__AARCH64EL__)
#define SETS "auto, neon"
#else
#define SETS "auto"
#endif

#define AT(field) offsetof(struct tui_options, field)
static const struct option_row table[] = {
    {"model", 'm', TEXT, AT(model), 0, 0, "FILE", "a GGUF file, or a folder as transformers saves a model (default: $ESPALIER_MODEL; else the one that comes with the program, for tasks it was trained on, or the one `make model` got)"},
    {"task", 't', TEXT, AT(task), 0, 0, "NAME|FILE", "what the problem is: one of `espalier task list`, or a YAML file (default: ask)"},
    {"strategy", 's', LIST, AT(strategies), 0, 0, "NAME[,key=value...]", "how the tree grows (default: the task's own); several race side by side"},
    {"judge", 'u', TEXT, AT(judge), 0, 0, "NAME[,samples=N]", "who judges thoughts, where the strategy does not say: value, vote, self-evaluation, ..."},
    {"judge-model", 'U', TEXT, AT(judge_model), 0, 0, "FILE", "another model for the judges (default: the same)"},
    {"allow-commands", 'q', FLAG, AT(allow_commands), 0, 0, NULL, "let the judge 'verifier' run the command that the task names"},
    {"grammar", 'g', FLAG, AT(grammar), 0, 0, NULL, "hold thoughts to the task's grammar; what it cuts away is recorded with each token"},
    {"prompts", '7', TEXT, AT(prompts), 0, 0, "WHICH", "auto: the task's prompts for trained models where the model's file says so (default); trained; plain"},
    {"session", 'e', TEXT, AT(session), 0, 0, "NAME|FILE", "keep the session there; one that is there is gone on with"},
    {"act", 'v', LIST, AT(acts), 0, 0, "WORDS", "when the search is done, do as a user might: 'prune 4', 'fork 3 0 19', ...; then go on"},
    {"at", 'y', EVENT, AT(at), 0, 0, "N", "as it was after N events"},
    {"estimate", 'E', FLAG, AT(estimate), 0, 0, NULL, "say what the search may cost at most, and do not run it"},
    {"data", 'D', LIST, AT(all_data), 0, 0, "FILE", "problems as CSV or JSONL, for a PROBLEM written @ROW; train: JSONL to learn from, several times"},
    {"adapter", '7', LIST, AT(adapters), 0, 0, "FILE[:WEIGHT]", "a LoRA adapter (GGUF, or a folder of PEFT's) over the model; several are added up"},
    {"seed", 'S', SEED, AT(seed), 0, 0, "N", "seed of every random number (default 1)"},
    {"n", 'n', COUNT, AT(n), 1, 1e6, "N", "how many: tokens to write (default 64), problems to make or to bench (100)"},
    {"temperature", 'T', NUMBER, AT(sampling.temperature), 0, 100, "X", "sampling temperature; 0 takes the most probable token"},
    {"top-k", 'K', NATURAL, AT(sampling.top_k), 0, 1e9, "N", "keep the N most probable tokens; 0: all"},
    {"top-p", 'P', NUMBER, AT(sampling.top_p), 0, 1, "X", "keep the most probable tokens that sum to X; 1: all"},
    {"min-p", 'M', NUMBER, AT(sampling.min_p), 0, 1, "X", "keep tokens at least X times as probable as the best; 0: all"},
    {"repetition-penalty", 'R', NUMBER, AT(sampling.repetition_penalty), 0.01, 100, "X", "divide the logits of the last 64 tokens; 1: off"},
    {"budget-tokens", 'B', TOKENS, AT(budget_tokens), 0, 0, "N", "end the search within N computed tokens (k and M are understood)"},
    {"budget-flops", 'F', AMOUNT, AT(budget_flops), 0, 0, "X", "... within X floating-point operations, as in 2e12"},
    {"budget-nodes", 'N', COUNT, AT(budget_nodes), 1, 1e9, "N", "... with at most N thoughts"},
    {"budget-time", 'W', AMOUNT, AT(budget_time), 0, 0, "SECONDS", "... when it has worked so long (the one budget that does not repeat)"},
    {"threads", 'j', COUNT, AT(threads), 1, 1024, "N", "worker threads (default: all processors)"},
    {"batch", 'b', COUNT, AT(batch), 1, 4096, "N", "branches decoded in one pass at most (default 32)"},
    {"context", 'c', COUNT, AT(context), 1, 1e9, "N", "positions a branch may have (default: the model's, at most 8192); train: tokens of a lesson at most"},
    {"kv-memory", 'k', BYTES, AT(kv_memory), 0, 0, "SIZE", "memory for cached keys and values, as in 512M or 2G"},
    {"kv-type", '6', TEXT, AT(kv_type), 0, 0, "f16|q8", "what keys and values are kept in (default: f16); q8 takes half the memory and reads faster"},
    {"kernels", 'x', TEXT, AT(kernels), 0, 0, "SET", SETS " or reference (scalar and exact)"},
    {"quant", 'Q', TEXT, AT(quant), 0, 0, "nf4|nf4+head", "quantize the linear layers to NF4 at load (QLoRA's); +head: the vocabulary's product too"},
    {"prefix", 'p', COUNT, AT(prefix), 1, 1e6, "P", "measure branches on a shared prefix of P tokens"},
    {"branches", 'r', COUNT, AT(branches), 1, 4096, "B", "measure B branches"},
    {"only", 'O', TEXT, AT(only), 0, 0, "WHAT", "measure only some of prefill, stream, branches, limits; commas between"},
    {"runs", 'i', COUNT, AT(runs), 1, 1000, "N", "measure each N times, after a warm-up (default 5)"},
    {"theme", 'C', TEXT, AT(theme), 0, 0, "NAME|FILE", "colours: one of themes/ (dark, light, nord, ...) or a YAML file (default: dark)"},
    {"ascii", 'A', FLAG, AT(ascii), 0, 0, NULL, "draw with ASCII only"},
    {"no-copy", 0, FLAG, AT(no_copy), 0, 0, NULL, "never write to the terminal's clipboard (y, Y, :copy)"},
    {"paused", 'w', FLAG, AT(paused), 0, 0, NULL, "open without starting: s steps, space runs"},
    {"dump", 'd', TEXT, AT(dump), 0, 0, "COLSxROWS", "search to the end without a terminal, then print the screen as text"},
    {"record", 0, TEXT, AT(record), 0, 0, "FILE.cast", "keep what is shown as an asciicast, which asciinema plays"},
    {"cast", 0, FLAG, AT(cast), 0, 0, NULL, "the session played on the explorer's screen, as an asciicast on stdout: asciinema plays it"},
    {"size", 0, TEXT, AT(size), 0, 0, "COLSxROWS", "... on a screen so large (default: 80x24)"},
    {"colours", 0, TEXT, AT(colours), 0, 0, "256|true|none", "... in so many colours: 256 (default, but for NO_COLOR), those of the theme as they are, none"},
    {"replay", 0, FLAG, AT(replay), 0, 0, NULL, "play the session again on the explorer's screen, without a model"},
    {"speed", 0, NUMBER, AT(speed), 0.01, 1000, "X", "... so many times as fast (default 1; also of --cast); + and - change it"},
    {"audit", 'a', FLAG, AT(audit), 0, 0, NULL, "say, by an exact solver, where answers were lost (game24, countdown)"},
    {"dot", 'G', FLAG, AT(dot), 0, 0, NULL, "the tree as a Graphviz graph on stdout"},
    {"md", 'o', FLAG, AT(md), 0, 0, NULL, "the tree as Markdown on stdout"},
    {"split", 'l', TEXT, AT(split), 0, 0, "test|train", "problems that are for measuring or for training (default: test); no problem is in both"},
    {"traces", '8', FLAG, AT(traces), 0, 0, NULL, "what a model learns from, as JSONL: prompts and completions, whose end token the trainer adds"},
    {"seeds", '1', COUNT, AT(seeds), 1, 1e6, "K", "run each problem with K seeds, from --seed on (default 1)"},
    {"rows", '2', TEXT, AT(rows), 0, 0, "FROM-TO|N", "these rows of the data, as in 901-1000, instead of the first ones; train: positions of a pass (default 1024)"},
    {"type", 'Y', TEXT, AT(type), 0, 0, "TYPE", "f16, q8_0, q4_0 or iq4_nl; with 4 bits the embedding and the head get q8_0, or stay where they have less; train: f32, f16 (default) or q8_0"},
    {"out", '3', TEXT, AT(out), 0, 0, "FILE", "the file to write; bench goes on with what it holds (and without --out keeps one under $XDG_DATA_HOME); train: the folder"},
    {"trees", '5', TEXT, AT(trees), 0, 0, "FILE", "append every tree there, for espalier show FILE --audit"},
    {"csv", '4', FLAG, AT(csv), 0, 0, NULL, "one line a run on stdout"},
    {"all", 0, FLAG, AT(all), 0, 0, NULL, "learn all weights, not an adapter"},
    {"scratch", 0, FLAG, AT(scratch), 0, 0, NULL, "learn a new model, of the shape and vocabulary in the recipe"},
    {"from-sessions", 0, LIST, AT(from_sessions), 0, 0, "NAME|FILE|FOLDER", "learn from sessions: the paths that were kept, and those that came to a right answer"},
    {"rank", 0, COUNT, AT(rank), 1, 1e6, "N", "of the adapter (default 16)"},
    {"alpha", 0, NUMBER, AT(alpha), 0, 1e6, "X", "its scale is alpha / rank (default: twice the rank)"},
    {"rslora", 0, FLAG, AT(rslora), 0, 0, NULL, "its scale is alpha / sqrt(rank)"},
    {"targets", 0, TEXT, AT(targets), 0, 0, "LIST", "the matrices it is of, commas between: q, k, v, o, gate, up, down (default: all)"},
    {"train-on", 0, TEXT, AT(train_on), 0, 0, "WHAT", "completion: only what the model is to write (default); all: the prompts too"},
    {"rate", 0, NUMBER, AT(rate), 0, 1000, "X", "the greatest learning rate (default: adapter 3e-4, --all 1e-4, --scratch 1e-3)"},
    {"schedule", 0, TEXT, AT(schedule), 0, 0, "NAME", "how the rate falls after the warm-up: cosine (default), linear or constant"},
    {"warm-up", 0, NUMBER, AT(warm_up), 0, 1e6, "X", "it rises for so many steps, or below 1 such a share of all (default 0.03)"},
    {"floor", 0, NUMBER, AT(floor), 0, 1, "X", "it falls to this share of --rate (default 0)"},
    {"beta1", 0, NUMBER, AT(beta1), 0, 0.9999, "X", "of AdamW (default 0.9)"},
    {"beta2", 0, NUMBER, AT(beta2), 0, 0.999999, "X", "of AdamW (default 0.999)"},
    {"epsilon", 0, NUMBER, AT(epsilon), 1e-16, 1, "X", "of AdamW (default 1e-8)"},
    {"decay", 0, NUMBER, AT(decay), 0, 10, "X", "of AdamW (default: adapter 0, else 0.05)"},
    {"clip", 0, NUMBER, AT(clip), 0, 1e9, "X", "the gradient's norm at most; 0: any (default 1)"},
    {"moments8", 0, FLAG, AT(moments8), 0, 0, NULL, "keep the optimizer's moments in 8 bits"},
    {"checkpoints", 0, FLAG, AT(checkpoints), 0, 0, NULL, "compute activations again on the way back: less memory, more time"},
    {"int16", 0, FLAG, AT(int16), 0, 0, NULL, "multiply by weights in whole numbers of 16 bits where that is faster: each is off by 1/6700 of its neighbours' greatest"},
    {"step-tokens", 0, TOKENS, AT(step_tokens), 0, 0, "N", "tokens of a step at least (default 4096)"},
    {"step-lessons", 0, COUNT, AT(step_lessons), 1, 1e6, "N", "... or lessons"},
    {"steps", 0, COUNT, AT(steps), 1, 1e9, "N", "end after so many steps"},
    {"epochs", 0, AMOUNT, AT(epochs), 0, 0, "X", "... or when every lesson was seen so often (default 1)"},
    {"minutes", 0, AMOUNT, AT(minutes), 0, 0, "X", "... or after so long (the one end that does not repeat)"},
    {"validation", 0, LIST, AT(validation), 0, 0, "FILE|X", "lessons only to measure the loss on: JSONL, or the share of --data that is held out"},
    {"validate-every", 0, COUNT, AT(validate_every), 1, 1e9, "N", "steps (default 100)"},
    {"save-every", 0, COUNT, AT(save_every), 1, 1e9, "N", "steps between checkpoints (default 100)"},
    {"skip-bad", 0, FLAG, AT(skip_bad), 0, 0, NULL, "leave out lines of data that are wrong, and count them"},
    {"resume", 0, FLAG, AT(resume), 0, 0, NULL, "go on from the checkpoint in --out, to the same bits as if nothing had been between"},
    {"chat", 0, FLAG, AT(chat), 0, 0, NULL, "the text is what a user says: with all that the model's template writes around it"},
    {"no-thinking", 0, FLAG, AT(no_thinking), 0, 0, NULL, "with --chat: told to answer without thoughts, as `thinking: false` in a task tells Qwen 3"},
    {"json", 'J', FLAG, AT(json), 0, 0, NULL, "machine-readable output on stdout"},
};
enum { ROWS = sizeof table / sizeof *table };

/* The letters a user may type; to getopt a row is its number. */
static const char short_letters[] = "mtsnj";
enum { FIRST_ROW = 256 };

static int has_letter(const struct option_row *row)
{
    return row->letter && strchr(short_letters, row->letter);
}

/* Which row getopt means by a letter or a number. */
static int row_of(int c)
{
    int row = 0;
    if (c >= FIRST_ROW)
        return c - FIRST_ROW;
    while (table[row].letter != c)
        row++;
    return row;
}

static int takes_option(const char *takes, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = takes; (p = strstr(p, name)); p += n)
        if ((p == takes || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
            return 1;
    return 0;
}

/* A number followed by nothing, or by one of the letters of `units`, each worth `step` times the one before. */
static int parse_scaled(const char *text, const char *units, double step, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || errno || !isfinite(*out))
        return 0;
    for (const char *u = units; *u && *end; u++)
        if ((*end | 0x20) == (*u | 0x20)) {
            for (const char *v = units; v <= u; v++)
                *out *= step;
            end++;
            break;
        }
    return !*end && *out >= 0 && *out < 9e15;
}

static void add_to_list(const char ***list, int *count, const char *text)
{
    if (!(*count & (*count - 1)))
        *list = xrealloc(*list, (size_t)(*count ? 2 * *count : 1) * sizeof **list);
    (*list)[(*count)++] = text;
}

static int set_value(const struct option_row *row, const char *text, struct tui_options *o, struct error *e)
{
    char *field = (char *)o + row->offset;
    double x = 0;
    char *end;
    switch (row->kind) {
    case FLAG:
        *(int *)field = 1;
        return OK;
    case TEXT:
        *(const char **)field = text;
        return OK;
    case LIST: /* the list, then its count in an int; what it had room for is a power of two */
        add_to_list((const char ***)field, (int *)(field + sizeof(char **)), text);
        return OK;
    case EVENT:
        if (!parse_scaled(text, "", 1, &x) || x != floor(x))
            return error_set(e, ERROR_USAGE, "--%s %s: a number of events was expected", row->name, text);
        *(int64_t *)field = (int64_t)x;
        return OK;
    case AMOUNT:
        errno = 0;
        x = strtod(text, &end);
        if (end == text || *end || errno || !(x > 0) || !isfinite(x))
            return error_set(e, ERROR_USAGE, "--%s %s: a number above 0 was expected", row->name, text);
        *(double *)field = x;
        return OK;
    case COUNT:
    case NATURAL:
        if (!parse_scaled(text, "", 1, &x) || x != floor(x) || x < row->least || x > row->most)
            return error_set(e, ERROR_USAGE, "--%s %s: a whole number from %.0f to %.0f was expected", row->name, text, row->least, row->most);
        *(int *)field = (int)x;
        return OK;
    case NUMBER:
        if (!parse_scaled(text, "", 1, &x) || x < row->least || x > row->most)
            return error_set(e, ERROR_USAGE, "--%s %s: a number from %g to %g was expected", row->name, text, row->least, row->most);
        *(float *)field = (float)x;
        return OK;
    case BYTES:
        if (!parse_scaled(text, "KMGT", 1024, &x) || x < 1)
            return error_set(e, ERROR_USAGE, "--%s %s: a size was expected, as in 512M or 2G", row->name, text);
        *(size_t *)field = (size_t)x;
        return OK;
    case TOKENS:
        if (!parse_scaled(text, "kM", 1000, &x) || x != floor(x) || x < 1)
            return error_set(e, ERROR_USAGE, "--%s %s: a number of tokens was expected, as in 4000 or 4k", row->name, text);
        *(int64_t *)field = (int64_t)x;
        if (row->offset != AT(budget_tokens))
            return OK;
        o->budgets = xrealloc(o->budgets, (size_t)(o->budget_count + 1) * sizeof *o->budgets);
        o->budgets[o->budget_count++] = (int64_t)x;
        return OK;
    case SEED:
        errno = 0;
        *(uint64_t *)field = strtoull(text, &end, 0);
        if (end == text || *end || errno || *text == '-')
            return error_set(e, ERROR_USAGE, "--%s %s: a whole number from 0 to 18446744073709551615 was expected", row->name, text);
        return OK;
    }
    return OK;
}

static void choose_last(struct tui_options *o)
{
    o->strategy = o->strategy_count ? o->strategies[o->strategy_count - 1] : NULL;
    o->data = o->data_count ? o->all_data[o->data_count - 1] : NULL;
}

static int unknown_option(const char *given, const struct option *longs, int count, struct error *e)
{
    const char *name = given + 2, *nearest = NULL;
    int least = TUI_SLIP_FAR;
    for (int i = 0; i < count && !strncmp(given, "--", 2); i++)
        if (tui_slip_nearer(name, strcspn(name, "="), longs[i].name, &least))
            nearest = longs[i].name;
    if (nearest && !least)
        return error_set(e, ERROR_USAGE, "option --%s takes no value; see --help", nearest);
    return nearest ? error_set(e, ERROR_USAGE, "unknown option %s; the nearest is --%s; see --help", given, nearest)
                   : error_set(e, ERROR_USAGE, "unknown option %s; see --help", given);
}

int tui_options_parse(int argc, char **argv, const char *takes, struct tui_options *o, int *help, struct error *e)
{
    memset(o, 0, sizeof *o);
    o->seed = 1;
    o->at = -1;
    o->speed = -1;
    o->sampling = (struct engine_sampling){-1, -1, -1, -1, -1};
    o->alpha = o->rate = o->warm_up = o->floor = o->beta1 = o->beta2 = o->epsilon = o->decay = o->clip = -1;
    *help = 0;

    struct option longs[ROWS + 2] = {{0}};
    char letters[3 * ROWS + 4] = "-:h"; /* '-': words in their places; ':': tell a missing argument apart */
    size_t used = strlen(letters);
    int count = 0;
    for (int i = 0; i < ROWS; i++) {
        if (!takes_option(takes, table[i].name))
            continue;
        longs[count++] = (struct option){table[i].name, table[i].kind == FLAG ? no_argument : required_argument, NULL, FIRST_ROW + i};
        if (has_letter(&table[i])) {
            letters[used++] = table[i].letter;
            letters[used++] = ':';
        }
    }
    longs[count] = (struct option){"help", no_argument, NULL, 'h'};
    letters[used] = '\0';

    o->words = xcalloc((size_t)argc + 1, sizeof *o->words);
    opterr = 0;
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        const char *given = argv[optind - 1];
        if (c == 1) {
            o->words[o->word_count++] = optarg;
        } else if (c == 'h') {
            *help = 1;
        } else if (c == '?') {
            return unknown_option(given, longs, count + 1, e);
        } else if (c == ':') {
            return error_set(e, ERROR_USAGE, "option %s needs a value; see --help", given);
        } else {
            const int row = row_of(c), code = set_value(&table[row], optarg, o, e);
            if (code)
                return code;
            o->given[row / 64] |= (uint64_t)1 << row % 64;
        }
    }
    for (; optind < argc; optind++) /* after "--" */
        o->words[o->word_count++] = argv[optind];
    choose_last(o);
    return OK;
}

static int row_named(const char *name)
{
    int row = 0;
    while (strcmp(table[row].name, name)) /* of those the command takes */
        row++;
    return row;
}

int tui_options_given(const struct tui_options *o, const char *name)
{
    const int row = row_named(name);
    return (int)(o->given[row / 64] >> row % 64 & 1);
}

int tui_options_otherwise(struct tui_options *o, const char *name, const char *text, struct error *e)
{
    const int code = tui_options_given(o, name) ? OK : set_value(&table[row_named(name)], text, o, e);
    choose_last(o);
    return code;
}

static int read_one(struct tui_options *o, const char *name, const struct search_yaml *node, struct error *e)
{
    const char *text = NULL;
    struct error why;
    int on = 1, code = search_yaml_string(node, &text, e);
    if (!code && table[row_named(name)].kind == FLAG)
        code = search_yaml_boolean(node, &on, e);
    if (code || !on)
        return code;
    if (tui_options_otherwise(o, name, text, &why)) /* its message begins with "--" */
        code = search_yaml_error(node, e, "%s", why.message + strspn(why.message, "-"));
    return code;
}

int tui_options_read(struct tui_options *o, const char *name, const struct search_yaml *node, struct error *e)
{
    int code = OK;
    if (node->kind != SEARCH_YAML_LIST || table[row_named(name)].kind != LIST)
        return read_one(o, name, node, e);
    for (int i = 0; i < node->count && !code; i++)
        code = read_one(o, name, node->values[i], e);
    return code;
}

void tui_options_copy(struct tui_options *out, const struct tui_options *o)
{
    *out = *o;
    for (int i = 0; i < ROWS; i++) {
        if (table[i].kind != LIST)
            continue;
        char *field = (char *)out + table[i].offset;
        const char **list = *(const char ***)field;
        const int count = *(int *)(field + sizeof(char **));
        *(const char ***)field = NULL;
        *(int *)(field + sizeof(char **)) = 0;
        for (int k = 0; k < count; k++)
            add_to_list((const char ***)field, (int *)(field + sizeof(char **)), list[k]);
    }
    out->words = xcalloc((size_t)o->word_count + 1, sizeof *out->words);
    for (int i = 0; i < o->word_count; i++)
        out->words[i] = o->words[i];
    out->budgets = xcalloc((size_t)o->budget_count + 1, sizeof *out->budgets);
    for (int i = 0; i < o->budget_count; i++)
        out->budgets[i] = o->budgets[i];
}

int tui_options_next(const char *takes, int *at, struct tui_option *out)
{
    while (*at < ROWS && !takes_option(takes, table[*at].name))
        ++*at;
    if (*at == ROWS)
        return 0;
    const struct option_row *row = &table[(*at)++];
    *out = (struct tui_option){row->name, row->argument, row->about, has_letter(row) ? row->letter : 0};
    return 1;
}

/* What was not said holds what tui.h tells: nothing, or below 0. */
int tui_options_value(const struct tui_options *o, const char *name, int i, struct string *out)
{
    const struct option_row *row = &table[row_named(name)];
    const char *field = (const char *)o + row->offset;
    const char *text;
    double x = -1;
    switch (row->kind) {
    case LIST:
        if (i >= *(const int *)(field + sizeof(char **)))
            return 0;
        string_add(out, (*(const char *const *const *)field)[i]);
        return 1;
    case TEXT:
        text = *(const char *const *)field;
        if (text && !i)
            string_add(out, text);
        return text && !i;
    case FLAG:
        string_add(out, !i && *(const int *)field ? "true" : "");
        return !i && *(const int *)field;
    case SEED:
        if (!i)
            string_addf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
        return !i;
    case COUNT:
        x = *(const int *)field ? *(const int *)field : -1;
        break;
    case NATURAL:
        x = *(const int *)field;
        break;
    case BYTES:
        x = *(const size_t *)field ? (double)*(const size_t *)field : -1;
        break;
    case TOKENS:
        x = *(const int64_t *)field ? (double)*(const int64_t *)field : -1;
        break;
    case EVENT:
        x = (double)*(const int64_t *)field;
        break;
    case AMOUNT:
        x = *(const double *)field > 0 ? *(const double *)field : -1;
        break;
    case NUMBER:
        x = (double)*(const float *)field;
        break;
    }
    if (x < 0 || i)
        return 0;
    string_addf(out, row->kind == NUMBER ? "%.7g" : "%.15g", x);
    return 1;
}

int tui_options_size(const char *name, const char *text, int *columns, int *rows, struct error *e)
{
    char *end;
    const long w = strtol(text, &end, 10), h = *end == 'x' ? strtol(end + 1, &end, 10) : 0;
    if (*end || w < 1 || h < 1 || w > 1000 || h > 1000)
        return error_set(e, ERROR_USAGE, "--%s %s: expected COLUMNSxROWS, each 1 to 1000, as in 80x24", name, text);
    *columns = (int)w;
    *rows = (int)h;
    return OK;
}

void tui_options_free(struct tui_options *o)
{
    free(o->words);
    free(o->strategies);
    free(o->acts);
    free(o->adapters);
    free(o->budgets);
    free(o->all_data);
    free(o->validation);
    free(o->from_sessions);
    o->words = NULL;
    o->strategies = o->acts = o->adapters = o->all_data = o->validation = o->from_sessions = NULL;
    o->budgets = NULL;
}

void tui_options_print(const char *takes, int columns)
{
    enum { LEFT = 32, ABOUT = LEFT + 4 };
    struct tui_option r;
    for (int at = 0; tui_options_next(takes, &at, &r);) {
        char left[64], letter[8] = "    ";
        if (r.letter)
            snprintf(letter, sizeof letter, "-%c, ", r.letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, r.name, r.argument ? " " : "", r.argument ? r.argument : "");
        printf("  %-*s  ", LEFT, left);
        if (strlen(left) > LEFT)
            printf("\n%*s", ABOUT, "");
        tui_plain_print(r.about, ABOUT, ABOUT, columns);
    }
}
