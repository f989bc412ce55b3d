/* engine/: the language model. Files, tokens, forward pass, branching KV, sampling, continuous batching.
 *
 * One struct engine is one model with its cache and its queue of requests. The thread that drives it (engine_submit,
 * engine_step, engine_result, engine_cancel, engine_forget) owns it; the functions that take a const struct engine only
 * read what never changes after engine_open and may be called from any thread.
 *
 * Same request, same result, bit for bit, on a given device and kernel set: whatever the number of threads, the batch
 * limit, what else is in the batch, what is cached, or how often the driver paused between steps.
 */
#ifndef ESPALIER_ENGINE_H
#define ESPALIER_ENGINE_H

#include "engine/learning.h"
#include "kernels/kernels.h"

struct engine;

/* --- opening ----------------------------------------------------------------------------------------------------- */

struct engine_options {     /* {0} is a good start; see the comment at each for what 0 means */
    const char *model;      /* path of a GGUF file, or of a folder as transformers saves a model */
    const char *kernels;    /* "auto" (also NULL), "avx512", "avx2", "neon", "reference" */
    const char *quant;      /* NULL: weights as in the file. "nf4": the linear layers are quantized to NF4 at load; "nf4+head":
                               the head too. What has a width that is not a multiple of 64 stays as it is */
    int threads;            /* 0: as many as the machine has */
    int batch;              /* branches that decode in one pass at most; 0: 32 */
    int context;            /* positions a branch may have; 0: the model's own, at most 8,192 */
    const char *kv_type;    /* of cached keys and values: "f16" or "q8" (Q8_0: half the memory, some of the quality); NULL: the set's
                               own, F16, or F32 of "reference", which keeps no other */
    size_t kv_memory;       /* bytes for cached keys and values; 0: 1 GiB or a quarter of the machine's, the smaller */
    int describe;           /* everything is checked and engine_info filled, but no memory taken for it: no request can be made */
    int vocabulary_only;    /* tokens, and the shape where it is known: no weights are touched, no request can be made */
};

/* Opens a model. Everything that can be wrong with the file is refused here by name (ERROR_INPUT): not a GGUF, a newer
 * version, truncated, an unknown architecture, type, tokenizer, a missing or misshapen tensor. *out is freed by engine_close. */
int engine_open(struct engine **out, const struct engine_options *options, struct error *e);
void engine_close(struct engine *engine);

struct engine_info {
    const char *path, *name;           /* name: general.name of the file, sanitised, or the file's base name */
    const char *format;                /* "GGUF", or "folder" */
    int left_out;                      /* tensors in it that are not for text, and not used */
    const char *architecture;          /* "llama" */
    const char *tokenizer;             /* "gpt2 (smollm)", "llama (SentencePiece)" */
    const char *chat_template;         /* family: "chatml", "gemma", ...; "none"; "unknown": it has one of no family known */
    const char *kernels;               /* the set in use */
    const char *kv_type;               /* "F16": of cached keys and values */
    const char *quant;                 /* "nf4", "nf4+head"; "" when weights are as in the file */
    int quantized, kept;               /* by quant: matrices that were quantized, and that stayed for their width */
    int layers, width, heads, kv_heads, head_dim, ff_width, vocabulary;
    int context_trained, context;      /* the model's own; what this engine allows */
    float rope_base, norm_epsilon;
    const char *rope_scaling; /* "none", "linear", "yarn"; "of each frequency": Llama 3's */
    float rope_factor;
    int window, window_layers; /* positions that so many layers see at most; 0: none */
    float window_rope_base;    /* of these, which are not scaled */
    int tied;                          /* the head is the embedding */
    int64_t parameters;
    size_t file_bytes, kv_bytes_per_token, kv_memory;
    size_t packed_bytes, in_place_bytes; /* weights laid out anew in memory; weights used where they lie in the mapped file */
    size_t scratch_bytes;                /* everything else whose size is known: what passes and draws use, tables */
    int threads, batch;
    int tensors_by_type[KERNEL_TYPES]; /* how many tensors of each type, as they are used */
    int64_t bytes_by_type[KERNEL_TYPES];
    const char *laid_out[KERNEL_TYPES]; /* what in matrices of a type is not as in the file once they are laid out; NULL: nothing */
    int begin_token, end_token;        /* -1 where there is none */
    int begins;                        /* the begin token stands before a text */
    int turn_end_token;                /* what ends an answer: of a turn where the template says one, else end_token */
    const char *prompts;               /* what the file says of the prompts it was trained on, espalier.prompts: "trained"; or "" */
};
const struct engine_info *engine_info(const struct engine *engine);

