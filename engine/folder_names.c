/* What transformers calls the tensors of a model, and what GGUF does. */
#include "engine/folder.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *theirs, *ours, *gemmas; /* gemmas: where it is another than ours */
} in_layers[] = {
    {"self_attn.q_proj", "attn_q", NULL},
    {"self_attn.k_proj", "attn_k", NULL},
    {"self_attn.v_proj", "attn_v", NULL},
    {"self_attn.o_proj", "attn_output", NULL},
    {"self_attn.q_norm", "attn_q_norm", NULL},
    {"self_attn.k_norm", "attn_k_norm", NULL},
    {"mlp.gate_proj", "ffn_gate", NULL},
    {"mlp.up_proj", "ffn_up", NULL},
    {"mlp.down_proj", "ffn_down", NULL},
    {"input_layernorm", "attn_norm", NULL},
    {"post_attention_layernorm", "ffn_norm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm", NULL},
    {"post_feedforward_layernorm", "post_ffw_norm", NULL},
}, outside[] = {
    {"model.embed_tokens", "token_embd", NULL},
    {"model.norm", "output_norm", NULL},
    {"lm_head", "output", NULL},
};

/* What begins so belongs to what sees, not to what reads and writes. */
static const char *const seeing[] = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."};
/* And what the text's part is called beside that. */
static const char *const text_prefixes[] = {"model.language_model.", "language_model.model.", "language_model."};

static int ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* "self_attn.q_proj.weight": what `theirs` is in it is replaced, if it is all but its last word. */
static char *replaced(const char *name, const char *theirs, const char *ours, const char *before)
{
    const size_t n = strlen(theirs);
    if (strncmp(name, theirs, n) || (strcmp(name + n, ".weight") && strcmp(name + n, ".bias")))
        return NULL;
    return xasprintf("%s%s%s", before, ours, name + n);
}

static char *in_layer(const char *name, int layer, const char *architecture)
{
    char before[32], *found = NULL;
    snprintf(before, sizeof before, "blk.%d.", layer);
    for (size_t i = 0; i < sizeof in_layers / sizeof *in_layers && !found; i++) {
        const int gemmas = in_layers[i].gemmas && !strcmp(architecture, "gemma3");
        found = replaced(name, in_layers[i].theirs, gemmas ? in_layers[i].gemmas : in_layers[i].ours, before);
    }
    return found;
}

char *engine_folder_name(const char *name, const char *architecture, int *skip)
{
    char *whole = NULL, *found = NULL;
    int layer, end = 0;
    *skip = 0;
    for (size_t i = 0; i < sizeof seeing / sizeof *seeing; i++)
        *skip = *skip || !strncmp(name, seeing[i], strlen(seeing[i]));
    for (size_t i = 0; i < sizeof text_prefixes / sizeof *text_prefixes && !whole; i++)
        if (!strncmp(name, text_prefixes[i], strlen(text_prefixes[i]))) {
            const char *rest = name + strlen(text_prefixes[i]);
            whole = xasprintf("%s%s", strncmp(rest, "lm_head.", 8) ? "model." : "", rest);
        }
    const char *own = whole ? whole : name;
    if (ends_with(name, ".rotary_emb.inv_freq"))
        found = xstrdup("");
    if (!found && sscanf(own, "model.layers.%d.%n", &layer, &end) == 1 && end && layer >= 0)
        found = in_layer(own + end, layer, architecture);
    for (size_t i = 0; i < sizeof outside / sizeof *outside && !found; i++)
        found = replaced(own, outside[i].theirs, outside[i].ours, "");
    free(whole);
    return found;
}
