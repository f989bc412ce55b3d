"""How fast peft trains a LoRA adapter, for tests/bench-train: one line, tokens a second and the most bytes in memory.

    python train_peft.py MODEL.gguf THREADS none|nf4 SEQUENCE BATCH EVERY CHECKPOINTS

Needs torch, transformers, gguf, peft and, for NF4, bitsandbytes. The same work as tests/bench_train.c does: r 16 on all seven
matrices, each EVERYth token learned, one step to warm up, then the median of three.
"""
import os
import resource
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

path, threads, quant, sequence, batch, every, checkpoints = sys.argv[1], *(w if w in ('none', 'nf4') else int(w) for w in sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32)


def to_nf4(module):
    import bitsandbytes
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear) and name != 'lm_head':
            kind = dict(compress_statistics=True, quant_type='nf4')
            frozen = bitsandbytes.nn.Linear4bit(child.in_features, child.out_features, bias=False, compute_dtype=torch.float32, **kind)
            frozen.weight = bitsandbytes.nn.Params4bit(child.weight.data, requires_grad=False, **kind)
            setattr(module, name, frozen.to('cpu'))
        else:
            to_nf4(child)


if quant == 'nf4':
    to_nf4(model)
matrices = [f'{x}_proj' for x in ('q', 'k', 'v', 'o', 'gate', 'up', 'down')]
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=matrices, task_type='CAUSAL_LM'))
if checkpoints:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)
tokens = torch.randint(0, model.config.vocab_size, (batch, sequence))
labels = tokens.clone()
labels[:, [i for i in range(sequence) if i % every]] = -100
seconds = []
for _ in range(4):
    begin = time.monotonic()
    model(input_ids=tokens, labels=labels).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    seconds.append(time.monotonic() - begin)
print(f'{sequence * batch / sorted(seconds[1:])[1]:.1f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}')