/* FLOPs of computing `tokens` new positions of which the first attends to `past` others: two per weight used and
 * 4 * heads * head_dim per attended key and layer; `logits` rows go through the vocabulary product. A formula, not a measurement. */
double engine_flops(const struct engine *engine, int64_t past, int64_t tokens, int64_t logits);

/* --- tokens ------------------------------------------------------------------------------------------------------ */

struct engine_tokens { /* a growing list of token ids; {0} is an empty one */
    int *ids;
    int count, capacity;
};
void engine_tokens_add(struct engine_tokens *t, int id);
void engine_tokens_append(struct engine_tokens *t, const int *ids, int n);
void engine_tokens_free(struct engine_tokens *t);

/* Append the ids of n bytes of text (any bytes; invalid UTF-8 is tokenized as the reference does). No begin token is added. how:
 * ENGINE_SPECIAL: the names of control tokens in the text ("<|im_start|>") become those tokens; ENGINE_CONTINUES: the text goes on from other
 * tokens, so that a tokenizer that begins a text with a blank puts none. */
enum { ENGINE_SPECIAL = 1, ENGINE_CONTINUES = 2 };
void engine_tokenize(const struct engine *engine, const char *text, size_t n, int how, struct engine_tokens *out);
/* Append the bytes of the tokens; with special == 0 control tokens give nothing. Bytes, not sanitised, maybe cut inside a character. */
void engine_detokenize(const struct engine *engine, const int *ids, int n, int special, struct string *out);
/* The bytes of one token (control tokens give their name); NULL for an id that is not one. Owned by the engine. */
const char *engine_token_text(const struct engine *engine, int id, size_t *bytes);
int engine_token_is_control(const struct engine *engine, int id);
int engine_token_ends(const struct engine *engine, int id); /* end of a text or of a turn: generation stops there */

struct engine_message {
    const char *role; /* "system", "user", "assistant" */
    const char *text;
};
/* Append the ids of a conversation as the model's template writes it, ending where the assistant's answer begins; with what it begins with
 * where the last message is the assistant's. Text inside messages can never form a control token. A model without a template, or with one of
 * no family known, gets the texts joined by blank lines and nothing else,
 * after its begin token where its file says that one stands before a text (tokenizer.ggml.add_bos_token). how: 0, or ENGINE_BRIEF: a model
 * that can think before it answers and can be told not to (Qwen 3, enable_thinking of its template) is told so. */
enum { ENGINE_BRIEF = 1 };
void engine_chat(const struct engine *engine, const struct engine_message *messages, int n, int how, struct engine_tokens *out);

/* --- grammars ---------------------------------------------------------------------------------------------------- */

/* What a completion may be, in GBNF, as llama.cpp's users write it: rules `name ::= alternatives`, the first of which is
 * called `root`; "text" with \n \t \r \\ \" \[ \] \xNN \uNNNN \UNNNNNNNN, classes [a-z] [^"] and `.` of characters (not bytes), groups ( ),
 * alternatives |, repetitions * + ? {2} {2,} {2,5} {,5}, comments #. A rule ends with its line, but for after ::= and | and in ( ).
 * Refused, with line and column: left recursion, rules that never end, and what its repetitions make too large. */
struct engine_grammar;
/* Immutable once made; for this engine, which must outlive it; from any thread. ERROR_INPUT: "grammar:LINE:COLUMN: what is wrong". */
int engine_grammar_compile(struct engine_grammar **out, const struct engine *engine, const char *text, struct error *e);
void engine_grammar_free(struct engine_grammar *grammar);
/* Only whether it could be compiled. ERROR_INPUT: what is wrong, without the place; *offset (may be NULL) is the byte of text where it is. */
int engine_grammar_check(const char *text, size_t *offset, struct error *e);

/* --- adapters ---------------------------------------------------------------------------------------------------- */

/* Low-rank adapters (LoRA) over the model's weights: a GGUF file, or a folder as PEFT saves it. Several requests of one batch may each have
 * their own; attaching one, leaving it out or weighing it anew is the use of another mix by the requests that follow. */
struct engine_adapter_about {
    const char *path;
    uint64_t sum;                /* of its bytes (a folder's: of the numbers' file and of what the configuration says) */
    int64_t parameters;
    size_t bytes;                /* in memory */
    int matrices, rank_least, rank_most;
    int replaces_embedding, replaces_head, replaces_norms; /* trained whole; norms: how many */
    const char *base;            /* the name of the model it was trained on, as far as it says; NULL */
    const char *quant;           /* as what that was loaded: "nf4", "nf4+head"; NULL: as it is, or it is not said */
};
/* Do these name the same model? But for folders, a type at the end ("-Q4_1.gguf"), case and punctuation. */
int engine_same_name(const char *a, const char *b);
/* Read and check an adapter; it stays until engine_close. The same bytes under the same path have the same id. ERROR_INPUT, in one line:
 * what is wrong with it, or does not fit the model. */
