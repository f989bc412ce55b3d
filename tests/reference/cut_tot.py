#!/usr/bin/env python3
"""Cut an excerpt from the published Game of 24 log of Tree of Thoughts (princeton-nlp/tree-of-thought-llm, MIT licence,
logs/game24/gpt-4_0.7_propose1_value3_greedy5_start900_end1000.json; Yao et al. 2023).

    cut_tot.py LOG OUT

Eight records, one for each way a search can end. After the first step, of the thoughts that were not selected only the
first MOST of each state are kept, which takes nothing away that decides how the record ends.
"""
import json
import sys

RECORDS = [4, 13, 29, 50, 62, 63, 80, 85]  # from 1
MOST = 2


def thinned(step):
    if step["step"] == 0:
        return step
    selected, kept, others = list(step["select_new_ys"]), [], {}
    for y, value in zip(step["new_ys"], step["values"]):
        if y in selected:
            selected.remove(y)
        else:
            state = next(s for s in step["ys"] if y.startswith(s))
            others[state] = others.get(state, 0) + 1
            if others[state] > MOST:
                continue
        kept.append((y, value))
    return {**step, "new_ys": [y for y, _ in kept], "values": [value for _, value in kept]}


log = json.load(open(sys.argv[1], encoding="utf-8"))
excerpt = []
for number in RECORDS:
    record = log[number - 1]
    excerpt.append({"idx": record["idx"], "steps": [thinned(s) for s in record["steps"]], "ys": record["ys"], "infos": record["infos"]})
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in excerpt) + "\n]\n")
