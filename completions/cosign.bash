# Completion of cosign in bash. Names of keys and devices come from the program itself.
_cosign() {
    local program=${1:-cosign} line=${COMP_LINE:0:COMP_POINT} text
    program=${program/#\~\//$HOME/}
    # Who completes for another command may give the words alone.
    [[ $line ]] || line="${COMP_WORDS[*]:0:COMP_CWORD+1}"
    COMPREPLY=()
    while IFS=$'\t' read -r text _; do
        COMPREPLY+=("$text")
    done < <("$program" complete bash -- "$COMP_WORDBREAKS" "$line" 2>/dev/null)
    case ${#COMPREPLY[@]},${COMPREPLY[0]-} in
        1,*[/=]) compopt -o nospace 2>/dev/null ;;
    esac
}
complete -F _cosign cosign
