#!/bin/bash
# Every key that the help names, pressed in a real terminal on the model that comes with the program: after each the screen shows what it did not
# show before. The list of keys is the program's own (its manual page has the help's table), so one that is pressed nowhere fails here.
#   tests/keys.sh PATH-OF-ESPALIER
source "$(dirname "$0")/tmux.bash"
export ESPALIER_MODEL=$(realpath examples/steps.gguf) # its kernels below: the same thoughts on every machine
problem="--kernels reference -t game24 -s self-consistency,m=8 4 5 6 10"
declare -A tried

# --- the list: "heading/key" a line ---
named() {
    "$espalier" __man | sed 's/\\\[u2190\]/←/g; s/\\\[u2191\]/↑/g; s/\\\[u2192\]/→/g; s/\\\[u2193\]/↓/g' | awk '
        /^\.SH/ {on = /KEYS/}
        on && /^\.SS/ {section = substr($0, 5)}
        on && item {gsub(/\\fB|\\fR|\\&/, ""); gsub(/\\\(ha/, "^"); gsub(/\\-/, "-"); gsub(/\\e/, "\\")
                     for (i = 1; i <= NF; i++) print section "/" $i}
        {item = /^\.TP/}'
}

# How tmux calls it.
send() {
    case $1 in
    space) keys Space ;;
    tab) keys Tab ;;
    enter) keys Enter ;;
    esc) keys Escape ;;
    pgup) keys PPage ;;
    pgdn) keys NPage ;;
    ↑) keys Up ;;
    ↓) keys Down ;;
    ←) keys Left ;;
    →) keys Right ;;
    ^?) keys "C-$(printf %s "${1#^}" | tr A-Z a-z)" ;;
    *) keys -l -- "$1" ;;
    esac
}

# press HEADING KEY PATTERN [MORE]: no line matches, then the key and the text MORE, then one does; with ! before the pattern, the other way round.
press() {
    tried[$1/$2]=1
    if [ "${3#!}" = "$3" ]; then
        if shows "$3"; then bad "$1, $2: '$3' is there before it is pressed:"; screen | sed 's/^/    /'; fi
        send "$2"
        [ -z "${4-}" ] || keys -l "$4"
        sees "$1, $2" "$3"
    else
        sees "$1, before $2" "${3#!}"
        send "$2"
        gone "$1, $2" "${3#!}"
    fi
}

# gives HEADING KEY FUNCTION VALUE: what the function finds on the screen is something else, then the key, then it is that.
equals() { [ "$("$1")" = "$2" ]; }
turns() { # WHAT FUNCTION VALUE
    if within equals "$2" "$3"; then ok; else bad "$1: $2 is $("$2"), not $3:"; screen | sed 's/^/    /'; fi
}
gives() {
    tried[$1/$2]=1
    if equals "$3" "$4"; then bad "$1, $2: $3 is $4 before it is pressed"; fi
    send "$2"
    turns "$1, $2" "$3" "$4"
}
# fresh: another search of the same kind, in panes as nobody has moved them.
fresh() {
    keys q
    ended "$h" 0
    rm -rf "$work/state"
    start $problem
    sees "done" '■ done'
}
# Others on the way: no checks.
go() { for key; do send "$key"; done; }
say() { keys -l -- "$1"; keys Enter; }

selected() { screen | sed -nE 's/.*[┬├] thought ([0-9]+) .*/\1/p; s/.*[┬├] problem .*/0/p' | head -1; }
token() { screen | sed -nE 's/.*─ token ([0-9]+) of.*/\1/p' | head -1; }
split() { screen | sed -n 2p | sed -E 's/┬.*//' | wc -m; }
line_of() { screen | grep -nE -- "$1" | head -1 | cut -d: -f1; }
row_of_second() { line_of '├ [a-z].*┤$'; } # of the rule above the second pane at the right
written() { screen | tail -1 | sed -E 's/^ ://; s/ *$//'; }


