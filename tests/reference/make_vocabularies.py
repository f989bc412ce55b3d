#!/usr/bin/env python3
"""Cut a model's vocabulary down to what some hard lines need of it, and write these lines with the ids that llama.cpp gives them.

    make_vocabularies.py MODEL.gguf OUT.gguf OUT.txt [--lines N] [--pre NAME] [--lib libllama.so]

Only tokens and merges that stand somewhere in a line are ever asked for, so that the small vocabulary must give the same tokens: this is checked,
line by line, with llama.cpp itself.  The lines are those of make_tokens.py and some with the vocabulary's own special tokens.  Without OUT.gguf ('-')
all lines are written, with the ids of the whole vocabulary.  --pre writes another pre-tokenizer's name into the file first, for those of which
there is none at hand.
"""
import argparse
import os
import random
import re
import struct
import tempfile

import llamacpp
import make_tokens

SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY, BLANK = 8, 9, "\u2581".encode()


def read(path):
    """Metadata as (key, type, element, value); the weights are not looked at."""
    data = memoryview(open(path, "rb").read(64 << 20))
    at = 8

    def number(f):
        nonlocal at
        value = struct.unpack_from("<" + f, data, at)[0]
        at += struct.calcsize(f)
        return value

    def text():
        nonlocal at
        n = number("Q")
        at += n
        return bytes(data[at - n:at])

    number("Q")
    keys = []
    for _ in range(number("Q")):
        key, kind = text().decode(), number("I")
        element = number("I") if kind == ARRAY else None
        if kind == ARRAY:
            count = number("Q")
            value = [text() if element == TEXT else number(SIZES[element]) for _ in range(count)]
        else:
            value = text() if kind == TEXT else number(SIZES[kind])
        keys.append((key, kind, element, value))
    return keys


def write(path, keys):
    def text(b):
        return struct.pack("<Q", len(b)) + b

    def one(kind, v):
        return text(v) if kind == TEXT else struct.pack("<" + SIZES[kind], v)

    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)))
        for key, kind, element, value in keys:
            f.write(text(key.encode()) + struct.pack("<I", kind))
            f.write(struct.pack("<IQ", element, len(value)) + b"".join(one(element, v) for v in value) if kind == ARRAY else one(kind, value))


def alphabet():
    """GPT-2's characters for bytes."""
    itself = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in itself]
    return {b: chr(b) if b in itself else chr(0x100 + others.index(b)) for b in range(256)}


def as_read(line):
    """A byte that is no UTF-8 is read as U+FFFD by byte-level BPE."""
    return line, line.decode("utf-8", "replace").encode()


def lines_for(names, kinds, n):
    rnd = random.Random(20240607)
    makers = (make_tokens.prose_lines, make_tokens.digit_lines, make_tokens.space_lines, make_tokens.contraction_lines, make_tokens.script_lines,
              make_tokens.codepoint_lines, make_tokens.long_lines, make_tokens.control_lines, make_tokens.invalid_lines, make_tokens.fuzz_lines)
    plain = make_tokens.CODE + make_tokens.EMOJI + make_tokens.COMBINING + [t for f in makers for t in f(rnd)]
    plain = list(dict.fromkeys(t if isinstance(t, bytes) else t.encode() for t in plain))
    special = [t for t, k in zip(names, kinds) if k in (2, 3, 4) and b"unused" not in t and b"PAD" not in t and b"reserved" not in t][:40]
    own = [s + rest for s in special for rest in (b"", b" ", b"\n\nx", b"a" + s)]
    own += [b" a" + s + b"  b" for s in special] + [b"".join(rnd.choice(special + [b" ", b"x", b"\n", "é".encode()]) for _ in range(6)) for _ in range(30)] if special else []
    if n:  # some of them, without long runs, of which a vocabulary may have every part
        plain, own = rnd.sample([t for t in plain if len(t) < 120 and not re.search(rb"(.)\1{9}", t, re.S)], n), rnd.sample(own, min(len(own), n // 5))
    return [(t, 0) for t in plain] + [(t, f) for t in own for f in (0, 1)]


def reduce(keys, lines):
    """The tokens that stand in a line, those of single bytes and special ones among them; ids as the old ones."""
    value = {k: v for k, _, _, v in keys}
    names, kinds, bpe = value["tokenizer.ggml.tokens"], value["tokenizer.ggml.token_type"], value["tokenizer.ggml.model"] == b"gpt2"
    letters = alphabet()
    texts = b"\n".join("".join(letters[b] for b in t).encode() if bpe else BLANK + t.replace(b" ", BLANK) for line, _ in lines for t in as_read(line)) + b"\n" + b"\n".join(t for t, _ in lines)
    single = set(c.encode() for c in letters.values()) if bpe else set()
    ids = [value[f"tokenizer.ggml.{k}_token_id"] for k in ("bos", "eos", "unknown") if f"tokenizer.ggml.{k}_token_id" in value]
    keep = [i for i, t in enumerate(names) if i in ids or kinds[i] == 6 or t in single or t in texts]
    new = {old: i for i, old in enumerate(keep)}
    out = []
    for key, kind, element, v in keys:
        if key == "tokenizer.ggml.merges":
            v = [m for m in v if m[:m.index(b" ", 1)] + m[m.index(b" ", 1) + 1:] in texts]
        elif kind == ARRAY and len(v) == len(names):
            v = [v[i] for i in keep]
        elif key.endswith("_token_id"):
            if v not in new:
                continue
            v = new[v]
        elif kind == ARRAY or key == "tokenizer.chat_template" or not key.startswith(("tokenizer.", "general.architecture", "general.name")):
            continue
        out.append((key, kind, element, v))
    return out, keep


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model"), p.add_argument("gguf"), p.add_argument("text"), p.add_argument("--lines", type=int, default=160), p.add_argument("--pre"), p.add_argument("--lib")
    a = p.parse_args()
    keys = read(a.model)
    if a.pre:
        keys = [(k, t, e, a.pre.encode() if k == "tokenizer.ggml.pre" else v) for k, t, e, v in keys]
        a.model = tempfile.mkstemp(".gguf")[1]
        write(a.model, keys)
    value = {k: v for k, _, _, v in keys}
    library = llamacpp.Library(a.lib)
    model = llamacpp.Model(library, a.model, vocab_only=True)
    lines = lines_for(value["tokenizer.ggml.tokens"], value["tokenizer.ggml.token_type"], a.lines if a.gguf != "-" else 0)
    ids = [model.tokenize(t, bool(flag)) for t, flag in lines]
    if a.gguf != "-":
        small, keep = reduce(keys, lines)
        write(a.gguf, small)
        small_model = llamacpp.Model(library, a.gguf, vocab_only=True)
        new = {old: i for i, old in enumerate(keep)}
        whole = ids
        ids = [small_model.tokenize(t, bool(flag)) for t, flag in lines]
        assert ids == [[new[i] for i in list_] for list_ in whole], "the small vocabulary gives other tokens"
    with open(a.text, "w") as f:
        f.write(f"# {len(lines)} texts and the ids llama.cpp gives them: bytes in hex, tab, ids, tab, parse_special; by make_vocabularies.py\n")
        f.writelines(f"{t.hex()}\t{' '.join(map(str, i))}\t{flag}\n" for (t, flag), i in zip(lines, ids))
    if a.pre:
        os.unlink(a.model)
    print(f"{os.path.basename(a.text)}: {len(lines)} texts")


if __name__ == "__main__":
    main()
