#!/bin/sh
# The commands as a user types them, on the tiny models under tests/reference/tiny and, where it is, the real one.
#   tests/commands.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
tiny=tests/reference/tiny/tiny-q4_1.gguf
real=${ESPALIER_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' "$work/err" | head -5; }

# refuses CODE 'PART OF THE LINE' COMMAND...: that exit code, one line on stderr that says so, nothing on stdout
refuses() {
    code=$1 part=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got != "$code" ]; then bad "exit $got, not $code: $*"; return; fi
    if [ "$(wc -l <"$work/err")" != 1 ]; then bad "not one line: $*"; return; fi
    if [ -s "$work/out" ]; then bad "something on stdout: $*"; return; fi
    if grep -qF -- "$part" "$work/err"; then ok; else bad "no '$part' in the message of: $*"; fi
}

# gives 'PART OF THE OUTPUT' COMMAND...: exit 0 and that on stdout
gives() {
    part=$1
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = 0 ] && grep -qF -- "$part" "$work/out"; then ok; else bad "exit $got, or no '$part': $*"; head -c 300 "$work/out"; fi
}

# --- usage ---
gives 'espalier 0' "$espalier" --version
gives 'self-consistency' "$espalier" --help
for c in run complete score tokenize detokenize info speed quantize train merge task config tour; do gives "usage: espalier $c" "$espalier" $c --help; done
refuses 2 'unknown option --wrong' "$espalier" run --wrong
refuses 2 'unknown option --sede; the nearest is --seed' "$espalier" run --sede 3
refuses 2 "no command 'trian'; the nearest is train: " "$espalier" trian
refuses 2 "no command 'benh'; the nearest is bench: " "$espalier" benh -t game24
refuses 3 'the explorer needs one' "$espalier" hello # a problem
refuses 3 'the explorer needs one' "$espalier" -- trian
refuses 3 'the explorer needs one' "$espalier" how many r are in strawberry
refuses 2 'option --json takes no value' "$espalier" run --json=3
refuses 2 'the nearest is --help' "$espalier" train --hlep
refuses 2 'needs a value' "$espalier" run -m
refuses 2 'whole number from 1' "$espalier" run -j 0 x
refuses 2 'number from 0 to 1' "$espalier" run --top-p 1.5 x
refuses 2 'size was expected' "$espalier" run --kv-memory lots x
refuses 2 'number of tokens' "$espalier" run --budget-tokens -4 x
refuses 2 'whole number from 0' "$espalier" run --seed -1 x
refuses 2 'tot' "$espalier" run -m $tiny -t ask -s nothing 'hello'
refuses 2 'b' "$espalier" run -m $tiny -t ask -s tot,b=none 'hello'
refuses 3 'avx2' "$espalier" complete -m $tiny --kernels abacus x
refuses 2 'expected f16 or q8' "$espalier" complete -m $tiny --kv-type q4 x
refuses 2 'keep keys and values in F32 only' "$espalier" complete -m $tiny --kernels reference --kv-type q8 x
refuses 3 'heads of width 16; expected a multiple of 32' "$espalier" complete -m $tiny --kv-type q8 x
gives '"kv_type":"F' "$espalier" info -m $tiny --kernels auto --json

# --- a folder as transformers saves a model ---
folders=tests/reference/folders
gives '"format":"folder"' "$espalier" info --json $folders/bf16-sharded
gives 'BF16    16 tensors' "$espalier" info $folders/bf16-sharded/
gives '"architecture":"llama"' "$espalier" info --json --quant nf4 $folders/nf4-nested
gives '"id":' "$espalier" score -m $folders/nf4 --json 25 + 5
refuses 3 'there is no config.json' "$espalier" info tests/reference
refuses 3 'give the model with -m and this with --adapter' "$espalier" info tests/reference/adapters/plain

