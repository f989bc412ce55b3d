/* The GGUF reader: a file with everything in it read back, then every way a file can be wrong, each with the words that
 * its message must have, then damage at every byte. Run it under ASan and UBSan: reading outside the file is the bug.
 */
#include "engine/file.h"
#include "engine/file_memory.h"
#include "gguf_writer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --- opening bytes ----------------------------------------------------------------------------------------------- */

/* Opens a copy that ends where its memory ends, so that a sanitizer sees a read beyond it. *copy is freed by the
 * caller. */
static int open_copy(struct engine_file **f, const char *bytes, size_t n, char **copy, struct error *e)
{
    *copy = xmalloc(n);
    if (n)
        memcpy(*copy, bytes, n);
    return engine_file_open_memory(f, "m.gguf", *copy, n, e);
}

/* Reads all there is to read of a file that opened. */
static uint64_t walk(const struct engine_file *f)
{
    static const char *const keys[] = {"general.architecture",
                                       "general.alignment",
                                       "u8",
                                       "i8",
                                       "u16",
                                       "i16",
                                       "u32",
                                       "i32",
                                       "u64",
                                       "i64",
                                       "f32",
                                       "f64",
                                       "yes",
                                       "numbers",
                                       "texts",
                                       "nested",
                                       "none"};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int64_t integer, n;
        double number;
        int boolean;
        struct engine_text text;
        sum += engine_file_integer(f, keys[i], &integer) ? (uint64_t)integer : 0;
        sum += engine_file_number(f, keys[i], &number) ? hash_bytes(&number, sizeof number) : 0;
        sum += engine_file_boolean(f, keys[i], &boolean) ? (uint64_t)boolean : 0;
        sum += engine_file_text(f, keys[i], &text) ? hash_bytes(text.bytes, text.length) : 0;
        if ((n = engine_file_texts(f, keys[i])) >= 0) {
            struct engine_text *texts = xcalloc((size_t)n + 1, sizeof *texts);
            engine_file_texts_get(f, keys[i], texts);
            for (int64_t j = 0; j < n; j++)
                sum += hash_bytes(texts[j].bytes, texts[j].length);
            free(texts);
        }
        if ((n = engine_file_integers(f, keys[i])) >= 0) {
            int64_t *numbers = xcalloc((size_t)n + 1, sizeof *numbers);
            engine_file_integers_get(f, keys[i], numbers);
            for (int64_t j = 0; j < n; j++)
                sum += (uint64_t)numbers[j];
            free(numbers);
        }
    }
    for (int i = 0; i < engine_file_tensor_count(f); i++) {
        const struct engine_tensor *t = engine_file_tensor_at(f, i);
        sum += hash_bytes(t->data, t->bytes) + hash_bytes(t->name.bytes, t->name.length);
    }
    return sum;
}

/* The file must be refused as input, in one line with these words in it. */
static void refused(const struct string *s, const char *words)
{
    struct engine_file *f;
    struct error e = {0};
    char *copy;
    int code = open_copy(&f, string_text(s), s->length, &copy, &e);
    if (!code || code != e.code || code != ERROR_INPUT || f || !strstr(e.message, words) || strchr(e.message, '\n'))
        fail_msg("expected \"%s\", got %d \"%s\"", words, code, e.message);
    free(copy);
}

/* --- a file with everything in it -------------------------------------------------------------------------------- */

static const uint64_t vector[] = {5}, matrix[] = {64, 3}, cube[] = {2, 3, 4};

