#!/bin/sh
# Sessions on disk, races, acts, judges and budgets from the command line, with the model that comes with espalier.
#   tests/session.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
model=${ESPALIER_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf}
[ -r "$model" ] || { echo "no model at $model: skipped"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME="$work/data" ESPALIER_MODEL="$model"
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; head -5 "$work/err" | sed 's/^/    /'; }
gives() { # CODE 'PART OF THE OUTPUT' COMMAND...
    code=$1 part=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = "$code" ] && cat "$work/out" "$work/err" | grep -qF -- "$part"; then ok; else bad "exit $got, or no '$part': $*"; fi
}
refuses() { # CODE 'PART OF THE LINE' COMMAND...
    code=$1 part=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = "$code" ] && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ] && grep -qF -- "$part" "$work/err"; then ok
    else bad "exit $got, not $code and '$part': $*"; fi
}
same() { cmp -s "$1" "$2" && ok || bad "$1 and $2 differ"; }

search='-t math-word -s self-consistency,m=6 @31'

# --- killed and gone on with ---
"$espalier" run $search --json >"$work/whole" 2>/dev/null
for delay in 0.2 0.5 0.8; do
    rm -f "$work"/k.session*
    "$espalier" run $search --session "$work/k.session" >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    if [ -e "$work/k.session" ] && "$espalier" show "$work/k.session" >/dev/null 2>&1; then
        "$espalier" run --session "$work/k.session" --json >"$work/again" 2>/dev/null
    else
        "$espalier" run $search --session "$work/k.session" --json >"$work/again" 2>/dev/null
    fi
    same "$work/whole" "$work/again"
done

# --- a session moves to other kernels, which is said ---
gives 0 'begun with kernels' "$espalier" run --session "$work/k.session" --kernels reference
gives 0 plurality "$espalier" run --session "$work/k.session"
if grep -q 'begun with kernels' "$work/err"; then bad 'kernels that are the same are said to differ'; else ok; fi

# --- kept, listed, looked at, forked ---
gives 0 'no sessions are kept' "$espalier" show
gives 0 plurality "$espalier" run $search --session mine
gives 0 'self-consistency; ' "$espalier" show
gives 0 'result    ' "$espalier" show mine
gives 0 '     6  ' "$espalier" show mine --at 16
refuses 2 'it has the events 1 to' "$espalier" show mine --at 999
"$espalier" show mine --json >"$work/mine"
sed 's/,"text":"[^"]*","logprob"/,"logprob"/g' "$work/whole" >"$work/stripped"
same "$work/stripped" "$work/mine"
gives 0 'goes on from event 9 in a session of its own' "$espalier" run --session mine --at 9
"$espalier" show mine --json | cmp -s - "$work/mine" && ok || bad 'a fork changed the session it came from'
refuses 2 'take those out, or give another name' "$espalier" run $search --session mine
refuses 2 '--at is of a session' "$espalier" run $search --at 3
refuses 2 'was begun without --kv-type; go on with it so' "$espalier" run --session mine --kv-type q8
refuses 2 'was begun without --quant; go on with it so' "$espalier" run --session mine --quant nf4

# --- the same seed, the same log, with keys and values in Q8 and weights in NF4 too ---
for options in '--kv-type q8' '--quant nf4' '--kernels avx2 --kv-type q8'; do
    "$espalier" run $search $options --json -j 1 --batch 1 >"$work/one" 2>"$work/err" || continue # no such kernels here
    "$espalier" run $search $options --json -j 2 --kv-memory 20M >"$work/two" 2>"$work/err"
    same "$work/one" "$work/two"
    cmp -s "$work/one" "$work/whole" && bad "$options changed nothing" || ok
done
refuses 3 'is of task math-word, not ask' "$espalier" run --session mine -t ask
cp examples/math-word.yaml examples/math-word.csv "$work"
gives 0 plurality "$espalier" run -t "$work/math-word.yaml" -s self-consistency,m=2 @1 --session other
echo '# changed' >>"$work/math-word.yaml"
refuses 3 'is not as it was' "$espalier" run --session other
echo nothing >"$work/not.session"
refuses 3 'not an SQLite file; expected a session' "$espalier" run --session "$work/not.session"
echo nothing | cmp -s - "$work/not.session" && ok || bad 'what is no session was changed'

