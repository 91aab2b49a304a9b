# Completion of cosign in bash. Names of keys and devices come from the program itself.
_cosign() {
    local program=${1/#\~\//$HOME/} text
    COMPREPLY=()
    while IFS=$'\t' read -r text _; do
        COMPREPLY+=("$text")
    done < <("$program" complete bash -- "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    case ${#COMPREPLY[@]},${COMPREPLY[0]-} in
        1,*[/=]) compopt -o nospace 2>/dev/null ;;
    esac
}
complete -F _cosign cosign