/* Keys of every type and three tensors; ends with the last byte of the last tensor. */
static void put_valid(struct string *s, uint32_t version)
{
    static const char *const texts[] = {"", "a", "Ġthe"};
    put_header(s, version, 3, 18);
    put_key_text(s, "general.architecture", "llama");
    put_number(s, "general.alignment", PUT_U32, 64, 4);
    put_number(s, "u8", PUT_U8, 200, 1);
    put_number(s, "i8", PUT_I8, (uint64_t)-3, 1);
    put_number(s, "u16", PUT_U16, 60000, 2);
    put_number(s, "i16", PUT_I16, (uint64_t)-300, 2);
    put_number(s, "u32", PUT_U32, 4000000000, 4);
    put_number(s, "i32", PUT_I32, (uint64_t)-70000, 4);
    put_number(s, "u64", PUT_U64, (uint64_t)1 << 63, 8);
    put_number(s, "i64", PUT_I64, (uint64_t)1 << 63, 8);
    put_number(s, "f32", PUT_F32, 0x40490fdb, 4);
    put_number(s, "f64", PUT_F64, 0x3ff8000000000000, 8);
    put_number(s, "yes", PUT_BOOL, 1, 1);
    put_key_array(s, "numbers", PUT_I16, 3);
    for (int i = -1; i < 2; i++)
        put(s, (uint64_t)i, 2);
    put_key_array(s, "texts", PUT_TEXT, 3);
    for (int i = 0; i < 3; i++)
        put_text(s, texts[i]);
    put_key_array(s, "nested", PUT_ARRAY, 2);
    put(s, PUT_U8, 4);
    put(s, 2, 8);
    put(s, 0x0102, 2);
    put(s, PUT_TEXT, 4);
    put(s, 1, 8);
    put_text(s, "deep");
    put_key_array(s, "none", PUT_F64, 0);
    put_key_text(s, "a\nname", "x");
    put_tensor(s, "vector", 1, vector, 0, 0);
    put_tensor(s, "matrix", 2, matrix, 3, 64);
    put_tensor(s, "cube", 3, cube, 1, 192);
    put_padding(s, 64);
    for (int i = 0; i < 20; i++)
        put(s, (uint64_t)i, 1);
    put_padding(s, 64);
    for (int i = 0; i < 120; i++)
        put(s, (uint64_t)i, 1);
    put_padding(s, 64);
    for (int i = 0; i < 48; i++)
        put(s, (uint64_t)i, 1);
}

static void check_keys(const struct engine_file *f)
{
    int64_t i;
    double d;
    int b;
    struct engine_text t, texts[3];
    int64_t numbers[3];
    assert_true(engine_file_text(f, "general.architecture", &t) && t.length == 5 && !memcmp(t.bytes, "llama", 5));
    assert_true(engine_file_integer(f, "u8", &i) && i == 200);
    assert_true(engine_file_integer(f, "i8", &i) && i == -3);
    assert_true(engine_file_integer(f, "u16", &i) && i == 60000);
    assert_true(engine_file_integer(f, "i16", &i) && i == -300);
    assert_true(engine_file_integer(f, "u32", &i) && i == 4000000000);
    assert_true(engine_file_integer(f, "i32", &i) && i == -70000);
    assert_true(engine_file_integer(f, "i64", &i) && i == INT64_MIN);
    i = 7;
    assert_false(engine_file_integer(f, "u64", &i) || engine_file_integer(f, "f32", &i) ||
                 engine_file_integer(f, "yes", &i) || engine_file_integer(f, "numbers", &i) ||
                 engine_file_integer(f, "absent", &i));
    assert_int_equal(i, 7);
    assert_true(engine_file_number(f, "f32", &d) && d == (double)3.14159274f);
    assert_true(engine_file_number(f, "f64", &d) && d == 1.5);
    assert_false(engine_file_number(f, "u8", &d));
    assert_true(engine_file_boolean(f, "yes", &b) && b == 1);
    assert_false(engine_file_boolean(f, "u8", &b));
    assert_int_equal(engine_file_integers(f, "numbers"), 3);
    engine_file_integers_get(f, "numbers", numbers);
    assert_true(numbers[0] == -1 && numbers[1] == 0 && numbers[2] == 1);
    assert_int_equal(engine_file_texts(f, "texts"), 3);
    engine_file_texts_get(f, "texts", texts);
    assert_true(!texts[0].length && texts[1].length == 1 && *texts[1].bytes == 'a' && texts[2].length == 5);
    assert_int_equal(engine_file_texts(f, "numbers"), -1);
    assert_int_equal(engine_file_integers(f, "texts"), -1);
    assert_int_equal(engine_file_integers(f, "nested"), -1);
    assert_int_equal(engine_file_integers(f, "none"), -1);
    assert_int_equal(engine_file_integers(f, "absent"), -1);
}

