#!/bin/bash
# The explorer as a user lives in it: a terminal (tmux), keys, new sizes, signals, crashes, and what is left of the terminal after.
#   tests/e2e.sh PATH-OF-ESPALIER
source "$(dirname "$0")/tmux.bash"
model=$(realpath tests/reference/tiny/tiny-q8_0.gguf) tasks=$(realpath tests)
[ -f "$model" ] || { echo "no tiny model: the explorer was not tried"; exit 77; }
export ESPALIER_MODEL=$model
problem="--kernels reference -t ask -s self-consistency,m=6 What is it?"

# --- where there is no screen ---
refuses() { # WHAT PATTERN COMMAND...
    "${@:3}" >"$work/out" 2>"$work/err" </dev/null
    is "$1: exit code" $? 3
    is "$1: one line" "$(wc -l <"$work/err")" 1
    is "$1: nothing on stdout" "$(wc -c <"$work/out")" 0
    if grep -qF -- "$2" "$work/err"; then ok; else bad "$1: $(cat "$work/err")"; fi
}
refuses "no terminal" "espalier run" "$espalier" $problem
shell 200 24
for term in dumb no-such-terminal ''; do
    keys "TERM=$term $espalier $problem; echo code \$?" Enter
    sees "TERM=$term" '^code 3'
    sees "TERM=$term" 'espalier run'
    is "TERM=$term: no screen was opened" "$(t display -p -t s '#{alternate_on}')" 0
    keys "clear" Enter
    gone "cleared" '^code'
done

# --- the dump ---
"$espalier" --dump 80x24 --seed 3 $problem >"$work/one" 2>"$work/err" && "$espalier" --dump 80x24 --seed 3 -j 1 --batch 1 $problem >"$work/two"
is "the dump has its rows" "$(wc -l <"$work/one")" 24
if cmp -s "$work/one" "$work/two"; then ok; else bad "two dumps differ"; fi
if grep -qF '■ done' "$work/one"; then ok; else bad "the dump is not of the end"; fi
if LC_ALL=C grep -q '[^[:print:]]' "$work/one" && LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]' "$work/one"; then bad "control bytes in the dump"; else ok; fi
"$espalier" --dump 80x24 --ascii $problem >"$work/one" 2>/dev/null
if LC_ALL=C grep -qP '[^\x20-\x7e]' "$work/one"; then bad "--ascii is not ASCII"; else ok; fi
"$espalier" --dump 80 $problem >/dev/null 2>&1
is "a size that is none" $? 2

# --- a life ---
shell 200 50
start --paused $problem
sees "the problem" '▾? *What is it'
sees "paused" '❚❚ paused'
is "on the other screen" "$(t display -p -t s '#{alternate_on}')" 1
keys '?'
sees "help" 'do it again'
keys Escape
gone "help closed" 'do it again'
keys s
sees "one step" 'step 1'
sees "it stops after it" '❚❚ paused'
keys Space
sees "to the end" '■ done'
sees "the vote" 'votes: [1-6] in all'
keys g j p
sees "pruned" '│ pruned'
keys u
gone "undone" '│ pruned'
sees "as done as before" '■ done'
keys ':set temperature=0.5' Enter
sees "a setting: there may be more to do" '❚❚ paused'
keys u
sees "the setting undone: as done as before" '■ done'
sees "the answer is told again" '^│? *answer'
keys p
sees "pruned again" '│ pruned'
keys u
gone "undone again" '│ pruned'
sees "and it says what" 'taken back: prune [0-9]+ and all below it'
keys U
sees "done again" '│ pruned'
sees "and it says that" 'done again: prune [0-9]+ and all below it'
keys g p
sees "the problem stays" 'cannot be pruned'
keys h
sees "folded" '▸ What is it. .*below'
keys l
gone "unfolded" '▸ What is it'
keys j Enter l l
sees "a token" 'token 3 of'
keys Escape g
sees "the cost" 'FLOP'

# --- sizes ---
size 40 12
sees "40x12" '^ tree'
keys Tab
sees "40x12, the thought" '^ problem'
keys Tab
size 39 12
sees "39x12" '40×12'
size 20 5
sees "20x5" 'this is 20×5'
keys j k Enter Tab '?' '?' Space
size 1 1
sleep 0.3
is "1x1: it lives" "$(kill -0 "$pid" && echo yes)" yes
size 200 50
sees "back" '┌ tree'
gone "back" 'too small'
keys Escape C-l
sees "repainted" '┌ tree'

