#!/bin/sh
# Learning end to end: the loss falls, what comes of it is opened by the other commands, ^C and --resume, and what is refused.
#   tests/train.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
tiny=tests/reference/tiny/tiny-f32.gguf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' "$work/err" | head -5; }

refuses() { # CODE 'PART OF THE LINE' COMMAND...: one line that says so, and no new folder
    code=$1 part=$2
    shift 2
    before=$(find "$work" -type f ! -name err ! -name out -o -type d | sort | cksum)
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = "$code" ] && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ] && grep -qF -- "$part" "$work/err" &&
        [ "$(find "$work" -type f ! -name err ! -name out -o -type d | sort | cksum)" = "$before" ]; then ok
    else bad "exit $got, not $code and '$part': $*"; fi
}
gives() { # 'PART OF THE OUTPUT' COMMAND...
    part=$1
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = 0 ] && grep -qF -- "$part" "$work/out"; then ok; else bad "exit $got, or no '$part': $*"; fi
}
says() { if grep -qF -- "$1" "$work/err"; then ok; else bad "no '$1' was said"; fi; }
same() { if cmp -s "$1" "$2" && [ -s "$1" ]; then ok; else bad "$1 and $2 differ"; fi; }
loss() { sed -n 's/.*"event":"'"$1"'",.*"loss":\([0-9]*\.[0-9]\).*/\1/p' "$work/out" | sed -n "$2p" | tr -d .; }

i=0
while [ $i -lt 60 ]; do
    printf '{"prompt": "%d + %d =\\n", "completion": " %d"}\n' $((i % 10)) $((i / 10)) $((i % 10 + i / 10))
    i=$((i + 1))
done >"$work/sums.jsonl"
sums="--data $work/sums.jsonl --step-tokens 200"

gives 'usage: espalier train' "$espalier" train --help

# --- all weights ---
gives '"event":"done"' "$espalier" train -m $tiny --all $sums --rate 3e-3 --steps 40 --validation 0.1 --validate-every 20 --type f32 --out "$work/all" --json
first=$(loss step 1) last=$(loss 'done' 1)
if [ -n "$first" ] && [ -n "$last" ] && [ $((last * 3)) -lt "$first" ]; then ok; else bad "the loss went from $first to $last tenths"; fi
if [ "$(grep -c '"event":"validation"' "$work/out")" = 3 ]; then ok; else bad 'not validated three times'; fi
says 'lessons of 1'
gives '"tokens":' "$espalier" score -m "$work/all/model.gguf" --json '3 + 4 ='
gives 'F32' "$espalier" info "$work/all/model.gguf"

# --- an adapter: the same bytes however often it was interrupted ---
adapter="-m $tiny --rank 4 --quant nf4 $sums --rate 1e-2 --validation 0.1 --validate-every 7"
gives 'adapter.gguf' "$espalier" train $adapter --schedule constant --steps 20 --out "$work/a20" -j 1
gives '10 steps' "$espalier" train $adapter --schedule constant --steps 10 --out "$work/a10"
refuses 3 'go on from it with --resume' "$espalier" train $adapter --schedule constant --steps 20 --out "$work/a10"
gives '20 steps' "$espalier" train $adapter --schedule constant --steps 20 --out "$work/a10" --resume
says 'going on after step 10'
for f in adapter.gguf adapter_model.safetensors adapter_config.json; do same "$work/a20/$f" "$work/a10/$f"; done
refuses 3 'was made with --rate 0.01, and now it is --rate 0.02' "$espalier" train $adapter --rate 0.02 --schedule constant --steps 30 --out "$work/a10" --resume
refuses 3 'of another model, adapter or optimizer' "$espalier" train $adapter --rank 5 --schedule constant --steps 30 --out "$work/a10" --resume
refuses 3 'No such file' "$espalier" train $adapter --steps 20 --out "$work/none" --resume

# ^C: a checkpoint, a line that says how to go on, and then the same bytes as without.
long="-m $tiny --rank 4 $sums --rate 1e-3 --steps 400 --save-every 1000"
"$espalier" train $long --out "$work/cut" >"$work/out" 2>"$work/err" &
tries=0
until grep -q '^step [0-9]' "$work/err" || [ $tries = 1200 ]; do sleep 0.05; tries=$((tries + 1)); done
kill -TERM $!
wait $!
got=$?
if [ $got = 143 ] && [ ! -e "$work/cut/adapter.gguf" ]; then ok; else bad "exit $got when it was ended"; fi
says 'the same command with --resume goes on from there'
gives '400 steps' "$espalier" train $long --out "$work/cut" --resume
gives '400 steps' "$espalier" train $long --out "$work/whole"
same "$work/cut/adapter.gguf" "$work/whole/adapter.gguf"
if [ "$(find "$work" -name '*.draft*')" = '' ]; then ok; else bad 'drafts are left'; fi

