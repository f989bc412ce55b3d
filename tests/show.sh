#!/bin/sh
# espalier show on logs of every kind: what is printed, what is refused, and that nothing in a log is ever more than text.
#   tests/show.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
excerpt=tests/reference/tot_game24_excerpt.json
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
    if [ $got = 0 ] && grep -qF -- "$part" "$work/out"; then ok; else bad "exit $got, or no '$part': $*"; fi
}
refuses() { # CODE 'PART OF THE LINE' COMMAND...
    code=$1 part=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    if [ $got = "$code" ] && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ] && grep -qF -- "$part" "$work/err"; then ok
    else bad "exit $got, not $code and '$part': $*"; fi
}

# --- published logs ---
gives 'usage: espalier show [SESSION|FILE' "$espalier" show --help
gives '8 trees' "$espalier" show $excerpt
gives '    1  3 4 4 13' "$espalier" show $excerpt
gives 'misjudged at level 1: thought 4: 4 * 7 = 28 (left: 9 13 28), value 0.003' "$espalier" show $excerpt --audit
gives '       1          6         4' "$espalier" show $excerpt --audit
gives 'right          2            (1 of them by an alive path' "$espalier" show --audit $excerpt
gives '[left should be 24]' "$espalier" show $excerpt 4
gives 'alive *     5 * 6 = 30' "$espalier" show $excerpt 4 --audit
gives 'fillcolor=palegreen' "$espalier" show $excerpt 4 --dot --audit
gives '  n0 -> n1' "$espalier" show $excerpt 4 --dot
gives '## The path of the answer' "$espalier" show $excerpt 1 --md
gives '4 \* 6 = 24' "$espalier" show $excerpt 1 --md

# --- what is exported is read back as the same ---
"$espalier" show $excerpt --json >"$work/all.jsonl" || bad export
"$espalier" show "$work/all.jsonl" --json | cmp -s - "$work/all.jsonl" && ok || bad 'export, import, export'
"$espalier" show $excerpt --audit | tail -n +2 >"$work/one"
"$espalier" show "$work/all.jsonl" --audit | tail -n +2 | cmp -s - "$work/one" && ok || bad 'the audit of the export'

# --- a recording: of a tree or of all side by side, always the same bytes ---
cast() { env $with "$espalier" show $excerpt "$@" >"$work/out" 2>"$work/err" </dev/null || bad "exit $?: show $*"; }
holds() { if grep -qF -- "$1" "$work/out"; then ok; else bad "no '$1' in the recording"; fi; }
lacks() { if grep -qF -- "$1" "$work/out"; then bad "'$1' in the recording"; else ok; fi; }
unset NO_COLOR
with=
export XDG_CONFIG_HOME="$work/config"
cast 1 --cast
is_first() { if [ "$(head -1 "$work/out")" = "$1" ]; then ok; else bad "the header: $(head -1 "$work/out")"; fi; }
is_first '{"version":2,"width":80,"height":24,"env":{"TERM":"xterm-256color"}}'
holds '4 * 6 = 24'
holds '[0;38;5;'
if [ "$(tail -c 16 "$work/out")" = '\u001B[?1049l"]' ]; then ok; else bad 'it does not give the terminal back at its end'; fi
mv "$work/out" "$work/one"
with='LC_ALL=C TERM=dumb TZ=Asia/Tokyo'
cast 1 --cast
with=
if cmp -s "$work/out" "$work/one"; then ok; else bad 'another recording on another terminal'; fi
cast 1 --cast --size 40x12 --speed 1000
is_first '{"version":2,"width":40,"height":12,"env":{"TERM":"xterm-256color"}}'
if [ "$(wc -l <"$work/out")" -lt 6 ]; then ok; else bad 'a thousand times as fast it has as many frames'; fi
cast 1 --cast --ascii --colours none
lacks ';38;'
if LC_ALL=C grep -q '[^ -~]' "$work/out"; then bad 'not ASCII alone'; else ok; fi
with=NO_COLOR=1
cast 1 --cast
with=
lacks ';38;'
cast 1 --cast --colours true --theme nord
holds ';38;2;'
lacks ';38;5;'
cast --cast --speed 100
holds 'compare'
mkdir -p "$work/config/espalier" && echo 'theme: light' >"$work/config/espalier/config.yaml"
cast 1 --cast
if cmp -s "$work/out" "$work/one"; then bad 'the configured theme changes nothing'; else ok; fi
rm -r "$work/config"
"$espalier" show $excerpt 1 --cast >/dev/full 2>"$work/err"
got=$?
if [ $got = 3 ] && grep -qF 'standard output cannot be written: ' "$work/err" && [ "$(wc -l <"$work/err")" = 1 ]; then ok; else bad "exit $got on a full disk"; fi