# --- sleep: with nothing to do, neither thread wakes ---
switches() { cat /proc/"$pid"/task/*/status | awk '/^voluntary/ {n += $2} END {print n}'; }
for _ in $(seq 50); do
    before=$(switches); sleep 0.5; after=$(switches)
    [ "$before" = "$after" ] && break
done
is "no wake-ups while idle" "$after" "$before"

# --- acts and time ---
keys 2 G K
sees "kept" '◆ '
sees "done again at once" '■ done'
keys K
gone "kept no more" '◆ '
sees "done again at once" '■ done'
keys e C-u; keys -l 'own words'
sees "a line" '^ edit 2 own words'
keys Enter
sees "edited" '✎ own words'
keys b
sees "back" '❚❚ paused'
keys u u
gone "undone" '✎ own words'
keys g a; keys -l 'below'; keys Enter
sees "added" '✎ below'
keys :; keys -l 'unk'; keys Tab; keys -l '99'; keys Enter
sees "a wrong command" 'there is no thought 99'
keys '['
sees "the past" 'the past'
keys '{'
sees "the beginning" '0 of [0-9]+: the beginning'
keys p
sees "no acts there" 'this is the past'
keys B
gone "on from there" 'the past'
sees "on from there" 'chose *nothing yet'
keys u
gone "undone" 'chose *nothing yet'
keys 2 G f
sees "fork" 'fork here'
keys Escape
gone "left" 'fork here'
keys g r
sees "again" '❚❚ paused|■ done'
keys :; keys -l 'at 0'; keys Enter
sees "at an event" 'the beginning'
keys '}'
gone "now" 'the past'

# --- panes and the mouse ---
is "the mouse is taken" "$(t display -p -t s '#{mouse_any_flag}')" 1
keys Escape V
sees "the views" 'what should stand in this pane'
keys '?'
sees "help in a pane" '^┌ help'
keys V t
sees "the tree again" '^┌ tree'
sees "panes at the right" '^│.*├ votes .*┤'
keys Tab Tab X X
gone "one at the right" '^│.*├ [a-z].*┤'
keys S
sees "two at the right" '^│.*├ [a-z].*┤'
keys X
gone "one again" '^│.*├ [a-z].*┤'
keys z
sees "one alone" '^┌ [a-z]+ [^┬]*┐'
keys Escape
sees "all again" '^┌ tree.*┬'
keys -l "$(move 0 115 3)$(move 32 60 4)$(move 3 60 4)" # they may come together: a press, where it went, a release
sees "the line is dragged" '^┌ tree .{53}┬'
keys : ; keys -l 'mouse off'; keys Enter
for _ in $(seq 40); do [ "$(t display -p -t s '#{mouse_any_flag}')" = 0 ] && break; sleep 0.05; done
is "the mouse is left" "$(t display -p -t s '#{mouse_any_flag}')" 0
keys : ; keys -l 'mouse on'; keys Enter
for _ in $(seq 40); do [ "$(t display -p -t s '#{mouse_any_flag}')" = 1 ] && break; sleep 0.05; done
is "and taken again" "$(t display -p -t s '#{mouse_any_flag}')" 1

# --- views, searching, marks ---
for view in drawn judge siblings votes path time compare statistics log help tree; do
    keys : ; keys -l "view $view"; keys Enter
    sees "the view $view" "^┌ (first thoughts|$view)"
done
keys G / ; keys -l 'what is'; keys Enter
sees "found" 'tree /what is · 1'
sees "selected" '┬ problem'
keys n
sees "found again" 'tree /what is · 1'
keys / ; keys -l 'nothing has this'; keys Enter
sees "not found" 'no thought says "nothing has this"'
keys '\' C-u; keys -l 'what is'; keys Enter
gone "only what has it" '^│├'
keys '\' Enter
sees "all again" '^│├'
keys 2 G m a g "'" a
sees "back at the mark" '┬ thought 2'
keys "'" "'"
sees "and where one was" '┬ problem'
keys V i l h
sees "the time line" 'the past: } to now'
keys '}' V t

# --- suspended and back ---
keys C-z
sees "a shell again" '^ready>'
is "suspended: the screen is left" "$(t display -p -t s '#{alternate_on}')" 0
size 80 24
keys "fg" Enter
sees "in the foreground, at the new size" '┌ tree'
gone "in the foreground" '^ready>'
is "on the other screen again" "$(t display -p -t s '#{alternate_on}')" 1
kill -TSTP "$pid"
sees "stopped from outside" '^ready>'
rm -f "$work/code"
keys 'fg; echo code $? | tee code' Enter
sees "back again" '┌ tree'

# --- a paste is no command ---
t set-buffer 'qqq'
t paste-buffer -p -t s
sleep 0.3
is "pasted: it lives" "$(kill -0 "$pid" && echo yes)" yes
# bytes that are no character cost themselves alone; one that comes in parts is whole
bytes() { printf "$1" >"$work/bytes"; t load-buffer "$work/bytes"; t paste-buffer ${2:-} -t s; }
keys :
bytes 'ab\377cd' -p
sees "pasted with a wrong byte" '^ :ab�cd'
keys C-u
bytes 'xy\377z'
sees "typed with a wrong byte" '^ :xy�z'
keys C-u
bytes '\344\270(\303\251\355\240\200|\360\237'
sees "cut, whole, a surrogate" '^ :��\(é���\|'
bytes '\230\200'
sees "in parts" '^ :��\(é���\|😀'
bytes '\342\202'
keys Left x
sees "a key in its place" '^ :��\(é���\|😀�x�'
keys Escape
gone "the line is closed" '^ :' # what is not read yet would be the shell's
kill -STOP "$pid"
sees "stopped by force" 'Stopped'
rm -f "$work/code"
keys 'fg; echo code $? | tee code' Enter
sees "back from that too" '┌ tree'
keys q
ended "q" 0

is "the panes are remembered" "$(grep -c '^split 30' "$work/state/espalier/explorer")" 1
rm -rf "$work/state"

# --- stepped, paused and resized, the tree is the one that the dump has ---
start --paused --seed 3 $problem
sees "the same tree" '❚❚ paused'
keys s
sees "the same tree" 'step 1'
size 120 40
keys Space Space
size 80 24
for _ in $(seq 40); do screen | grep -q '■ done' && break; keys s; sleep 0.1; done
sees "the same tree" '^└─{78}┘$'
sees "the same tree" '■ done'
"$espalier" --dump 80x24 --seed 3 $problem | head -22 >"$work/one"
if screen | head -22 | cmp -s - "$work/one"; then ok; else bad "stepped, the tree is another:"; screen | head -22 | diff - "$work/one"; fi
keys q
ended "the same tree" 0

# --- the editor, and a race ---
printf '#!/bin/sh\n[ "$1" = --wait ] && stat -c %%a "$2" >mode && echo "$2" >name && echo "from outside" >"$2"\n' >"$work/editor"
chmod +x "$work/editor"
keys "export EDITOR='$work/editor --wait'; unset VISUAL" Enter
start --paused $problem
sees "paused" '❚❚ paused'
keys s
sees "a thought" "the step is done"
keys g j E
sees "edited outside" '✎ from outside'
is "the file is the user's own" "$(cat "$work/mode" 2>/dev/null)" 600
is "and is gone" "$(ls "$(cat "$work/name")" 2>/dev/null)" ""
keys q
ended "the editor" 0
keys "export EDITOR=$work/no-such" Enter
start --paused $problem
sees "paused" '❚❚ paused'
keys s
sees "a thought" "the step is done"
keys g j E
sees "no editor" 'could not be run'
keys q
ended "no editor" 0
start -s greedy $problem
sees "a race" '1 of 2: greedy'
keys c
sees "the next" '2 of 2: self'
keys C
sees "and back" '1 of 2: greedy'
sees "all done" '■ done'
keys q
ended "a race" 0

# --- a session opens as it was left ---
start --session left $problem
sees "all done" '■ done'
keys 2 G m a g h
sees "folded" '▸ What is it. .*below'
keys q
ended "left" 0
start --session left
sees "folded still" '▸ What is it. .*below'
keys l
gone "unfolded" '▸ What is it'
keys "'" a
sees "at the mark" 'thought 2 '
keys '['
sees "in the past" 'the past'
kill -HUP "$pid"
ended "hung up" 129
start --session left
sees "in the past still" 'the past'
keys '}' q
ended "left again" 0

# --- breakpoints: where it stops by itself, kept with the session ---
start --session stops -s greedy $problem
sees "all done" '■ done'
keys '!'
sees "there is none" 'stops nowhere by itself'
keys -l 'answer'; keys Enter
sees "it is set" 'it stops at: answer'
keys ':break nonsense' Enter
sees "no such rule" 'expected wrong, right, answer'
keys g
sees "it is on the status line" ' ! answer '
keys u
sees "undone" 'stops nowhere by itself'
keys U
sees "and set again" 'it stops at: answer'
keys q
ended "breakpoints" 0
start --session stops
sees "kept" ' ! answer '
keys ':unbreak answer' Enter
sees "taken away" 'it stops nowhere by itself'
keys q
ended "breakpoints kept" 0
start --paused -s self-consistency,m=3 -s greedy $problem
sees "paused" '❚❚ paused'
keys ':break depth=1' Enter
sees "set for all of a race" 'it stops at: depth=1'
keys Space
sees "stopped" 'stopped +depth=1: thought 1 is the first'
sees "stopped" '❚❚ paused'
keys u
sees "undone in all of them" 'stops nowhere by itself'
keys c
gone "in the other, too" ' ! depth=1 '
keys c
keys Space
sees "and on to the end" '■ done'
keys q
ended "breakpoints of a race" 0

# --- ways to die ---
for way in TERM:143 HUP:129 QUIT:131 USR1:138 USR2:140 ALRM:142 VTALRM:154 PROF:155 IO:157 PIPE:141 XCPU:152 SEGV:139 BUS:135 FPE:136 ABRT:134; do
    start --paused $problem
    sees "${way%:*}" '❚❚ paused'
    kill -"${way%:*}" "$pid"
    ended "kill -${way%:*}" "${way#*:}"
done
start --paused $problem
sees "^C" '❚❚ paused'
keys C-c
ended "^C while paused" 0
start $problem
sees "^C" '^┌ tree'
keys C-c C-c C-c
ended "^C twice" 0
start -m "$work/no-such.gguf" $problem
ended "no model" 3
start --theme no-such $problem
ended "no theme" 3
printf 'roles:\n  dim: "#12345"\n' >"$work/bad.yaml"
start --theme ./bad.yaml $problem
ended "a bad theme" 3
keys "$espalier --theme ./bad.yaml $problem" Enter
sees "where a theme is wrong" 'bad.yaml:2:8'

# --- themes: by name, as they are saved, wrong ones; commands of an earlier life ---
paints() { # WHAT SGR: within ten seconds the screen has cells of that look
    for _ in $(seq 200); do
        if t capture-pane -pe -t s | grep -qF -- "$2"; then ok; return; fi
        sleep 0.05
    done
    bad "$1: nothing is painted $2"
}
save() { printf 'roles:\n  dim: {color: default, background: "%s"}\n' "$1" >"$work/mine.yaml"; }
save '#870000'
start --theme ./mine.yaml --paused $problem
paints "a theme" '48;5;88m'
save '#005f00'
paints "saved anew" '48;5;22m'
printf 'roles:\n  dim: "#12345"\n' >"$work/other.yaml" && mv "$work/other.yaml" "$work/mine.yaml"
sees "saved wrong" 'mine.yaml:2:8'
paints "the old one stays" '48;5;22m'
save '#00005f'
paints "saved right" '48;5;17m'
keys :; keys -l 'theme nor'; keys Tab Enter
paints "another" '48;5;23'
save '#870000'
keys :; keys -l 'theme none-such'; keys Enter
sees "no such theme" 'no theme "none-such"'
paints "nothing changed" '48;5;23'
keys q
ended "themes" 0
start --paused $problem
sees "again" '❚❚ paused'
keys : Up
sees "the history is kept" '^ :theme none-such'
keys Up
sees "all of it" '^ :theme nord'
keys C-c q
ended "history" 0

# --- the user's own configuration and keys ---
mkdir -p "$work/config/espalier"
printf 'theme: %s\npaused: true\nkeys: {d: p, Z: ":theme nord", X: gj, w: none}\n' "$work/mine.yaml" >"$work/config/espalier/config.yaml"
start $problem
sees "paused, as configured" '❚❚ paused'
paints "coloured as configured" '48;5;88m'
keys s
sees "a thought" "the step is done"
keys X d
sees "a key of one's own" '│ pruned'
keys Z
paints "a command on a key" '48;5;23'
keys : ; keys -l 'd'
sees "a line is text" '^ :d'
keys C-c q
ended "configured" 0
printf 'theem: light\n' >"$work/config/espalier/config.yaml"
start $problem
ended "a wrong configuration" 3
keys "$espalier $problem" Enter
sees "where it is wrong" 'config.yaml:1:1'
rm "$work/config/espalier/config.yaml"

# --- nothing is asked for: sessions, tasks, models ---
start
sees "the start screen" '─ begin ─'
sees "a session of before" 'What is it\? .*ask self-consistency'
keys Tab Enter
sees "a session, opened" '^┌ tree'
sees "it was there" '■ done|❚❚ paused'
keys q
ended "a session chosen" 0
start -s self-consistency,m=2 --kernels reference
sees "the start screen" '─ begin ─'
row=$(screen | grep -n '^   ask ' | cut -d: -f1)
mouse 0 5 $((row - 1)); mouse 3 5 $((row - 1))
sees "clicked" '^ enter a problem'
mouse 0 5 $((row - 1)); mouse 3 5 $((row - 1))
sees "clicked again" '^ ask'
keys C-u; keys -l 'How?'; keys Enter
sees "a problem of a task" '■ done'
sees "the task is asked" '^ ask How'
keys q
ended "a task chosen" 0
before=$(ls "$work/data/espalier/sessions" | wc -l)
start --kernels reference --context 40
sees "the start screen" '─ begin ─'
row=$(screen | grep -n '^   countdown ' | cut -d: -f1)
mouse 0 5 $((row - 1)); mouse 3 5 $((row - 1)); mouse 0 5 $((row - 1)); mouse 3 5 $((row - 1))
sees "a problem of another task" '^ countdown [0-9]'
keys C-u; keys -l '66: 1 2 x'; keys Enter
sees "a wrong problem: why" "problem '66: 1 2 x'"
sees "and it is there to be put right" '^ countdown 66: 1 2 x'
keys C-u; keys -l '@99999'; keys Enter
sees "no such row" 'no row 99999|99999.* rows'
sees "and it is there to be put right" '^ countdown @99999'
keys Escape; row=$(screen | grep -n '^   ask ' | cut -d: -f1)
mouse 0 5 $((row - 1)); mouse 3 5 $((row - 1)); mouse 0 5 $((row - 1)); mouse 3 5 $((row - 1))
sees "clicked again" '^ ask'
keys C-u; keys -l 'How are you?'; keys Enter
sees "too long for the model" 'shorten the problem or enlarge --context'
sees "and it is there to be put right" '^ ask How are you'
keys Escape q
ended "a problem that was none" 0
is "nothing is kept of it" "$(ls "$work/data/espalier/sessions" | wc -l)" "$before"
start --session none -t countdown "'66: x'"
ended "a problem that is none" 3
is "nothing is kept of that" "$(ls "$work/data/espalier/sessions" | wc -l)" "$before"
start
sees "the start screen" '─ begin ─'
keys C-z
sees "suspended there" '^ready>'
rm -f "$work/code"
keys 'fg; echo code $? | tee code' Enter
sees "and back" '─ begin ─'
size 40 12
sees "small" '^ enter begin'
size 80 24
kill -TERM "$pid"
ended "killed there" 143
start
sees "the start screen" '─ begin ─'
keys q
ended "nothing chosen" 0

# --- the tour ---
mkdir -p "$work/state/espalier"
echo 'panes compare thought' >"$work/state/espalier/explorer"
start tour -t ask -s self-consistency,m=2 --kernels reference What is it
sees "the tour" 'tour 1 of 11'
sees "it waits" '❚❚ paused'
sees "its panes are those of a first start" '^┌ tree'
for page in 2 3 4 5 6 7 8 9 10 11; do
    keys Enter
    sees "the tour goes on" "tour $page of 11"
    gone "the tour shows something" 'until there is something'
done
sees "it ran to the end" '■ done'
keys Enter
gone "the tour ends" ' tour '
keys q
ended "the tour" 0
is "and the others are left alone" "$(cat "$work/state/espalier/explorer")" 'panes compare thought'
rm -rf "$work/state"

# --- learning from what was kept, beside the search ---
shell 100 24
start --kernels reference -t "$tasks/tiny.yaml" -s self-consistency,m=4 ab
sees "a path" '■ done'
keys ':train --steps 3 --rank 4 --rate 0.01' Enter
sees "nothing was kept" 'nothing to learn'
keys j K
sees "a path is kept" 'kept to learn from'
keys ':train --steps 3 --rank 4 --rate 0.01' Enter
sees "it learns" 'learned: loss [0-9.]*, was'
keys ':train --no-such' Enter
sees "a wrong option" 'unknown option --no-such'
keys ':train --steps 100000 --rank 4' Enter
sees "it goes on" 'train [0-9]*/100000 loss'
keys ':train' Enter
sees "one at a time" 'it learns already'
keys ':train stop' Enter
sees "and is stopped" 'learning was stopped'
gone "and no more" 'train [0-9]*/'
keys ':train --steps 100000 --rank 4' Enter
sees "it goes on" 'train [0-9]*/100000 loss'
keys q
sees "q asks" 'it is learning: q again stops that'
keys ':set temperature=0.5' Enter q
sees "and again when more was done" 'it is learning: q again stops that'
is "it lives" "$(kill -0 "$pid" && echo yes)" yes
keys j k q
within test -s "$work/code"
go_on=$(t capture-pane -pJ -t s | sed -n 's/^learning was stopped; to go on from its checkpoint: espalier //p')
ended "learning" 0
if "$espalier" show "$work"/data/espalier/sessions/tiny-*.session --json | grep -q '"adapters":\[{"path":.*\.adapter'; then ok; else bad "what was learned is not on"; fi
for _ in $(seq 200); do pgrep -f "train.*$work" >/dev/null || break; sleep 0.1; done
if pgrep -f "train.*$work" >/dev/null; then bad "it learns on after the end"; else ok; fi
eval "'$espalier' $go_on" >"$work/out" 2>&1 <<<'' &
within grep -q 'going on after step' "$work/out"
kill $!
if grep -q 'going on after step' "$work/out"; then ok; else bad "what was learned cannot be gone on with: $go_on: $(cat "$work/out")"; fi
wait $!

# --- nothing can be kept ---
shell 200 24
keys 'export XDG_DATA_HOME=/dev/null; clear' Enter
start $problem
sees "not kept" 'not kept: /dev/null'
sees "done" '■ done'
keys q
sees "q asks" 'q again leaves it all the same'
keys Escape ':q' Enter
ended "q again" 0
start $problem
sees "done" '■ done'
keys C-c
ended "^C does not ask" 0
start $problem
sees "done" '■ done'
keys ':q' Enter
sees "q asks" 'q again leaves it'
kill -TERM "$pid"
ended "a signal does not ask" 143

# --- the session's file can grow no more ---
shell 200 24
keys "ulimit -f 64; clear" Enter
start --session full --kernels reference -t ask -s self-consistency,m=40 What is it
sees "a full disk" '✗ failed'
sees "and why" '^│? *failed .*full.session: cannot be written to'
keys j p
sees "no more acts" 'the engine has failed; q quits'
sees "it says why still" '^│? *failed .*full.session: cannot be written to'
keys q
sees "and after the end" 'espalier: .*full.session: cannot be written to'
ended "a full disk" 3

# --- fewer colours, fewer characters ---
shell 80 24
keys "export NO_COLOR=1" Enter
start --paused $problem
sees "NO_COLOR" '❚❚ paused'
if t capture-pane -pe -t s | grep -qP '\x1b\[[0-9;]*(3[0-8]|4[0-8]|9[0-7])[;m]'; then bad "NO_COLOR has colours"; else ok; fi
if t capture-pane -pe -t s | grep -qP '\x1b\[[0-9;]*7m'; then ok; else bad "NO_COLOR shows no selection"; fi
keys q
ended "NO_COLOR" 0
keys "unset NO_COLOR" Enter
for term in xterm linux vt100 xterm-mono screen; do
    keys "export TERM=$term" Enter
    start --ascii $problem
    sees "TERM=$term" '# done'
    keys g j Tab l l
    sees "TERM=$term" 'token 3 of'
    keys q
    ended "TERM=$term" 0
done
keys "export TERM=tmux-256color LC_ALL=C" Enter
start $problem
sees "LC_ALL=C" '# done'
if screen | LC_ALL=C grep -qP '[^\x20-\x7e]'; then bad "LC_ALL=C is not ASCII"; else ok; fi
keys q
ended "LC_ALL=C" 0
start
sees "LC_ALL=C, the start screen" '^- begin -'
if screen | LC_ALL=C grep -qP '[^\x20-\x7e]'; then bad "the start screen in LC_ALL=C is not ASCII"; else ok; fi
keys q
ended "LC_ALL=C" 0

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
