#!/usr/bin/env python3
"""Write log-probabilities and greedy continuations of a llama-architecture GGUF model, by transformers in fp32.

    make_logprobs.py MODEL.gguf LOGPROBS CONTINUATIONS [--lib libllama.so] [--threads N]

The weights are the file's own, dequantized; activations are fp32, attention is eager.  Before anything is
written, every dequantized tensor is held against the gguf package's (q and k against its RoPE permutation), the
head against what the file says, and the logits against the independent forward pass of forward.py.
"""
import argparse
import hashlib
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import numpy as np
import torch
import transformers

import forward
import llamacpp

TEXTS = [
    ("word problem, solved", "Question: A baker made 48 rolls in the morning and half as many in the afternoon. She sold 53 of them and gave 4 to her neighbour. How many rolls are left?\n"
     "Answer: In the afternoon she made 48 / 2 = 24 rolls. Altogether she made 48 + 24 = 72 rolls. After the sales 72 - 53 = 19 rolls are left. After the gift 19 - 4 = 15 rolls are left. The answer is 15.\n"),
    ("word problem, chat", "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nA train leaves at 9:40 and arrives at 13:05. "
     "It stops for 12 minutes on the way. For how many minutes does it move?<|im_end|>\n<|im_start|>assistant\nFrom 9:40 to 13:05 there are 3 hours and 25 minutes, that is 205 minutes. "
     "205 - 12 = 193, so the train moves for 193 minutes.<|im_end|>\n"),
    ("C code", "#include <stddef.h>\n#include <stdint.h>\n\n/* FNV-1a, 64 bits: the hash of n bytes. */\nuint64_t hash_bytes(const void *data, size_t n)\n{\n\tconst uint8_t *p = data;\n\tuint64_t h = 0xcbf29ce484222325u;\n\n"
     "\tfor (size_t i = 0; i < n; i++) {\n\t\th ^= p[i];\n\t\th *= 0x100000001b3u;\n\t}\n\treturn h;\n}\n"),
    ("C code, search", "struct node { int visits; double value; struct node *child[16]; int n; };\n\nstatic struct node *best_child(struct node *parent, double c)\n{\n    struct node *best = NULL;\n    double top = -INFINITY;\n"
     "    for (int i = 0; i < parent->n; i++) {\n        struct node *k = parent->child[i];\n        double u = k->value / k->visits + c * sqrt(log(parent->visits) / k->visits);\n        if (u > top) {\n            top = u;\n            best = k;\n        }\n    }\n    return best;\n}\n"),
    ("mixed scripts", "Hello, 世界! Привет, мир. Καλημέρα κόσμε — 今日は、良い天気ですね。 El niño comió piñas; où êtes-vous? 25 × 4 = 100, π ≈ 3.14159 😀👍🏽 नमस्ते שלום."),
    ("prose", "The gardener had trained the old pear against the south wall for thirty years, tying each new shoot to the wire before it hardened. In winter the branches stood out like the lines of a drawing, "
     "flat and patient, and visitors who knew nothing of fruit would stop to look at it. He never hurried. A tree, he said, is only a long argument with the light, and one has to let it finish its sentences."),
    ("encyclopedia", "The Moon is the Earth's only natural satellite. It orbits at an average distance of 384,400 km, about 30 times the diameter of the Earth. The Moon always shows the same face to the Earth, because its "
     "rotation period and its orbital period are the same. The gravitational pull of the Moon is the main cause of the tides. In July 1969 Neil Armstrong and Buzz Aldrin became the first people to walk on its surface."),
    ("table of steps", "Input: 4 9 10 13\nPossible next steps:\n4 + 9 = 13 (left: 10 13 13)\n10 - 4 = 6 (left: 6 9 13)\n13 - 10 = 3 (left: 3 4 9)\n9 * 4 = 36 (left: 10 13 36)\nInput: 2 8 8 14\nPossible next steps:\n"
     "2 + 8 = 10 (left: 8 10 14)\n8 / 2 = 4 (left: 4 8 14)\n14 + 2 = 16 (left: 8 8 16)\n2 * 8 = 16 (left: 8 14 16)\n"),
]

PROMPTS = [
    "The capital of France is Paris. The capital of Italy is",
    "Once upon a time, in a village at the edge of a great forest, there lived",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "At sea level, water boils at a temperature of",
    "int main(void)\n{\n    int total = 0;\n    for (int i = 1; i <= 10; i++)\n",
    "Photosynthesis is the process by which plants",
    "Q: What is 12 plus 30?\nA:",
    "The three primary colors are red, yellow and blue. When you mix",
    "Dear Mr. Thompson,\n\nThank you for your letter of 14 March. We are pleased to",
    "1, 2, 3, 4, 5, 6, 7, 8,",
    "In 1492, Christopher Columbus sailed across the Atlantic Ocean and",
    "Recipe for pancakes\n\nIngredients:\n- 2 cups of flour\n- 2 eggs\n",
    "La Révolution française commence en 1789 et",
    "SELECT name, COUNT(*) FROM orders WHERE",
    "To solve the equation 3x + 7 = 22, we first subtract",
    "The quick brown fox jumps over the lazy dog. This sentence is",
    "The days of the week are Monday, Tuesday, Wednesday, Thursday,",
    "\"I cannot believe it,\" she said, and closed the door behind her.",
    "<html>\n<head>\n<title>My page</title>\n</head>\n<body>\n",
    "A good way to learn a new language is to practise every day. For example, you can",
]


def load(path):
    model = transformers.AutoModelForCausalLM.from_pretrained(os.path.dirname(os.path.abspath(path)), gguf_file=os.path.basename(path), dtype=torch.float32, attn_implementation="eager").eval()
    check_weights(model, path)
    return model


