# bash completion for espalier. The program itself says what may follow, so this never gets stale.
_espalier() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        [[ $word == */ || $word == *= ]] && compopt -o nospace
        [[ $word == *[^A-Za-z0-9_./,=+:@%-]* ]] && word=$(printf %q "$word")
        COMPREPLY+=("$word")
    done < <("$1" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _espalier espalier
