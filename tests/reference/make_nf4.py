#!/usr/bin/env python3
"""Write what bitsandbytes makes of a matrix: NF4 codes and double-quantized absmax.

    make_nf4.py OUT

The weights come from a hash, in fp32 and exactly, so that tests/test_quantize.c makes the same.  Its compiled quantizer of absmax
for CPUs finds the nearest of 256 values by a table of 65,536 steps, and now and then takes a neighbour; the file has what the
definition says, by bitsandbytes' own fallback, which is also what its GPU kernel computes.
"""
import sys

import bitsandbytes
import bitsandbytes.functional as F
import numpy as np
import torch

ROWS, COLS = 96, 256  # 384 blocks: one group of 256 and a half


def weights():
    i = np.arange(ROWS * COLS, dtype=np.uint64)
    h = (i * 2654435761 + 12345) & 0xFFFFFFFF
    h ^= h >> 15
    h = (h * 2246822519) & 0xFFFFFFFF
    h ^= h >> 13
    total = (h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)
    x = (total.astype(np.float32) - np.float32(510)) / np.float32(4096)
    x = (x.reshape(ROWS, COLS) * (1 + np.arange(ROWS, dtype=np.float32) % 7)[:, None]).astype(np.float32)
    x[5, :64] = 0                 # a block of zeros
    x[6, 64] = 3                  # one far above all others
    x[7] *= np.float32(2.0**-20)  # a tiny row
    return x


def main():
    x = torch.tensor(weights())
    codes, plain = F.quantize_4bit(x, blocksize=64, compress_statistics=False, quant_type="nf4")
    nested_codes, nested = F.quantize_4bit(x, blocksize=64, compress_statistics=True, quant_type="nf4")
    assert (codes == nested_codes).all()
    offset = plain.absmax.mean()
    assert offset == nested.offset
    table = F.create_dynamic_map(signed=True)
    absmax, absmax2 = torch.ops.bitsandbytes.quantize_blockwise.default((plain.absmax - offset).double(), table, 256)
    assert (absmax2 == nested.state2.absmax).all()
    differ = int((absmax != nested.absmax).sum())
    values = (table[absmax.long()].view(-1) * absmax2.float().repeat_interleave(256)[:absmax.numel()]) + offset
    most = float((values - (table[nested.absmax.long()] * absmax2.float().repeat_interleave(256)[:absmax.numel()] + offset)).abs().max())
    print(f"the CPU library takes a neighbour for {differ} of {absmax.numel()} absmax, by at most {most:.2e}", file=sys.stderr)
    scale = values.view(ROWS, COLS // 64).repeat_interleave(64, dim=1)
    table4 = F.get_4bit_type("nf4", device="cpu")
    packed = codes.view(-1)
    fours = torch.stack([packed >> 4, packed & 15], dim=1).view(ROWS, COLS).long()
    out = table4[fours] * scale
    with open(sys.argv[1], "w") as f:
        f.write(f"# bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}: NF4 with double quantization of the {ROWS} x {COLS} weights that make_nf4.py says.\n"
                "# codes: 2 a byte, the even weight first; absmax: of each block of 64; absmax2: of each 256 of those; floats are in C's hex form;\n"
                "# map: the 256 values of absmax; some: weights dequantized, every 97th.\n")
        f.write(f"codes {bytes(packed.numpy()).hex()}\nabsmax {bytes(absmax.numpy()).hex()}\n")
        for name, row in (("absmax2", absmax2), ("offset", offset.view(1)), ("map", table), ("some", out.view(-1)[::97])):
            f.write(name + " " + " ".join(float(v).hex() for v in row) + "\n")


if __name__ == "__main__":
    main()
