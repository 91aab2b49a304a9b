#!/usr/bin/env bash
# Three devices, any two of which sign: one may be lost, and one alone is not enough.
. "$(dirname "$0")/devices.sh"

device alice
device bob
device carol
introduce alice bob carol
for name in alice bob carol; do
    for peer in alice bob carol; do
        [ "$peer" = "$name" ] || printf '[[rule]]\npeer = "%s"\naction = "allow"\n' "$peer"
    done >"$work/$name.toml"
done
listen bob "$work/bob.toml"
bob=$address bob_pid=$pid
listen carol "$work/carol.toml"
carol=$address

say "a key of three, any two of which sign"
as alice keygen --key team --with bob carol --threshold 2 --peer "bob=$bob" --peer "carol=$carol"
as alice keys export team -o "$work/team.pem"

# check NAME: openssl accepts the signature that NAME has made.
check() {
    openssl dgst -sha256 -verify "$work/team.pem" -signature "$work/$1.sig" "$work/document"
}
printf 'the three of us\n' >"$work/document"

say "alice and bob"
as alice sign --key team --with bob --file "$work/document" --peer "bob=$bob" -o "$work/alice.sig"
check alice

say "alice is away: bob and carol"
stop "$bob_pid"
as bob sign --key team --with carol --file "$work/document" --peer "carol=$carol" -o "$work/bob.sig"
check bob

say "alice alone cannot"
status=0
COSIGN_TIMEOUT=3s as alice sign --key team --with bob --file "$work/document" --peer "bob=$bob" || status=$?
[ "$status" = 4 ]