# --- the search ---
printf '#!/bin/sh\necho "from outside" >"$1"\n' >"$work/editor" && chmod +x "$work/editor"
shell 120 40
keys "unset TMUX VISUAL; export EDITOR=$work/editor" Enter
h='the search'
start --paused $problem
sees "paused" '❚❚ paused'
press "$h" s ' step 1 '
sees "the step is done" 'the step is done'
press "$h" o 'a path is complete'
press "$h" space '■ done'
press "$h" b '❚❚ paused'
go space
sees "done again" '■ done'
go g j p
sees "pruned" ' pruned '
press "$h" u '! pruned '
press "$h" U ' pruned '
go u
gone "as before" ' pruned '
press "$h" : '^ : *$'
go esc
gone "the line is left" '^ :'
press "$h" W '^─ why ─'
go j
gone "it was read" '^─ why ─'
press "$h" ! 'stops nowhere by itself'
go esc
gone "the line is left" '^ :'
press "$h" '?' '^. help ─'
go esc
gone "the help is left" '^. help ─'
printf '\0337\033[30;3Hnoise on the line\0338' >"$(t display -p -t s '#{pane_tty}')"
press "$h" ^L '!noise on the line'
press "$h" ^Z '^ready>'
rm -f "$work/code"
keys 'fg; echo code $? | tee code' Enter
sees "in the foreground again" '^┌ tree'
press "$h" q '^code 0'
ended "q" 0
start --kernels reference -t game24 -s mcts,iterations=100000 4 5 6 10
sees "a long search" '▸ running'
press "$h" ^C '❚❚ paused'
keys C-c
ended "^C twice" 0
start --paused -s greedy $problem
sees "a race" '1 of 2: greedy'
press "$h" c '2 of 2: self'
press "$h" C '1 of 2: greedy'
keys q
ended "a race" 0

start --paused $problem
sees "paused" '❚❚ paused'
go c
sees "c goes on" '■ done'
keys q
ended "c" 0

# --- a line at the bottom ---
h='a line at the bottom'
start $problem
sees "done" '■ done'
keys : ; say 'view thought'
keys : ; say 'view tree'
sees "two commands" '┌ tree'
keys :
sees "a line" '^ : *$'
press "$h" ↑ '^ :view tree'
go ↑
sees "the one before" '^ :view thought'
press "$h" ↓ '^ :view tree'
press "$h" ^U '^ : *$'
keys -l 'view sta'
press "$h" tab '^ :view statistics'
keys -l 'one two'
press "$h" ^W '!two'
press "$h" ^A '^ :help view statistics one' 'help '
press "$h" ^E '^ :help view statistics one three' three
press "$h" esc '!^ :'
keys : ; say 'help prune'
sees "what it takes" 'prune THOUGHT: cut'
keys -l ':help edit and more'
for _ in 1 2 3 4 5 6 7 8 9; do keys Left; done
press "$h" ^K '^ :help edit *$'
press "$h" enter 'edit THOUGHT TEXT: put'

# --- the tree ---
h='the tree'
go g
turns "at the problem" selected 0
gives "$h" j selected 1
gives "$h" k selected 0
gives "$h" ↓ selected 1
gives "$h" ↑ selected 0
press "$h" h '▸ 4 5 6 10 +24 below'
press "$h" l '!▸ 4 5 6 10'
gives "$h" → selected 1
go h
sees "folded" '▸ 10 - 5'
gives "$h" ← selected 0
gives "$h" G selected 24
gives "$h" g selected 0
go 1 2
gives "$h" G selected 12
gives "$h" pgup selected 0
gives "$h" pgdn selected 24
gives "$h" . selected 19
press "$h" enter 'h l token'
go esc g
press "$h" / '^ / *$'
say 20
turns "found" selected 9
gives "$h" n selected 17
gives "$h" N selected 9
press "$h" '\' 'only thoughts with 20'
keys Enter
gone "only those that have it" '5 - 4 = 1'
go '\'
sees "nothing takes it away" 'nothing: all thoughts again'
go enter
sees "all again" '5 - 4 = 1'
press "$h" m 'mark: which letter'
go a g
turns "elsewhere" selected 0
press "$h" "'" 'go to which mark'
go a
turns "at the mark" selected 9

# --- the selected thought ---
h='the selected thought'
go 1 0 G
turns "one of the middle" selected 10
press "$h" r '×2'
sees "another sample" '❚❚ paused'
press 'the tree' '*' '!×2'
go '*' space
sees "done again" '■ done'
press "$h" p ' pruned '
press "$h" P '! pruned '
press "$h" e '^ edit 10 6 \* 10 = 60'
go esc
press "$h" E '✎ from outside'
go u
gone "as before" '✎ from outside'
go 1 0 G
turns "again" selected 10
press "$h" a '^ below 10 *$'
go esc
go 1 8 G
turns "an illegal one" selected 18
go a
sees "refused, but the line is there" '^ below 18 .*the path has ended here'
say 'q pruned by no one'
sees "said again" '^ the path has ended here'
if shows '│.* pruned '; then bad "what was written was taken for commands"; else ok; fi
go 1 0 G
press "$h" f 'enter fork here'
go esc esc space
sees "done again" '■ done'
press "$h" K '◆ 6 \* 10'
go K
gone "as before" '◆'
t delete-buffer 2>/dev/null
press "$h" y 'copied'
is "the clipboard has it" "$(t show-buffer)" '6 * 10 = 60 (left: 1 60)'
go g 1 0 G
gone "no word of it" 'copied'
press "$h" Y 'copied'
is "the clipboard has the path" "$(t show-buffer | tail -1)" '6 * 10 = 60 (left: 1 60)'
is "from the problem on" "$(t show-buffer | head -1)" '4 5 6 10'
go 1 9 G
turns "an answer" selected 19
press "$h" x '⊘ 4 \+ 20'
go x
gone "as before" '⊘'
press "$h" w 'weight 1\.[0-9]+ of'
go w
sees "as before" 'right: plurality 2 of 3 votes \(5 of 8 paths have none'
press "$h" v 'no judge was asked about it'

