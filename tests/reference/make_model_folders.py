#!/usr/bin/env python3
"""Save a GGUF model as folders, as transformers does, for tests/bench-formats.

    make_model_folders.py MODEL.gguf OUTDIR

OUTDIR/f32, bf16, f16, and nf4: the linear layers by bitsandbytes, absmax quantized again, the rest in BF16, as such models are published.
"""
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

path, out = sys.argv[1:]
gguf = dict(pretrained_model_name_or_path=os.path.dirname(os.path.abspath(path)), gguf_file=os.path.basename(path))
tokenizer = AutoTokenizer.from_pretrained(**gguf)
read = AutoModelForCausalLM.from_pretrained(**gguf, dtype=torch.float32)
config = read.config
if hasattr(config, "quantization_config"):  # what was read from GGUF counts as quantized, and would not be saved
    del config.quantization_config
model = AutoModelForCausalLM.from_config(config)
model.load_state_dict(read.state_dict())


def save(model, name):
    model.save_pretrained(f"{out}/{name}")
    tokenizer.save_pretrained(f"{out}/{name}")


save(model, "f32")
save(model.to(torch.float16), "f16")
save(AutoModelForCausalLM.from_pretrained(f"{out}/f32", dtype=torch.bfloat16), "bf16")
nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
save(AutoModelForCausalLM.from_pretrained(f"{out}/bf16", quantization_config=nf4, device_map="cpu"), "nf4")
