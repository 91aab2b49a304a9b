# Completion of cosign in elvish. Names of keys and devices come from the program itself.
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
