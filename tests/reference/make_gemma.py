#!/usr/bin/env python3
"""Write log-probabilities of a Gemma 3 GGUF model, by transformers in fp32.

    make_gemma.py MODEL.gguf LOGPROBS [--lib libllama.so] [--threads N]

The weights are the file's own, dequantized by the gguf package (norms less 1, as transformers has them); activations are fp32, attention is
eager.  One text is longer than the model's window.  llama.cpp's distance is printed.
"""
import argparse
import hashlib
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import numpy as np
import torch
import transformers

import forward
import llamacpp
from make_logprobs import LOGPROB_HEADER, TEXTS, logits_of, text_lines

NAMES = {"attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}

MOST = 600  # tokens of a text


def load(path):
    reader = gguf.GGUFReader(path)
    value = lambda key: reader.fields["gemma3." + key].contents()
    tensors = {t.name: t for t in reader.tensors}
    assert "gemma3.rope.scaling.factor" not in reader.fields and "output.weight" not in tensors
    config = transformers.Gemma3TextConfig(
        vocab_size=int(tensors["token_embd.weight"].shape[1]), hidden_size=value("embedding_length"), intermediate_size=value("feed_forward_length"), num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"), num_key_value_heads=value("attention.head_count_kv"), head_dim=value("attention.key_length"),
        query_pre_attn_scalar=value("attention.key_length"), max_position_embeddings=value("context_length"), rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
        sliding_window=value("attention.sliding_window"), tie_word_embeddings=True, rope_parameters={
            "full_attention": dict(rope_type="default", rope_theta=value("rope.freq_base")), "sliding_attention": dict(rope_type="default", rope_theta=10000.0)})
    config._attn_implementation = "eager"
    with torch.device("meta"):
        model = transformers.Gemma3ForCausalLM(config)
    weights = {}
    for name, t in tensors.items():
        w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(t.shape[::-1])
        part = name.split(".")
        key = f"model.layers.{part[1]}.{NAMES[part[2]]}.weight" if part[0] == "blk" else {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[part[0]] + ".weight"
        weights[key] = torch.from_numpy(w - 1 if w.ndim == 1 else np.ascontiguousarray(w))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model = transformers.Gemma3ForCausalLM(config).eval().to(torch.float32)  # its buffers are made, its weights are
    model.load_state_dict(weights, strict=True)
    return model


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model"), p.add_argument("logprobs"), p.add_argument("--lib"), p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    library = llamacpp.Library(a.lib)
    other, model = llamacpp.Model(library, a.model), load(a.model)
    by_name = dict(TEXTS)
    texts = [(name, by_name[name]) for name in ("word problem, solved", "mixed scripts")]
    texts.append(("longer than the window", "\n".join(by_name[n] for n in ("C code", "prose", "encyclopedia", "table of steps"))))
    sha = hashlib.sha256(open(a.model, "rb").read()).hexdigest()
    out = [LOGPROB_HEADER.format(what=f"transformers {transformers.__version__}, torch {torch.__version__}, fp32, eager attention; weights dequantized from the model with sha256 {sha}")]
    whole = []
    for name, text in texts:
        ids = other.tokenize(text.encode(), parse_special=True, add_special=True)
        ids = ids[:MOST]
        logprob = np.stack([forward.log_softmax(row) for row in logits_of(model, ids)])
        at = (np.arange(len(ids) - 1), ids[1:])
        whole += [abs(forward.log_softmax(row)[i] - logprob[p, i]) for p, (row, i) in enumerate(zip(other.logits(ids, threads=a.threads), ids[1:]))]
        out += text_lines(name, text.encode(), ids, logprob)
        print(f"{name}: {len(ids)} tokens, mean log-probability {np.mean(logprob[at]):.4f}; llama.cpp's mean |difference| so far {np.mean(whole):.4f} (max {np.max(whole):.3f})",
              file=sys.stderr, flush=True)
    with open(a.logprobs, "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
