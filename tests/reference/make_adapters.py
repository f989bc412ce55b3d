#!/usr/bin/env python3
"""Write small adapters of the tiny models as peft saves them, and the log-probabilities that peft computes with them.

    make_adapters.py TINYDIR LOGPROBS_TINY OUTDIR LOGPROBS        make them
    make_adapters.py TINYDIR LOGPROBS_TINY --check DIR LOGPROBS   load DIR/NAME/ with peft, compare with what LOGPROBS says

The ids of the texts are those of LOGPROBS_TINY. A and B are random, and B is not zero. One adapter lies there as GGUF, too, written field by
field by the gguf package with the rows of q and k turned as llama.cpp's converter turns them. What is stored in 16 bits was rounded before
the log-probabilities were computed.
"""
import json
import os
import sys

import gguf
import numpy as np
import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

import forward
from make_logprobs import LOGPROB_HEADER, text_lines

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "plain": ("tiny-f32", torch.float32, dict(r=4, lora_alpha=8, target_modules=ALL)),
    "other": ("tiny-f32", torch.float32, dict(r=3, lora_alpha=3, target_modules=["q_proj", "v_proj", "down_proj"])),
    "rslora": ("tiny-keylength-f32", torch.bfloat16, dict(r=8, lora_alpha=16, use_rslora=True, target_modules=ALL)),
    "patterns": ("tiny-untied-f32", torch.float16, dict(r=4, lora_alpha=8, target_modules=ALL, rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 6},
                 alpha_pattern={"v_proj": 32, r".*\.0\.mlp\.(gate|up)_proj": 3, "up_proj": 5})),
    "saved": ("tiny-untied-f32", torch.float32, dict(r=2, lora_alpha=4, target_modules=["k_proj", "o_proj"], modules_to_save=["embed_tokens", "lm_head", "norm"])),
    "saved-tied": ("tiny-f32", torch.float32, dict(r=2, lora_alpha=4, target_modules=["up_proj"], modules_to_save=["lm_head"])),
}


def texts(path):
    """(name, bytes, ids) of each record."""
    name = None
    for line in open(path):
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "text":
            name = rest
        elif word == "hex":
            data = bytes.fromhex(rest)
        elif word == "ids":
            yield name, data, [int(i) for i in rest.split()]


def load(folder, name):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name + ".gguf", dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def randomize(model, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        if ".lora_A." in name:
            p.data = torch.randn(p.shape, generator=generator) * p.shape[1] ** -0.5
        elif ".lora_B." in name:
            p.data = torch.randn(p.shape, generator=generator) * 0.3
        elif ".modules_to_save." in name:
            p.data = p.data * (1 + 0.2 * torch.randn(p.shape, generator=generator))
        if ".lora_" in name or ".modules_to_save." in name:
            p.data = p.data.to(dtype).to(torch.float32)


def logprobs(model, ids):
    with torch.no_grad():
        return forward.log_softmax(model(torch.tensor([ids])).logits[0].numpy())


def store(model, folder, dtype):
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_model.safetensors")
    tensors = {k: v.to(dtype).contiguous() for k, v in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    config = json.load(open(os.path.join(folder, "adapter_config.json")))
    config["base_model_name_or_path"] = None
    json.dump(config, open(os.path.join(folder, "adapter_config.json"), "w"), indent=2, sort_keys=True)
    return tensors


def turned(b, heads):
    return b.reshape(heads, 2, b.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(b.shape)


def write_gguf(path, tensors, config, alpha):
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    w = gguf.GGUFWriter(path, "llama")
    w.add_type("adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", alpha)
    for key, value in tensors.items():
        part = key.split(".")
        layer, module, ab = part[4], ".".join(part[5:7]), part[7]
        value = value.numpy()
        if ab == "lora_B" and module.endswith(("q_proj", "k_proj")):
            value = turned(value, config.num_attention_heads if module.endswith("q_proj") else config.num_key_value_heads)
        w.add_tensor(f"blk.{layer}.{names[module]}.weight.{ab.lower()}", np.ascontiguousarray(value))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def check(tiny, asked, folder, logprob_path):
    stored = {}
    for line in open(logprob_path):
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "text":
            name = rest
        elif word == "logprobs":
            stored[name] = np.array([float(x) for x in rest.split()[1:]])
    for name, (base, _, _) in ADAPTERS.items():
        if not os.path.isdir(os.path.join(folder, name)):
            continue
        model, worst = peft.PeftModel.from_pretrained(load(tiny, base), os.path.join(folder, name)).eval(), 0.0
        for text, _, ids in asked:
            if text.split()[0] == base:
                logprob = logprobs(model, ids)[np.arange(len(ids) - 1), ids[1:]]
                worst = max(worst, np.abs(logprob - stored[f"{base} {name} {text.split()[1]}"]).max())
        print(f"{name}: peft loads it and is within {worst:.1e}", file=sys.stderr)
        assert worst < 1e-4


def main():
    tiny, asked = sys.argv[1], list(texts(sys.argv[2]))
    if sys.argv[3] == "--check":
        return check(tiny, asked, sys.argv[4], sys.argv[5])
    outdir = sys.argv[3]
    out = [LOGPROB_HEADER.format(what=f"Adapters of the tiny models in fp32 by peft {peft.__version__}, transformers {transformers.__version__}.  Names: model, adapter, text.")]
    for seed, (name, (base, dtype, options)) in enumerate(ADAPTERS.items()):
        bare = load(tiny, base)
        before = {text: logprobs(bare, ids) for text, _, ids in asked if text.split()[0] == base}
        model = peft.get_peft_model(bare, peft.LoraConfig(task_type="CAUSAL_LM", **options)).eval()
        randomize(model, seed, dtype)
        change = 0.0
        for text, data, ids in asked:
            if text.split()[0] == base:
                logprob = logprobs(model, ids)
                change = max(change, np.abs(logprob - before[text]).max())
                out += text_lines(f"{base} {name} {text.split()[1]}", data, ids, logprob)
        tensors = store(model, os.path.join(outdir, name), dtype)
        if name == "plain":
            write_gguf(os.path.join(outdir, name + ".gguf"), tensors, bare.config, options["lora_alpha"])
        print(f"{name}: {len(tensors)} tensors; a log-probability of {base} changes by at most {change:.1f}", file=sys.stderr)
    with open(sys.argv[4], "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
