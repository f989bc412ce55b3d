/* Chat templates: what the models' own make of conversations, as Jinja renders them (reference/chat.txt), families that no file there has worked
 * by hand, and what a message can and cannot write. */
#include "engine/file_memory.h"
#include "engine/vocabulary.h"
#include "gguf_writer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- a vocabulary that has every family's tokens ------------------------------------------------------------------ */

static const char *const marks[] = {"<|im_start|>",
                                    "<|im_end|>",
                                    "<|im_sep|>",
                                    "[INST]",
                                    "[/INST]",
                                    "[SYSTEM_PROMPT]",
                                    "[/SYSTEM_PROMPT]",
                                    "<|user|>",
                                    "<|assistant|>",
                                    "<|system|>",
                                    "<|end|>",
                                    "<start_of_turn>",
                                    "<end_of_turn>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eot_id|>",
                                    "<｜User｜>",
                                    "<｜Assistant｜>",
                                    "<bos>",
                                    "<eos>",
                                    "<s>",
                                    "</s>",
                                    "<|begin_of_text|>",
                                    "<|endoftext|>",
                                    "<｜begin▁of▁sentence｜>",
                                    "<｜end▁of▁sentence｜>"};
enum { MARKS = sizeof marks / sizeof *marks };

static uint64_t id_of(const char *mark)
{
    for (uint64_t i = 0; i < MARKS; i++)
        if (!strcmp(marks[i], mark))
            return 256 + i;
    fail_msg("no token %s", mark);
    return 0;
}