static void test_everything_is_read(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct string s = {0};
        struct engine_file *f;
        struct error e = {0};
        char *copy;
        put_valid(&s, version);
        if (open_copy(&f, s.text, s.length, &copy, &e))
            fail_msg("%s", e.message);
        assert_string_equal(engine_file_path(f), "m.gguf");
        assert_int_equal(engine_file_bytes(f), s.length);
        check_keys(f);
        assert_int_equal(engine_file_tensor_count(f), 3);
        const struct engine_tensor *m = engine_file_tensor(f, "matrix");
        assert_ptr_equal(m, engine_file_tensor_at(f, 1));
        assert_true(m->type == KERNEL_Q4_1 && m->dimensions == 2 && m->size[0] == 64 && m->size[1] == 3 &&
                    m->size[2] == 1 && m->size[3] == 1 && m->bytes == 120 && m->offset % 64 == 0);
        assert_memory_equal(m->data, s.text + m->offset, m->bytes);
        assert_int_equal(((const char *)m->data)[119], 119);
        assert_true(engine_file_tensor(f, "cube")->type == KERNEL_F16 && engine_file_tensor(f, "cube")->bytes == 48);
        assert_null(engine_file_tensor(f, "cub"));
        assert_null(engine_file_tensor(f, "cubes"));
        engine_file_close(f);
        free(copy);
        string_free(&s);
    }
    engine_file_close(NULL);
}

static void test_many_names_are_found(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct string s = {0};
    struct engine_file *f;
    struct error e = {0};
    char *copy, name[32];
    const uint64_t one[] = {2};
    put_header(&s, 3, MANY, MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "key.%d", i * 7919 % MANY);
        put_number(&s, name, PUT_I32, (uint64_t)(i * 7919 % MANY), 4);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "blk.%d", i * 7919 % MANY);
        put_tensor(&s, name, 1, one, 0, (uint64_t)i * 32);
    }
    put_padding(&s, 32);
    for (int i = 0; i < MANY * 32; i++)
        put(&s, 0, 1);
    if (open_copy(&f, s.text, s.length, &copy, &e))
        fail_msg("%s", e.message);
    for (int i = 0; i < MANY; i++) {
        int64_t x;
        snprintf(name, sizeof name, "key.%d", i);
        assert_true(engine_file_integer(f, name, &x) && x == i);
        snprintf(name, sizeof name, "blk.%d", i);
        const struct engine_tensor *t = engine_file_tensor(f, name);
        assert_true(t && t->name.length == strlen(name) && !memcmp(t->name.bytes, name, t->name.length));
    }
    engine_file_close(f);
    free(copy);
    string_free(&s);
}

/* --- files that are not ------------------------------------------------------------------------------------------ */

static void test_other_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *words;
    } cases[] = {
        {"", 0, "m.gguf: the file is empty"},
        {"GG", 2, "not a GGUF file: it begins with \"GG\""},
        {"\x7f"
         "ELF\2",
         5, "begins with \"\\x7fELF\", expected \"GGUF\""},
        {"lmgg\1\0\0\0", 8, "looks like a GGML file from before GGUF"},
        {"tjgg\3\0\0\0", 8, "looks like a GGJT file from before GGUF"},
        {"PK\3\4 archive", 12, "looks like a PyTorch checkpoint"},
        {"\x80\2}q", 4, "looks like a PyTorch checkpoint"},
        {"\x40\1\0\0\0\0\0\0{\"a\":1}", 15, "looks like a safetensors file"},
        {"\n <!DOCTYPE html>", 17, "looks like a web page"},
        {"{\"error\": 404}", 14, "looks like JSON"},
        {"version https://git-lfs.github.com/spec/v1", 42, "Git LFS pointer"},
        {"\x1f\x8b\x08", 3, "compressed with gzip"},
        {"GGUF", 4, "truncated: it has 4 bytes, and the version at byte 4 takes 4"},
        {"GGUF\1\0\0\0", 8, "GGUF version 1; this version reads 2 and 3"},
        {"GGUF\4\0\0\0", 8, "GGUF version 4; this version reads 2 and 3"},
        {"GGUF\0\0\0\0", 8, "GGUF version 0"},
        {"GGUF\0\0\0\3", 8, "big-endian GGUF file (version 3)"},
        {"GGUF\3\0\0\0\1\0\0\0", 12, "a count at byte 8 takes 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct string s = {0};
        string_append(&s, cases[i].bytes, cases[i].n);
        refused(&s, cases[i].words);
        string_free(&s);
    }
}