# --- files that are no model ---
refuses 3 'no-such.gguf' "$espalier" info -m no-such.gguf
refuses 3 "$work" "$espalier" info -m "$work"
: >"$work/empty.gguf"
refuses 3 'empty.gguf' "$espalier" info -m "$work/empty.gguf"
refuses 3 'README' "$espalier" info -m search/README.md
for n in 3 4 20 100 5000 20000; do
    head -c $n $tiny >"$work/cut.gguf"
    refuses 3 'cut.gguf' "$espalier" info -m "$work/cut.gguf"
done
HOME=$work XDG_CACHE_HOME=$work ESPALIER_MODEL='' refuses 3 'make model' "$espalier" run hello

# --- adapters ---
adapters=tests/reference/adapters base=tests/reference/tiny/tiny-f32.gguf
bare=$("$espalier" complete -m $base -n 12 --temperature 0 'the 5 + 5')
with=$("$espalier" complete -m $base -n 12 --temperature 0 --adapter $adapters/plain 'the 5 + 5')
[ "$bare" != "$with" ] && ok || bad 'an adapter changes nothing'
cp $adapters/plain.gguf "$work/with,a:2"
gives "$with" "$espalier" complete -m $base -n 12 --temperature 0 --adapter "$work/with,a:2:1" 'the 5 + 5'
gives "$bare" "$espalier" complete -m $base -n 12 --temperature 0 --adapter $adapters/plain --adapter $adapters/plain.gguf:0 --adapter $adapters/plain:-1 'the 5 + 5'
gives '"logprob":-' "$espalier" score -m $base --adapter $adapters/other:0.5 --json 'the 5 + 5'
gives '"path":"tests/reference/adapters/plain","weight":-0.5' "$espalier" run -m $base -t tests/tiny.yaml -s greedy --adapter $adapters/plain:-0.5 --json count
gives "greedy,adapter=$adapters/other" "$espalier" run -m $base -t tests/tiny.yaml -s greedy,adapter=none -s greedy,adapter=$adapters/other --adapter $adapters/plain count
gives '"event":"setting"' "$espalier" run -m $base -t tests/tiny.yaml -s greedy --act "adapter $adapters/plain" --act undo --json count
refuses 3 'cannot open' "$espalier" complete -m $base --adapter $adapters/none x
refuses 3 'name the folder' "$espalier" complete -m $base --adapter $adapters/plain/adapter_config.json x
refuses 3 'for another model' "$espalier" score -m $tiny --adapter $adapters/plain x
refuses 3 'general.type' "$espalier" run -m $base -t tests/tiny.yaml -s greedy,adapter=$base count
refuses 2 'FILE or FILE:WEIGHT' "$espalier" run -m $base -t tests/tiny.yaml -s greedy,adapter= count
refuses 3 'weight can only be 1' "$espalier" complete -m tests/reference/tiny/tiny-untied-f32.gguf --adapter $adapters/saved:2 x

# --- tasks and problems ---
refuses 3 'nonesuch' "$espalier" run -m $tiny -t nonesuch 'x'
refuses 3 'no-such.yaml' "$espalier" run -m $tiny -t ./no-such.yaml 'x'
printf 'name: mine\nabout: [\n' >"$work/broken.yaml"
refuses 3 'broken.yaml:' "$espalier" run -m $tiny -t "$work/broken.yaml" 'x'
sed 's/^about:/abuot:/' examples/game24.yaml >"$work/typo.yaml"
line=$(grep -n '^abuot:' "$work/typo.yaml" | cut -d: -f1)
refuses 3 "typo.yaml:$line:1: " "$espalier" run -m $tiny -t "$work/typo.yaml" 'x'
refuses 3 'number' "$espalier" run -m $tiny -t game24 'four five six ten'
refuses 3 'number' "$espalier" run -m $tiny -t game24 '1 2 3'
refuses 3 '1362' "$espalier" run -m $tiny -t game24 '@5000'
refuses 3 'number' "$espalier" run -m $tiny -t game24 --session "$work/none.session" '1 2 x'
refuses 3 'context' "$espalier" run -m $tiny -t ask --session "$work/none.session" "$(head -c 60000 /dev/zero | tr '\0' 'x')"
refuses 3 'cannot be written to' sh -c 'ulimit -f 100; exec "$@"' sh "$espalier" run -m $tiny -t ask -s self-consistency,m=40 --session "$work/limit.session" 'x'
if ls "$work" | grep -q none.session; then bad "a session that never began has a file"; else ok; fi
refuses 2 'no problem' "$espalier" run -m $tiny -t game24
refuses 3 'context' "$espalier" run -m $tiny -t ask "$(head -c 60000 /dev/zero | tr '\0' 'x')"
refuses 3 'context' "$espalier" complete -m $tiny "$(head -c 60000 /dev/zero | tr '\0' 'x')"
refuses 3 'nothing to score' "$espalier" score -m $tiny
refuses 3 'line 1' "$espalier" detokenize -m $tiny 'seven'
refuses 3 'no token' "$espalier" detokenize -m $tiny '99999999'

