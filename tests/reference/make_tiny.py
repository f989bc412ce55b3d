#!/usr/bin/env python3
"""Write tiny llama-architecture models with random weights, and their log-probabilities.

    make_tiny.py OUTDIR LOGPROBS [--lib libllama.so]

One model a weight type; those of one shape have the same weights before quantization.  The vocabulary is three
special tokens, the 256 bytes and a few merges.  Norms stay fp32, and so does nothing else.  The reference log-probabilities are of fp32
activations on the dequantized weights, by forward.py; where transformers is there, it is asked as well and must agree.
"""
import argparse
import os
import sys

import gguf
import numpy as np

import forward
import llamacpp
from make_logprobs import LOGPROB_HEADER, load, logits_of, text_lines

TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# in order of rank; a leading space is Ġ
MERGES = ["h e", "Ġ t", "i n", "Ġt he", "a n", "e r", "o n", "Ġ a", "r e", "an d", "Ġ and", "in g", "l e", "Ġ =", "Ġ +", "Ġ -", "Ġ Ġ", "ĠĠ ĠĠ", "e f", "l ef", "lef t", "Ġ (", "Ġ *",
          "s t", "o r", "Ġ o", "Ġo f", "i s", "Ġ is", "u s", "er s", "a t", "Ġt o", "e n", "Ġ w", "q u", "Ã ©", "ä ¸", "u m", "b er"]
SMALL = dict(hidden=32, heads=2, heads_kv=1, head_dim=16, ff=64, layers=2, tied=True)      # fp32 within 200 KB
PLAIN = dict(hidden=64, heads=4, heads_kv=2, head_dim=16, ff=96, layers=2, tied=True)
WIDE = dict(hidden=96, heads=6, heads_kv=2, head_dim=16, ff=160, layers=2, tied=True)      # three and five blocks a row
TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0, "q4_1": gguf.GGMLQuantizationType.Q4_1}
MODELS = ([("tiny-f32", "f32", SMALL), ("tiny-untied-f32", "f32", SMALL | {"tied": False}),
           ("tiny-keylength-f32", "f32", SMALL | {"heads": 4, "heads_kv": 2})]                # heads x head_dim is not the width
          + [(f"tiny-{t}", t, PLAIN) for t in ("f16", "q8_0", "q4_0", "q4_1")] + [(f"tiny-wide-{t}", t, WIDE) for t in ("q8_0", "q4_0", "q4_1")])

TEXTS = [
    ("steps", "25 + 5 = 30 (left: 5 30 33)\n33 - 30 = 3 (left: 3 5)\n5 * 3 = 15\n"),
    ("chat", "<|im_start|>user\nthe number of steps is 12<|im_end|>\n<|im_start|>assistant\n"),
    ("bytes", "and the queen understands: é 中文 \t~\r\n    in the interior, other than that"),
]


def byte_letters():
    """GPT-2's letters for the 256 bytes, in the order in which its vocabulary lists them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(rest))]


def vocabulary():
    tokens = SPECIAL + byte_letters()
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * 256
    for merge in MERGES:
        left, right = merge.split(" ")
        assert left in tokens and right in tokens, merge
        if left + right not in tokens:
            tokens.append(left + right)
            kinds.append(gguf.TokenType.NORMAL)
    return tokens, kinds


def weights(shape, n_vocab, seed):
    """Large enough that the logits are not flat: their standard deviation is between 1 and 4."""
    rnd = np.random.default_rng(seed)
    h, d = shape["hidden"], shape["head_dim"]
    normal = lambda out, width, scale: (rnd.standard_normal((out, width)) * scale / np.sqrt(width)).astype(np.float32)
    near_one = lambda: (1 + 0.2 * rnd.standard_normal(h)).astype(np.float32)
    yield "token_embd.weight", normal(n_vocab, h, 2.0)
    for i in range(shape["layers"]):
        yield f"blk.{i}.attn_norm.weight", near_one()
        yield f"blk.{i}.attn_q.weight", normal(shape["heads"] * d, h, 1.5)
        yield f"blk.{i}.attn_k.weight", normal(shape["heads_kv"] * d, h, 1.5)
        yield f"blk.{i}.attn_v.weight", normal(shape["heads_kv"] * d, h, 1.0)
        yield f"blk.{i}.attn_output.weight", normal(h, shape["heads"] * d, 1.0)
        yield f"blk.{i}.ffn_norm.weight", near_one()
        yield f"blk.{i}.ffn_gate.weight", normal(shape["ff"], h, 1.5)
        yield f"blk.{i}.ffn_up.weight", normal(shape["ff"], h, 1.0)
        yield f"blk.{i}.ffn_down.weight", normal(h, shape["ff"], 1.0)
    yield "output_norm.weight", near_one()
    if not shape["tied"]:
        yield "output.weight", normal(n_vocab, h, 2.0)


def add_tokenizer(w):
    tokens, kinds = vocabulary()
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges(MERGES)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_pad_token_id(2)
    w.add_add_bos_token(False)
    w.add_add_space_prefix(False)
    w.add_chat_template(TEMPLATE)


def write(path, name, kind, shape):
    w = gguf.GGUFWriter(path, "llama")
    w.add_name(name)
    w.add_block_count(shape["layers"])
    w.add_context_length(512)
    w.add_embedding_length(shape["hidden"])
    w.add_feed_forward_length(shape["ff"])
    w.add_head_count(shape["heads"])
    w.add_head_count_kv(shape["heads_kv"])
    w.add_key_length(shape["head_dim"])
    w.add_value_length(shape["head_dim"])
    w.add_rope_dimension_count(shape["head_dim"])
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(1e-5)
    add_tokenizer(w)
    for tensor, value in weights(shape, len(vocabulary()[0]), 24):
        q = TYPES[kind] if value.ndim == 2 else gguf.GGMLQuantizationType.F32
        w.add_tensor(tensor, gguf.quants.quantize(value, q), raw_dtype=q)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("outdir"), p.add_argument("logprobs"), p.add_argument("--lib")
    a = p.parse_args()
    library = llamacpp.Library(a.lib)
    out = [LOGPROB_HEADER.format(what="The tiny models: fp32 activations on the dequantized weights (numpy).  Text names begin with the model's.")]
    for name, kind, shape in MODELS:
        path = os.path.join(a.outdir, name + ".gguf")
        write(path, name, kind, shape)
        assert os.path.getsize(path) < 200_000, path
        model, ours = llamacpp.Model(library, path), forward.Forward(path)
        assert ours.tied == shape["tied"]
        hf = load(path)
        worst, quantized, spread = 0.0, [], []
        for text_name, text in TEXTS:
            ids = model.tokenize(text.encode(), parse_special=True)
            logits = ours.logits(ids)
            logprob = forward.log_softmax(logits)
            worst = max(worst, np.abs(logprob - forward.log_softmax(logits_of(hf, ids))).max())
            quantized += list(np.abs(forward.log_softmax(np.stack(model.logits(ids))) - logprob)[np.arange(len(ids) - 1), ids[1:]])
            spread.append(logits.std())
            out += text_lines(f"{name} {text_name}", text.encode(), ids, logprob)
        assert worst < 1e-4, worst
        print(f"{name}: {os.path.getsize(path)} bytes, {model.n_vocab} tokens, logits' deviation {np.mean(spread):.2f}, transformers within {worst:.1e}, "
              f"llama.cpp's mean |difference| {np.mean(quantized):.5f}, max {np.max(quantized):.5f}", file=sys.stderr)
    with open(a.logprobs, "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
