#!/bin/sh
# Fewer bits, end to end: espalier quantize writes files that the other commands open, or nothing; --quant does it in memory.
#   tests/quantize.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
tiny=tests/reference/tiny
real=${ESPALIER_MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf}
said=$(mktemp -d) work=$(mktemp -d) # what commands say; what they write
trap 'rm -rf "$said" "$work"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' "$said/err" | head -5; }

refuses() { # CODE 'PART OF THE LINE' COMMAND...: one line that says so, and the folder as it was
    code=$1 part=$2
    shift 2
    before=$(ls -l "$work" | cksum)
    "$@" >"$said/out" 2>"$said/err" </dev/null
    got=$?
    if [ $got = "$code" ] && [ "$(wc -l <"$said/err")" = 1 ] && [ ! -s "$said/out" ] && grep -qF -- "$part" "$said/err" &&
        [ "$(ls -l "$work" | cksum)" = "$before" ]; then ok; else bad "exit $got, not $code and '$part': $*"; fi
}
gives() { # 'PART OF THE OUTPUT' COMMAND...
    part=$1
    shift
    "$@" >"$said/out" 2>"$said/err" </dev/null
    got=$?
    if [ $got = 0 ] && grep -qF -- "$part" "$said/out"; then ok; else bad "exit $got, or no '$part': $*"; fi
}
perplexity() { # ARGUMENTS OF score...
    "$espalier" score --json --kernels reference "$@" 'steps = 25 + 5 (left: 3)' 2>"$said/err" | sed 's/.*"perplexity":\([0-9]*\).*/\1/'
}
near() { # WHAT PERPLEXITY OTHER PERCENT
    if [ -n "$2" ] && [ -n "$3" ] && [ $(($2 * 100)) -le $(($3 * (100 + $4))) ] && [ $(($2 * 100)) -ge $(($3 * (100 - $4))) ]; then ok
    else bad "$1: perplexity $2, not within $4 % of $3"; fi
}

# --- files ---
from=$tiny/tiny-f16.gguf
gives 'usage: espalier quantize -m IN.gguf --type TYPE --out OUT.gguf' "$espalier" quantize --help
gives '15 converted, with a mean squared error of' "$espalier" quantize -m $from --type q8_0 --out "$work/q8_0.gguf"
gives '14 converted' "$espalier" quantize -m $from --type iq4_nl --out "$work/iq4_nl.gguf" -j 1
gives '"Q4_0":{"tensors":14,"converted":14,' "$espalier" quantize -m $from --type Q4_0 --out "$work/q4_0.gguf" --json
gives '15 converted' "$espalier" quantize -m "$work/q8_0.gguf" --type f16 --out "$work/back.gguf"
gives '15 converted' "$espalier" quantize -m tests/reference/folders/nf4 --type f16 --out "$work/folder.gguf"
near 'f16 of a folder' "$(perplexity -m "$work/folder.gguf")" "$(perplexity -m tests/reference/folders/nf4)" 1
rm "$work/folder.gguf"
gives 'F16     15 tensors' "$espalier" info "$work/back.gguf"
gives 'IQ4_NL   14 tensors' "$espalier" info "$work/iq4_nl.gguf"
gives 'Q8_0     1 tensors' "$espalier" info "$work/iq4_nl.gguf"
base=$(perplexity -m $from)
near 'q8_0' "$(perplexity -m "$work/q8_0.gguf")" "$base" 6
near 'f16 of q8_0' "$(perplexity -m "$work/back.gguf")" "$(perplexity -m "$work/q8_0.gguf")" 1
near 'iq4_nl' "$(perplexity -m "$work/iq4_nl.gguf")" "$base" 60
near 'q4_0' "$(perplexity -m "$work/q4_0.gguf")" "$base" 60

# The same bytes whatever the threads; what is there is replaced.
cp "$work/q8_0.gguf" "$work/again.gguf"
gives '14 converted' "$espalier" quantize -m $from --type iq4_nl --out "$work/again.gguf" -j 3
if cmp -s "$work/iq4_nl.gguf" "$work/again.gguf"; then ok; else bad 'other bytes with other threads'; fi
if [ "$(ls "$work" | wc -l)" = 5 ]; then ok; else bad "something is left over: $(ls "$work")"; fi

