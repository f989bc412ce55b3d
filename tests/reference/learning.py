#!/usr/bin/env python3
"""Write what PyTorch says of learning: losses, gradients and steps of AdamW on the tiny models.

    learning.py TINYDIR OUT

The pass is forward.py's, in torch and fp64, so that what is stored is exact beside fp32; q and k are taken as the file has them.
Where transformers and peft are there, they are asked as well, in fp32, and must agree.  Numbers that are not in the models come
from a hash, exactly in fp32, so that tests/test_learning.c makes the same.
"""
import math
import os
import sys

import bitsandbytes
import gguf
import numpy as np
import torch
import torch.nn.functional as F

TARGETS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
MODELS = ["tiny-f32", "tiny-untied-f32", "tiny-keylength-f32", "tiny-q8_0"]
LENGTHS, VOCABULARY = [300, 70, 9], 299
RANK, ALPHA = 4, 8.0
BETAS, DECAY, CLIP, RATE, STEPS = (0.9, 0.98), 0.05, 1.0, 1e-2, 10
SOME = 12
MOMENTS, MOMENTS_STEPS = 600, 5
WHOLE = {"blk.0.attn_norm", "output_norm", "blk.1.attn_k.lora_a", "blk.0.ffn_down.lora_b"}


def hashed(stream, n):
    """n whole numbers below 2^32."""
    i = np.arange(n, dtype=np.uint64) + np.uint64(stream * 1000003)
    h = (i * np.uint64(2654435761) + np.uint64(12345)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(2246822519)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(13)
    return h


def numbers(stream, n):
    """n numbers about zero, of deviation 0.14."""
    h = hashed(stream, n)
    total = sum((h >> np.uint64(8 * i)) & np.uint64(255) for i in range(4)).astype(np.float32)
    return (total - np.float32(510)) / np.float32(1024)


def documents():
    """Tokens, and which of them are learned: all after a prompt, in the second two answers of a chat."""
    for d, n in enumerate(LENGTHS):
        i = np.arange(n)
        learned = (i >= 40, ((i >= 20) & (i < 33)) | (i >= 50), i >= 3)[d]
        yield (hashed(100 + d, n) % np.uint64(VOCABULARY)).astype(np.int64), learned


class Model:
    """forward.py's, with what is learned as leaves that autograd follows."""

    def __init__(self, path, adapter):
        reader = gguf.GGUFReader(path)
        value = lambda key: reader.fields["llama." + key].contents()
        tensor = lambda x: torch.tensor(np.asarray(x, np.float64))
        self.w = {t.name.removesuffix(".weight"): tensor(gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1])) for t in reader.tensors}
        self.layers, self.heads, self.heads_kv = value("block_count"), value("attention.head_count"), value("attention.head_count_kv")
        self.head_dim, self.eps, self.base = value("attention.key_length"), value("attention.layer_norm_rms_epsilon"), value("rope.freq_base")
        self.tied = "output" not in self.w
        self.learned = {}
        if adapter:
            for i in range(self.layers):
                for t in TARGETS:
                    rows, cols = self.w[f"blk.{i}.{t}"].shape
                    for name, shape in ((f"blk.{i}.{t}.lora_a", (RANK, cols)), (f"blk.{i}.{t}.lora_b", (rows, RANK))):
                        self.learned[name] = tensor(numbers(len(self.learned), shape[0] * shape[1]).reshape(shape))
        else:  # in the order in which the engine has them
            names = ["token_embd"] + ([] if self.tied else ["output"]) + ["output_norm"]
            for i in range(self.layers):
                names += [f"blk.{i}.{t}" for t in TARGETS + ["attn_norm", "ffn_norm"]]
            assert sorted(names) == sorted(self.w)
            self.learned = {n: self.w[n] for n in names}
        for p in self.learned.values():
            p.requires_grad_()

    def linear(self, x, name):
        y = x @ self.w[name].T
        if name + ".lora_a" in self.learned:
            y = y + ALPHA / RANK * (x @ self.learned[name + ".lora_a"].T @ self.learned[name + ".lora_b"].T)
        return y

    def norm(self, x, name):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.w[name]

    def rope(self, x):
        n, _, d = x.shape
        angle = torch.arange(n, dtype=torch.float64)[:, None] * self.base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).reshape(x.shape)

    def logits(self, ids):
        n = len(ids)
        x = self.w["token_embd"][ids]
        mask = torch.full((n, n), -math.inf, dtype=torch.float64).triu(1)
        for i in range(self.layers):
            h = self.norm(x, f"blk.{i}.attn_norm")
            q, k, v = (self.linear(h, f"blk.{i}.attn_{t}").reshape(n, -1, self.head_dim) for t in "qkv")
            q, k = self.rope(q), self.rope(k)
            k, v = (t.repeat_interleave(self.heads // self.heads_kv, 1) for t in (k, v))
            q, k, v = (t.transpose(0, 1) for t in (q, k, v))
            mixed = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(self.head_dim) + mask, -1) @ v
            x = x + self.linear(mixed.transpose(0, 1).reshape(n, -1), f"blk.{i}.attn_output")
            h = self.norm(x, f"blk.{i}.ffn_norm")
            x = x + self.linear(F.silu(self.linear(h, f"blk.{i}.ffn_gate")) * self.linear(h, f"blk.{i}.ffn_up"), f"blk.{i}.ffn_down")
        return self.norm(x, "output_norm") @ self.w["token_embd" if self.tied else "output"].T


def loss_of(logits_of):
    """Sum of -log p of learned tokens, in nats, and how many; a document by itself."""
    total, count = 0, 0
    for ids, learned in documents():
        at = np.nonzero(learned)[0]
        total = total + F.cross_entropy(logits_of(torch.tensor(ids))[at - 1], torch.tensor(ids[at]), reduction="sum")
        count += len(at)
    return total, count


def rates():
    """Two steps of warm-up, then a cosine."""
    return [RATE * ((s + 1) / 2 if s < 2 else 0.5 * (1 + math.cos(math.pi * (s - 2) / (STEPS - 2)))) for s in range(STEPS)]


def steps(model):
    """Of AdamW on the mean loss: rate, loss before it, norm of the gradient before it is clipped."""
    matrices = [p for p in model.learned.values() if p.ndim == 2]
    norms = [p for p in model.learned.values() if p.ndim == 1]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=DECAY), dict(params=norms, weight_decay=0)], lr=RATE, betas=BETAS, eps=1e-8)
    for rate in rates():
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        total, count = loss_of(model.logits)
        (total / count).backward()
        norm = torch.nn.utils.clip_grad_norm_(matrices + norms, CLIP)
        yield rate, float(total.detach() / count), float(norm)
        optimizer.step()