# --- tasks: listed, checked, made ---
gives 'arithmetic-chain' "$espalier" task list
for t in game24 countdown sorting knights arithmetic-chain math-word ask; do gives "$t: fine" "$espalier" task check $t; done
cp examples/game24.yaml examples/game24.csv "$work"
gives "$work/game24.yaml: fine" "$espalier" task check "$work/game24.yaml"
refuses 3 "typo.yaml:$line:1: " "$espalier" task check "$work/typo.yaml"
refuses 2 'task list' "$espalier" task
refuses 2 'train or test' "$espalier" task make sorting --split dev
refuses 3 'names no generator' "$espalier" task make ask
refuses 3 'only 220 different' "$espalier" task make game24 -n 5000
refuses 3 'no `trained:` section' "$espalier" task make sorting --traces
gives '{"prompt":"24: ' "$espalier" task make game24 --traces -n 5 --split train
gives '"completion":"sure"' "$espalier" task make countdown --traces -n 20 --seed 4 --split train
"$espalier" task make countdown --traces -n 9 --seed 4 --split train >"$work/a" 2>"$work/err"
head -n "$(wc -l <"$work/a")" "$work/out" >"$work/b"
if cmp -s "$work/a" "$work/b"; then ok; else bad 'the first traces depend on how many are asked for'; fi
gives 'end token' "$espalier" task --help

# --- which prompts ---
gives 'trained    sample propose value' "$espalier" task check game24
refuses 2 'auto, trained or plain' "$espalier" run -m $tiny -t game24 --prompts mine '4 5 6 10'
refuses 2 'task ask has no prompts for trained models' "$espalier" run -m $tiny -t ask --prompts trained 'hello'
"$espalier" run -m $tiny -t game24 -s tot,b=1 --prompts trained --json '4 5 6 10' >"$work/out" 2>"$work/err"
if head -1 "$work/out" | grep -q '"trained":true' && grep -q '"temperature":1.0' "$work/out"; then ok; else bad "trained prompts are not recorded"; fi
"$espalier" run -m $tiny -t game24 -s tot,b=1 --json '4 5 6 10' >"$work/out" 2>"$work/err"
if head -1 "$work/out" | grep -q '"trained"'; then bad "trained prompts without being asked for"; else ok; fi
"$espalier" run -m $tiny -t game24 -s tot,b=1 --prompts trained --session "$work/p.session" '4 5 6 10' >"$work/out" 2>"$work/err"
refuses 2 "goes on with them; leave out --prompts" "$espalier" run -m $tiny --session "$work/p.session" --prompts plain
"$espalier" run -m $tiny --session "$work/p.session" --json >"$work/out" 2>"$work/err"
if head -1 "$work/out" | grep -q '"trained":true'; then ok; else bad "a session does not keep its prompts"; fi
gives 'numbers,target' "$espalier" task make countdown --seed 7 -n 100
cp "$work/out" "$work/x.csv"
"$espalier" run -m $tiny -t countdown --data "$work/x.csv" -s greedy --json @100 >"$work/out" 2>"$work/err"
if grep -qF "$(tail -1 "$work/x.csv" | sed 's/\(.*\),\(.*\)/"problem":"\2: \1"/')" "$work/out"; then ok; else bad 'a problem that was made is not the one that is run'; fi
if grep -q 'peak memory [1-9]' "$work/err"; then ok; else bad "run does not say its peak memory"; fi