# --- acts ---
gives 0 weight "$espalier" run --session mine --act 'weight normalised' --act 'exclude 9' --act 'keep 3'
gives 0 '"event":"revote"' "$espalier" show mine --json
gives 0 '"event":"keep"' "$espalier" show mine --json
gives 0 '"by":"user"' "$espalier" run $search --act 'edit 1 He has 20 - 5 = 15 left.' --json
gives 0 '"ask":' "$espalier" run $search --act 'again 0' --json
gives 2 'is no act; there are: prune' "$espalier" run $search --act 'cut 3'

# --- more budget: a result of its own, and what it says is what later openings say; a budget of the command line is a `set` ---
budgeted="-m examples/steps.gguf -t game24 -s tot,b=2,n_generate_sample=4"
gives 1 '6 thoughts' "$espalier" run $budgeted --session more --budget-nodes 6 '4 5 6 10'
code=1
"$espalier" run --session more --act 'set nodes=16' >"$work/out" 2>"$work/err" || code=$?
gives $code '16 thoughts' "$espalier" run --session more
[ "$("$espalier" show more --json 2>/dev/null | grep -c '"event":"result"')" = 2 ] && ok || bad 'a budget of nodes ended without a result'
"$espalier" run --session more --budget-nodes 20 >"$work/out" 2>"$work/err"
grep -q '20 thoughts' "$work/err" && ok || bad 'a budget given again is not set'
"$espalier" show more --json 2>/dev/null >"$work/before"
"$espalier" run --session more --budget-nodes 20 >"$work/out" 2>"$work/err"
"$espalier" show more --json 2>/dev/null | cmp -s - "$work/before" && ok || bad 'the same budget is set again'

# --- races ---
"$espalier" run -t math-word -s greedy -s self-consistency,m=3 @31 --json >"$work/race" 2>/dev/null
grep -o '^{"tree":0,.*' "$work/race" | sed 's/"tree":0,//' >"$work/first"
"$espalier" run -t math-word -s greedy @31 --json 2>/dev/null | cmp -s - "$work/first" && ok || bad 'greedy in a race is not greedy alone'
gives 0 '2 trees' "$espalier" show "$work/race"
"$espalier" run -t game24 -s greedy -s tot,b=1,k=2 -m examples/steps.gguf --session raced '4 5 6 10' >/dev/null 2>&1
gives 0 '  2 tot,b=1,k=2  ' "$espalier" --session raced --dump 100x30 # what was asked, not what it spells out to
gives 0 'tot,b=1,k=2' "$espalier" show raced --cast --size 100x30
gives 0 'self-consistency,m=3	' "$espalier" run -t math-word -s greedy -s self-consistency,m=3 @31 --session both
gives 0 'greedy and 1 more' "$espalier" show

# --- judges, budgets, grammar, estimate ---
for judge in value vote self-evaluation process-reward likelihood agreement verifier; do
    gives 0 "evaluate=$judge" "$espalier" run -t math-word -s best-of-n,n=2 --judge $judge @31
done
gives 0 'evaluate=likelihood' "$espalier" run -t math-word -s beam,n=4,m=2 --judge likelihood --judge-model "$model" @31
refuses 2 'asks no judge' "$espalier" run -t math-word -s greedy --judge vote @31
refuses 2 "unknown judge 'me'" "$espalier" run -t math-word -s beam --judge me @31
gives 1 '"spent":true' "$espalier" run -t math-word -s beam --budget-nodes 3 @31 --json
gives 1 '"spent":true' "$espalier" run -t math-word -s tot --budget-time 0.05 @31 --json
gives 1 '"cut":' "$espalier" run -t game24 -s tot,b=1 --grammar '4 5 6 10' --json
gives 0 'at most' "$espalier" run --estimate -t game24 -s tot,b=5 -s greedy '4 5 6 10'
gives 0 '"over_budget":true' "$espalier" run --estimate -t game24 -s tot,b=5 --budget-tokens 500 '4 5 6 10' --json

echo "session: $passed passed, $failed failed"
[ $failed = 0 ]
