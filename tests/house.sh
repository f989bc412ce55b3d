#!/bin/sh
# The house keeps its rules: floors use only floors under them, and only by their one public header; only tui/ knows curses.
passed=0 failed=0

# none 'RULE' LINES: no line may be there
none() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1"
        echo "$2" | head -5 | sed 's/^/    /'
    fi
}

# includes FOLDER 'OTHER FOLDERS': the lines of FOLDER that include another folder past its public header
past() {
    for other in kernels engine search tui; do
        [ "$1" = $other ] || grep -nE "#include \"$other/" "$1"/*.c "$1"/*.h | grep -v "\"$other/$other.h\""
    done
}

none 'kernels/ uses no other floor' "$(grep -nE '#include "(engine|search|tui)/' kernels/*.[ch])"
none 'engine/ uses only kernels/' "$(grep -nE '#include "(search|tui)/' engine/*.[ch])"
none 'search/ does not know the screen' "$(grep -nE '#include "tui/' search/*.[ch])"
for folder in kernels engine search tui; do
    none "$folder/ includes only the public headers of the others" "$(past $folder)"
done
none 'only tui/ includes curses' "$(grep -nE '#include <(n?curses|term)[^>]*>' kernels/*.[ch] engine/*.[ch] search/*.[ch])"
none 'only the terminal and its keyboard include curses' "$(grep -lE '#include <n?curses' tui/*.[ch] | grep -vE '^tui/(terminal|keyboard)\.[ch]$')"
none 'no file is longer than 1,200 lines' "$(wc -l ./*/*.[ch] | awk '$1 > 1200 && $2 != "total"')"
none 'no fast math' "$(grep -n 'ffast''-math' Makefile | grep -v '^[0-9]*:#')"
none 'no exit below main' "$(grep -nE '\b_?exit\(' engine/*.c search/*.c kernels/*.c tui/*.c | grep -vE '^(kernels/base|tui/terminal)\.c:|^search/outside\.c:[0-9]+: +_exit\(127\);')"
for folder in kernels engine search tui; do
    none "$folder/ has its README" "$([ -r $folder/README.md ] || echo $folder/README.md is missing)"
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