# --- the model that comes along: for its tasks it opens by itself, asked as it was trained, and solves most of what it never saw ---
alone() { HOME=$work XDG_CACHE_HOME=$work ESPALIER_MODEL='' "$@"; }
gives '= 24' alone "$espalier" run -t game24 '4 5 6 10'
alone "$espalier" run -t game24 --json '4 5 6 10' >"$work/out" 2>"$work/err"
if head -1 "$work/out" | grep -q '"model":"steps"' && head -1 "$work/out" | grep -q '"trained":true'; then ok; else bad 'the model that comes along is not the one that is asked'; fi
XDG_DATA_HOME=$work alone "$espalier" bench -t game24 --rows 901-912 >"$work/out" 2>"$work/err"
right=$(sed -n 's/.* \([0-9]*\) of 12 .*/\1/p' "$work/out")
if [ "${right:-0}" -ge 8 ]; then ok; else bad "of 12 unseen problems it solves ${right:-none}"; fi
alone refuses 3 'make model' "$espalier" run -t math-word @31

# --- the manual pages say what --help says, and the shell's completion knows it ---
commands=$("$espalier" __complete -- '')
for c in '' $commands; do
    "$espalier" __man $c >"$work/man"
    missing=
    for option in $("$espalier" $c --help | grep -oE '^ {2,6}(-., )?--[a-z0-9-]+' | grep -oE '[-][-][a-z0-9-]+'); do
        grep -qF -- "$(printf %s "$option" | sed 's/-/\\-/g')\\fR" "$work/man" || missing="$missing $option"
        "$espalier" __complete -- $c --session=x "$option" | grep -qxF -- "$option" || missing="$missing $option(completion)"
    done
    if [ -z "$missing" ] && grep -q '^\.TH' "$work/man" && [ "$(wc -l <"$work/man")" -gt 15 ]; then ok; else bad "the manual of '$c' lacks$missing"; fi
    if command -v groff >/dev/null; then
        groff -man -ww -z -Tutf8 "$work/man" 2>"$work/err"
        if [ -s "$work/err" ]; then bad "groff on the manual of '$c'"; else ok; fi
    fi
done
for c in $commands; do "$espalier" --help | grep -qE "^  $c " || bad "--help lacks $c"; done
if [ "$("$espalier" --help | grep -c __)" = 0 ]; then ok; else bad 'a command for other programs is listed'; fi
completes() { # 'WORD' WORDS...: it is among what may follow
    word=$1
    shift
    if "$espalier" __complete -- "$@" >"$work/out" 2>"$work/err" && grep -qxF -- "$word" "$work/out"; then ok; else bad "no $word after: $*"; fi
}
completes run ''
completes show sh
completes --strategy --str
completes nord --theme n
completes nord --theme = n
completes nord --theme =
completes --theme=nord --theme=n
completes 3,select=sample run -s tot,b = 3,sel
completes game24 run -t ga
completes "$work/" run -t "${work%??}"
completes self-consistency run -s self
completes tot,b= run -s tot,
completes tot,b=3,select=sample run -s tot,b=3,sel
completes likelihood --judge like
completes q8 complete --kv-type ''
completes nf4+head --quant nf4
completes check task ''
completes countdown task make count
completes tests/reference/tiny/tiny-q4_1.gguf info -m tests/reference/tiny/tiny-q4
completes tests/reference/tiny/tiny-q4_1.gguf info tests/reference/tiny/tiny-q4
completes train task make game24 --split ''
if [ -z "$("$espalier" __complete -- run --seed 7 'my pro')" ]; then ok; else bad 'a problem is completed'; fi
if command -v bash >/dev/null; then
    said=$(bash -c 'compopt() { :; }; . tui/espalier.bash; COMP_WORDS=("$1" --theme hig) COMP_CWORD=2; _espalier "$1"; echo "${COMPREPLY[*]}"' - "$espalier")
    if [ "$said" = high-contrast ]; then ok; else bad "bash completes '$said'"; fi
