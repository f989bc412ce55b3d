/* Hostile files, made from good ones, through the fuzzers' own entries, and whole folders as a command opens them: each is refused in one line that
 * names the file, or used to the end; nothing stays in memory or open. Run it under ASan and UBSan too.
 *
 *   test_hostile              replays all
 *   test_hostile FOLDER [N]   writes every N-th of what the fuzzers begin with: FOLDER/corpus-fuzz_X/NAME
 */
#include "hostile_gguf.h"
#include "hostile_json.h"
#include "opened.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDERS "tests/reference/folders/"
enum { GOOD_MOST = 1 << 18 };

/* tests/fuzz_X.c, compiled under these names */
int fuzz_file_one(const uint8_t *bytes, size_t n);
int fuzz_safetensors_one(const uint8_t *bytes, size_t n);
int fuzz_config_one(const uint8_t *bytes, size_t n);
int fuzz_tokenizer_one(const uint8_t *bytes, size_t n);
int fuzz_adapter_one(const uint8_t *bytes, size_t n);
int fuzz_vocabulary_one(const uint8_t *bytes, size_t n);
size_t fuzz_file_mutate(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t fuzz_safetensors_mutate(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t fuzz_config_mutate(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t fuzz_tokenizer_mutate(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t fuzz_adapter_mutate(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

/* What the fuzzers mutate stays what it is: a good file. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most)
{
    (void)bytes, (void)most;
    return n;
}

typedef int one_function(const uint8_t *bytes, size_t n);
typedef size_t mutate_function(uint8_t *bytes, size_t n, size_t most, unsigned seed);

/* --- trying a case ------------------------------------------------------------------------------------------------- */

static one_function *one;         /* what cases are tried with */
static const char *target;        /* its name */
static const char *write_to;      /* the folder that they are written to instead, or NULL */
static int write_every;
static const struct corpus *last; /* whose case is being tried */
static int handed, used_cases;

/* A sanitizer's report, a trap and a crash all end here: say of which case. */
static void say_case(int signal_number)
{
    static const char of[] = "while trying ", between[] = ": ", end[] = "\n";
    ssize_t n = write(2, of, sizeof of - 1) + write(2, target, strlen(target)) + write(2, between, sizeof between - 1) +
                (last ? write(2, last->name, strlen(last->name)) : 0) + write(2, end, 1);
    (void)n;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1:max_allocation_size_mb=1024";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}

static int first_free(void)
{
    const int fd = dup(0);
    close(fd);
    return fd;
}

/* Whether memory in use grew: what is freed may stay with malloc for the next of its size, so only what grows every time it is done is lost. */
static int leaks(const char *bytes, size_t n)
{
    for (int times = 0; times < 16; times++) {
        const size_t used = mallinfo2().uordblks;
        one((const uint8_t *)bytes, n);
        if (mallinfo2().uordblks <= used)
            return 0;
    }
    return 1;
}

static void try_case(struct corpus *c, const char *bytes, size_t n)
{
    const int fd = first_free(), first = last != c; /* the first may leave what is kept for the next */
    const size_t used = mallinfo2().uordblks;
    const int ends = opened_used;
    last = c;
    one((const uint8_t *)bytes, n);
    if (!strcmp(c->name, "good") && opened_used == ends)
        fail_msg("%s: the good file is refused", target);
    used_cases += opened_used > ends;
    handed++;
    if (!first && mallinfo2().uordblks > used && leaks(bytes, n))
        fail_msg("%s: %s: memory is not freed", target, c->name);
    if (!first && first_free() != fd)
        fail_msg("%s: %s: a file stays open", target, c->name);
}

static void write_case(struct corpus *c, const char *bytes, size_t n)
{
    char *path = xasprintf("%s/corpus-%s/%d-%s", write_to, target, c->cases, c->name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        abort();
    }
    free(path);
}

/* Cases are numbered through, so those of every good file of a target go through one corpus. */
static void begin(struct corpus *c, const char *name, one_function *with)
{
    *c = (struct corpus){.hand = write_to ? write_case : try_case, .every = write_to ? write_every : 1};
    target = name;
    one = with;
    handed = used_cases = 0;
    last = NULL;
    if (write_to) {
        char *path = xasprintf("%s/corpus-%s", write_to, name);
        mkdir(write_to, 0777);
        mkdir(path, 0777);
        free(path);
        return;
    }
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], say_case);
}

static void end(struct corpus *c)
{
    if (!write_to)
        print_message("%s: %d cases, %d used to their end\n", target, handed, used_cases);
    string_free(&c->before);
    string_free(&c->after);
}

/* The good file that a fuzzer makes of the seed. */
static void good_file(struct string *out, mutate_function *mutate, unsigned seed)
{
    uint8_t *bytes = xmalloc(GOOD_MOST);
    const size_t n = mutate(bytes, 0, GOOD_MOST, seed);
    string_clear(out);
    string_append(out, (const char *)bytes, n);
    free(bytes);
}

/* --- through the fuzzers ------------------------------------------------------------------------------------------- */

/* Every field of two models; of models quantized to each type, the weights; of files with weights of each type, some. */
static void test_file(void **state)
{
    enum { NARROW = 1, Q4_0 = 4, QUANTIZED = 12, TYPES = 15 };
    struct corpus c;
    struct string good = {0};
    (void)state;
    begin(&c, "fuzz_file", fuzz_file_one);
    good_file(&good, fuzz_file_mutate, NARROW);
    hostile_gguf(&c, &good);
    good_file(&good, fuzz_file_mutate, Q4_0);
    hostile_gguf(&c, &good);
    for (unsigned type = 1; type < QUANTIZED; type++) {
        struct hostile_gguf g;
        good_file(&good, fuzz_file_mutate, Q4_0 + 6 * type);
        hostile_name(&c, "good");
        hostile_hand(&c, good.text, good.length);
        hostile_walk(&g, &good);
        hostile_gguf_weights(&c, &g, good.length / 8);
        free(g.fields);
    }
    for (unsigned type = 0; type < TYPES; type++) {
        good_file(&good, fuzz_file_mutate, 3 * 4 * type);
        hostile_cuts(&c, &good, 0, 97);
        hostile_flips(&c, &good, good.length, 20);
    }
    end(&c);
    string_free(&good);
}

/* The description, what it lies in, and the numbers it describes. */
static void test_safetensors(void **state)
{
    struct corpus c;
    struct string good = {0}, head = {0};
    (void)state;
    begin(&c, "fuzz_safetensors", fuzz_safetensors_one);
    for (unsigned seed = 0; seed < 5; seed++) {
        good_file(&good, fuzz_safetensors_mutate, seed);
        const size_t length = (size_t)hostile_little(good.text, 8);
        hostile_name(&c, "good");
        hostile_hand(&c, good.text, good.length);
        hostile_number(&c, &good, 0, 8);
        hostile_cuts(&c, &good, seed ? 0 : length + 200, 37);
        hostile_flips(&c, &good, good.length, 100);
        for (size_t at = 8 + length; at + 4 <= good.length; at += seed ? 257 : 17)
            hostile_number(&c, &good, at, 4);
        if (seed)
            continue;
        string_clear(&head);
        string_append(&head, good.text + 8, length);
        string_append(&c.after, good.text + 8 + length, good.length - 8 - length);
        c.with_length = 1;
        hostile_json(&c, &head, 1);
        c.with_length = 0;
        string_clear(&c.after);
    }
    end(&c);
    string_free(&good);
    string_free(&head);
}

static void test_config(void **state)
{
    enum { KINDS = 5, ROPES = 4 };
    struct corpus c;
    struct string good = {0};
    (void)state;
    begin(&c, "fuzz_config", fuzz_config_one);
    for (unsigned seed = 0; seed < KINDS * ROPES; seed += seed < KINDS - 1 ? 1 : KINDS) {
        good_file(&good, fuzz_config_mutate, seed);
        hostile_json(&c, &good, seed ? 29 : 1);
    }
    end(&c);
    string_free(&good);
}

/* Each of the three texts beside the others as they are. */
static void hostile_pieces(struct corpus *c, const struct string *good, size_t step)
{
    static const char between[] = "\n%%\n";
    for (const char *from = good->text, *next; from; from = next) {
        const char *cut = strstr(from, between);
        struct string piece = {0};
        string_append(&piece, from, cut ? (size_t)(cut - from) : strlen(from));
        string_clear(&c->before);
        string_clear(&c->after);
        string_append(&c->before, good->text, (size_t)(from - good->text));
        string_add(&c->after, cut ? cut : "");
        hostile_json(c, &piece, step);
        string_free(&piece);
        next = cut ? cut + sizeof between - 1 : NULL;
    }
    string_clear(&c->before);
    string_clear(&c->after);
}

/* Merges that go in a circle, or make what is not there. */
static void hostile_merges(struct corpus *c, const struct string *good)
{
    static const char *const merges[] = {
        "[\"a b\",\"ab a\",\"aba b\"]", "[[\"ab\",\"ab\"],[\"a\",\"bab\"]]", "[\"a b\",\"a b\",\"a b\"]", "[\"a  b\"]", "[\" \"]", "[\"a\"]",
        "[[\"a\",\"\"]]", "[[\"\",\"a\"]]", "[[\"a\",\"b\",\"c\"]]", "[[\"a\",1]]", "[\"abc ab\",\"ab abc\"]", "[[\"a b\",\"c\"]]"};
    const char *at = strstr(good->text, "\"merges\":"), *end = at ? strstr(at, "]]}}") : NULL;
    if (!end)
        abort(); /* it is there */
    at += strlen("\"merges\":");
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        struct string s = {0};
        hostile_splice(&s, good, (size_t)(at - good->text), (size_t)(end + 2 - at), merges[i], strlen(merges[i]));
        hostile_name(c, "merges-%zu", i);
        hostile_hand(c, s.text, s.length);
        string_free(&s);
    }
}

static void test_tokenizer(void **state)
{
    struct corpus c;
    struct string good = {0};
    (void)state;
    begin(&c, "fuzz_tokenizer", fuzz_tokenizer_one);
    for (unsigned seed = 0; seed < 3; seed++) {
        good_file(&good, fuzz_tokenizer_mutate, seed);
        hostile_pieces(&c, &good, seed ? 29 : 1);
        hostile_merges(&c, &good);
    }
    end(&c);
    string_free(&good);
}

/* A GGUF; and a folder's two files, each beside the other as it is. */
static void test_adapter(void **state)
{
    static const char between[] = "\n%%\n";
    struct corpus c;
    struct string good = {0}, config = {0}, head = {0};
    (void)state;
    begin(&c, "fuzz_adapter", fuzz_adapter_one);
    good_file(&good, fuzz_adapter_mutate, 1);
    hostile_gguf(&c, &good);
    good_file(&good, fuzz_adapter_mutate, 0);
    hostile_name(&c, "good");
    hostile_hand(&c, good.text, good.length);
    const size_t numbers = (size_t)(strstr(good.text, between) - good.text) + sizeof between - 1, length = (size_t)hostile_little(good.text + numbers, 8);
    hostile_cuts(&c, &good, 0, 37);
    hostile_flips(&c, &good, good.length, 200);
    for (size_t at = numbers + 8 + length; at + 4 <= good.length; at += 97)
        hostile_number(&c, &good, at, 4);
    string_append(&config, good.text, numbers - (sizeof between - 1));
    string_append(&c.after, good.text + config.length, good.length - config.length);
    hostile_json(&c, &config, 7);
    string_clear(&c.after);
    string_append(&c.before, good.text, numbers);
    string_append(&head, good.text + numbers + 8, length);
    string_append(&c.after, good.text + numbers + 8 + length, good.length - numbers - 8 - length);
    c.with_length = 1;
    c.every = write_to ? write_every : 3;
    hostile_json(&c, &head, 29);
    end(&c);
    string_free(&good);
    string_free(&config);
    string_free(&head);
}

/* The fuzzer makes a vocabulary of any bytes: here of drawn ones, most of them numbers of its words. */
static void test_vocabulary(void **state)
{
    struct corpus c;
    (void)state;
    begin(&c, "fuzz_vocabulary", fuzz_vocabulary_one);
    for (uint64_t i = 0; i < 1500; i++) {
        char bytes[700];
        const size_t n = 1 + (size_t)(random_uniform(7, i, 0) * (sizeof bytes - 1));
        const double most = i % 3 ? 42 : 256;
        for (size_t b = 0; b < n; b++)
            bytes[b] = (char)(random_uniform(7, i, 1 + b) * most);
        hostile_name(&c, "drawn-%d", (int)i);
        if (i % 4 && n > 7) { /* a few tokens, no template, and ids that there are */
            bytes[2] = (char)(4 + i % 12);
            for (int b = 3; b < 7; b++)
                bytes[b] = (char)(b == 3 ? 0 : bytes[b] & 3);
        }
        hostile_hand(&c, bytes, n);
    }
    end(&c);
}

/* --- folders, as a command opens them ------------------------------------------------------------------------------ */

static char work[64] = "/tmp/espalier-hostile-XXXXXX";
static char *hostile_file; /* the one that is varied */

static void read_all(const char *path, struct string *out)
{
    char part[4096];
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be read", path);
    string_clear(out);
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        string_append(out, part, n);
    fclose(f);
}

/* Anew, and not over what was there: that may be a link. */
static void write_all(const char *path, const char *bytes, size_t n)
{
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void each_file(const char *folder, void (*each)(const char *path, const char *name))
{
    DIR *d = opendir(folder);
    for (struct dirent *at; d && (at = readdir(d));) {
        char *path = xasprintf("%s/%s", folder, at->d_name);
        if (*at->d_name != '.')
            each(path, at->d_name);
        free(path);
    }
    if (d)
        closedir(d);
}

static void copy_one(const char *path, const char *name)
{
    struct string bytes = {0};
    char *to = xasprintf("%s/%s", work, name);
    read_all(path, &bytes);
    write_all(to, bytes.text, bytes.length);
    string_free(&bytes);
    free(to);
}

static void remove_one(const char *path, const char *name)
{
    (void)name;
    unlink(path);
}

static int folder_one(const uint8_t *bytes, size_t n)
{
    write_all(hostile_file, (const char *)bytes, n);
    use_model(work);
    return 0;
}

/* One file of the folder is varied; then it is what it was. A safetensors file: its description, and some of its bytes. */
static void hostile_folder(const char *folder, const char *file, size_t step, int every)
{
    char *from = xasprintf(FOLDERS "%s", folder), *name = xasprintf("%s/%s", folder, file);
    const int numbers = strstr(file, ".safetensors") && !strstr(file, ".json");
    struct corpus c;
    struct string good = {0}, head = {0};
    each_file(work, remove_one);
    each_file(from, copy_one);
    hostile_file = xasprintf("%s/%s", work, file);
    read_all(hostile_file, &good);
    begin(&c, name, folder_one);
    c.every = every;
    if (numbers) {
        const size_t length = (size_t)hostile_little(good.text, 8);
        hostile_name(&c, "good");
        hostile_hand(&c, good.text, good.length);
        for (size_t at = 8 + length; at + 4 <= good.length; at += 4001)
            hostile_number(&c, &good, at, 4);
        hostile_cuts(&c, &good, 0, 4999);
        hostile_flips(&c, &good, length, 100);
        string_append(&head, good.text + 8, length);
        string_append(&c.after, good.text + 8 + length, good.length - 8 - length);
        c.with_length = 1;
    }
    hostile_json(&c, numbers ? &head : &good, step);
    end(&c);
    string_free(&good);
    string_free(&head);
    free(hostile_file);
    free(from);
    free(name);
}

static void test_folders(void **state)
{
    (void)state;
    hostile_folder("f16", "config.json", 1, 2);
    hostile_folder("f16", "generation_config.json", 7, 1);
    hostile_folder("f16", "tokenizer_config.json", 7, 1);
    hostile_folder("f16", "tokenizer.json", 97, 5);
    hostile_folder("bf16-sharded", "model.safetensors.index.json", 13, 3);
}

static void test_folder_numbers(void **state)
{
    (void)state;
    hostile_folder("f16", "model.safetensors", 97, 11);
    hostile_folder("nf4-nested", "model.safetensors", 397, 3);
}

/* What is no plain file stands where one is expected. */
static void test_folder_places(void **state)
{
    static const char *const names[] = {"config.json",            "tokenizer.json",      "tokenizer_config.json",
                                        "generation_config.json", "chat_template.jinja", "model.safetensors"};
    static struct corpus c; /* what is tried last may be asked for later */
    (void)state;
    each_file(work, remove_one);
    each_file(FOLDERS "f16", copy_one);
    begin(&c, "places", folder_one);
    last = &c;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int kind = 0; kind < 4; kind++) {
            char *path = xasprintf("%s/%s", work, names[i]), *from = xasprintf(FOLDERS "f16/%s", names[i]);
            hostile_name(&c, "%s-%d", names[i], kind);
            unlink(path);
            const int made = kind == 0   ? symlink(names[i], path) /* to itself */
                             : kind == 1 ? mkdir(path, 0777)
                             : kind == 2 ? mkfifo(path, 0666)
                                         : symlink("/dev/zero", path);
            assert_int_equal(made, 0);
            use_model(work);
            remove(path);
            copy_one(from, names[i]);
            free(path);
            free(from);
        }
}

/* ------------------------------------------------------------------------------------------------------------------- */

static int make_work(void **state)
{
    (void)state;
    return mkdtemp(work) ? 0 : -1;
}

static int remove_work(void **state)
{
    (void)state;
    each_file(work, remove_one);
    return rmdir(work);
}

/* A file that makes us ask for far more than it has is caught by what there is; under a sanitizer, by its own limit. */
static void limit_memory(void)
{
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    const struct rlimit limit = {(rlim_t)2 << 30, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
#endif
}

int main(int argc, char **argv)
{
    void (*const fuzzed[])(void **) = {test_file, test_safetensors, test_config, test_tokenizer, test_adapter, test_vocabulary};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),      cmocka_unit_test(test_safetensors), cmocka_unit_test(test_config),
        cmocka_unit_test(test_tokenizer), cmocka_unit_test(test_adapter),     cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_folders),   cmocka_unit_test(test_folder_numbers), cmocka_unit_test(test_folder_places),
    };
    write_to = argc > 1 ? argv[1] : NULL;
    write_every = argc > 2 ? atoi(argv[2]) : 1;
    if (!write_to) {
        limit_memory();
        return cmocka_run_group_tests(tests, make_work, remove_work);
    }
    for (size_t i = 0; i < sizeof fuzzed / sizeof *fuzzed; i++)
        fuzzed[i](NULL);
    return 0;
}