def moments8():
    """A step of bitsandbytes' own 8-bit AdamW, after some: every fifth weight, codes and scales before and after it.  The middle block's
    gradients are small.  (Its library for CPUs finds the nearest value by a table, and now and then takes a neighbour: so from a given
    state, and one step.)"""
    p = torch.nn.Parameter(torch.tensor(numbers(500, MOMENTS)))
    optimizer = bitsandbytes.optim.AdamW8bit([p], lr=RATE, betas=BETAS, eps=1e-8, weight_decay=DECAY, min_8bit_size=1)
    for s in range(MOMENTS_STEPS):
        g = numbers(501 + s, MOMENTS)
        g[256:512] /= 1024
        p.grad = torch.tensor(g)
        optimizer.step()
        state = optimizer.state[p]
        if s + 2 >= MOMENTS_STEPS:
            when = "after" if s + 1 == MOMENTS_STEPS else "before"
            yield line("w_" + when, p.detach()[::5])
            for moment, i in (("m", 1), ("v", 2)):
                yield f"{moment}_{when} " + bytes(state[f"state{i}"].numpy()).hex()
                yield line(f"{moment}_scale_{when}", state[f"absmax{i}"])


def unpermuted(x, heads):
    """Rows of q or k from transformers' order, which rotates (i, i + d/2), to the file's, which rotates (2i, 2i + 1)."""
    return x.reshape(heads, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def permuted(x, heads):
    return x.reshape(heads, -1, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def ask_transformers(path, model, adapter):
    """The greatest difference of a gradient, beside its parameter's norm, to transformers' (and, with an adapter, peft's)."""
    import peft
    import transformers
    theirs = transformers.LlamaForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32, attn_implementation="eager")
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
             "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    plain = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    if adapter:
        config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=[n.split(".")[1] for n in names.values() if "." in n], lora_dropout=0)
        theirs = peft.get_peft_model(theirs, config)
    parameters = dict(theirs.named_parameters())
    heads = lambda name: {"attn_q": model.heads, "attn_k": model.heads_kv}.get(name.split(".")[2] if name.count(".") > 1 else name.split(".")[-1])

    def their(name):
        part = name.split(".")
        if part[0] != "blk":
            return parameters[plain[name] + ".weight"]
        inner = f"model.layers.{part[1]}.{names[part[2]]}"
        return parameters[f"base_model.model.{inner}.{part[3].replace('lora_a', 'lora_A').replace('lora_b', 'lora_B')}.default.weight" if adapter else inner + ".weight"]

    rotated = lambda name: heads(name) and not name.endswith("lora_a")
    with torch.no_grad():
        for name, p in model.learned.items() if adapter else ():
            their(name).copy_(permuted(p, heads(name)) if rotated(name) else p)
    total, _ = loss_of(lambda ids: theirs(input_ids=ids[None]).logits[0])
    total.backward()
    worst = 0
    for name, p in model.learned.items():
        g = their(name).grad.double()
        g = unpermuted(g, heads(name)) if rotated(name) else g
        worst = max(worst, float((g - p.grad).abs().max() / p.grad.norm()))
    return float(total.detach()), worst