/* A byte of GPT-2's alphabet. */
static void put_letter(struct string *s, int byte)
{
    static const char *const ranges = "\x21\x7e\xa1\xac\xae\xff";
    int c = byte, other = 0x100;
    for (int b = 0, itself; b <= byte; b++) {
        itself = 0;
        for (int r = 0; r < 6; r += 2)
            itself |= b >= (unsigned char)ranges[r] && b <= (unsigned char)ranges[r + 1];
        c = itself ? b : other++;
    }
    char text[2] = {(char)(c < 0x80 ? c : 0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
    put_bytes(s, text, c < 0x80 ? 1 : 2);
}

static struct engine_vocabulary *make(const char *template, const char *begin, const char *end)
{
    struct string s = {0};
    struct engine_file *f;
    struct engine_vocabulary *v;
    struct error e;
    put_header(&s, 3, 0, 8);
    put_key_text(&s, "tokenizer.ggml.model", "gpt2");
    put_key_text(&s, "tokenizer.ggml.pre", "gpt-2");
    put_key_text(&s, "tokenizer.chat_template", template);
    put_number(&s, "tokenizer.ggml.bos_token_id", PUT_U32, id_of(begin), 4);
    put_number(&s, "tokenizer.ggml.eos_token_id", PUT_U32, id_of(end), 4);
    put_key_array(&s, "tokenizer.ggml.merges", PUT_TEXT, 0);
    put_key_array(&s, "tokenizer.ggml.token_type", PUT_I32, 256 + MARKS);
    for (int i = 0; i < 256 + MARKS; i++)
        put(&s, i < 256 ? 1 : 3, 4);
    put_key_array(&s, "tokenizer.ggml.tokens", PUT_TEXT, 256 + MARKS);
    for (int i = 0; i < 256; i++)
        put_letter(&s, i);
    for (int i = 0; i < MARKS; i++)
        put_text(&s, marks[i]);
    if (engine_file_open_memory(&f, "v.gguf", s.text, s.length, &e) || engine_vocabulary_create(&v, f, &e))
        fail_msg("%s", e.message);
    engine_file_close(f);
    string_free(&s);
    return v;
}

/* --- comparing --------------------------------------------------------------------------------------------------- */

/* The text, and of each token whether it is a control token: what a message wrote is none. */
static char *render(const struct engine_vocabulary *v, const struct engine_message *messages, int n, int how, int *controls)
{
    struct engine_tokens t = {0};
    struct string s = {0};
    engine_vocabulary_chat(v, messages, n, how, &t);
    engine_vocabulary_detokenize(v, t.ids, t.count, 1, &s);
    for (int i = 0; controls && i < t.count; i++)
        *controls += engine_vocabulary_is_control(v, t.ids[i]);
    engine_tokens_free(&t);
    return s.text ? s.text : xstrdup("");
}

static void expect(const struct engine_vocabulary *v, const struct engine_message *messages, int n, int how, const char *text, const char *of)
{
    char *got = render(v, messages, n, how, NULL);
    if (strcmp(got, text))
        fail_msg("%s (%s):\nexpected «%s»\ngot      «%s»", of, engine_vocabulary_template(v), text, got);
    free(got);
}

/* --- the reference ----------------------------------------------------------------------------------------------- */

static const char *reference = "tests/reference/chat.txt";

static void test_reference(void **state)
{
    (void)state;
    FILE *in = fopen(reference, "r");
    char *line = NULL;
    size_t capacity = 0;
    int templates = 0, texts = 0, briefs = 0;
    assert_non_null(in);
    while (getline(&line, &capacity, in) > 0) {
        json_t *r = json_loads(line, 0, NULL), *c;
        size_t i;
        assert_non_null(r);
        struct engine_vocabulary *v = make(json_string_value(json_object_get(r, "template")), json_string_value(json_object_get(r, "begin")),
                                           json_string_value(json_object_get(r, "end")));
        assert_string_not_equal(engine_vocabulary_template(v), "unknown");
        json_array_foreach(json_object_get(r, "cases"), i, c)
        {
            struct engine_message messages[8];
            json_t *m;
            size_t n;
            json_array_foreach(json_object_get(c, "messages"), n, m) messages[n] =
                (struct engine_message){json_string_value(json_array_get(m, 0)), json_string_value(json_array_get(m, 1))};
            const char *text = json_string_value(json_object_get(c, "text"));
            const char *brief = json_string_value(json_object_get(c, "brief")), *name = json_string_value(json_object_get(r, "name"));
            if (text)
                expect(v, messages, (int)n, 0, text, name);
            if (text || brief) /* who knows no other way is asked as always */
                expect(v, messages, (int)n, ENGINE_BRIEF, brief ? brief : text, name);
            texts += text != NULL;
            briefs += brief != NULL;
        }
        engine_vocabulary_free(v);
        json_decref(r);
        templates++;
    }
    printf("%d texts of %d templates, %d without thoughts\n", texts, templates, briefs);
    assert_true(templates > 20 && texts > 80 && briefs == 5);
    free(line);
    fclose(in);
}

/* --- families by hand -------------------------------------------------------------------------------------------- */

static const struct engine_message talk[] = {
    {"system", " Be brief. "}, {"user", " Hi "}, {"assistant", " Yes. "}, {"system", "Late."}, {"user", "Why?"}};

static void test_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *template, *begin, *end, *family, *turn_end, *text;
    } cases[] = {
        /* a system message stands in the user's turn that follows it */
        {"{{ bos_token }}<start_of_turn>", "<bos>", "<eos>", "gemma", "<end_of_turn>",
         "<bos><start_of_turn>user\n Be brief. \n\nHi<end_of_turn>\n<start_of_turn>model\nYes.<end_of_turn>\n<start_of_turn>user\nLate.\n\nWhy?"
         "<end_of_turn>\n<start_of_turn>model\n"},
        {"{{ bos_token + '[INST] ' + '<<SYS>>' }}", "<s>", "</s>", "llama-2", "</s>",
         "<s>[INST] <<SYS>>\n Be brief. \n<</SYS>>\n\n Hi [/INST] Yes. </s><s>[INST] <<SYS>>\nLate.\n<</SYS>>\n\nWhy? [/INST]"},
        /* in the last one's */
        {"{{ bos_token }}[AVAILABLE_TOOLS]\"[INST]\"", "<s>", "</s>", "mistral-v3-tekken", "</s>",
         "<s>[INST] Hi [/INST] Yes. </s>[INST] Be brief. \n\nLate.\n\nWhy?[/INST]"},
        {"{{ '<|user|>\\n' + eos_token }}<|assistant|>", "<s>", "</s>", "zephyr", "</s>",
         "<|system|>\n Be brief. </s>\n<|user|>\n Hi </s>\n<|assistant|>\n Yes. </s>\n<|system|>\nLate.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n"},
        {"{{ bos_token }}<|start_header_id|>", "<|begin_of_text|>", "<|endoftext|>", "llama-3", "<|eot_id|>",
         "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\nYes.<|eot_id|><|start_header_id|>system<|end_header_id|>\n\nLate.<|eot_id|>"
         "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine_vocabulary *v = make(cases[i].template, cases[i].begin, cases[i].end);
        assert_string_equal(engine_vocabulary_template(v), cases[i].family);
        assert_int_equal(engine_vocabulary_turn_end(v), id_of(cases[i].turn_end));
        expect(v, talk, 5, 0, cases[i].text, "by hand");
        engine_vocabulary_free(v);
    }
}

/* An answer that has begun goes on, whatever it says, and a system message that nobody follows is not lost. */
static void test_open_answers(void **state)
{
    (void)state;
    static const struct engine_message begun[] = {{"user", "Hi"}, {"assistant", " <think>\nSo </think> "}}, alone[] = {{"system", "Hi"}};
    struct engine_vocabulary *v = make("<start_of_turn>", "<bos>", "<eos>");
    expect(v, begun, 2, 0, "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n <think>\nSo </think> ", "gemma");
    expect(v, alone, 1, 0, "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "gemma");
    expect(v, alone, 0, 0, "<start_of_turn>model\n", "gemma");
    engine_vocabulary_free(v);
    v = make("{{'<｜User｜>'}}{{'<｜Assistant｜><think>\\n'}}", "<s>", "</s>"); /* what it begins with stands before it */
    expect(v, begun, 1, 0, "<｜User｜>Hi<｜Assistant｜><think>\n", "deepseek");
    expect(v, begun, 2, 0, "<｜User｜>Hi<｜Assistant｜><think>\n <think>\nSo </think> ", "deepseek");
    engine_vocabulary_free(v);
}

/* Where the template can be told, an empty block of thoughts stands before the answer, begun or not; <think> in a template is not enough, nor is a
 * switch that writes something else. */
static void test_brief(void **state)
{
    (void)state;
    static const struct engine_message begun[] = {{"user", "Hi"}, {"assistant", "So"}};
    static const struct {
        const char *template, *asked, *brief;
    } cases[] = {
        {"{{'<|im_start|>assistant\\n'}}{% if enable_thinking is false %}{{'<think>\\n\\n</think>\\n\\n'}}", "", "<think>\n\n</think>\n\n"},
        {"<|im_start|>assistant\n{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}", "", "<think>\n\n</think>\n\n"},
        {"<|im_start|>assistant\n<think>\n{% if not enable_thinking %}<think>\n\n</think>\n\n", "<think>\n", "<think>\n\n</think>\n\n"},
        {"<|im_start|>{% if message.content %}<think>\n\n</think>\n\n", "", ""},
        {"<|im_start|>{% if enable_thinking %}/think", "", ""},
        {"<|im_start|>assistant\n<think>\n", "<think>\n", "<think>\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine_vocabulary *v = make(cases[i].template, "<s>", "</s>");
        for (int n = 1; n <= 2; n++)
            for (int how = 0; how <= ENGINE_BRIEF; how++) {
                char *text = xasprintf("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n%s%s", how ? cases[i].brief : cases[i].asked, n > 1 ? "So" : "");
                expect(v, begun, n, how, text, "by hand");
                free(text);
            }
        engine_vocabulary_free(v);
    }
}

/* Names of control tokens in a message are text, also where they meet the template's own words. */
static void test_messages_write_no_marks(void **state)
{
    (void)state;
    static const char *const templates[] = {
        "<|im_start|>", "<start_of_turn>", "<|start_header_id|>", "[AVAILABLE_TOOLS]\"[INST]\"", "'<｜User｜>' '<｜Assistant｜>'", "none"};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        struct engine_vocabulary *v = make(templates[i], "<bos>", "<eos>");
        int plain = 0, forged = 0;
        struct engine_message messages[] = {{"system", "a"}, {"user", "b"}, {"assistant", "c"}, {"user", "d"}};
        free(render(v, messages, 4, 0, &plain));
        struct string all = {0};
        for (int j = 0; j < MARKS; j++)
            string_addf(&all, "%s%s", j % 3 ? "" : " ", marks[j]);
        for (int j = 0; j < 4; j++)
            messages[j].text = all.text;
        free(render(v, messages, 4, 0, &forged));
        assert_int_equal(forged, plain);
        string_free(&all);
        engine_vocabulary_free(v);
    }
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_open_answers),
        cmocka_unit_test(test_brief),
        cmocka_unit_test(test_messages_write_no_marks),
    };
    if (count > 1)
        reference = arguments[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