int engine_adapter_open(struct engine *engine, const char *path, int *id, struct error *e);
int engine_adapters(const struct engine *engine); /* how many are open: ids are 0, 1, 2, ... */
const struct engine_adapter_about *engine_adapter_about(const struct engine *engine, int id);

struct engine_adapter_use {
    int adapter;  /* its id */
    float weight; /* of what it adds; may be below 0. What is replaced whole takes weight 1 */
};
/* The mix of these: W x + sum of weight * scale * B (A x), in this order. The same list is the same mix, and 0 is the bare model. What is
 * cached of one mix is never used by another. ERROR_USAGE, ERROR_INPUT: no such adapter, two that replace the same thing. */
int engine_mix(struct engine *engine, const struct engine_adapter_use *uses, int n, int *mix, struct error *e);

/* --- requests ---------------------------------------------------------------------------------------------------- */

struct engine_sampling {
    float temperature;        /* 0: the most probable token, ties to the lower id */
    int top_k;                /* 0: off */
    float top_p;              /* 1: off */
    float min_p;              /* 0: off; keeps tokens with p >= min_p * the greatest p */
    float repetition_penalty; /* 1: off; over the last 64 tokens, prompt included (Keskar et al. 2019) */
};
#define ENGINE_SAMPLING_DEFAULT ((struct engine_sampling){.temperature = 0.7f, .top_p = 1.0f, .repetition_penalty = 1.0f})
/* `chosen` where it says something, `otherwise` for its fields below 0. */
static inline struct engine_sampling engine_sampling_choose(struct engine_sampling chosen, struct engine_sampling otherwise)
{
    return (struct engine_sampling){
        .temperature = chosen.temperature >= 0 ? chosen.temperature : otherwise.temperature,
        .top_k = chosen.top_k >= 0 ? chosen.top_k : otherwise.top_k,
        .top_p = chosen.top_p >= 0 ? chosen.top_p : otherwise.top_p,
        .min_p = chosen.min_p >= 0 ? chosen.min_p : otherwise.min_p,
        .repetition_penalty = chosen.repetition_penalty >= 0 ? chosen.repetition_penalty : otherwise.repetition_penalty,
    };
}

enum { ENGINE_TOP = 8 };
struct engine_choice {
    int id;
    float logprob;
};
struct engine_token {
    int id;
    float logprob;                       /* natural log, of the raw softmax: before penalty, temperature and filters */
    struct engine_choice top[ENGINE_TOP]; /* the most probable, in order, likewise raw; id -1 where there are fewer */
    float cut;                           /* the probability, likewise raw, of all tokens that the grammar did not allow; 0 without one */
};

/* One continuation of one prompt, or (score) the log-probabilities of the prompt's own tokens. Many requests with the
 * same beginning share its keys and values: whatever is cached of a prompt is forked, not computed. */
struct engine_request {
    const int *prompt; /* copied; at least one token */
    int prompt_count;
    int max_tokens;    /* of completion; it also ends at an ending token, a stop or the end of the context */
    int ignore_end;    /* ending tokens do not end it (measurements) */
    const char *const *stops; /* copied; the completion ends when its text contains one (the text up to and with it is kept) */
    int stop_count;
    struct engine_sampling sampling;
    uint64_t seed, stream; /* the draw at position i of the completion is random_uniform(seed, stream, i) */
    int score;         /* 1: no completion; give the log-probabilities of prompt[from..], from being score_from, or 1 when that is 0 */
    int score_from;
    /* Every token is drawn among those with which the text can still become one that the grammar describes; ending tokens come only
     * where it is one, and it ends (ENGINE_END_TOKEN) as soon as nothing can be added. NULL: any text. Must outlive the request;
     * not with score or ignore_end. */
    const struct engine_grammar *grammar;
    int mix;           /* what engine_mix gave; 0: the bare model */
    int grammar_past;  /* how many of the prompt's last tokens are the beginning of what the grammar describes */
};

enum engine_ending { ENGINE_END_TOKEN, ENGINE_END_STOP, ENGINE_END_LENGTH, ENGINE_END_CONTEXT, ENGINE_END_SCORED, ENGINE_END_CANCELLED };
struct engine_result {
    int id;
    enum engine_ending ending;
    struct engine_token *tokens; /* completion, the ending token left out; or the scored tokens */
    int count;
    int prompt_count, cached; /* tokens of the prompt, and how many of them were not computed because they were cached
                                 (depends on timing and memory: never let it into anything that must repeat) */
};
void engine_result_free(struct engine_result *result);

