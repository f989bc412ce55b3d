#!/usr/bin/env python3
"""Write what the package gguf makes of blocks of every weight format.

    make_formats.py OUT

The blocks' bytes come from a hash, so that tests/test_formats.c makes the same; then their halves are set to the ends of what a half
can hold, and to usual ones. Of the weights only a hash (64-bit FNV-1a over the fp32 bytes), the first and the last are kept.
"""
import sys
from importlib.metadata import version

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# Where the halves are in a block.
HALVES = {
    "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}
# Zeros, the least, the largest subnormal, the least normal, the largest; then usual ones.
SCALES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x8001, 0x2E66, 0xA8C3, 0x1234, 0x9ABC]
BF16_WEIGHTS = 128  # taken as one block


def block_bytes(number, block, count):
    n = np.uint64(number * 65536 + block * 1024) + np.arange(count, dtype=np.uint64)
    h = (n * 2654435761 + 12345) & 0xFFFFFFFF
    h ^= h >> 15
    h = (h * 2246822519) & 0xFFFFFFFF
    h ^= h >> 13
    return (h & 255).astype(np.uint8)


def fnv(data):
    h = 14695981039346656037
    for byte in data:
        h = (h ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return h


def main():
    with open(sys.argv[1], "w") as out:
        out.write(f"# gguf {version('gguf')}, numpy {np.__version__}: blocks that make_formats.py says, dequantized.\n"
                  "# Format, block, hash of its weights, first and last weight; the last three as hexadecimal bits.\n")
        for name, halves in HALVES.items():
            kind = GGMLQuantizationType[name]
            size = GGML_QUANT_SIZES[kind][1] * (BF16_WEIGHTS if name == "BF16" else 1)
            for b in range(len(SCALES)):
                data = block_bytes(int(kind), b, size)
                for i, at in enumerate(halves):
                    half = SCALES[(b + 5 * i) % len(SCALES)]
                    data[at], data[at + 1] = half & 255, half >> 8
                weights = dequantize(data.reshape(1, -1), kind).reshape(-1).astype("<f4")
                bits = weights.view("<u4")
                out.write(f"{name} {b} {fnv(weights.tobytes()):016x} {bits[0]:08x} {bits[-1]:08x}\n")


main()
