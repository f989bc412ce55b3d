"""A llama-architecture GGUF model in numpy: weights dequantized by the `gguf` package, every product in fp32 (or
fp64), the whole sequence at once.  It shares no code with transformers, and takes q and k as the file has them
(adjacent pairs rotate together), so that agreement of the two means something.
"""
import gguf
import numpy as np


class Forward:
    def __init__(self, path, dtype=np.float32):
        reader = gguf.GGUFReader(path)
        value = lambda key, default=None: reader.fields[key].contents() if key in reader.fields else default
        self.dtype = dtype
        self.weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(dtype).reshape(t.shape[::-1]) for t in reader.tensors}
        self.layers = value("llama.block_count")
        self.heads = value("llama.attention.head_count")
        self.heads_kv = value("llama.attention.head_count_kv", self.heads)
        self.width = value("llama.embedding_length")
        self.head_dim = value("llama.attention.key_length", self.width // self.heads)
        self.eps = value("llama.attention.layer_norm_rms_epsilon")
        self.base = value("llama.rope.freq_base", 10000.0)
        self.tied = "output.weight" not in self.weights

    def norm(self, x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.dtype(self.eps)) * weight

    def rope(self, x):
        n, _, d = x.shape
        angle = np.arange(n)[:, None] * self.base ** (-np.arange(0, d, 2) / d)
        cos, sin = np.cos(angle)[:, None].astype(self.dtype), np.sin(angle)[:, None].astype(self.dtype)
        a, b = x[..., 0::2], x[..., 1::2]
        out = np.empty_like(x)
        out[..., 0::2], out[..., 1::2] = a * cos - b * sin, a * sin + b * cos
        return out

    def logits(self, ids):
        """[n, vocabulary]: what follows each of the n tokens."""
        w, n = self.weights, len(ids)
        x = w["token_embd.weight"][ids]
        mask = np.triu(np.full((n, n), -np.inf, self.dtype), 1)
        for layer in range(self.layers):
            at = lambda name: w[f"blk.{layer}.{name}.weight"]
            h = self.norm(x, at("attn_norm"))
            q = self.rope((h @ at("attn_q").T).reshape(n, self.heads, -1))
            k = self.rope((h @ at("attn_k").T).reshape(n, self.heads_kv, -1))
            v = (h @ at("attn_v").T).reshape(n, self.heads_kv, -1)
            k, v = (np.repeat(t, self.heads // self.heads_kv, axis=1) for t in (k, v))
            q, k, v = (t.transpose(1, 0, 2) for t in (q, k, v))
            score = q @ k.transpose(0, 2, 1) / self.dtype(np.sqrt(self.head_dim)) + mask
            score = np.exp(score - score.max(-1, keepdims=True))
            score /= score.sum(-1, keepdims=True)
            x = x + (score @ v).transpose(1, 0, 2).reshape(n, -1) @ at("attn_output").T
            h = self.norm(x, at("ffn_norm"))
            gate = h @ at("ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ at("ffn_up").T)) @ at("ffn_down").T
        return self.norm(x, w["output_norm.weight"]) @ w["token_embd.weight" if self.tied else "output.weight"].T


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))
