//! The completion scripts, which call `cosign complete`.

use clap_complete::Shell;

/// The completion script of `shell`.
pub(in crate::cli) fn script(shell: Shell) -> Option<&'static str> {
    Some(match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        Shell::PowerShell => POWERSHELL,
        Shell::Elvish => ELVISH,
        _ => return None,
    })
}

const BASH: &str = r#"# Completion of cosign in bash. Names of keys and devices come from the program itself.
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
"#;

const ZSH: &str = r#"#compdef cosign
# Completion of cosign in zsh. Names of keys and devices come from the program itself.
_cosign() {
    local program=${~${(Q)words[1]}} line value note
    local -a lines values shown folders
    # A quote that is open has no end to take away yet.
    words[CURRENT]+=$compstate[quote]
    lines=("${(@f)$("$program" complete zsh -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
    for line in "${lines[@]}"; do
        value=${line%%$'\t'*} note=${line#*$'\t'}
        if [[ -z $value ]]; then
            continue
        elif [[ $value == */ ]]; then
            folders+=("$value")
        else
            values+=("$value")
            shown+=("$value${note:+  -- $note}")
        fi
    done
    if (( $#values + $#folders == 0 )); then
        [[ $words[CURRENT] == \~* ]] && _files
        return
    fi
    (( $#values )) && compadd -l -V values -d shown -a -- values
    (( $#folders )) && compadd -S '' -a -- folders
}
if [[ $funcstack[1] == _cosign ]]; then
    _cosign "$@"
else
    compdef _cosign cosign
fi
"#;

const FISH: &str = r#"# Completion of cosign in fish. Names of keys and devices come from the program itself.
function __cosign_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set current (string unescape -- "$current")
    set -l program (string replace --regex '^~/' "$HOME/" -- $words[1])
    set -l found ($program complete fish -- $words "$current" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else if string match --quiet '~*' -- $current
        __fish_complete_path $current
    end
end
complete --command cosign --no-files --keep-order --arguments '(__cosign_complete)'
"#;

const POWERSHELL: &str = r#"# Completion of cosign in PowerShell 7.3 or later. Names of keys and devices come from the program itself.
Register-ArgumentCompleter -Native -CommandName cosign -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $elements = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition })
    $words = @($elements | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
        else { $_.Extent.Text }
    })
    $words += $wordToComplete.Trim("'", '"')
    & $words[0] complete powershell -- @words 2>$null | ForEach-Object {
        $text, $note = $_ -split "`t", 2
        if (-not $note) { $note = $text }
        [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $note)
    }
}
"#;

const ELVISH: &str = r#"# Completion of cosign in elvish. Names of keys and devices come from the program itself.
use str
set edit:completion:arg-completer[cosign] = {|@words|
    try {
        (external $words[0]) complete elvish -- $@words 2>/dev/null | from-lines | each {|line|
            var text note = (str:split &max=2 "\t" $line)
            if (eq $note '') {
                edit:complex-candidate $text
            } else {
                edit:complex-candidate $text &display=$text' ('$note')'
            }
        }
    } catch e { }
}
"#;