def check_weights(model, path):
    """Every tensor of the model is the file's, dequantized by the gguf package."""
    ours = model.state_dict()
    config = model.config
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    for name, t in tensors.items():
        part = name.split(".")
        key = f"model.layers.{part[1]}.{names[part[2]]}.weight" if part[0] == "blk" else names[part[0]] + ".weight"
        w = gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1])
        if part[-2] in ("attn_q", "attn_k"):  # the file has pairs (0,1), (2,3) ...; transformers rotates (0, d/2), (1, d/2 + 1) ...
            heads = config.num_attention_heads if part[-2] == "attn_q" else config.num_key_value_heads
            w = w.reshape(heads, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        assert np.array_equal(ours[key].numpy(), w), name
    head = "output.weight" if "output.weight" in tensors else "token_embd.weight"
    t = tensors[head]
    assert np.array_equal(model.lm_head.weight.detach().numpy(), gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1])), "head"
    print(f"{len(tensors)} tensors equal; the head is {head} ({t.tensor_type.name})", file=sys.stderr)


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def text_lines(name, text, ids, logprob):
    """One record of a log-probability file; logprob [n, vocabulary]."""
    best = np.argmax(logprob, axis=-1)
    top, second = logprob[np.arange(len(ids)), best], np.array([np.partition(row, -2)[-2] for row in logprob])
    return [f"text {name}", f"hex {text.hex()}", "ids " + " ".join(map(str, ids)),
            "logprobs null " + " ".join(f"{logprob[i, ids[i + 1]]:.6f}" for i in range(len(ids) - 1)),
            "top " + " ".join(str(i) for i in best), "top_logprobs " + " ".join(f"{x:.6f}" for x in top), "margins " + " ".join(f"{x:.6f}" for x in top - second)]


LOGPROB_HEADER = """\
# {what}
# A record is seven lines, each a word, a space and its values:
#   text NAME            hex BYTES             ids of the n tokens (special tokens parsed)
#   logprobs             of each token given those before it, natural logarithm; the first is null
#   top                  n ids: after each token, the most probable next one
#   top_logprobs         its log-probability
#   margins              how far the second is below it (a small margin is a near tie)
# Lines that begin with # are comments."""


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model"), p.add_argument("logprobs"), p.add_argument("continuations"), p.add_argument("--lib"), p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    reference = load(a.model)
    second = forward.Forward(a.model)
    tokenizer = llamacpp.Model(llamacpp.Library(a.lib), a.model)
    sha = hashlib.sha256(open(a.model, "rb").read()).hexdigest()
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}, fp32, eager attention; weights dequantized from the model with sha256 {sha}"

    out, worst = [LOGPROB_HEADER.format(what=versions)], 0.0
    for name, text in TEXTS:
        ids = tokenizer.tokenize(text.encode(), parse_special=True)
        assert 60 <= len(ids) <= 250, (name, len(ids))
        logprob = forward.log_softmax(logits_of(reference, ids))
        worst = max(worst, np.abs(logprob - forward.log_softmax(second.logits(ids))).max())
        out += text_lines(name, text.encode(), ids, logprob)
        print(f"{name}: {len(ids)} tokens, mean log-probability {np.mean(logprob[np.arange(len(ids) - 1), ids[1:]]):.4f}", file=sys.stderr)
    print(f"two fp32 implementations differ by at most {worst:.2e} in any log-probability of the vocabulary", file=sys.stderr)
    assert worst < 5e-4
    with open(a.logprobs, "w") as f:
        f.write("\n".join(out) + "\n")

    out = [f"# {versions}",
           "# Greedy continuations, no template, 64 tokens whatever they are (an end token does not stop them).",
           "# A record is six lines, each a word, a space and its values:",
           "#   prompt NUMBER        hex BYTES             ids of the prompt",
           "#   next                 the 64 ids",
           "#   next_logprobs        the log-probability of each",
           "#   second               the runner-up of each step as id:log-probability (a near tie: the two log-probabilities are close)"]
    near = 0
    for number, text in enumerate(PROMPTS):
        prompt = tokenizer.tokenize(text.encode())
        assert 8 <= len(prompt) <= 40, (text, len(prompt))
        ids, cache, feed = list(prompt), None, prompt
        for _ in range(64):
            with torch.no_grad():
                step = reference(torch.tensor([feed]), past_key_values=cache, use_cache=True)
            cache = step.past_key_values
            ids.append(int(step.logits[0, -1].argmax()))
            feed = ids[-1:]
        logprob = forward.log_softmax(logits_of(reference, ids[:-1])[len(prompt) - 1:])  # and once more without the cache
        order = np.argsort(-logprob, axis=-1, kind="stable")[:, :2]
        steps, continuation = range(64), ids[len(prompt):]
        assert continuation == [int(i) for i in order[:, 0]], f"prompt {number}: the cache changes the choice"
        near += sum(logprob[s, order[s, 0]] - logprob[s, order[s, 1]] < 0.02 for s in steps)
        out += [f"prompt {number}", f"hex {text.encode().hex()}", "ids " + " ".join(map(str, prompt)), "next " + " ".join(map(str, continuation)),
                "next_logprobs " + " ".join(f"{logprob[s, continuation[s]]:.6f}" for s in steps), "second " + " ".join(f"{order[s, 1]}:{logprob[s, order[s, 1]]:.6f}" for s in steps)]
    print(f"{near} of {64 * len(PROMPTS)} steps have a margin under 0.02", file=sys.stderr)
    with open(a.continuations, "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