def line(name, values):
    return name + " " + " ".join(f"{float(v):.9g}" for v in values)


def main():
    folder, out = sys.argv[1:]
    f = ["# Losses, gradients and steps of learning on the tiny models, by learning.py in torch " + torch.__version__ + ", fp64.",
         "# document: its tokens, then which are learned. Of each case: loss is a sum in nats and a count; parameter is a name, shape, the norm of the",
         "# gradient of that sum, its product with numbers(200 + i) and the elements that hashed(300 + i) picks; whole is all elements;",
         "# step is rate, mean loss before it, norm of the mean's gradient before it is clipped.",
         f"# map_signed, map_unsigned: the values of bitsandbytes' {bitsandbytes.__version__} 8-bit moments; w, m, v: of 600 weights every",
         "# fifth, and the codes and scales of their moments, before and after the fifth step of its AdamW8bit."]
    for ids, learned in documents():
        f += ["document " + " ".join(map(str, ids)), "learned " + "".join(str(int(b)) for b in learned)]
    for name in MODELS:
        for adapter in (False, True):
            path = os.path.join(os.path.abspath(folder), name + ".gguf")
            model = Model(path, adapter)
            total, count = loss_of(model.logits)
            total.backward()
            f += [f"case {name} {'adapter' if adapter else 'all'}", f"loss {float(total.detach()):.12g} {count}"]
            for i, (parameter, p) in enumerate(model.learned.items()):
                g = p.grad.reshape(-1).numpy()
                rows, cols = p.shape if p.ndim == 2 else (1, len(p))
                values = [np.linalg.norm(g), g @ numbers(200 + i, len(g)).astype(np.float64), *g[(hashed(300 + i, SOME) % np.uint64(len(g))).astype(np.int64)]]
                f.append(line(f"parameter {parameter} {rows} {cols}", values))
                if parameter in WHOLE:
                    f.append(line("whole", g))
            try:
                theirs, worst = ask_transformers(path, model, adapter)
                assert abs(theirs / float(total.detach()) - 1) < 1e-5 and worst < 1e-4, (theirs, worst)
                print(f"{name} {'adapter' if adapter else 'all'}: loss {float(total.detach()):.6f}, transformers' {theirs:.6f}; gradients within {worst:.1e} of a parameter's norm", file=sys.stderr)
            except ImportError as e:
                print(f"{name}: not asked: {e}", file=sys.stderr)
            f += [f"step {rate:.9g} {loss:.9g} {norm:.9g}" for rate, loss, norm in steps(model)]
    f += moments8()
    for name, signed in (("map_signed", True), ("map_unsigned", False)):
        f.append(name + " " + " ".join(float(v).hex() for v in bitsandbytes.functional.create_dynamic_map(signed=signed)))
    with open(out + ".draft", "w") as file:
        file.write("\n".join(f) + "\n")
    os.rename(out + ".draft", out)


if __name__ == "__main__":
    main()
