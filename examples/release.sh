#!/usr/bin/env bash
# Two people release a file: neither can sign it alone, and anybody can check it with openssl.
. "$(dirname "$0")/devices.sh"

say "two devices that know each other"
device alice
device bob
introduce alice bob
cat >"$work/policy.toml" <<'RULES'
[[rule]]
peer = "alice"
ceremony = "keygen"
key = "release"
action = "allow"
RULES
listen bob "$work/policy.toml"

say "a key that exists on neither of them"
as alice keygen --key release --with bob --peer "$address"
as alice keys export release -o "$work/release.pem"
stop "$pid"

say "the file, built by both"
tar -C "$recipes" -cf "$work/release.tar" release.sh devices.sh
cp "$work/release.tar" "$work/bob/release.tar"

say "bob approves what he has built himself, and nothing else"
start bob sign --key release --file "$work/bob/release.tar" --wait

say "alice asks, and receives the signature"
as alice sign --key release --file "$work/release.tar" --purpose "release 1.2" --peer "$address" \
    -o "$work/release.tar.sig"

say "anybody checks it, with openssl alone"
openssl dgst -sha256 -verify "$work/release.pem" -signature "$work/release.tar.sig" "$work/release.tar"