fi

# --- recordings ---
"$espalier" --record "$work/new.cast" -m $tiny x >"$work/out" 2>"$work/err" </dev/null
if [ $? = 3 ] && [ ! -e "$work/new.cast" ]; then ok; else bad 'a recording of nothing is left behind'; fi

# --- the configuration of the explorer ---
mkdir -p "$work/config/espalier"
printf 'seed: 7\nstrategy: [tot, "beam,n=4"]\nkeys: {J: 10j}\n' >"$work/config/espalier/config.yaml"
export XDG_CONFIG_HOME="$work/config"
gives 'config.yaml' "$espalier" config
gives 'seed: 7                               # file, line 1' "$espalier" config
gives 'strategy: [tot, "beam,n=4"]           # file, line 2' "$espalier" config
gives '  J: 10j ' "$espalier" config
gives '# mouse: as it was left               # default' "$espalier" config
gives '# theme: dark                         # default' "$espalier" config
gives 'theme: nord                           # option' "$espalier" config --theme nord
ESPALIER_MODEL=mine.gguf gives 'model: mine.gguf                      # environment: ESPALIER_MODEL' "$espalier" config
refuses 2 'nothing else' "$espalier" config x
"$espalier" config --theme nord >"$work/again.yaml" && mv "$work/again.yaml" "$work/config/espalier/config.yaml"
gives 'theme: nord ' "$espalier" config # what it prints can be what it reads
"$espalier" run -m $tiny -t tests/tiny.yaml -s greedy --json ab >"$work/out" 2>"$work/err"
if grep -q '"seed":1,' "$work/out"; then ok; else bad "the explorer's configuration changes what run does"; fi
printf 'sede: 7\n' >"$work/config/espalier/config.yaml"
refuses 3 'config.yaml:1:1: ' "$espalier" config
unset XDG_CONFIG_HOME

# --- no terminal ---
refuses 3 'terminal' "$espalier" -m $tiny 'What is 8 * 7?'

# --- what goes round comes round ---
printf 'def f(x):\n\treturn "\303\251\360\237\230\200" \n' >"$work/text"
"$espalier" tokenize -m $tiny --json <"$work/text" | "$espalier" detokenize -m $tiny >"$work/back"
if cmp -s "$work/text" "$work/back"; then ok; else bad "tokenize | detokenize"; fi
"$espalier" tokenize -m $tiny --chat --json 'Hi' | "$espalier" detokenize -m $tiny >"$work/back"
if grep -q '^Hi<|im_end|>$' "$work/back" && grep -q '<|im_start|>assistant' "$work/back"; then ok; else bad "tokenize --chat"; fi
"$espalier" tokenize -m $tiny --chat --no-thinking --json 'Hi' | "$espalier" detokenize -m $tiny >"$work/brief" # its template knows no other way
if cmp -s "$work/back" "$work/brief"; then ok; else bad "tokenize --chat --no-thinking"; fi
gives '"tokens":[{"id":' "$espalier" score -m $tiny --json 'one two three'
gives '"logprob":null' "$espalier" score -m $tiny --json 'one two three'
gives '"perplexity":' "$espalier" score -m $tiny --json 'one two three'
gives '"ending":"length"' "$espalier" complete -m $tiny --json -n 3 --temperature 0 'one two'
gives '"architecture":"llama"' "$espalier" info -m $tiny --json
gives '"scratch_bytes":' "$espalier" info -m $tiny --json
gives 'memory needed' "$espalier" info $tiny
gives '"peak_bytes":' "$espalier" speed -m $tiny --json --prefix 40 --branches 4 -n 8
gives '"tokens_per_second":' "$espalier" speed -m $tiny --json --prefix 40 --branches 4 -n 8
gives '"runs":2,"stream":{"tokens":' "$espalier" speed -m $tiny --json --only stream --runs 2
gives '"runs":1,"prefill":[{"tokens":' "$espalier" speed -m $tiny --json --only branches,prefill --runs 1 --prefix 9 --branches 3 -n 2
gives '"branches":[{"prefix":9,"branches":3,"tokens":2,"tokens_per_second":' "$espalier" speed -m $tiny --json --only branches --runs 1 --prefix 9 --branches 3 -n 2
for only in '' x stream, ,stream streams 'stream prefill'; do refuses 2 'expected some of prefill, stream' "$espalier" speed -m $tiny --only "$only"; done
refuses 3 'do not fit its context' "$espalier" speed -m $tiny --prefix 100000

