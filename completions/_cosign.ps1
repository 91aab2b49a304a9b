
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'cosign' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'cosign'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'cosign' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Make this device: its key and its vault')
            [CompletionResult]::new('id', 'id', [CompletionResultType]::ParameterValue, 'Print this device''s name, id and fingerprint')
            [CompletionResult]::new('discover', 'discover', [CompletionResultType]::ParameterValue, 'List the devices nearby and their status')
            [CompletionResult]::new('listen', 'listen', [CompletionResultType]::ParameterValue, 'Wait for pairing, key generation and signing requests')
            [CompletionResult]::new('pair', 'pair', [CompletionResultType]::ParameterValue, 'Pair with another device by comparing six digits')
            [CompletionResult]::new('peers', 'peers', [CompletionResultType]::ParameterValue, 'List, add, rename or forget paired devices')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Make a key together with other devices')
            [CompletionResult]::new('sign', 'sign', [CompletionResultType]::ParameterValue, 'Sign a digest or a file together with the key''s other devices')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check a signature')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List, show, export, refresh or delete keys')
            [CompletionResult]::new('log', 'log', [CompletionResultType]::ParameterValue, 'Print or check the record of every ceremony')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Two devices on this machine discover, pair, make a key, sign and verify')
            [CompletionResult]::new('bench', 'bench', [CompletionResultType]::ParameterValue, 'Measure key generation and signing on this machine')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a shell''s completion script')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the manual pages to a folder, or print the first one')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'cosign;init' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'This device''s name, as others will see it; default: the host name')
            [CompletionResult]::new('--recipient', '--recipient', [CompletionResultType]::ParameterName, 'An age recipient that can also open every file of the vault; may be repeated')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;id' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;discover' {
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to look')
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Use this network interface only')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Keep looking and print every change until interrupted')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;listen' {
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Listen on this TCP port; default: 46737, or a free one if that is taken')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'Listen on this address only')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'Let the rules in FILE decide requests instead of a person')
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Announce on this network interface only')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'End after one ceremony')
            [CompletionResult]::new('--stdio', '--stdio', [CompletionResultType]::ParameterName, 'Speak on standard input and output instead of a socket')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;pair' {
            [CompletionResult]::new('--peer', '--peer', [CompletionResultType]::ParameterName, 'Its address, where multicast does not reach')
            [CompletionResult]::new('--via', '--via', [CompletionResultType]::ParameterName, 'Reach it through a command''s standard input and output')
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Use this network interface only')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--remember', '--remember', [CompletionResultType]::ParameterName, 'Keep the pairing until `cosign peers forget`; default: 30 minutes')
            [CompletionResult]::new('--reset-attempts', '--reset-attempts', [CompletionResultType]::ParameterName, 'Allow pairing again after five failed attempts')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;peers' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the known devices')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Pin a device by its fingerprint, without comparing digits')
            [CompletionResult]::new('rename', 'rename', [CompletionResultType]::ParameterValue, 'Call a device something else')
            [CompletionResult]::new('forget', 'forget', [CompletionResultType]::ParameterValue, 'Forget a device: it must pair again')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'cosign;peers;list' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;peers;add' {
            [CompletionResult]::new('--fingerprint', '--fingerprint', [CompletionResultType]::ParameterName, 'Its full fingerprint: 64 hexadecimal digits')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Where it listens')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;peers;rename' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;peers;forget' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;peers;help' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the known devices')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Pin a device by its fingerprint, without comparing digits')
            [CompletionResult]::new('rename', 'rename', [CompletionResultType]::ParameterValue, 'Call a device something else')
            [CompletionResult]::new('forget', 'forget', [CompletionResultType]::ParameterValue, 'Forget a device: it must pair again')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'cosign;peers;help;list' {
            break
        }
        'cosign;peers;help;add' {
            break
        }
        'cosign;peers;help;rename' {
            break
        }
        'cosign;peers;help;forget' {
            break
        }
        'cosign;peers;help;help' {
            break
        }
        'cosign;keygen' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The new key''s name; a first key is called `default`')
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'The other devices: paired names or fingerprints')
            [CompletionResult]::new('--threshold', '--threshold', [CompletionResultType]::ParameterName, 'How many devices must sign; default: two')
            [CompletionResult]::new('--peer', '--peer', [CompletionResultType]::ParameterName, 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated')
            [CompletionResult]::new('--via', '--via', [CompletionResultType]::ParameterName, 'Reach a device through a command''s standard input and output; may be repeated')
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Use this network interface only')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--resume', '--resume', [CompletionResultType]::ParameterName, 'Finish a key generation whose last message was lost')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;sign' {
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Hash this file; - is standard input')
            [CompletionResult]::new('--hash', '--hash', [CompletionResultType]::ParameterName, 'How to hash the file; default: sha256')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The key; default: the only one')
            [CompletionResult]::new('--with', '--with', [CompletionResultType]::ParameterName, 'Who signs with this device; default: the key''s other devices in reach')
            [CompletionResult]::new('--purpose', '--purpose', [CompletionResultType]::ParameterName, 'What it is for; the approver sees it')
            [CompletionResult]::new('--deliver-to', '--deliver-to', [CompletionResultType]::ParameterName, 'Who receives the signature: requester, cosigner, both, or a device''s name; default: requester')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write the signature; default: DER in hexadecimal on screen, plain DER to a file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write the signature to FILE; - is standard output')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write the signature to FILE; - is standard output')
            [CompletionResult]::new('--request-id', '--request-id', [CompletionResultType]::ParameterName, 'Repeat or join the request with this id; default: a fresh one')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Listen on this TCP port while waiting; default: 46737, or a free one if that is taken')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'Listen on this address only while waiting')
            [CompletionResult]::new('--peer', '--peer', [CompletionResultType]::ParameterName, 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated')
            [CompletionResult]::new('--via', '--via', [CompletionResultType]::ParameterName, 'Reach a device through a command''s standard input and output; may be repeated')
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Use this network interface only')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Wait for the other device''s request for exactly this digest, approve it, and end')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;verify' {
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Hash this file; - is standard input')
            [CompletionResult]::new('--hash', '--hash', [CompletionResultType]::ParameterName, 'How to hash the file; default: sha256')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'A key of this device; default: the only one')
            [CompletionResult]::new('--public-key', '--public-key', [CompletionResultType]::ParameterName, 'A public key: SEC1 (33 or 65 bytes) or SPKI in hexadecimal, or a file with either, or with PEM')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--require-low-s', '--require-low-s', [CompletionResultType]::ParameterName, 'Also demand s in the lower half, as Bitcoin does')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;keys' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the keys this device has a share of')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one key: its parties, threshold and state')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print a key''s public half')
            [CompletionResult]::new('refresh', 'refresh', [CompletionResultType]::ParameterValue, 'Give every party a new share of the same key; old shares become useless')
            [CompletionResult]::new('delete', 'delete', [CompletionResultType]::ParameterValue, 'Delete this device''s share for ever')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'cosign;keys;list' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;keys;show' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;keys;export' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write it to FILE; - is standard output')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write it to FILE; - is standard output')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;keys;refresh' {
            [CompletionResult]::new('--peer', '--peer', [CompletionResultType]::ParameterName, 'Where a device listens; with several devices NAME=HOST:PORT; may be repeated')
            [CompletionResult]::new('--via', '--via', [CompletionResultType]::ParameterName, 'Reach a device through a command''s standard input and output; may be repeated')
            [CompletionResult]::new('--interface', '--interface', [CompletionResultType]::ParameterName, 'Use this network interface only')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;keys;delete' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;keys;help' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the keys this device has a share of')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one key: its parties, threshold and state')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print a key''s public half')
            [CompletionResult]::new('refresh', 'refresh', [CompletionResultType]::ParameterValue, 'Give every party a new share of the same key; old shares become useless')
            [CompletionResult]::new('delete', 'delete', [CompletionResultType]::ParameterValue, 'Delete this device''s share for ever')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'cosign;keys;help;list' {
            break
        }
        'cosign;keys;help;show' {
            break
        }
        'cosign;keys;help;export' {
            break
        }
        'cosign;keys;help;refresh' {
            break
        }
        'cosign;keys;help;delete' {
            break
        }
        'cosign;keys;help;help' {
            break
        }
        'cosign;log' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--verify', '--verify', [CompletionResultType]::ParameterName, 'Check that no line was changed, removed or put in between')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;demo' {
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Play one of the devices; the demo starts itself like this')
            [CompletionResult]::new('--folder', '--folder', [CompletionResultType]::ParameterName, 'Where that device lives')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;bench' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;completions' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;man' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;version' {
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under DIR instead of the XDG directories')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'One deadline for the whole command, such as 90s or 5m')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase on the first line of FILE')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Unlock the vault with the passphrase read from file descriptor N')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Unlock the vault with an age identity file')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'TLS version: 1.2 forces TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384; the default is 1.3')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Append what happens to FILE as NDJSON; never codes, nonces or secrets')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour on standard error; NO_COLOR is honoured')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print exactly one JSON document on standard output, result or error')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Report progress as NDJSON on standard error')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Plain lines without any styling')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask: fail with exit code 11 and name the flag that would have answered')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what needs a person')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'cosign;help' {
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Make this device: its key and its vault')
            [CompletionResult]::new('id', 'id', [CompletionResultType]::ParameterValue, 'Print this device''s name, id and fingerprint')
            [CompletionResult]::new('discover', 'discover', [CompletionResultType]::ParameterValue, 'List the devices nearby and their status')
            [CompletionResult]::new('listen', 'listen', [CompletionResultType]::ParameterValue, 'Wait for pairing, key generation and signing requests')
            [CompletionResult]::new('pair', 'pair', [CompletionResultType]::ParameterValue, 'Pair with another device by comparing six digits')
            [CompletionResult]::new('peers', 'peers', [CompletionResultType]::ParameterValue, 'List, add, rename or forget paired devices')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Make a key together with other devices')
            [CompletionResult]::new('sign', 'sign', [CompletionResultType]::ParameterValue, 'Sign a digest or a file together with the key''s other devices')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check a signature')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'List, show, export, refresh or delete keys')
            [CompletionResult]::new('log', 'log', [CompletionResultType]::ParameterValue, 'Print or check the record of every ceremony')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Two devices on this machine discover, pair, make a key, sign and verify')
            [CompletionResult]::new('bench', 'bench', [CompletionResultType]::ParameterValue, 'Measure key generation and signing on this machine')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a shell''s completion script')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the manual pages to a folder, or print the first one')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'cosign;help;init' {
            break
        }
        'cosign;help;id' {
            break
        }
        'cosign;help;discover' {
            break
        }
        'cosign;help;listen' {
            break
        }
        'cosign;help;pair' {
            break
        }
        'cosign;help;peers' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the known devices')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Pin a device by its fingerprint, without comparing digits')
            [CompletionResult]::new('rename', 'rename', [CompletionResultType]::ParameterValue, 'Call a device something else')
            [CompletionResult]::new('forget', 'forget', [CompletionResultType]::ParameterValue, 'Forget a device: it must pair again')
            break
        }
        'cosign;help;peers;list' {
            break
        }
        'cosign;help;peers;add' {
            break
        }
        'cosign;help;peers;rename' {
            break
        }
        'cosign;help;peers;forget' {
            break
        }
        'cosign;help;keygen' {
            break
        }
        'cosign;help;sign' {
            break
        }
        'cosign;help;verify' {
            break
        }
        'cosign;help;keys' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the keys this device has a share of')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one key: its parties, threshold and state')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print a key''s public half')
            [CompletionResult]::new('refresh', 'refresh', [CompletionResultType]::ParameterValue, 'Give every party a new share of the same key; old shares become useless')
            [CompletionResult]::new('delete', 'delete', [CompletionResultType]::ParameterValue, 'Delete this device''s share for ever')
            break
        }
        'cosign;help;keys;list' {
            break
        }
        'cosign;help;keys;show' {
            break
        }
        'cosign;help;keys;export' {
            break
        }
        'cosign;help;keys;refresh' {
            break
        }
        'cosign;help;keys;delete' {
            break
        }
        'cosign;help;log' {
            break
        }
        'cosign;help;demo' {
            break
        }
        'cosign;help;bench' {
            break
        }
        'cosign;help;completions' {
            break
        }
        'cosign;help;man' {
            break
        }
        'cosign;help;version' {
            break
        }
        'cosign;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