# Whoever reads its steps goes away: as ^C.
"$espalier" train $long --out "$work/unread" --json 2>/dev/null | head -3 >"$work/out"
gives '400 steps' "$espalier" train $long --out "$work/unread" --resume
same "$work/unread/adapter.gguf" "$work/whole/adapter.gguf"

# The latest checkpoint is damaged: the one before it.
head -c 500 "$work/a10/checkpoint" >"$work/cut/half" && mv "$work/cut/half" "$work/a10/checkpoint"
gives '20 steps' "$espalier" train $adapter --schedule constant --steps 20 --out "$work/a10" --resume
says 'going on from the one before it'

# --- a loss that is not a number ---
"$espalier" train -m $tiny --all $sums --rate 1000 --clip 0 --steps 200 --save-every 1 --out "$work/nan" >"$work/out" 2>"$work/err"
got=$?
if [ $got = 4 ] && [ -s "$work/nan/checkpoint" ] && [ ! -e "$work/nan/model.gguf" ]; then ok; else bad "exit $got at a rate of 1000"; fi
says 'is not a number'
step=$(sed -n 's/.*checkpoint is of step \([0-9]*\):.*/\1/p' "$work/err")
gives "$step steps" "$espalier" train -m $tiny --all $sums --rate 1000 --clip 0 --steps "$step" --save-every 1 --out "$work/nan" --resume

# --- from nothing, by a recipe ---
cat >"$work/recipe.yaml" <<'END'
model: {width: 32, layers: 1, heads: 2, kv_heads: 1, ff_width: 64, context: 160}
name: small
prompts: trained
vocabulary: [" + ", " - ", " * ", " / ", " = ", " (left: ", ")\n", ": ", "?\n", " steps:\n", "sure", "likely", "impossible", "Answer: "]
data:
  - {task: game24, weight: 0.25}
  - {file: sums.jsonl, weight: 0.25}
  - {task: countdown, weight: 0.5}
validation: 0.1
rate: 3e-3
steps: 12
step-tokens: 1500
type: q8_0
END
gives 'model.gguf' "$espalier" train "$work/recipe.yaml" --out "$work/new"
says 'traces of 2 tasks'
gives 'trained' "$espalier" info "$work/new/model.gguf"
"$espalier" run -m "$work/new/model.gguf" -t game24 -s sample --json '4 5 6 10' >"$work/out" 2>"$work/err"
if grep -q '"trained":true' "$work/out" && grep -q '"event":"result"' "$work/out"; then ok; else bad 'the new model is not asked with the trained prompts'; fi
gives '7 steps' "$espalier" train "$work/recipe.yaml" --steps 7 --rows 300 --out "$work/new7"
gives '12 steps' "$espalier" train "$work/recipe.yaml" --rows 300 --schedule cosine --out "$work/new12"
refuses 3 'was made with --rows 300' "$espalier" train "$work/recipe.yaml" --out "$work/new12" --resume
sed 's/^steps:/step:/' "$work/recipe.yaml" >"$work/typo.yaml"
refuses 3 'typo.yaml:11:1: ' "$espalier" train "$work/typo.yaml" --out "$work/typo"
sed 's/heads: 2/heads: 3/' "$work/recipe.yaml" >"$work/heads.yaml"
refuses 3 'heads' "$espalier" train "$work/heads.yaml" --out "$work/heads"

