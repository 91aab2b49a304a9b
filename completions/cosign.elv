
use builtin;
use str;

set edit:completion:arg-completer[cosign] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'cosign'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'cosign'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand init 'Make this device: its key and its vault'
            cand id 'Print this device''s name, id and fingerprint'
            cand discover 'List the devices nearby and their status'
            cand listen 'Wait for pairing, key generation and signing requests'
            cand pair 'Pair with another device by comparing six digits'
            cand peers 'List, add, rename or forget paired devices'
            cand keygen 'Make a key together with other devices'
            cand sign 'Sign a digest or a file together with the key''s other devices'
            cand verify 'Check a signature'
            cand keys 'List, show, export, refresh or delete keys'
            cand log 'Print or check the record of every ceremony'
            cand demo 'Two devices on this machine discover, pair, make a key, sign and verify'
            cand bench 'Measure key generation and signing on this machine'
            cand completions 'Print a shell''s completion script'
            cand man 'Write the manual pages to a folder, or print the first one'
            cand version 'Print the version'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'cosign;init'= {
            cand --name 'This device''s name, as others will see it; default: the host name'
            cand --recipient 'An age recipient that can also open every file of the vault; may be repeated'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;id'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;discover'= {
            cand --wait 'How long to look'
            cand --interface 'Use this network interface only'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --watch 'Keep looking and print every change until interrupted'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;listen'= {
            cand --port 'Listen on this TCP port; default: 46737, or a free one if that is taken'
            cand --bind 'Listen on this address only'
            cand --policy 'Let the rules in FILE decide requests instead of a person'
            cand --interface 'Announce on this network interface only'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --once 'End after one ceremony'
            cand --stdio 'Speak on standard input and output instead of a socket'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;pair'= {
            cand --peer 'Its address, where multicast does not reach'
            cand --via 'Reach it through a command''s standard input and output'
            cand --interface 'Use this network interface only'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --remember 'Keep the pairing until `cosign peers forget`; default: 30 minutes'
            cand --reset-attempts 'Allow pairing again after five failed attempts'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;peers'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand list 'List the known devices'
            cand add 'Pin a device by its fingerprint, without comparing digits'
            cand rename 'Call a device something else'
            cand forget 'Forget a device: it must pair again'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'cosign;peers;list'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;peers;add'= {
            cand --fingerprint 'Its full fingerprint: 64 hexadecimal digits'
            cand --address 'Where it listens'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;peers;rename'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;peers;forget'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;peers;help'= {
            cand list 'List the known devices'
            cand add 'Pin a device by its fingerprint, without comparing digits'
            cand rename 'Call a device something else'
            cand forget 'Forget a device: it must pair again'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'cosign;peers;help;list'= {
        }
        &'cosign;peers;help;add'= {
        }
        &'cosign;peers;help;rename'= {
        }
        &'cosign;peers;help;forget'= {
        }
        &'cosign;peers;help;help'= {
        }
        &'cosign;keygen'= {
            cand --key 'The new key''s name; a first key is called `default`'
            cand --with 'The other devices: paired names or fingerprints'
            cand --threshold 'How many devices must sign; default: two'
            cand --peer 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated'
            cand --via 'Reach a device through a command''s standard input and output; may be repeated'
            cand --interface 'Use this network interface only'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --resume 'Finish a key generation whose last message was lost'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;sign'= {
            cand --file 'Hash this file; - is standard input'
            cand --hash 'How to hash the file; default: sha256'
            cand --key 'The key; default: the only one'
            cand --with 'Who signs with this device; default: the key''s other devices in reach'
            cand --purpose 'What it is for; the approver sees it'
            cand --deliver-to 'Who receives the signature: requester, cosigner, both, or a device''s name; default: requester'
            cand --format 'How to write the signature; default: DER in hexadecimal on screen, plain DER to a file'
            cand -o 'Write the signature to FILE; - is standard output'
            cand --output 'Write the signature to FILE; - is standard output'
            cand --request-id 'Repeat or join the request with this id; default: a fresh one'
            cand --port 'Listen on this TCP port while waiting; default: 46737, or a free one if that is taken'
            cand --bind 'Listen on this address only while waiting'
            cand --peer 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated'
            cand --via 'Reach a device through a command''s standard input and output; may be repeated'
            cand --interface 'Use this network interface only'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --wait 'Wait for the other device''s request for exactly this digest, approve it, and end'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;verify'= {
            cand --file 'Hash this file; - is standard input'
            cand --hash 'How to hash the file; default: sha256'
            cand --key 'A key of this device; default: the only one'
            cand --public-key 'A public key: SEC1 (33 or 65 bytes) or SPKI in hexadecimal, or a file with either, or with PEM'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --require-low-s 'Also demand s in the lower half, as Bitcoin does'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;keys'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand list 'List the keys this device has a share of'
            cand show 'Show one key: its parties, threshold and state'
            cand export 'Print a key''s public half'
            cand refresh 'Give every party a new share of the same key; old shares become useless'
            cand delete 'Delete this device''s share for ever'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'cosign;keys;list'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;keys;show'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;keys;export'= {
            cand --format 'How to write it'
            cand -o 'Write it to FILE; - is standard output'
            cand --output 'Write it to FILE; - is standard output'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;keys;refresh'= {
            cand --peer 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated'
            cand --via 'Reach a device through a command''s standard input and output; may be repeated'
            cand --interface 'Use this network interface only'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;keys;delete'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --yes 'Do not ask'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;keys;help'= {
            cand list 'List the keys this device has a share of'
            cand show 'Show one key: its parties, threshold and state'
            cand export 'Print a key''s public half'
            cand refresh 'Give every party a new share of the same key; old shares become useless'
            cand delete 'Delete this device''s share for ever'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'cosign;keys;help;list'= {
        }
        &'cosign;keys;help;show'= {
        }
        &'cosign;keys;help;export'= {
        }
        &'cosign;keys;help;refresh'= {
        }
        &'cosign;keys;help;delete'= {
        }
        &'cosign;keys;help;help'= {
        }
        &'cosign;log'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --verify 'Check that no line was changed, removed or put in between'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;demo'= {
            cand --device 'Play one of the devices; the demo starts itself like this'
            cand --folder 'Where that device lives'
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;bench'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;completions'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;man'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;version'= {
            cand --home 'Keep everything under DIR instead of the XDG directories'
            cand --timeout 'One deadline for the whole command, such as 90s or 5m'
            cand --passphrase-file 'Unlock the vault with the passphrase on the first line of FILE'
            cand --passphrase-fd 'Unlock the vault with the passphrase read from file descriptor N'
            cand --identity 'Unlock the vault with an age identity file'
            cand --tls 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3'
            cand --log-file 'Append what happens to FILE as NDJSON; never codes, nonces or secrets'
            cand --color 'Colour on standard error; NO_COLOR is honoured'
            cand --json 'Print exactly one JSON document on standard output, result or error'
            cand --events 'Report progress as NDJSON on standard error'
            cand --plain 'Plain lines without any styling'
            cand --no-input 'Never ask: fail with exit code 11 and name the flag that would have answered'
            cand -q 'Say only what needs a person'
            cand --quiet 'Say only what needs a person'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'cosign;help'= {
            cand init 'Make this device: its key and its vault'
            cand id 'Print this device''s name, id and fingerprint'
            cand discover 'List the devices nearby and their status'
            cand listen 'Wait for pairing, key generation and signing requests'
            cand pair 'Pair with another device by comparing six digits'
            cand peers 'List, add, rename or forget paired devices'
            cand keygen 'Make a key together with other devices'
            cand sign 'Sign a digest or a file together with the key''s other devices'
            cand verify 'Check a signature'
            cand keys 'List, show, export, refresh or delete keys'
            cand log 'Print or check the record of every ceremony'
            cand demo 'Two devices on this machine discover, pair, make a key, sign and verify'
            cand bench 'Measure key generation and signing on this machine'
            cand completions 'Print a shell''s completion script'
            cand man 'Write the manual pages to a folder, or print the first one'
            cand version 'Print the version'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'cosign;help;init'= {
        }
        &'cosign;help;id'= {
        }
        &'cosign;help;discover'= {
        }
        &'cosign;help;listen'= {
        }
        &'cosign;help;pair'= {
        }
        &'cosign;help;peers'= {
            cand list 'List the known devices'
            cand add 'Pin a device by its fingerprint, without comparing digits'
            cand rename 'Call a device something else'
            cand forget 'Forget a device: it must pair again'
        }
        &'cosign;help;peers;list'= {
        }
        &'cosign;help;peers;add'= {
        }
        &'cosign;help;peers;rename'= {
        }
        &'cosign;help;peers;forget'= {
        }
        &'cosign;help;keygen'= {
        }
        &'cosign;help;sign'= {
        }
        &'cosign;help;verify'= {
        }
        &'cosign;help;keys'= {
            cand list 'List the keys this device has a share of'
            cand show 'Show one key: its parties, threshold and state'
            cand export 'Print a key''s public half'
            cand refresh 'Give every party a new share of the same key; old shares become useless'
            cand delete 'Delete this device''s share for ever'
        }
        &'cosign;help;keys;list'= {
        }
        &'cosign;help;keys;show'= {
        }
        &'cosign;help;keys;export'= {
        }
        &'cosign;help;keys;refresh'= {
        }
        &'cosign;help;keys;delete'= {
        }
        &'cosign;help;log'= {
        }
        &'cosign;help;demo'= {
        }
        &'cosign;help;bench'= {
        }
        &'cosign;help;completions'= {
        }
        &'cosign;help;man'= {
        }
        &'cosign;help;version'= {
        }
        &'cosign;help;help'= {
        }
    ]
    $completions[$command]
}