static void refused_path(const char *path, const char *words)
{
    struct engine_file *f;
    struct error e = {0};
    assert_int_equal(engine_file_open(&f, path, &e), ERROR_INPUT);
    if (f || !strstr(e.message, words))
        fail_msg("expected \"%s\", got \"%s\"", words, e.message);
}

static void test_paths_that_cannot_be_read(void **state)
{
    (void)state;
    char folder[] = "/tmp/espalier-test-XXXXXX", path[128], longer[1024];
    assert_non_null(mkdtemp(folder));
    refused_path(NULL, "no model file was named");
    refused_path("", "no model file was named");
    refused_path(folder, "there is no config.json in this folder");
    snprintf(path, sizeof path, "%s/absent", folder);
    refused_path(path, "absent: cannot open: No such file or directory");
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused_path(path, "pipe: is a pipe; expected a GGUF file");
    unlink(path);
    refused_path("/dev/null", "is a device");
    snprintf(path, sizeof path, "%s/empty", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    refused_path(path, "empty: the file is empty");
    if (geteuid()) { /* root reads everything */
        chmod(path, 0);
        refused_path(path, "Permission denied; make it readable");
    }
    unlink(path);
    rmdir(folder);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    refused_path(longer, "File name too long");
}

/* What a long path leaves of a message must still say what is wrong. */
static void test_long_names_leave_room(void **state)
{
    (void)state;
    struct string s = {0};
    struct engine_file *f;
    struct error e = {0};
    char path[2000], name[3000];
    memset(path, 'p', sizeof path);
    memset(name, 'n', sizeof name);
    path[sizeof path - 1] = name[sizeof name - 1] = '\0';
    put_header(&s, 3, 1, 0);
    put_tensor(&s, name, 1, vector, 18, 0);
    assert_int_equal(engine_file_open_memory(&f, path, s.text, s.length, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "is IQ3_XXS; this version reads F32, F16, BF16, Q4_0,"));
    string_free(&s);
}

/* --- files that are wrong ---------------------------------------------------------------------------------------- */

/* A header for this many keys and tensors, then the key "k" of this type: the value is the caller's. */
static struct string with_key(int type)
{
    struct string s = {0};
    put_header(&s, 3, 0, 1);
    put_key(&s, "k", type);
    return s;
}

static void refused_and_freed(struct string s, const char *words)
{
    refused(&s, words);
    string_free(&s);
}

static void test_wrong_counts_and_lengths(void **state)
{
    (void)state;
    struct string s = {0};
    put_header(&s, 3, (uint64_t)1 << 60, 0);
    refused_and_freed(s, "the number of tensors at byte 8 is 1152921504606846976, more than 24 bytes hold");
    s = (struct string){0};
    put_header(&s, 3, 0, UINT64_MAX);
    refused_and_freed(s, "the number of keys at byte 16 is 18446744073709551615");
    s = (struct string){0};
    put_header(&s, 3, 0, 1);
    put(&s, UINT64_MAX, 8);
    put(&s, 0, 8);
    refused_and_freed(s, "the name of a key at byte 24 says it has 18446744073709551615 bytes, but 8 are left");
    s = with_key(PUT_TEXT);
    put(&s, 1000, 8);
    refused_and_freed(s, "a text at byte 37 says it has 1000 bytes, but 0 are left");
    s = with_key(PUT_ARRAY);
    put(&s, PUT_U64, 4);
    put(&s, (uint64_t)1 << 61, 8);
    refused_and_freed(s, "array k at byte 37 says it has 2305843009213693952 elements in 0 bytes");
    s = with_key(PUT_ARRAY);
    put(&s, PUT_TEXT, 4);
    put(&s, 2, 8);
    put_text(&s, "one");
    put(&s, 9, 8);
    refused_and_freed(s, "a text in an array at byte 60 says it has 9 bytes, but 0 are left");
    s = with_key(13);
    put(&s, 0, 8);
    refused_and_freed(s, "the value of k at byte 33 is of type 13; GGUF defines 0 to 12");
    s = with_key(PUT_ARRAY);
    put(&s, 99, 4);
    put(&s, 0, 8);
    refused_and_freed(s, "of type 99; GGUF defines");
    s = with_key(PUT_BOOL);
    put(&s, 2, 1);
    refused_and_freed(s, "the boolean k at byte 37 is 2; expected 0 or 1");
}

static void test_long_keys(void **state)
{
    (void)state;
    struct string s = {0};
    char *name = xmalloc(65537);
    memset(name, 'k', 65536);
    name[65536] = '\0';
    put_header(&s, 3, 0, 1);
    put_number(&s, name, PUT_U8, 1, 1);
    refused_and_freed(s, "the name of a key at byte 24 is 65536 bytes long; GGUF allows 65535");
    free(name);
}

static void test_nested_arrays(void **state)
{
    (void)state;
    for (int depth = 1; depth <= 6; depth++) {
        struct string s = with_key(PUT_ARRAY);
        for (int i = 1; i < depth; i++) {
            put(&s, PUT_ARRAY, 4);
            put(&s, 1, 8);
        }
        put(&s, PUT_U8, 4);
        put(&s, 1, 8);
        put(&s, 5, 1);
        if (depth <= 4) {
            struct engine_file *f;
            struct error e;
            assert_int_equal(engine_file_open_memory(&f, "m.gguf", s.text, s.length, &e), OK);
            engine_file_close(f);
        } else {
            refused(&s, "arrays within arrays more than 4 deep");
        }
        string_free(&s);
    }
}

static void test_things_that_are_there_twice(void **state)
{
    (void)state;
    struct string s = {0};
    put_header(&s, 3, 0, 3);
    put_number(&s, "twin", PUT_U8, 1, 1);
    put_number(&s, "other", PUT_U8, 1, 1);
    put_number(&s, "twin", PUT_U16, 1, 2);
    refused_and_freed(s, "the key twin is there twice");
    s = (struct string){0};
    put_header(&s, 3, 2, 0);
    put_tensor(&s, "twin", 1, vector, 0, 0);
    put_tensor(&s, "twin", 1, vector, 0, 32);
    put_padding(&s, 32);
    for (int i = 0; i < 64; i++)
        put(&s, 0, 1);
    refused_and_freed(s, "tensor twin is there twice");
}

/* A file of one tensor "t", and 64 bytes of data. */
static struct string with_tensor(int dimensions, const uint64_t *sizes, uint32_t type, uint64_t offset)
{
    struct string s = {0};
    put_header(&s, 3, 1, 0);
    put_tensor(&s, "t", dimensions, sizes, type, offset);
    put_padding(&s, 32);
    for (int i = 0; i < 64; i++)
        put(&s, 0, 1);
    return s;
}

static void test_wrong_tensors(void **state)
{
    (void)state;
    static const uint64_t eight[] = {8}, zero[] = {8, 0}, five[] = {2, 2, 2, 2, 2}, negative[] = {UINT64_MAX},
                          huge[] = {(uint64_t)1 << 32, (uint64_t)1 << 31}, large[] = {(uint64_t)1 << 62}, odd[] = {48},
                          seventeen[] = {17};
    refused_and_freed(with_tensor(0, eight, 0, 0), "tensor t at byte 33 has 0 dimensions; GGUF allows 1 to 4");
    refused_and_freed(with_tensor(5, five, 0, 0), "tensor t at byte 33 has 5 dimensions");
    refused_and_freed(with_tensor(2, zero, 0, 0),
                      "dimension 1 of tensor t at byte 45 is 0: no tensor has such a shape");
    refused_and_freed(with_tensor(1, negative, 0, 0), "dimension 0 of tensor t at byte 37 is 18446744073709551615");
    refused_and_freed(with_tensor(2, huge, 0, 0), "dimension 1 of tensor t");
    refused_and_freed(with_tensor(1, large, 0, 0),
                      "tensor t has 4611686018427387904 weights, more than memory can address");
    refused_and_freed(with_tensor(1, odd, 3, 0),
                      "rows of tensor t have 48 weights, not a multiple of the 32 in a block of Q4_1");
    refused_and_freed(with_tensor(1, eight, 0, 31), "begins 31 after byte 64, not a multiple of the alignment 32");
    refused_and_freed(with_tensor(1, eight, 0, UINT64_MAX - 31), "beyond any file");
    refused_and_freed(with_tensor(1, eight, 0, 64),
                      "truncated: the data of tensor t end at byte 160, but the file has 128 bytes");
    refused_and_freed(with_tensor(1, seventeen, 0, 0), "truncated: the data of tensor t end at byte 132");
}

static void test_types_are_refused_by_name(void **state)
{
    (void)state;
    static const uint64_t block[] = {256};
    static const struct {
        uint32_t type;
        const char *name;
    } types[] = {{4, "Q4_2"},     {9, "Q8_1"},      {15, "Q8_K"},  {16, "IQ2_XXS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {24, "I8"},
                 {28, "F64"},     {29, "IQ1_M"},    {31, "Q4_0_4_4"}, {34, "TQ1_0"}, {39, "MXFP4"},   {41, "Q1_0"}};
    char words[256];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(words, sizeof words,
                 "m.gguf: tensor t is %s; this version reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, "
                 "Q6_K, IQ4_NL, IQ4_XS: take a file quantized to one of these",
                 types[i].name);
        refused_and_freed(with_tensor(1, block, types[i].type, 0), words);
    }
    refused_and_freed(with_tensor(1, block, 1000, 0), "tensor t is of type 1000, which ggml does not define");
}

static void test_types_are_read_by_number(void **state)
{
    (void)state;
    static const uint64_t row[] = {256};
    static const struct {
        uint32_t number;
        enum kernel_type type;
        size_t bytes;
    } types[] = {{0, KERNEL_F32, 1024}, {1, KERNEL_F16, 512},  {2, KERNEL_Q4_0, 144},  {3, KERNEL_Q4_1, 160},  {6, KERNEL_Q5_0, 176},
                 {7, KERNEL_Q5_1, 192}, {8, KERNEL_Q8_0, 272}, {10, KERNEL_Q2_K, 84},  {11, KERNEL_Q3_K, 110}, {12, KERNEL_Q4_K, 144},
                 {13, KERNEL_Q5_K, 176}, {14, KERNEL_Q6_K, 210}, {20, KERNEL_IQ4_NL, 144}, {23, KERNEL_IQ4_XS, 136}, {30, KERNEL_BF16, 512}};
    assert_int_equal(sizeof types / sizeof *types, KERNEL_TYPES - 1); /* NF4 is in no such file */
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct string s = {0};
        struct engine_file *f;
        struct error e = {0};
        put_header(&s, 3, 1, 0);
        put_tensor(&s, "t", 1, row, types[i].number, 0);
        put_padding(&s, 32);
        for (size_t j = 0; j < types[i].bytes; j++)
            put(&s, 0, 1);
        if (engine_file_open_memory(&f, "m.gguf", s.text, s.length, &e))
            fail_msg("%s", e.message);
        assert_int_equal(engine_file_tensor(f, "t")->type, types[i].type);
        assert_int_equal(engine_file_tensor(f, "t")->bytes, types[i].bytes);
        assert_int_equal(engine_file_type_number(types[i].type), types[i].number);
        engine_file_close(f);
        string_free(&s);
    }
}

