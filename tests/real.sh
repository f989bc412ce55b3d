#!/bin/sh
# The model that comes with espalier, briefly and with every kernel set: of all that needs it, what is run under sanitizers too.
#   tests/real.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
model=${ESPALIER_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf}
[ -r "$model" ] || { echo "no model at $model: skipped"; exit 77; }
export ESPALIER_MODEL="$model"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; head -20 "$work/err" | sed 's/^/    /'; }
says_paris() { # OPTIONS...
    if "$espalier" complete --temperature 0 -n 2 "$@" 'The capital of France is' >"$work/out" 2>"$work/err" && grep -q Paris "$work/out"; then ok
    else bad "no Paris: complete $*"; fi
}
tree() { # FILE OPTIONS...
    file=$1
    shift
    "$espalier" run -t ask -s self-consistency,m=3 --budget-tokens 300 --json "$@" 'What is 8 * 7?' >"$file" 2>"$work/err"
    if tail -1 "$file" | grep -q '^{"event":"result"'; then ok; else bad "no result: run $*"; fi
}

sets='reference'
for set in avx2 avx512 neon; do
    if "$espalier" info --kernels $set >/dev/null 2>&1; then sets="$sets $set"; else echo "no kernels $set here: left out"; fi
done
for set in $sets; do
    says_paris --kernels $set
    [ $set = reference ] || says_paris --kernels $set --kv-type q8 --quant nf4
done

# The same tree whatever the threads and the batch; a session of it.
tree "$work/one" -j 1 --batch 1
tree "$work/two" -j 2 --batch 16
if cmp -s "$work/one" "$work/two"; then ok; else bad 'other events with other threads'; fi
tree "$work/one" --session "$work/kept" --act 'edit 1 It is 56.'
if "$espalier" show "$work/kept" >"$work/out" 2>"$work/err" && grep -q 'result  ' "$work/out"; then ok; else bad 'the session cannot be shown'; fi

echo "real: $passed passed, $failed failed"
[ $failed = 0 ]