# --- what is refused ---
refuses 2 'needs -m IN.gguf' "$espalier" quantize
refuses 2 'needs -m IN.gguf' "$espalier" quantize -m $from --out "$work/new.gguf"
refuses 2 'takes its model with -m' "$espalier" quantize $from --type q8_0 --out "$work/new.gguf"
refuses 2 '--type q5_0: expected f16, q8_0, q4_0 or iq4_nl' "$espalier" quantize -m $from --type q5_0 --out "$work/new.gguf"
refuses 2 'unknown option --quant' "$espalier" quantize -m $from --quant nf4 --out "$work/new.gguf"
refuses 3 'no-such.gguf' "$espalier" quantize -m no-such.gguf --type q8_0 --out "$work/new.gguf"
refuses 3 'not a GGUF file' "$espalier" quantize -m README.md --type q8_0 --out "$work/new.gguf"
refuses 3 'is the file that is read' "$espalier" quantize -m "$work/q8_0.gguf" --type f16 --out "$work/./q8_0.gguf"
refuses 3 'is not a plain file' "$espalier" quantize -m $from --type q8_0 --out /dev/null
refuses 3 'is not a plain file' "$espalier" quantize -m $from --type q8_0 --out "$work"
refuses 3 'No such file or directory; expected a place in a folder' "$espalier" quantize -m $from --type q8_0 --out "$work/none/new.gguf"
refuses 3 'it takes 0.2 MB: make room' sh -c "ulimit -f 20; '$espalier' quantize -m $from --type f16 --out '$work/new.gguf'"
refuses 3 'make room' sh -c "ulimit -f 20; '$espalier' quantize -m $from --type f16 --out '$work/q8_0.gguf'"
if [ "$(id -u)" != 0 ]; then
    mkdir "$work/closed"
    chmod 555 "$work/closed"
    refuses 3 'Permission denied' "$espalier" quantize -m $from --type q8_0 --out "$work/closed/new.gguf"
fi

# --- NF4 in memory ---
gives 'nf4: 12 matrices quantized at load, 2 kept as in the file' "$espalier" info $from --quant nf4
gives 'NF4     12 tensors' "$espalier" info $from --quant nf4
gives 'nf4+head: 13 matrices quantized at load, 2 kept' "$espalier" info $from --quant nf4+head
gives '"quant":{"name":"nf4+head","quantized":13,"kept":2}' "$espalier" info $from --quant nf4+head --json
gives '"quant":null' "$espalier" info $from --json
gives 'nf4: 0 matrices quantized at load, 14 kept' "$espalier" info $tiny/tiny-wide-q8_0.gguf --quant nf4 # 96 and 160 wide
gives '"quant":"nf4"' "$espalier" speed -m $from --quant nf4 --json --prefix 16 --branches 2 -n 4
refuses 2 '--quant nf5: expected nf4 or nf4+head' "$espalier" complete -m $from --quant nf5 x
near 'nf4' "$(perplexity -m $from --quant nf4)" "$base" 60
if [ "$(perplexity -m $from --quant nf4)" != "$base" ]; then ok; else bad 'nf4 changes nothing'; fi
for how in '-j 2 --batch 1' '-j 1 --batch 16' '-j 2 --batch 16'; do
    "$espalier" run -m $from --quant nf4+head -t tests/tiny.yaml -s best-of-n,n=4 --json $how ab >"$said/$(echo "$how" | tr -d ' ')" 2>"$said/err"
done
if cmp -s "$said/-j2--batch1" "$said/-j1--batch16" && cmp -s "$said/-j2--batch1" "$said/-j2--batch16" && [ -s "$said/-j2--batch1" ]; then ok
else bad 'other events with other threads or batches'; fi
# A session goes on with the weights it was begun with.
gives '' "$espalier" run -m $from --quant nf4 -t tests/tiny.yaml -s sample --session "$said/s.espalier" ab || true
refuses 2 'was begun with --quant nf4' "$espalier" run --session "$said/s.espalier"
refuses 2 'was begun with --quant nf4' "$espalier" run --session "$said/s.espalier" --quant nf4+head

if [ -r "$real" ]; then
    gives '210 converted' "$espalier" quantize -m "$real" --type q8_0 --out "$work/real.gguf"
    # ^C while it works: the file that was begun is gone.
    "$espalier" quantize -m "$real" --type iq4_nl --out "$work/cut.gguf" >"$said/out" 2>"$said/err" &
    tries=0
    until ls "$work"/cut.gguf.* >/dev/null 2>&1 || [ $tries = 600 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -TERM $!
    wait $!
    got=$?
    if [ $got = 143 ] && grep -q 'interrupted: nothing is written' "$said/err" && ! ls "$work"/cut* >/dev/null 2>&1; then ok
    else bad "exit $got when it was ended: $(ls "$work")"; fi
    gives 'Paris' "$espalier" complete -m "$work/real.gguf" --temperature 0 -n 2 'The capital of France is'
    gives 'Paris' "$espalier" complete -m "$real" --quant nf4 --temperature 0 -n 2 'The capital of France is'
else
    echo "no real model at $real: its files are left out"
fi

echo "quantize: $passed passed, $failed failed"
[ $failed = 0 ]