static void test_overlaps_and_alignment(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        int type, bytes;
        const char *words;
    } alignments[] = {
        {0, PUT_U32, 4, "general.alignment is 0; expected a power of two from 8 up"},
        {48, PUT_U32, 4, "general.alignment is 48"},
        {4, PUT_U32, 4, "general.alignment is 4;"},
        {(uint64_t)-32, PUT_I32, 4, "general.alignment is -32"},
        {0x42000000, PUT_F32, 4, "general.alignment is not an integer"},
        {(uint64_t)1 << 62, PUT_U64, 8, "truncated: the data of tensor t end at byte"},
    };
    struct string s = {0};
    put_header(&s, 3, 3, 0);
    put_tensor(&s, "a", 1, matrix, 0, 256);
    put_tensor(&s, "b", 1, matrix, 0, 0);
    put_tensor(&s, "c", 1, matrix, 0, 128);
    put_padding(&s, 32);
    for (int i = 0; i < 512; i++)
        put(&s, 0, 1);
    refused_and_freed(s, "tensor c at byte 256 overlaps tensor b, at byte 128 and of 256 bytes");
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        s = (struct string){0};
        put_header(&s, 3, 1, 1);
        put_number(&s, "general.alignment", alignments[i].type, alignments[i].value, alignments[i].bytes);
        put_tensor(&s, "t", 1, vector, 0, 0);
        put_padding(&s, 64);
        for (int j = 0; j < 20; j++)
            put(&s, 0, 1);
        refused_and_freed(s, alignments[i].words);
    }
}

