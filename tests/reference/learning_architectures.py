#!/usr/bin/env python3
"""Write what PyTorch says of learning on the tiny model of each architecture: losses and gradients, of all weights and of LoRA.

    learning_architectures.py TINYDIR OUT

The models are transformers' own, as make_architectures.py draws them, in fp64: wherever transformers computes in fp32 whatever the model
is in (norms, RoPE, softmax), it is made to do that in fp64 too.  Their weights must be those of the files.  Documents, numbers from a
hash and the format are learning.py's; of each parameter only SOME elements are stored, and there are no steps.
"""
import os
import sys

import torch

torch.float32 = torch.float = torch.float64  # before anything of transformers takes them
torch.Tensor.float = torch.Tensor.double
torch.set_default_dtype(torch.float64)
import gguf
import numpy as np

import make_architectures as architectures
from learning import ALPHA, RANK, SOME as MOST, TARGETS, hashed, line, loss_of, numbers, permuted, unpermuted

SOME = 4
assert SOME <= MOST


def names_of(model, name):
    """Ours of each of theirs, in the order in which the engine has them, and the heads of rows that the file has in pairs."""
    architecture, _, config = architectures.MODELS[name]
    ours = {architectures.tensor_name(key, architecture == "gemma3").removesuffix(".weight"): key for key, _ in model.named_parameters()}
    kinds = TARGETS + ["attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm", "attn_q.bias", "attn_k.bias", "attn_v.bias"]
    order = ["token_embd", "output", "output_norm"] + [f"blk.{i}.{k}" for i in range(config.num_hidden_layers) for k in kinds]
    assert set(ours) <= set(order)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads} if architecture == "llama" else {}
    return {n: (ours[n], heads.get(n.split(".")[-1])) for n in order if n in ours}


def same_weights(path, model, names, gemma):
    for t in gguf.GGUFReader(path).tensors:
        name = t.name.removesuffix(".weight")
        if name in names:
            theirs, heads = names[name]
            w = model.get_parameter(theirs).detach().numpy() + (gemma and len(t.shape) == 1)
            w = unpermuted(w, heads) if heads else w
            assert np.array_equal(w.astype(np.float32), t.data.reshape(w.shape)), name


def losses(model, name, adapter):
    """The loss, how many tokens it is of, and of each parameter its name, shape and gradient, as the file has its rows."""
    names, learned, weights = names_of(model, name), {}, {}
    for ours, (theirs, heads) in names.items():
        w = model.get_parameter(theirs).detach()
        if not adapter:
            learned[ours] = weights[theirs] = w.clone().requires_grad_()
        elif ours.split(".")[-1] in TARGETS:
            a, b = (torch.tensor(numbers(len(learned) + i, n).reshape(shape).astype(np.float64)).requires_grad_()
                    for i, (n, shape) in enumerate(((RANK * w.shape[1], (RANK, w.shape[1])), (w.shape[0] * RANK, (w.shape[0], RANK)))))
            learned[ours + ".lora_a"], learned[ours + ".lora_b"] = a, b
            weights[theirs] = w + ALPHA / RANK * (permuted(b, heads) if heads else b) @ a
    total, count = loss_of(lambda ids: torch.func.functional_call(model, weights, (ids[None],), tie_weights=True).logits[0])
    total.backward()
    gradients = {}
    for ours, p in learned.items():
        heads = None if adapter else names[ours][1]
        gradients[ours] = (unpermuted(p.grad, heads) if heads else p.grad).contiguous().numpy()
    return float(total.detach()), count, gradients


def main():
    folder, out = sys.argv[1:]
    f = [f"# Losses and gradients on a tiny model of each architecture, by learning_architectures.py: transformers {architectures.transformers.__version__}, torch {torch.__version__}, fp64.",
         f"# As learning.txt, whose documents these are of; {SOME} elements of each."]
    for name in architectures.MODELS:
        model = architectures.make(name).double()
        same_weights(os.path.join(folder, f"tiny-{name}.gguf"), model, names_of(model, name), name == "gemma3")
        for adapter in (False, True):
            total, count, gradients = losses(model, name, adapter)
            f += [f"case tiny-{name} {'adapter' if adapter else 'all'}", f"loss {total:.12g} {count}"]
            for i, (parameter, g) in enumerate(gradients.items()):
                rows, cols = g.shape if g.ndim == 2 else (1, len(g))
                g = g.reshape(-1)
                some = g[(hashed(300 + i, SOME) % np.uint64(len(g))).astype(np.int64)]
                f.append(line(f"parameter {parameter} {rows} {cols}", [np.linalg.norm(g), g @ numbers(200 + i, len(g)).astype(np.float64), *some]))
            print(f"{name} {'adapter' if adapter else 'all'}: loss {total:.6f}", file=sys.stderr)
    with open(out + ".draft", "w") as file:
        file.write("\n".join(f) + "\n")
    os.rename(out + ".draft", out)


if __name__ == "__main__":
    main()