/* Queue a request; *id is unique in this engine and ascending. ERROR_INPUT when the prompt does not fit the context
 * (says both lengths) or names a token that is not there, or when its last grammar_past tokens do not fit the grammar. */
int engine_submit(struct engine *engine, const struct engine_request *request, int *id, struct error *e);
/* One forward pass over everything that can go on: prompts in order of submission (at most ENGINE_PROMPT_ROWS rows a pass),
 * and one token of each live branch. *live = requests not finished. Returns OK with *live == 0 when there is nothing to do.
 * ERROR_INPUT when a grammar comes to allow no token of this vocabulary, or to too many readings of one text: that request ends as
 * ENGINE_END_CANCELLED, the others go on with the next call. ERROR_ENGINE when nothing came of a request, which ends so too; ERROR_INPUT
 * where that is because of a weight that is no number: it names it. */
int engine_step(struct engine *engine, int *live, struct error *e);
#define ENGINE_PROMPT_ROWS 128
/* 1 and *out (free it with engine_result_free) when a request has ended, in order of ending; 0 when none is waiting. */
int engine_result(struct engine *engine, struct engine_result *out);
/* The tokens a live request has so far (valid until the next engine call); 0 when it is not live. */
int engine_so_far(const struct engine *engine, int id, const struct engine_token **tokens, int *count);
void engine_cancel(struct engine *engine, int id); /* its result comes with ENGINE_END_CANCELLED */
/* The path of these tokens will not be visited again, by any mix: free the cached part of it that nothing else shares. */
void engine_forget(struct engine *engine, const int *tokens, int n);

struct engine_statistics { /* since engine_open, unless said */
    int64_t prompt_rows, decode_rows, passes, evicted; /* evicted: cached segments dropped for lack of memory */
    double busy_seconds;                       /* inside engine_step */
    int live, waiting;                         /* now: requests decoding or in prefill; requests not yet begun */
    size_t kv_used, kv_limit;                  /* bytes now */
    int kv_segments;                           /* now */
    size_t kv_held, kv_apart;                  /* bytes now: of the used ones, those live requests stand on; what these would need without sharing */
    int adapters, mixes;                       /* open; mixes: with the bare model */
    size_t adapter_bytes;
};
void engine_statistics(const struct engine *engine, struct engine_statistics *out);
/* Ceilings of this machine with this engine's threads, kernels and bytes of weights (a second or two). */
void engine_limits(struct engine *engine, struct kernel_limits *out);

/* --- files with fewer bits --------------------------------------------------------------------------------------- */

struct engine_merge_use {
    const char *path; /* of an adapter, as in engine_adapter_open */
    float weight;
};
struct engine_quantize_options {
    const char *in, *out; /* paths of GGUF files, `in` maybe of a folder; what was at `out` is replaced when all is on disk */
    const char *type;     /* "f16", "q8_0", "q4_0", "iq4_nl" */
    int threads;          /* 0: as many as the machine has */
    const struct engine_merge_use *adapters; /* what these add is added first, to the dequantized weights */
    int adapter_count;
    const char *quant; /* "nf4", "nf4+head": to these, what the adapters were trained on; "none": to the file's own; NULL: as the adapters say */
    int (*progress)(void *context, size_t bytes, size_t of); /* now and then, bytes written; not 0 ends it; may be NULL */
    void *context;
};
struct engine_quantized {
    size_t bytes_in, bytes_out; /* of the files */
    const char *quant;          /* what adapters were added to: "nf4", "nf4+head"; "" for the file's own weights */
    char base[200];             /* the name of another model that an adapter was trained on; "" */
    int64_t weights;
    int narrow; /* matrices that are F16 for a width that is not a multiple of the type's block */
    struct {
        int tensors;
        int64_t weights, bytes;
        int converted; /* of the tensors; the others were copied */
        double error;  /* of those: sum of (new - old)^2 over that of old^2, old being with the adapters */
        int merged;    /* of the tensors; */
        double change; /* what adapters changed of those: sum of (with - without)^2 over that of without^2 */
        double merged_error; /* error of those alone */
    } types[KERNEL_TYPES]; /* by the type a tensor has now */
};
/* Copy a model's file with its matrices in another type, and with adapters in them: keys as they are, but for those that tell the type; tensors of one
 * dimension as they are. With a type of 4 bits the embedding and the head get Q8_0, or stay where they have fewer bits already.
 * ERROR_INPUT: what is wrong with a file, or a weight that the type cannot hold; nothing is left of the new file then. */
int engine_quantize(const struct engine_quantize_options *options, struct engine_quantized *out, struct error *e);

#endif