/* --- damage ------------------------------------------------------------------------------------------------------ */

static void test_every_truncation(void **state)
{
    (void)state;
    struct string s = {0}, cut = {0};
    put_valid(&s, 3);
    for (size_t n = 0; n < s.length; n++) {
        string_clear(&cut);
        string_append(&cut, s.text, n);
        refused(&cut, "m.gguf: ");
    }
    string_free(&cut);
    string_free(&s);
}

/* Whatever bits are flipped, the file is refused in one line or can be read to the end. */
static void test_flipped_bits(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    struct string s = {0};
    int opened = 0;
    put_valid(&s, 3);
    for (int round = 0; round < ROUNDS; round++) {
        struct engine_file *f;
        struct error e = {0};
        char *copy = xmalloc(s.length);
        int flips = 1 + (int)(3 * random_uniform(2, (uint64_t)round, 0));
        memcpy(copy, s.text, s.length);
        for (int i = 0; i < flips; i++) {
            size_t bit = (size_t)(random_uniform(2, (uint64_t)round, 1 + (uint64_t)i) * (double)(8 * s.length));
            copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        }
        int code = engine_file_open_memory(&f, "m.gguf", copy, s.length, &e);
        if (!code) {
            opened++;
            walk(f);
            engine_file_close(f);
        } else if (code != ERROR_INPUT || !*e.message || strchr(e.message, '\n')) {
            fail_msg("round %d: %d \"%s\"", round, code, e.message);
        }
        free(copy);
    }
    assert_true(opened > 100 && opened < ROUNDS - 100); /* or the flips hit nothing, or everything */
    string_free(&s);
}

