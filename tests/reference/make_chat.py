#!/usr/bin/env python3
"""Render conversations by chat templates, with Jinja as transformers sets it up.

    make_chat.py OUT TEMPLATE.jinja ...

A line of OUT is a JSON object: the template's name, the words in it by which it is known (all that ours looks for, so that no template need be
kept), what it calls the begin and the end token, and conversations with the text that it makes of them, or null where it refuses or loses some; where
it can be told not to think, by enable_thinking and with an empty block of thoughts, brief is the text that it makes then.  With
--whole the template's own text is written in place of these words.
"""
import argparse
import json
import os

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

EMPTY = "<think>\\n\\n</think>\\n\\n"
WORDS = ["<|im_start|>", "<|im_sep|>", "[SYSTEM_PROMPT] ", "[SYSTEM_PROMPT]", "[INST] ", "[INST]", "[AVAILABLE_TOOLS]", "\"[INST]\"", "' [INST] '", "<<SYS>>",
         "bos_token + '[INST] '", "<|assistant|>", "<|end|>", "<|user|>", "eos_token", "<start_of_turn>", "<|start_header_id|>",
         "Cutting Knowledge Date: December 2023", "26 Jul 2024", "<｜User｜>", "<｜Assistant｜>", "bos_token", "split('</think>')[-1]",
         "split('</think>')[-1].lstrip(", "<｜Assistant｜><think>", "<|im_start|>assistant\\n<think>", "enable_thinking", EMPTY]
ENDS = [("<|im_start|>", "<|endoftext|>", "<|im_end|>"), ("<start_of_turn>", "<bos>", "<eos>"), ("<|start_header_id|>", "<|begin_of_text|>", "<|eot_id|>"),
        ("<｜User｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"), ("", "<s>", "</s>")]
CONVERSATIONS = [
    [("user", "Hi")],
    [("system", "Be brief."), ("user", "What is 8 * 7?")],
    [("user", "  What is\n\n12+30? "), ("assistant", " 42.\n"), ("user", "And doubled?\n")],
    [("system", " You solve puzzles.\n"), ("user", "1 2 3 4"), ("assistant", "<think>\nHm.\n</think>\n\n10"), ("user", "Why?"), ("assistant", "A sum."), ("user", "[INST]")],
    [("system", ""), ("user", "")],
]


def refuse(message):
    raise jinja2.TemplateError(message)


def default_system(text):
    """The system message that a template of chatml says itself, as it is written there."""
    for quote in "'\"":
        start = text.find(quote + "<|im_start|>system")
        while start >= 0:
            end = text.find(quote, start + 1)
            literal = text[start:end + 1]
            if "<|im_end|>" in literal and "{" not in literal:
                return literal
            start = text.find(quote + "<|im_start|>system", end)
    return ""


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out"), p.add_argument("templates", nargs="+"), p.add_argument("--whole", action="store_true")
    a = p.parse_args()
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = refuse
    with open(a.out, "w") as out:
        for path in a.templates:
            text = open(path).read()
            begin, end = next((b, e) for mark, b, e in ENDS if mark in text)
            words = [w for w in WORDS if w in text] + [w for w in [default_system(text)] if w]
            cases = []
            for conversation in CONVERSATIONS:
                messages = [{"role": r, "content": t} for r, t in conversation]
                render = lambda thinks: environment.from_string(text).render(messages=messages, bos_token=begin, eos_token=end, add_generation_prompt=True,
                                                                             enable_thinking=thinks)
                try:
                    rendered, brief = render(True), render(False)
                except (jinja2.TemplateError, TypeError):
                    rendered = brief = None
                if conversation[0][0] == "system" and "system" not in text and "message['role'] + '|>'" not in text:
                    rendered = None  # it would be lost without a word
                if conversation[0] == ("system", "") and "== 'system' and message['content']" in text:
                    rendered = None  # ours writes an empty one
                cases.append({"messages": conversation, "text": rendered} | ({"brief": brief} if rendered and brief != rendered and EMPTY in text else {}))
            record = {"name": os.path.basename(path).removesuffix(".jinja"), "template": text if a.whole else "\n".join(words), "begin": begin, "end": end, "cases": cases}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
