#!/bin/sh
# espalier bench as a user types it: tables, JSON and CSV, what is refused, kills, ^C. The real model does a very small run.
#   tests/bench.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
tiny=$(realpath tests/reference/tiny/tiny-q8_0.gguf)
real=${ESPALIER_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; head -5 "$work/err" | sed 's/^/    /'; }

gives() { # 'PART OF THE OUTPUT' COMMAND...
    part=$1
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = 0 ] && grep -qF -- "$part" "$work/out" && [ ! -s "$work/err" ]; then ok; else bad "exit $got, or no '$part': $*"; fi
}
refuses() { # CODE 'PART OF THE LINE' COMMAND...
    code=$1 part=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = "$code" ] && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ] && grep -qF -- "$part" "$work/err"; then ok
    else bad "exit $got, not $code and '$part': $*"; fi
}
without_times() { sed 's/"seconds":[-+0-9.e]*/"seconds":0/g; s/"results":"[^"]*"//'; }

# The task of the tiny models, with data: row 3 has no known answer, row 5 no problem.
sed 's/^continues: true/continues: true\ndata: {file: tiny.csv, problem: question, answer: answer}/' tests/tiny.yaml >"$work/tiny.yaml"
printf 'question,answer\nab,1\n"c, ""d""",2\nef,\ngh,4\n,5\nij,6\n' >"$work/tiny.csv"
bench() { # what the runs below share
    "$espalier" bench -m "$tiny" -t "$work/tiny.yaml" -s greedy -s self-consistency,m=4 -s tot,b=2,n_evaluate_sample=2 --seeds 3 "$@"
}
export XDG_DATA_HOME="$work/data"

# --- what is printed ---
gives 'usage: espalier bench' "$espalier" bench --help
gives 'b  self-consistency,m=4' bench --budget-tokens 300
gives '1 of 5 problems has no known answer' bench --budget-tokens 300
gives 'of 5 problems each with' bench --budget-tokens 300
gives '1 problem failed in every run and is left out' bench --budget-tokens 300
gives '  row 5: the problem is empty' bench --budget-tokens 300
[ "$(ls "$work/data/espalier/bench" | wc -l)" = 1 ] && [ "$(wc -l "$work"/data/espalier/bench/*.jsonl | tail -1 | sed 's/ *\([0-9]*\).*/\1/')" = 55 ] && ok || bad 'one file of 54 runs'
gives '"strategies":[{"strategy":"greedy","budget_tokens":300,"problems":5,"runs":15,"correct":' bench --budget-tokens 300 --json
gives '"left_out":1' bench --budget-tokens 300 --json
gives '"against":{"strategy":"greedy","difference":' bench --budget-tokens 300 --json
gives '"budget_tokens":null' bench --rows 2 --json
gives '"rows":[2,4]' bench --rows 2-4 --json
gives '"rows":[1,2]' bench -n 2 --json
gives '2,1,,greedy,"c, ""d""",' bench --rows 2 --csv
gives 'budget     correct' bench --budget-tokens 300 --budget-tokens 60
bench --budget-tokens 1k --csv >"$work/csv" 2>"$work/err"
[ "$(wc -l <"$work/csv")" = 55 ] && ok || bad 'a line a run'
bench --budget-tokens 300 --budget-tokens 60 --ascii >"$work/out" 2>"$work/err"
if LC_ALL=C tr -d '\n\040-\176' <"$work/out" | grep -q .; then bad '--ascii is not'; else ok; fi

gives 'tot,b=2,n_evaluate_sample=2,evaluate=vote' bench --judge vote -n 1
gives ',evaluate=likelihood,' "$espalier" bench -m "$tiny" -t "$work/tiny.yaml" -s tot,b=2 --judge likelihood -n 1 --json
gives '  ' bench -n 2 --judge-model "$tiny" --budget-nodes 3 --budget-flops 1e9

# --- the same whatever the batch and the threads ---
bench --out "$work/whole" --json 2>"$work/err" | without_times >"$work/one"
for how in '-j 1 --batch 1' '-j 2 --batch 40' '-j 1 --batch 5'; do
    rm -f "$work/other"
    bench --out "$work/other" --json $how 2>"$work/err" | without_times | cmp -s - "$work/one" && ok || bad "other results with $how"
done

# --- killed, and gone on with ---
rm -f "$work/killed"
for part in 0 3000 6000 9000 12000; do
    bench --out "$work/killed" --json -j 1 >/dev/null 2>&1 </dev/null &
    run=$!
    while kill -0 $run 2>/dev/null; do
        [ "$(stat -c %s "$work/killed" 2>/dev/null || echo 0)" -gt $part ] && kill -9 $run 2>/dev/null
    done
    wait $run 2>/dev/null
done
head -c -7 "$work/killed" >"$work/cut" # and in the middle of a line
bench --out "$work/cut" --json 2>"$work/err" | without_times | cmp -s - "$work/one" && ok || bad 'killed and gone on with'
cut -d, -f1-4 "$work/cut" | sort >"$work/a"
cut -d, -f1-4 "$work/whole" | sort | cmp -s - "$work/a" && ok || bad 'a run was made twice, or not'