# --- from sessions: what the user keeps, and what was right ---
"$espalier" run -m $tiny -t tests/tiny.yaml -s best-of-n,n=4 --session "$work/s.session" ab >"$work/out" 2>"$work/err"
refuses 3 'nothing to learn from' "$espalier" train -m $tiny --from-sessions "$work/s.session" --steps 2 --out "$work/se"
"$espalier" run --session "$work/s.session" --act 'keep 2' --act 'add 2 my own words' >"$work/out" 2>"$work/err"
gives '2 steps' "$espalier" train -m $tiny --from-sessions "$work/s.session" --rank 4 --steps 2 --out "$work/se1"
says '1 search: 1 path kept, 0 with a right answer'
says '1 lesson of '
"$espalier" run --session "$work/s.session" --act "keep $("$espalier" show --json "$work/s.session" | sed -n 's/.*"node":\([0-9]*\),.*"my own words".*/\1/p')" >"$work/out" 2>"$work/err"
gives '2 steps' "$espalier" train -m $tiny --from-sessions "$work" --rank 4 --steps 2 --out "$work/se2"
says '2 lessons of '
"$espalier" run -m $tiny -t tests/tiny.yaml -s sample --json ab 2>"$work/err" | sed 's/"correct":null/"correct":true/' >"$work/right.jsonl"
gives '2 steps' "$espalier" train -m $tiny --from-sessions "$work/right.jsonl" --rank 4 --steps 2 --out "$work/se3"
says '1 search: 0 paths kept, 1 with a right answer'
refuses 3 'was made with the model tiny-f32, and this is tiny-q8_0' "$espalier" train -m tests/reference/tiny/tiny-q8_0.gguf --from-sessions "$work/right.jsonl" --steps 2 --out "$work/se4"

# A name is a session that is kept, and the model is the latest one's unless another is given; those of other models are counted.
export XDG_DATA_HOME="$work/data"
"$espalier" run -m tests/reference/tiny/tiny-q8_0.gguf -t tests/tiny.yaml -s sample --session theirs ab >"$work/out" 2>"$work/err"
sleep 0.01
"$espalier" run -m $tiny -t tests/tiny.yaml -s sample --session ours --act 'keep 1' ab >"$work/out" 2>"$work/err"
gives '2 steps' env -u ESPALIER_MODEL "$espalier" train --from-sessions ours --rank 4 --steps 2 --out "$work/se5"
says '1 search: 1 path kept, 0 with a right answer'
gives '2 steps' env -u ESPALIER_MODEL "$espalier" train --from-sessions "$work/data/espalier/sessions" --rank 4 --steps 2 --out "$work/se6"
says '1 search: 1 path kept, 0 with a right answer; 1 of another model left out'
unset XDG_DATA_HOME

# --- what is refused, before anything is begun ---
sed '5s/.*/{"prompt": "a"}/; 7s/}$//' "$work/sums.jsonl" >"$work/broken.jsonl"
refuses 3 'broken.jsonl:5: `completion` is missing' "$espalier" train -m $tiny --data "$work/broken.jsonl" --steps 2 --out "$work/x"
gives '2 steps' "$espalier" train -m $tiny --rank 4 --data "$work/broken.jsonl" --skip-bad --steps 2 --out "$work/skip"
says '2 wrong lines left out, the first is '
says 'broken.jsonl:5: `completion` is missing'
refuses 2 'needs --out' "$espalier" train -m $tiny $sums
refuses 2 'nothing to learn from' "$espalier" train -m $tiny --out "$work/x"
refuses 2 'takes one recipe' "$espalier" train a b --out "$work/x"
refuses 3 'no-such.yaml' "$espalier" train no-such.yaml --out "$work/x"
refuses 3 'no-such.gguf' "$espalier" train -m no-such.gguf $sums --out "$work/x"
refuses 3 '--rank 40: blk.0.attn_q is 32 x 32; expected at most 32' "$espalier" train -m $tiny $sums --rank 40 --out "$work/x"
refuses 2 'leave out one of them' "$espalier" train -m $tiny $sums --all --rank 4 --out "$work/x"
refuses 2 '--schedule' "$espalier" train -m $tiny $sums --schedule sine --out "$work/x"
refuses 2 '--targets z' "$espalier" train -m $tiny $sums --targets q,z --out "$work/x"
refuses 2 '--train-on' "$espalier" train -m $tiny $sums --train-on none --out "$work/x"
refuses 2 'expected at most these' "$espalier" train -m $tiny $sums --context 100000 --out "$work/x"
refuses 2 'give more with --rows' "$espalier" train -m $tiny $sums --context 200 --rows 100 --out "$work/x"
refuses 2 'choose one of' "$espalier" train -m $tiny $sums --step-lessons 3 --out "$work/x"
refuses 2 'leave out --scratch' "$espalier" train -m $tiny $sums --scratch --out "$work/x"
refuses 3 'Not a directory' "$espalier" train -m $tiny $sums --out "$work/sums.jsonl/x"
refuses 3 'expected a folder' "$espalier" train -m $tiny $sums --out "$work/sums.jsonl"
refuses 2 'these lessons have no end' "$espalier" train "$work/recipe.yaml" --epochs 2 --out "$work/x"