# --- time ---
fresh
h='time'
moment() { screen | sed -nE 's/.* event +([0-9]+) of .*/\1/p'; }
press "$h" '[' '─ *the past|├ the past'
last=$(moment)
go '['
sees "one more" 'go on with 8 paths'
gives "$h" ']' moment "$last"
press "$h" '{' 'the beginning'
press "$h" '}' '!the past'
go '['
sees "the past" '├ the past'
press "$h" B '!├ the past'
sees "it goes on from there" 'chose +nothing yet'
keys q
ended "time" 0
start show "'$(ls "$work"/data/espalier/sessions/* | tail -1)'" --replay --paused
sees "a replay" '❚❚ paused'
press "$h" + '2 times as fast'
press "$h" - '1 times as fast'
fresh

# --- the panes ---
h='the panes'
go esc g
turns "the tree" selected 0
press "$h" tab 'esc tree'
keys BTab
sees "shift-tab" 'enter thought'
keys BTab BTab
sees "shift-tab, round" 'h l token|esc tree'
go esc V
sees "the views" 'what should stand in this pane'
views=$(screen | sed -nE 's/^ (.) [▸· ] ([a-z]+) .*/\1\2/p')
is "all of them are listed" "$(wc -w <<<"$views")" 12
go esc
gone "the list" 'what should stand'
press "$h" V 'what should stand in this pane'
go esc
go j
for view in $views; do
    go V
    sees "the views" 'what should stand'
    go "${view:0:1}"
    sees "the view ${view:1}" "^┌ (first thoughts|${view:1})"
done
fresh
press "$h" S '├ siblings'
press "$h" X '!├ siblings'
press "$h" z '!┬'
go z
sees "all again" '┬'
before=$(split)
gives "$h" '>' split $((before + 2))
gives "$h" '<' split "$before"
go esc tab
before=$(row_of_second)
gives "$h" - row_of_second $((before - 1))
gives "$h" + row_of_second "$before"
tried["$h/mouse"]=1
go esc
mouse 0 8 4; mouse 3 8 4
turns "a click selects" selected 9
mouse 0 $((before = $(split) - 1)) 5; mouse 32 $((before - 6)) 5; mouse 3 $((before - 6)) 5
turns "the line is dragged" split $((before + 1 - 6))
size 120 20
go g
sees "a small one" '^│▾ 4 5 6 10'
mouse 65 10 5
gone "the wheel scrolls" '^│▾ 4 5 6 10'
go g
sees "and a key comes back" '^│▾ 4 5 6 10'
size 120 40
sees "large again" '─┘$'

# --- the drawn tree ---
fresh
h='the drawn tree'
go g j V d
sees "the drawing" '^┌ drawn tree'
gives "$h" j selected 2
gives "$h" k selected 1
gives "$h" l selected 9
gives "$h" h selected 1
press "$h" I 'in short'
press "$h" i 'as labels'
press "$h" M '!─ map ─'
fresh

# --- the thought ---
h='the thought'
go g j enter
turns "its tokens" token 1
gives "$h" l token 2
gives "$h" h token 1
gives "$h" → token 2
gives "$h" ← token 1
gives "$h" G token 13
gives "$h" g token 1
go 9 9 '>' # so narrow that it has two lines
sees "two lines" '│ 6\)'
gives "$h" j token 12
gives "$h" k token 1
gives "$h" ↓ token 12
gives "$h" ↑ token 1
go esc 1 9 G enter # an answer: what was decided about it stands there, too
size 120 16
sees "there is more below" 'pgdn more'
press "$h" pgdn '!─ decision'
press "$h" pgup '─ decision'
press "$h" esc 'enter thought'
size 120 40
go 9 9 '<' 2 0 '>'

