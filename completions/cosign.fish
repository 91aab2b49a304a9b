# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cosign_global_optspecs
    string join \n home= json events plain no-input timeout= passphrase-file= passphrase-fd= identity= tls= q/quiet v/verbose log-file= color= h/help V/version
end

function __fish_cosign_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cosign_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cosign_using_subcommand
    set -l cmd (__fish_cosign_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cosign -n "__fish_cosign_needs_command" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_needs_command" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_needs_command" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_needs_command" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_needs_command" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_needs_command" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_needs_command" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_needs_command" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_needs_command" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_needs_command" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_needs_command" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_needs_command" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_needs_command" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_needs_command" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_needs_command" -s V -l version -d 'Print version'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "init" -d 'Make this device: its key and its vault'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "id" -d 'Print this device\'s name, id and fingerprint'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "discover" -d 'List the devices nearby and their status'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "listen" -d 'Wait for pairing, key generation and signing requests'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "pair" -d 'Pair with another device by comparing six digits'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "peers" -d 'List, add, rename or forget paired devices'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "keygen" -d 'Make a key together with other devices'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "sign" -d 'Sign a digest or a file together with the key\'s other devices'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "verify" -d 'Check a signature'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "keys" -d 'List, show, export, refresh or delete keys'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "log" -d 'Print or check the record of every ceremony'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "demo" -d 'Two devices on this machine discover, pair, make a key, sign and verify'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "bench" -d 'Measure key generation and signing on this machine'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "man" -d 'Write the manual pages to a folder, or print the first one'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "version" -d 'Print the version'
complete -c cosign -n "__fish_cosign_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosign -n "__fish_cosign_using_subcommand init" -l name -d 'This device\'s name, as others will see it; default: the host name' -r
complete -c cosign -n "__fish_cosign_using_subcommand init" -l recipient -d 'An age recipient that can also open every file of the vault; may be repeated' -r
complete -c cosign -n "__fish_cosign_using_subcommand init" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand init" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand init" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand init" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand init" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand init" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand init" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand init" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand init" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand init" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand init" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand init" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand init" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand init" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand id" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand id" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand id" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand id" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand id" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand id" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand id" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand id" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand id" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand id" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand id" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand id" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand id" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand id" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand id" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l wait -d 'How long to look' -r
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l interface -d 'Use this network interface only' -r
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l watch -d 'Keep looking and print every change until interrupted'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand discover" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l port -d 'Listen on this TCP port; default: 46737, or a free one if that is taken' -r
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l bind -d 'Listen on this address only' -r
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l policy -d 'Let the rules in FILE decide requests instead of a person' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l interface -d 'Announce on this network interface only' -r
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l once -d 'End after one ceremony'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l stdio -d 'Speak on standard input and output instead of a socket'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand listen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l peer -d 'Its address, where multicast does not reach' -r
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l via -d 'Reach it through a command\'s standard input and output' -r
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l interface -d 'Use this network interface only' -r
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l remember -d 'Keep the pairing until `cosign peers forget`; default: 30 minutes'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l reset-attempts -d 'Allow pairing again after five failed attempts'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand pair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -f -a "list" -d 'List the known devices'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -f -a "add" -d 'Pin a device by its fingerprint, without comparing digits'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -f -a "rename" -d 'Call a device something else'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -f -a "forget" -d 'Forget a device: it must pair again'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and not __fish_seen_subcommand_from list add rename forget help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l fingerprint -d 'Its full fingerprint: 64 hexadecimal digits' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l address -d 'Where it listens' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from rename" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the known devices'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "add" -d 'Pin a device by its fingerprint, without comparing digits'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "rename" -d 'Call a device something else'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Forget a device: it must pair again'
complete -c cosign -n "__fish_cosign_using_subcommand peers; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l key -d 'The new key\'s name; a first key is called `default`' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l with -d 'The other devices: paired names or fingerprints' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l threshold -d 'How many devices must sign; default: two' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l peer -d 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l via -d 'Reach a device through a command\'s standard input and output; may be repeated' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l interface -d 'Use this network interface only' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l resume -d 'Finish a key generation whose last message was lost'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand keygen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l file -d 'Hash this file; - is standard input' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l hash -d 'How to hash the file; default: sha256' -r -f -a "sha256\t'SHA-256'
sha256d\t'SHA-256 of SHA-256, as Bitcoin does'
keccak256\t'Keccak-256, as Ethereum does'"
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l key -d 'The key; default: the only one' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l with -d 'Who signs with this device; default: the key\'s other devices in reach' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l purpose -d 'What it is for; the approver sees it' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l deliver-to -d 'Who receives the signature: requester, cosigner, both, or a device\'s name; default: requester' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l format -d 'How to write the signature; default: DER in hexadecimal on screen, plain DER to a file' -r -f -a "der\t'ASN.1 DER, as openssl reads it'
compact\t'r and s, 64 bytes'
recoverable\t'r, s and the recovery id, 65 bytes'
pem\t'DER in PEM armour'
json\t'A JSON object: the result as --json has it'"
complete -c cosign -n "__fish_cosign_using_subcommand sign" -s o -l output -d 'Write the signature to FILE; - is standard output' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l request-id -d 'Repeat or join the request with this id; default: a fresh one' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l port -d 'Listen on this TCP port while waiting; default: 46737, or a free one if that is taken' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l bind -d 'Listen on this address only while waiting' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l peer -d 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l via -d 'Reach a device through a command\'s standard input and output; may be repeated' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l interface -d 'Use this network interface only' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l wait -d 'Wait for the other device\'s request for exactly this digest, approve it, and end'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l file -d 'Hash this file; - is standard input' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l hash -d 'How to hash the file; default: sha256' -r -f -a "sha256\t'SHA-256'
sha256d\t'SHA-256 of SHA-256, as Bitcoin does'
keccak256\t'Keccak-256, as Ethereum does'"
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l key -d 'A key of this device; default: the only one' -r
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l public-key -d 'A public key: SEC1 (33 or 65 bytes) or SPKI in hexadecimal, or a file with either, or with PEM' -r
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l require-low-s -d 'Also demand s in the lower half, as Bitcoin does'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -f -a "list" -d 'List the keys this device has a share of'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -f -a "show" -d 'Show one key: its parties, threshold and state'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -f -a "export" -d 'Print a key\'s public half'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -f -a "refresh" -d 'Give every party a new share of the same key; old shares become useless'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -f -a "delete" -d 'Delete this device\'s share for ever'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and not __fish_seen_subcommand_from list show export refresh delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l format -d 'How to write it' -r -f -a "pem\t'SubjectPublicKeyInfo in PEM, as openssl reads it'
hex\t'33 bytes, SEC1 compressed, in hexadecimal'
jwk\t'JSON Web Key, curve secp256k1'
address-eth\t'Ethereum address with its checksum'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -s o -l output -d 'Write it to FILE; - is standard output' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l peer -d 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l via -d 'Reach a device through a command\'s standard input and output; may be repeated' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l interface -d 'Use this network interface only' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from refresh" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l yes -d 'Do not ask'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the keys this device has a share of'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one key: its parties, threshold and state'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "export" -d 'Print a key\'s public half'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "refresh" -d 'Give every party a new share of the same key; old shares become useless'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete this device\'s share for ever'
complete -c cosign -n "__fish_cosign_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosign -n "__fish_cosign_using_subcommand log" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand log" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand log" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand log" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand log" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand log" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand log" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand log" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand log" -l verify -d 'Check that no line was changed, removed or put in between'
complete -c cosign -n "__fish_cosign_using_subcommand log" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand log" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand log" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand log" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand log" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand log" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l device -d 'Play one of the devices; the demo starts itself like this' -r
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l folder -d 'Where that device lives' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand demo" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand demo" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand demo" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand bench" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand bench" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand bench" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand completions" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand completions" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand completions" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand man" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand man" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand man" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand man" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand man" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand man" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand man" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand man" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand man" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand man" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand man" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand man" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand man" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand man" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand version" -l home -d 'Keep everything under DIR instead of the XDG directories' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand version" -l timeout -d 'One deadline for the whole command, such as 90s or 5m' -r
complete -c cosign -n "__fish_cosign_using_subcommand version" -l passphrase-file -d 'Unlock the vault with the passphrase on the first line of FILE' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand version" -l passphrase-fd -d 'Unlock the vault with the passphrase read from file descriptor N' -r
complete -c cosign -n "__fish_cosign_using_subcommand version" -l identity -d 'Unlock the vault with an age identity file' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand version" -l tls -d 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3' -r -f -a "1.2\t'TLS 1.2 and nothing else'
1.3\t'TLS 1.3, and 1.2 for a peer that insists on it'"
complete -c cosign -n "__fish_cosign_using_subcommand version" -l log-file -d 'Append what happens to FILE as NDJSON; never codes, nonces or secrets' -r -F
complete -c cosign -n "__fish_cosign_using_subcommand version" -l color -d 'Colour on standard error; NO_COLOR is honoured' -r -f -a "auto\t'In a terminal'
always\t'Always'
never\t'Never'"
complete -c cosign -n "__fish_cosign_using_subcommand version" -l json -d 'Print exactly one JSON document on standard output, result or error'
complete -c cosign -n "__fish_cosign_using_subcommand version" -l events -d 'Report progress as NDJSON on standard error'
complete -c cosign -n "__fish_cosign_using_subcommand version" -l plain -d 'Plain lines without any styling'
complete -c cosign -n "__fish_cosign_using_subcommand version" -l no-input -d 'Never ask: fail with exit code 11 and name the flag that would have answered'
complete -c cosign -n "__fish_cosign_using_subcommand version" -s q -l quiet -d 'Say only what needs a person'
complete -c cosign -n "__fish_cosign_using_subcommand version" -s v -l verbose -d 'Say more'
complete -c cosign -n "__fish_cosign_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "init" -d 'Make this device: its key and its vault'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "id" -d 'Print this device\'s name, id and fingerprint'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "discover" -d 'List the devices nearby and their status'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "listen" -d 'Wait for pairing, key generation and signing requests'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "pair" -d 'Pair with another device by comparing six digits'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "peers" -d 'List, add, rename or forget paired devices'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "keygen" -d 'Make a key together with other devices'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "sign" -d 'Sign a digest or a file together with the key\'s other devices'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "verify" -d 'Check a signature'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "keys" -d 'List, show, export, refresh or delete keys'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "log" -d 'Print or check the record of every ceremony'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "demo" -d 'Two devices on this machine discover, pair, make a key, sign and verify'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "bench" -d 'Measure key generation and signing on this machine'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "man" -d 'Write the manual pages to a folder, or print the first one'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "version" -d 'Print the version'
complete -c cosign -n "__fish_cosign_using_subcommand help; and not __fish_seen_subcommand_from init id discover listen pair peers keygen sign verify keys log demo bench completions man version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from peers" -f -a "list" -d 'List the known devices'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from peers" -f -a "add" -d 'Pin a device by its fingerprint, without comparing digits'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from peers" -f -a "rename" -d 'Call a device something else'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from peers" -f -a "forget" -d 'Forget a device: it must pair again'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "list" -d 'List the keys this device has a share of'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "show" -d 'Show one key: its parties, threshold and state'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "export" -d 'Print a key\'s public half'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "refresh" -d 'Give every party a new share of the same key; old shares become useless'
complete -c cosign -n "__fish_cosign_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "delete" -d 'Delete this device\'s share for ever'