# --- the same seed gives the same events, whatever the threads and the batch ---
same() { # MODEL ARGUMENTS...
    model=$1
    shift
    "$espalier" run -m "$model" --json -j 1 --batch 1 "$@" >"$work/a" 2>"$work/err"
    one=$?
    for how in '-j 2 --batch 16' '-j 1 --batch 16' '-j 2 --batch 3'; do
        "$espalier" run -m "$model" --json $how "$@" >"$work/b" 2>"$work/err"
        two=$?
        if [ $one = $two ] && [ -s "$work/a" ] && cmp -s "$work/a" "$work/b"; then ok; else bad "other events with $how: $*"; fi
    done
    if tail -1 "$work/a" | grep -q '^{"event":"result",.*"tokens":{"prompt":'; then ok; else bad "the last event is no result: $*"; fi
}
same $tiny -t ask -s self-consistency,m=5 'hello'
same $tiny -t tests/tiny.yaml -s tot,b=2,evaluate=vote 'ab'
same $tiny -t tests/tiny.yaml -s tot,b=3,evaluate=value,select=sample 'ab'
same $tiny -t tests/tiny.yaml -s greedy 'ab'
same $tiny -t tests/tiny.yaml -s sample 'ab'
same $tiny -t tests/tiny.yaml -s self-consistency,m=7,weight=normalised,adaptive=1,round=3 'ab'
same $tiny -t tests/tiny.yaml -s best-of-n,n=4 'ab'
same $tiny -t tests/tiny.yaml -s best-of-n,n=6,judge=steps,aggregate=min,weighted=1 'ab'
same $tiny -t tests/tiny.yaml -s best-of-n,n=5,evaluate=vote 'ab'
same $tiny -t tests/tiny.yaml -s beam,n=4,m=2 'ab'
same $tiny -t tests/tiny.yaml -s dvts,n=6,m=3,weighted=1 'ab'
same $tiny -t tests/tiny.yaml -s tot-dfs,generate=sample,limit=6,first=0 'ab'
same $tiny -t tests/tiny.yaml -s mcts,iterations=3,generate=sample 'ab'
same $tiny -t tests/tiny.yaml -s ab-mcts,iterations=5 'ab'
same $tiny -t tests/tiny.yaml -s auto,n=6,m=2 'ab'
same $tiny -t countdown -s greedy '24: 4 4 10'
if [ -r "$real" ]; then
    same "$real" -t ask -s self-consistency,m=8 'What is 8 * 7?'
    same "$real" -t game24 -s tot,b=2 '4 5 6 10'
    gives 'Paris' "$espalier" complete -m "$real" --temperature 0 -n 8 'The capital of France is'
else
    echo "no real model at $real: its runs are left out"
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