# --- siblings, votes, time and log ---
h='siblings'
go g j V s
sees "siblings" '^┌ siblings'
gives "$h" j selected 2
gives "$h" k selected 1
sees "the number that decides" 'votes: how many'
press "$h" h 'value: the judge'
press "$h" l 'votes: how many'
h='votes'
go V t g V v
sees "votes" '^┌ votes'
go j
turns "the first answer" selected 19
gives "$h" j selected 24
gives "$h" k selected 19
h='time, log'
go V i
sees "time" '^┌ time'
press "$h" h '├ the past'
press "$h" l '!├ the past'
go V l 2 0 G
turns "an event" selected 9
go j
gives "$h" j selected 10
go k
gives "$h" k selected 9
press "$h" enter '├ the past'
go '}' V t
gone "now" '├ the past'

# --- what is text to be scrolled; the screen that opens when nothing is asked for ---
h='judge, path, compare, statistics'
first() { screen | sed -nE '3s/^│ (.{12}).*/\1/p'; } # of the pane's first line
go V a
sees "statistics" '^┌ statistics'
size 120 16
sees "a small one" '[0-9] more  │'
top=$(first)
go j
gone "its first line" "│ $top"
second=$(first)
go g
turns "its beginning" first "$top"
gives "$h" j first "$second"
gives "$h" k first "$top"
gives "$h" ↓ first "$second"
gives "$h" ↑ first "$top"
press "$h" pgdn '!'"$top"
press "$h" pgup "$top"
press "$h" G '!'"$top"
press "$h" g "$top"
size 120 40
go V t
keys q
ended "all of it" 0
h='the start screen'
keys "unset ESPALIER_MODEL" Enter
start
sees "it offers a tour" 'enter begin'
row() { t capture-pane -pe -t s | grep -nE $'^(\e\\[[0-9]+m)*\e\\[48;' | head -1 | cut -d: -f1; } # the selected one, by its ground
first=$(row)
gives "$h" j row $((first + 1))
gives "$h" k row "$first"
gives "$h" ↓ row $((first + 1))
gives "$h" ↑ row "$first"
press "$h" G 'enter use this model'
press "$h" enter '● '
gives "$h" g row "$first"
press "$h" tab 'enter open'
press "$h" '?' 'the start screen  '
go '?'
gone "the help is left" 'the start screen  '
press "$h" q '^code 0'
ended "the start screen" 0
keys "export ESPALIER_MODEL=$ESPALIER_MODEL" Enter

# --- keys of one's own, on those that have no other meaning; what is recorded meanwhile; learning begun from what K keeps ---
mkdir -p "$work/config/espalier"
words='run pause step prune edit add again fork keep exclude weight'
{
    echo 'keys:'
    i=0
    for word in $words; do echo "  f$((++i)): \":help $word\""; done
    echo '  f12: ":theme nord"'
} >"$work/config/espalier/config.yaml"
start --record ./all.cast $problem
sees "done" '■ done'
i=0
for word in $words; do
    keys F$((++i))
    sees "F$i" "^ $word.*: .*"
done
is_nord() { t capture-pane -pe -t s | grep -qF '38;5;255m'; }
if is_nord; then bad "it is nord before F12"; fi
keys F12
if within is_nord; then ok; else bad "F12 changes no colours"; fi
go K
sees "kept" '◆'
keys : ; say 'export grown.cast'
sees "what is there is recorded, too" 'grown.cast shows how the tree grew'
keys : ; say 'export grown.cast'
sees "and is no second time" 'grown.cast is there already'
keys : ; say 'train --steps 9 --rank 2'
sees "it learns from it" ' train (begins|[0-9]/9 )'
keys : ; say 'train stop'
sees "and is stopped" 'learning was stopped'
keys : ; say 'export at-last.cast'
keys q
ended "function keys" 0
for cast in grown at-last; do
    if tail -1 "$work/$cast.cast" | grep -qF '[?1049l"]'; then ok; else bad "$cast.cast is not whole"; fi
done
is "what is left of them" "$(ls "$work" | grep -c 'cast\..*new')" 0
if head -1 "$work/all.cast" | grep -q '"version"'; then ok; else bad "no recording: $(head -c 200 "$work/all.cast")"; fi
if grep -q 'learning was stopped' "$work/all.cast"; then ok; else bad "the recording lacks what was shown"; fi

# --- none is left out, and none is pressed that is not named ---
named | sort -u >"$work/named"
printf '%s\n' "${!tried[@]}" | sort >"$work/tried"
is "many keys" "$(($(wc -l <"$work/named") > 80))" 1
missing=$(comm -23 "$work/named" "$work/tried" | tr '\n' ';') unknown=$(comm -13 "$work/named" "$work/tried" | tr '\n' ';')
is "keys of the help that are pressed nowhere here" "$missing" ""
is "keys pressed here that the help does not name" "$unknown" ""

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