/* Bytes of files that this process has in memory. */
static size_t resident_file_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    size_t kilobytes = 0;
    while (f && fgets(line, sizeof line, f) && sscanf(line, "RssFile: %zu", &kilobytes) != 1) {
    }
    if (f)
        fclose(f);
    return kilobytes * 1024;
}

/* What is released leaves memory, and is what it was when it is read again. */
static void test_release(void **state)
{
    (void)state;
    enum { ROWS = 2048, BYTES = ROWS * 1024 * 4 };
    static const char head[] = "GGUF\3\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\1\0\0\0\0\0\0\0w\2\0\0\0\0\4\0\0\0\0\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    char path[] = "/tmp/espalier-test-XXXXXX", *bytes = xcalloc(1, 96 + BYTES);
    memcpy(bytes, head, sizeof head - 1);
    for (int i = 0; i < BYTES; i++)
        bytes[96 + i] = (char)(i * 7 / 5);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, bytes, 96 + BYTES), 96 + BYTES);
    close(fd);
    struct engine_file *f;
    struct error e = {0};
    if (engine_file_open(&f, path, &e))
        fail_msg("%s", e.message);
    const struct engine_tensor *t = engine_file_tensor(f, "w");
    assert_non_null(t);
    assert_int_equal(t->bytes, BYTES);
    uint64_t hash = hash_bytes(t->data, t->bytes);
    size_t before = resident_file_bytes();
    engine_file_release(f, t->data, t->bytes);
    assert_true(before == 0 || resident_file_bytes() + BYTES / 2 < before);
    assert_true(hash_bytes(t->data, t->bytes) == hash);
    engine_file_release(f, t->data, 10); /* less than a page: nothing */
    engine_file_close(f);
    unlink(path);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_read),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_many_names_are_found),
        cmocka_unit_test(test_other_files_are_named),
        cmocka_unit_test(test_paths_that_cannot_be_read),
        cmocka_unit_test(test_long_names_leave_room),
        cmocka_unit_test(test_wrong_counts_and_lengths),
        cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_nested_arrays),
        cmocka_unit_test(test_things_that_are_there_twice),
        cmocka_unit_test(test_wrong_tensors),
        cmocka_unit_test(test_types_are_refused_by_name),
        cmocka_unit_test(test_types_are_read_by_number),
        cmocka_unit_test(test_overlaps_and_alignment),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_flipped_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
