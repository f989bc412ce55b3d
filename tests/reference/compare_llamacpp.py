#!/usr/bin/env python3
"""How far llama.cpp's own path is from a log-probability file.

    compare_llamacpp.py MODEL.gguf LOGPROBS [--lib libllama.so] [--batch N] [--threads N]

Prints, over all tokens that have a reference: mean and largest |difference of log-probability|, and how often
the most probable next token is the same.  --batch 1 decodes token by token, as generation does.
"""
import argparse

import numpy as np

import forward
import llamacpp


def records(path):
    record = {}
    for line in open(path):
        if line.startswith("#"):
            continue
        word, _, rest = line.rstrip("\n").partition(" ")
        record[word] = rest
        if word == "margins":
            yield record
            record = {}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model"), p.add_argument("logprobs"), p.add_argument("--lib")
    p.add_argument("--batch", type=int), p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    library = llamacpp.Library(a.lib)
    model = llamacpp.Model(library, a.model)
    deltas, same, positions = [], 0, 0
    for r in records(a.logprobs):
        ids = [int(i) for i in r["ids"].split()]
        want = np.array([float(x) for x in r["logprobs"].split()[1:]])
        top = [int(i) for i in r["top"].split()]
        got = np.stack([forward.log_softmax(row) for row in model.logits(ids, a.threads, a.batch)])
        delta = np.abs(got[np.arange(len(ids) - 1), ids[1:]] - want)
        agree = int((got.argmax(-1) == top).sum())
        print(f"{r['text']:<24} {len(ids):4} tokens  mean {delta.mean():.4f}  max {delta.max():.4f}  same top {100 * agree / len(ids):.1f} %")
        deltas.append(delta)
        same, positions = same + agree, positions + len(ids)
    deltas = np.concatenate(deltas)
    print(f"{'all':<24} {positions:4} tokens  mean {deltas.mean():.4f}  max {deltas.max():.4f}  same top {100 * same / positions:.1f} %")
    print(library.system())


if __name__ == "__main__":
    main()
