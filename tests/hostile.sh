#!/bin/sh
# Some of test_hostile's model files, as a user opens them: described and completed, or refused in one line that names the file, with exit code 3.
#   tests/hostile.sh PATH-OF-ESPALIER
espalier=$(realpath "$1")
maker=$(dirname "$espalier")/tests/test_hostile
[ -x "$maker" ] || { echo "skipped: $maker is not built"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 used=0

bad() { failed=$((failed + 1)); echo "FAILED: $*"; sed 's/^/    /' "$work/err" | head -5; }

# says CODES COMMAND...: it ended so, and where that is a failure said one line of it and nothing else
says() {
    want=$1
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ $got = 0 ] && return 0
    if case " $want " in *" $got "*) ;; *) false ;; esac && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ]; then passed=$((passed + 1)); else bad "exit $got: $*"; fi
    return 1
}

"$maker" "$work" 397 || exit 1
for file in "$work"/corpus-fuzz_file/*; do
    if says 3 "$espalier" info "$file"; then
        # Weights that are no numbers are the file's fault; those so large that nothing comes of them end with the engine's own code.
        says '3 4' "$espalier" complete -m "$file" -n 1 --kernels reference 'ab' && used=$((used + 1)) passed=$((passed + 1))
    elif ! grep -qF -- "$file" "$work/err"; then
        bad "the line does not name $file"
    fi
done
[ $used -gt 0 ] || bad "no file was used to its end"

echo "$passed passed ($used files completed), $failed failed"
[ $failed = 0 ]