# --- what is refused ---
refuses 2 '--cast goes with' "$espalier" show $excerpt 1 --cast --md
refuses 2 '--cast goes with' "$espalier" show $excerpt 1 --cast --replay
refuses 2 '--size 80: expected COLUMNSxROWS' "$espalier" show $excerpt 1 --cast --size 80
refuses 2 '--colours 12: expected 256, true or none' "$espalier" show $excerpt 1 --cast --colours 12
refuses 3 'no theme "none-such"' "$espalier" show $excerpt 1 --cast --theme none-such
refuses 3 'no-such-file' "$espalier" show no-such-file --cast
gives 'no sessions are kept in' env XDG_DATA_HOME="$work" "$espalier" show
refuses 2 'show takes a file' "$espalier" show a b c
refuses 2 'the trees 1 to 8' "$espalier" show $excerpt 9
refuses 2 'the trees 1 to 8' "$espalier" show $excerpt 1x
refuses 2 'say which' "$espalier" show $excerpt --dot
refuses 2 'choose one' "$espalier" show $excerpt --dot --md
refuses 2 'choose one' "$espalier" show $excerpt --json --audit
refuses 3 'needs one' "$espalier" show $excerpt 1 --replay
refuses 2 '--replay goes with' "$espalier" show $excerpt 1 --replay --md
refuses 2 'from 0.01 to 1000' "$espalier" show $excerpt 1 --replay --speed 0
refuses 3 'no-such-file' "$espalier" show no-such-file
refuses 3 'a folder' "$espalier" show "$work"
refuses 3 'neither a JSON object' "$espalier" show Makefile
head -c 3000 "$work/all.jsonl" >"$work/cut.jsonl"
refuses 3 'cut.jsonl: line ' "$espalier" show "$work/cut.jsonl"

# --- a log is data: no control byte, no markup, nothing that ends a label ---
sed '/"event":"thought"/s/"text":"[^"]*"/"text":"a\\u001b[31m\\u0007 \\u202e \\u009b2J \\"];evil[x=\\"\\\\ <b>*x*<\/b>\\n- item"/' "$work/all.jsonl" >"$work/evil.jsonl"
for form in '' --audit --md --dot; do
    "$espalier" show "$work/evil.jsonl" 1 $form >"$work/out" 2>"$work/err" || bad "evil $form"
    if LC_ALL=C tr -d '\n\040-\176\200-\377' <"$work/out" | grep -q .; then bad "a control byte in $form"; else ok; fi
    if LC_ALL=C.UTF-8 grep -q "$(printf '\302\233\|\342\200\256')" "$work/out"; then bad "a C1 or bidi control in $form"; else ok; fi
done
"$espalier" show "$work/evil.jsonl" 1 --cast >"$work/out" 2>"$work/err" || bad "evil --cast"
if LC_ALL=C tr -d '\n\040-\176\200-\377' <"$work/out" | grep -q . || grep -qi 'u0007\|u001b\[31m\|u009b' "$work/out"; then bad "a control byte in --cast"; else ok; fi
if LC_ALL=C.UTF-8 grep -q "$(printf '\302\233\|\342\200\256')" "$work/out"; then bad "a C1 or bidi control in --cast"; else ok; fi
holds 'H[31m' # after the sign that stands for the escape, which has a move of its own
gives 'a�[31m� � �2J \"];evil[x=\"\\ <b>' "$espalier" show "$work/evil.jsonl" 1 --dot
gives '\<b\>\*x\*\</b\> - item' "$espalier" show "$work/evil.jsonl" 1 --md

echo "show: $passed passed, $failed failed"
[ "$failed" = 0 ]
