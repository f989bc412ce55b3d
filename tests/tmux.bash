# What the tests that live in a terminal share: a shell under tmux, keys sent to it, what it shows. Sourced with the path of espalier as $1.
espalier=$(realpath "${1:-./espalier}")
[ -x "$espalier" ] || { echo "no program $espalier"; exit 1; }
command -v tmux >/dev/null || { echo "no tmux: the explorer was not tried"; exit 77; }
unset NO_COLOR TMUX
export LC_ALL=C.UTF-8
export NCURSES_GPM_TERMS=none # on TERM=linux curses looks for the console's mouse daemon, whose library keeps ten bytes that a sanitizer counts
export ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0 # a sanitizer's report is not what is tried here
work=$(mktemp -d)
socket=$work/tmux
export XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data # not the user's own
passed=0 failed=0
trap 'tmux -S "$socket" kill-server 2>/dev/null; rm -rf "$work"' EXIT
printf 'set -g status off\nset -g default-terminal tmux-256color\nset -g exit-empty off\nset -g set-clipboard on\n' >"$work/conf"

ok() { passed=$((passed + 1)); }
# Each may have waited for ten seconds: after a dozen the rest would take long to say the same.
bad() {
    failed=$((failed + 1))
    echo "FAILED: $*"
    [ $failed -lt 12 ] || { echo "$passed passed, $failed failed, and the rest was not tried"; exit 1; }
}
t() { tmux -S "$socket" "$@"; }
screen() { t capture-pane -p -t s; }
keys() { t send-keys -t s "$@"; }
size() { t resize-window -t s -x "$1" -y "$2"; }
is() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2' instead of '$3'"; fi; }

# within COMMAND...: it succeeds within ten seconds, or PATIENCE times as many.
within() {
    for _ in $(seq $((400 * ${PATIENCE:-1}))); do
        if "$@"; then return 0; fi
        sleep 0.025
    done
    return 1
}
shows() { screen | grep -qE -- "$1"; }
hides() { ! shows "$1"; }
# sees WHAT PATTERN: the screen comes to show a line that matches; gone: none that does.
sees() { if within shows "$2"; then ok; else bad "$1: no '$2' on the screen:"; screen | sed 's/^/    /'; fi; }
gone() { if within hides "$2"; then ok; else bad "$1: '$2' is still on the screen:"; screen | sed 's/^/    /'; fi; }

# A shell in a terminal of that size, and in it the explorer; its process id in $pid.
shell() {
    t kill-server 2>/dev/null
    rm -f "$socket"
    t -f "$work/conf" new-session -d -s s -x "$1" -y "$2" "cd $work; exec bash --norc --noprofile" || { bad "tmux does not start"; exit 1; }
    keys "export PS1='ready> '; stty -a >before; clear" Enter
    sees "a shell" '^ready>'
}
start() {
    rm -f "$work/pid" "$work/code"
    keys "sh -c 'echo \$\$ >pid; exec $espalier $*'; echo code \$? | tee code" Enter
    within test -s "$work/pid"
    pid=$(cat "$work/pid")
}
# ended CODE: the explorer is gone with that exit code, and the terminal is as it was.
ended() {
    within test -s "$work/code"
    is "$1: exit code" "$(cat "$work/code" 2>/dev/null)" "code $2"
    is "$1: the other screen is left" "$(t display -p -t s '#{alternate_on}')" 0
    is "$1: the cursor is back" "$(t display -p -t s '#{cursor_flag}')" 1
    is "$1: the mouse is let go" "$(t display -p -t s '#{mouse_any_flag}')" 0
    keys "stty -a >after; clear" Enter
    within test -s "$work/after"
    sed 's/rows [0-9]*; columns [0-9]*//' "$work/before" >"$work/b"
    sed 's/rows [0-9]*; columns [0-9]*//' "$work/after" >"$work/a"
    if cmp -s "$work/b" "$work/a"; then ok; else bad "$1: stty differs: $(diff "$work/b" "$work/a")"; fi
    rm -f "$work/after"
}

# mouse BUTTON X Y: 0 pressed, 3 released, 32 moved, 64 and 65 the wheel; places from 0.
move() { printf '\033[M%b' "$(printf '\\%03o\\%03o\\%03o' $(($1 + 32)) $(($2 + 33)) $(($3 + 33)))"; }
mouse() { keys -l "$(move "$@")"; }
