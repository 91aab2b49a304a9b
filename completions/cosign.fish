# Completion of cosign in fish. Names of keys and devices come from the program itself.
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
