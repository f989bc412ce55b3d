#!/usr/bin/env python3
"""Write a tiny model with random weights of each architecture, and its log-probabilities.

    make_architectures.py OUTDIR LOGPROBS [--lib libllama.so] [--folders DIR] [--only NAME]

Each is made and computed by transformers (fp32, eager attention) and written as GGUF, F32, with the vocabulary of make_tiny.py.  With
--folders they are saved as transformers saves them, too: DIR/NAME/config.json and model.safetensors, without a tokenizer.  llama.cpp's
distance is printed; it has no windows in the llama architecture, so that of mistral says how much they matter.
"""
import argparse
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import numpy as np
import torch
import transformers

import forward
import llamacpp
from make_logprobs import LOGPROB_HEADER, logits_of, text_lines
from make_tiny import TEXTS, add_tokenizer, vocabulary

# Longer than a few windows and than two chunks of attention.
LONG = ("long", "".join(f"{a} + {b} = {a + b} (left: {a + b} {c})\nand the answer is {c} * {a}\n" for a, b, c in [(3, 5, 8), (12, 7, 4), (25, 1, 30), (6, 6, 10), (9, 40, 2), (11, 3, 16), (5, 5, 5)]))
SMALL = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-6,
             bos_token_id=1, eos_token_id=2, pad_token_id=2)
ROPE = dict(rope_type="default", rope_theta=10000.0)
T = transformers
MODELS = {  # name: architecture, class, config
    "qwen2": ("qwen2", T.Qwen2ForCausalLM, T.Qwen2Config(**SMALL, tie_word_embeddings=False, rope_parameters=ROPE | {"rope_theta": 1e6})),
    "qwen3": ("qwen3", T.Qwen3ForCausalLM, T.Qwen3Config(**SMALL, head_dim=24, tie_word_embeddings=True, rope_parameters=ROPE)),
    "yarn": ("qwen3", T.Qwen3ForCausalLM, T.Qwen3Config(**SMALL, head_dim=32, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=128))),
    "gemma3": ("gemma3", T.Gemma3ForCausalLM, T.Gemma3TextConfig(**SMALL | dict(intermediate_size=32, num_hidden_layers=7, num_attention_heads=2, num_key_value_heads=1), head_dim=16, query_pre_attn_scalar=16, sliding_window=8, tie_word_embeddings=True,
        hidden_activation="gelu_pytorch_tanh", rope_parameters={"full_attention": dict(rope_type="linear", rope_theta=1e6, factor=8.0), "sliding_attention": ROPE})),
    "llama3": ("llama", T.LlamaForCausalLM, T.LlamaConfig(**SMALL, head_dim=32, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=128))),
    "mistral": ("llama", T.MistralForCausalLM, T.MistralConfig(**SMALL, head_dim=16, tie_word_embeddings=False, sliding_window=12, rope_parameters=ROPE)),
}


def make(name):
    """As large weights as make_tiny's, so that logits are not flat."""
    architecture, kind, config = MODELS[name]
    config.vocab_size = len(vocabulary()[0])
    config._attn_implementation = "eager"
    model = kind(config).eval().to(torch.float32)
    rnd = np.random.default_rng(24)
    scales = {"embed_tokens": 2.0, "lm_head": 2.0, "q_proj": 1.5, "k_proj": 1.5, "gate_proj": 1.5}
    with torch.no_grad():
        for key, w in model.named_parameters():
            part = key.split(".")[-2]
            if key.endswith("bias"):
                value = 0.5 * rnd.standard_normal(w.shape)
            elif w.ndim == 1:  # gemma's hold what is added to 1
                value = 0.2 * rnd.standard_normal(w.shape) + (architecture != "gemma3")
            else:
                value = rnd.standard_normal(w.shape) * scales.get(part, 1.0) / np.sqrt(w.shape[1])
            w.copy_(torch.from_numpy(value.astype(np.float32)))
    return model


def tensor_name(key, gemma):
    if not key.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}[key]
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm" if gemma else "ffn_norm", "pre_feedforward_layernorm": "ffn_norm",
             "post_feedforward_layernorm": "post_ffw_norm", "q_norm": "attn_q_norm", "k_norm": "attn_k_norm", "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v",
             "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
    part = key.split(".")
    return f"blk.{part[2]}.{names[part[-2]]}.{part[-1]}"


def in_pairs(w, heads):
    """Rows of a head in the order in which llama's RoPE takes them in GGUF."""
    return w.reshape(heads, 2, -1, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def llama3_factors(model):
    plain = model.config.rope_parameters["rope_theta"] ** (-np.arange(0, model.config.head_dim, 2) / model.config.head_dim)
    return (plain / model.model.rotary_emb.inv_freq.double().numpy()).astype(np.float32)


def write(path, name, model):
    architecture, _, c = MODELS[name]
    rope = c.rope_parameters.get("full_attention", c.rope_parameters)
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    w = gguf.GGUFWriter(path, architecture)
    w.add_name(f"tiny-{name}")
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_rope_dimension_count(head_dim)
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    if rope["rope_type"] in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if name in ("gemma3", "mistral"):
        w.add_sliding_window(c.sliding_window)
    add_tokenizer(w)
    for key, value in model.named_parameters():
        x = value.detach().numpy().copy()
        if architecture == "gemma3" and x.ndim == 1:
            x += 1
        if architecture == "llama" and ("q_proj" in key or "k_proj" in key):
            x = in_pairs(x, c.num_attention_heads if "q_proj" in key else c.num_key_value_heads)
        w.add_tensor(tensor_name(key, architecture == "gemma3"), np.ascontiguousarray(x))
    if name == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(model))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("outdir"), p.add_argument("logprobs"), p.add_argument("--lib"), p.add_argument("--folders"), p.add_argument("--only")
    a = p.parse_args()
    torch.set_num_threads(1)
    library = llamacpp.Library(a.lib)
    out = [LOGPROB_HEADER.format(what=f"A tiny model of each architecture, F32: transformers {transformers.__version__}, torch {torch.__version__}, fp32, eager attention.\n# Text names begin with the model's.")]
    for name in [a.only] if a.only else MODELS:
        model, path = make(name), os.path.join(a.outdir, f"tiny-{name}.gguf")
        write(path, name, model)
        assert os.path.getsize(path) < 250_000, (path, os.path.getsize(path))
        if a.folders:
            model.save_pretrained(os.path.join(a.folders, name))
        other, distances, spread = llamacpp.Model(library, path), [], []
        for text_name, text in TEXTS + [LONG]:
            ids = other.tokenize(text.encode(), parse_special=True)
            logits = logits_of(model, ids)
            logprob = forward.log_softmax(logits)
            distances += list(np.abs(forward.log_softmax(np.stack(other.logits(ids))) - logprob)[np.arange(len(ids) - 1), ids[1:]])
            spread.append(logits.std())
            out += text_lines(f"tiny-{name} {text_name}", text.encode(), ids, logprob)
        print(f"tiny-{name}: {os.path.getsize(path)} bytes, last text of {len(ids)} tokens, logits' deviation {np.mean(spread):.2f}, llama.cpp's mean |difference| "
              f"{np.mean(distances):.5f}, max {np.max(distances):.5f}", file=sys.stderr)
    with open(a.logprobs, "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
