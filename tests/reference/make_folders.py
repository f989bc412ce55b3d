#!/usr/bin/env python3
"""Write tiny models as folders, as transformers saves them, with log-probabilities, and ids of hard lines by the tokenizers package.

    make_folders.py OUTDIR LOGPROBS TOKENS

Random weights and the vocabulary of make_tiny.py, saved by transformers: in F32 and one file, in BF16 and several, in F16, and
quantized by bitsandbytes to NF4, with absmax quantized and not.  The reference is fp32 and eager on the weights that the files have; those of
NF4 are dequantized in fp32 first (bitsandbytes would round them to the model's own type).
"""
import argparse
import json
import os
import random
import shutil
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import bitsandbytes.functional as F
import numpy as np
import tokenizers
import torch
import transformers
from safetensors.torch import load_file

import make_tokens
from make_logprobs import LOGPROB_HEADER, logits_of, text_lines
from make_tiny import MERGES, SPECIAL, TEMPLATE, TEXTS, vocabulary

T = transformers
SMALL = dict(vocab_size=len(vocabulary()[0]), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=2)
LESS = dict(SMALL, hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1)
LINES = 700


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def tokenizer():
    tokens, _ = vocabulary()
    model = tokenizers.models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in MERGES], fuse_unk=False)
    t = tokenizers.Tokenizer(model)
    t.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([tokenizers.pre_tokenizers.Digits(individual_digits=True),
                                                          tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = tokenizers.decoders.ByteLevel()
    t.add_special_tokens([tokenizers.AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    fast = T.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>", unk_token="<|endoftext|>")
    fast.chat_template = TEMPLATE
    return fast


def make(config):
    """As large weights as make_tiny's, so that logits are not flat."""
    model = T.LlamaForCausalLM(config).eval().to(torch.float32)
    rnd = np.random.default_rng(24)
    scales = {"embed_tokens": 2.0, "lm_head": 2.0, "q_proj": 1.5, "k_proj": 1.5, "gate_proj": 1.5}
    with torch.no_grad():
        for key, w in model.named_parameters():
            value = 1 + 0.2 * rnd.standard_normal(w.shape) if w.ndim == 1 else rnd.standard_normal(w.shape) * scales.get(key.split(".")[-2], 1.0) / np.sqrt(w.shape[1])
            w.copy_(torch.from_numpy(value.astype(np.float32)))
    return model


def dequantized(folder):
    """The folder's weights in fp32, NF4 by its own table and scales."""
    w = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            w |= load_file(os.path.join(folder, name))
    out = {}
    for name, value in w.items():
        key = name + ".quant_state.bitsandbytes__nf4"
        if key in w:
            state = json.loads(bytes(w[key].numpy()).decode())
            absmax = w[name + ".absmax"]
            if state.get("nested_offset") is not None:
                absmax = w[name + ".nested_quant_map"][absmax.long()] * w[name + ".nested_absmax"].repeat_interleave(256)[:absmax.numel()] + np.float32(state["nested_offset"])
            packed = value.view(-1)
            codes = torch.stack([packed >> 4, packed & 15], dim=1).view(-1).long()
            out[name] = (w[name + ".quant_map"][codes].view(-1, 64) * absmax[:, None]).view(state["shape"])
        elif ".weight." not in name:
            out[name] = value.float()
    return out


def reference(folder):
    config = T.AutoConfig.from_pretrained(folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype, config._attn_implementation = torch.float32, "eager"
    model = T.LlamaForCausalLM(config).eval().to(torch.float32)
    missing, unexpected = model.load_state_dict(dequantized(folder), strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if config.tie_word_embeddings else set()), (missing, unexpected)
    return model


def save(folder, config, dtype=torch.float32, shards=None, nf4=None):
    shutil.rmtree(folder, ignore_errors=True)
    model = make(config)
    if nf4 is not None:
        with tempfile.TemporaryDirectory() as whole:
            model.save_pretrained(whole)
            model = T.AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32, device_map="cpu", quantization_config=T.BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nf4, bnb_4bit_compute_dtype=torch.float32))
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shards} if shards else {})) if nf4 is None else model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    for name in os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o644)


def write_tokens(path, fast):
    rnd = random.Random(24)
    lines = []
    for kind in (make_tokens.digit_lines, make_tokens.space_lines, make_tokens.contraction_lines, make_tokens.control_lines, make_tokens.script_lines,
                 make_tokens.codepoint_lines, make_tokens.long_lines, make_tokens.prose_lines, make_tokens.fuzz_lines, make_tokens.special_lines):
        lines += [s.encode() if isinstance(s, str) else s for s in kind(rnd)]
    lines += [s.encode() for s in make_tokens.CODE + make_tokens.EMOJI + make_tokens.COMBINING]
    kept = []
    for s in lines:
        try:
            s.decode()
            kept.append(s)
        except UnicodeDecodeError:
            pass
    kept = [s for s in kept if len(s) <= 160]
    kept = kept[::max(1, len(kept) // LINES)]
    with open(path, "w") as f:
        f.write(f"# {len(kept)} texts and the ids that tokenizers {tokenizers.__version__} gives them with the folders' tokenizer.json; special tokens are parsed\n"
                "# a line: bytes in hex, tab, ids separated by a space\n")
        for s in kept:
            f.write(f"{s.hex()}\t{' '.join(map(str, fast.backend_tokenizer.encode(s.decode(), add_special_tokens=False).ids))}\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("outdir"), p.add_argument("logprobs"), p.add_argument("tokens")
    a = p.parse_args()
    torch.set_num_threads(1)
    models = {
        "f32": (T.LlamaConfig(**LESS, tie_word_embeddings=True), {}),
        "bf16-sharded": (T.LlamaConfig(**SMALL, tie_word_embeddings=False), dict(dtype=torch.bfloat16, shards="70KB")),
        "f16": (T.LlamaConfig(**LESS, tie_word_embeddings=True), dict(dtype=torch.float16)),
        "nf4": (T.LlamaConfig(**SMALL, tie_word_embeddings=True), dict(nf4=False)),
        "nf4-nested": (T.LlamaConfig(**SMALL, tie_word_embeddings=True), dict(nf4=True)),
    }
    fast = tokenizer()
    out = [LOGPROB_HEADER.format(what=f"The folders: transformers {T.__version__}, torch {torch.__version__}, fp32, eager attention.\n# Text names begin with the folder's.")]
    for name, (config, how) in models.items():
        folder = os.path.join(a.outdir, name)
        save(folder, config, **how)
        model = reference(folder)
        for text_name, text in TEXTS:
            ids = fast.encode(text, add_special_tokens=False)
            out += text_lines(f"{name} {text_name}", text.encode(), ids, log_softmax(logits_of(model, ids)))
        print(name, sum(os.path.getsize(os.path.join(folder, x)) for x in os.listdir(folder)), sorted(os.listdir(folder)), file=sys.stderr)
    with open(a.logprobs, "w") as f:
        f.write("\n".join(out) + "\n")
    write_tokens(a.tokens, fast)


if __name__ == "__main__":
    main()