# Merged, the adapter says what it says over the model, and not what the model alone does.
perplexity() { printf '3 + 4 = 7 abc' | "$espalier" score "$@" --kernels reference --json 2>"$work/err" | sed -n 's/.*"perplexity":\([0-9.]*\).*/\1/p'; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > 0 && b > 0 && a / b < 1.01 && b / a < 1.01) }'; }
gives '' "$espalier" train -m $tiny $sums --rank 4 --rate 0.01 --steps 10 --out "$work/merged"
gives 'little of it' "$espalier" merge -m $tiny --adapter "$work/merged" --out "$work/merged.gguf"
gives '' "$espalier" merge -m $tiny --adapter "$work/merged:0" --out "$work/none.gguf"
base=$(perplexity -m $tiny) active=$(perplexity -m $tiny --adapter "$work/merged") merged=$(perplexity -m "$work/merged.gguf")
if near "$active" "$merged" && ! near "$base" "$active"; then ok; else bad "merged $merged, active $active, base $base"; fi
if near "$base" "$(perplexity -m "$work/none.gguf")"; then ok; else bad "an adapter of weight 0 changed the model"; fi
# Modules that an adapter brings whole, a head of its own over a tied model among them; and onto the base in NF4.
adapters=tests/reference/adapters
untied=tests/reference/tiny/tiny-untied-f32.gguf
merges() { # MODEL ADAPTER [--quant nf4]: what is merged says what is active, and not what the base says
    model=$1 adapter=$2
    shift 2
    gives 'with adapters' "$espalier" merge -m "$model" --adapter "$adapter" "$@" --type f16 --out "$work/whole.gguf"
    base=$(perplexity -m "$model" "$@") active=$(perplexity -m "$model" --adapter "$adapter" "$@") merged=$(perplexity -m "$work/whole.gguf")
    if near "$active" "$merged" && ! near "$base" "$active"; then ok; else bad "$adapter: merged $merged, active $active, base $base"; fi
}
merges $untied $adapters/saved
merges $tiny $adapters/saved-tied
merges $tiny "$work/merged" --quant nf4
merges $untied $adapters/patterns --quant nf4
# What it was trained on is in both of its forms: merge takes it so by itself, and others say it where the model is opened otherwise.
gives '' "$espalier" train -m $tiny $sums --rank 4 --rate 0.01 --steps 10 --quant nf4 --rslora --out "$work/qn"
for form in "$work/qn" "$work/qn/adapter.gguf"; do
    gives 'added to the model as nf4' "$espalier" merge -m $tiny --adapter "$form" --type f16 --out "$work/by-itself.gguf"
    "$espalier" merge -m $tiny --adapter "$form" --quant nf4 --type f16 --out "$work/told.gguf" >"$work/out" 2>"$work/err"
    same "$work/by-itself.gguf" "$work/told.gguf"
    "$espalier" merge -m $tiny --adapter "$form" --quant none --type f16 --out "$work/plain.gguf" >"$work/out" 2>"$work/err"
    if cmp -s "$work/plain.gguf" "$work/told.gguf"; then bad '--quant none takes NF4 all the same'; else ok; fi
    perplexity -m $tiny --adapter "$form" >/dev/null
    says 'was trained on nf4 weights: right over those, with --quant nf4'
    perplexity -m $tiny --adapter "$form" --quant nf4 >/dev/null
    if [ -s "$work/err" ]; then bad 'something is said of an adapter over what it was trained on'; else ok; fi
done
# rsLoRA is kept as such, for whoever goes on in PEFT.
if grep -q '"use_rslora": true' "$work/qn/adapter_config.json" && grep -q '"lora_alpha": 8,' "$work/qn/adapter_config.json"; then ok; else bad 'rsLoRA is lost'; fi
sed -i 's|"base_model_name_or_path": .*|"base_model_name_or_path": "someone/Other-7B",|' "$work/qn/adapter_config.json"
perplexity -m $tiny --adapter "$work/qn" --quant nf4 >/dev/null
says 'was trained on someone/Other-7B, and this is tiny-f32'
gives '' "$espalier" merge -m $tiny --adapter "$work/qn" --type f16 --out "$work/other.gguf"
says 'an adapter was trained on someone/Other-7B'
refuses 2 'merge needs' "$espalier" merge -m $tiny --out "$work/x.gguf"
refuses 3 'tiny-wide-q8_0.gguf' "$espalier" merge -m $tiny --adapter tests/reference/tiny/tiny-wide-q8_0.gguf --out "$work/x.gguf"

echo "train: $passed passed, $failed failed"
[ $failed = 0 ]