# --- ^C: what there is, then 130, then the rest. A shell without a terminal starts its jobs deaf to ^C: env gives them their ears back. ---
rm -f "$work/broken"
env --default-signal=INT "$espalier" bench -m "$tiny" -t "$work/tiny.yaml" -s sample --seeds 3000 --out "$work/broken" --json >"$work/out" 2>"$work/err" </dev/null &
run=$!
while [ "$(wc -l 2>/dev/null <"$work/broken" || echo 0)" -lt 200 ] && kill -0 $run 2>/dev/null; do :; done
kill -INT $run 2>/dev/null
wait $run
got=$?
if [ $got = 130 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q 'interrupted: [0-9]* of 18000 runs are done' "$work/err" && grep -q '"done":' "$work/out"; then ok
else bad "^C: exit $got"; fi

# --- what is refused ---
refuses 2 'needs a task' "$espalier" bench -m "$tiny"
refuses 2 'bench takes no problem' bench 'what is this?'
refuses 2 'choose one of --json and --csv' bench --json --csv
refuses 2 'choose one of -n and --rows' bench -n 3 --rows 1-2
for rows in 0 2-1 x 1-2x 1- -- 1-99999999999; do refuses 2 'rows from 1 on were expected' bench --rows=$rows; done
refuses 2 'from 1 to' bench --seeds 0
refuses 2 'nonesuch' bench -s nonesuch
refuses 2 'given twice' bench -s self-consistency,m=4
{ cat "$work/tiny.yaml"; echo 'command: {run: [./judge]}'; } >"$work/outside.yaml"
printf '#!/bin/sh\necho 0.5\n' >"$work/judge"
chmod +x "$work/judge"
outside() { "$espalier" bench -m "$tiny" -t "$work/outside.yaml" -s greedy -s tot,b=2,evaluate=verifier -n 2 "$@"; }
refuses 2 'allow that with --allow-commands' outside
gives '"problems":2' outside --allow-commands --json
refuses 2 'asks no judge' "$espalier" bench -m "$tiny" -t "$work/tiny.yaml" -s greedy --judge vote
refuses 3 'no-such.gguf' bench --judge-model no-such.gguf
refuses 2 'given twice' bench --budget-tokens 300 --budget-tokens 300
refuses 3 'there is no row 7; rows are 1 to 6' bench -n 7
refuses 3 'no-such.csv' bench --data no-such.csv
printf 'question,answer\n' >"$work/none.csv"
refuses 3 'the file has no rows' bench --data "$work/none.csv"
refuses 3 'names no data' "$espalier" bench -m "$tiny" -t ask
refuses 3 'not a file' bench --out "$work"
refuses 3 'cannot be opened' bench --out "$work/no/such/folder"
refuses 3 'not a file of results' bench --out "$work/tiny.csv"
refuses 3 'its sampling is' bench --out "$work/whole" --temperature 0.3
sed s/ab/abc/ "$work/tiny.csv" >"$work/changed.csv"
refuses 3 'its data_hash is' bench --out "$work/whole" --data "$work/changed.csv"
refuses 3 'its kernels is' bench --out "$work/whole" --kernels reference
printf 'question,answer\n,5\n' >"$work/bad.csv"
"$espalier" bench -m "$tiny" -t "$work/tiny.yaml" --data "$work/bad.csv" >"$work/out" 2>"$work/err"
[ $? = 3 ] && [ ! -s "$work/out" ] && grep -q 'every run failed; row 1: ' "$work/err" && ok || bad 'nothing but bad rows'

# --- a log is data: an answer never brings a control byte along ---
printf 'question,answer\n"a\033[31m \342\200\256b",1\n' >"$work/evil.csv"
for form in '' --csv --json; do
    "$espalier" bench -m "$tiny" -t "$work/tiny.yaml" --data "$work/evil.csv" $form >"$work/out" 2>"$work/err" || bad "evil $form"
    if LC_ALL=C tr -d '\n\040-\176\200-\377' <"$work/out" | grep -q .; then bad "a control byte in $form"; else ok; fi
    if grep -q "$(printf '\342\200\256')" "$work/out"; then bad "a bidi control in $form"; else ok; fi
done

# --- the trees, too: one for each run that ended, to be looked at and audited ---
bench -n 2 --budget-tokens 300 --out "$work/with_trees" --trees "$work/trees" >"$work/out" 2>"$work/err" || bad trees
gives '18 trees' "$espalier" show "$work/trees"
bench -n 2 --budget-tokens 300 --out "$work/with_trees" --trees "$work/trees" >/dev/null 2>&1
gives '18 trees' "$espalier" show "$work/trees" # what is done is not done again
bench -n 1 --budget-tokens 300 --out "$work/no_trees" --trees "$work/no/such" >"$work/out" 2>"$work/err"
[ $? = 3 ] && grep -q 'expected a file that can be appended to' "$work/err" && ok || bad 'trees that cannot be kept'

# --- the real model ---
if [ -r "$real" ]; then
    small() { "$espalier" bench -m "$real" -t math-word -s greedy -s sample -n 2 --budget-tokens 1k --out "$work/real" "$@"; }
    gives 'b  sample' small
    gives '"problems":2' small --json
    small --csv >"$work/all" 2>"$work/err"
    "$espalier" run -m "$real" -t math-word -s sample --budget-tokens 1k --json @2 2>/dev/null | tail -1 >"$work/alone"
    tokens=$(sed 's/.*"tokens":{"prompt":\([0-9]*\),"cached":\([0-9]*\),"completion":\([0-9]*\)}.*/\1,\2,\3/' "$work/alone")
    grep '^2,1,1000,sample,' "$work/all" | grep -qF ",$tokens," && ok || bad "not what run says: $tokens"
fi

echo "bench: $passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
[ -r "$real" ] || { echo "no real model at $real: its runs are left out"; exit 77; }
