#!/usr/bin/env bash
# Leaving: enough shares are taken out of their homes, the whole key is made of them, and openssl
# signs with it alone. From then on the key exists, which is what cosign is there to avoid.
. "$(dirname "$0")/devices.sh"
umask 077

say "a key that exists on neither of two devices"
device alice
device bob
introduce alice bob
cat >"$work/policy.toml" <<'RULES'
[[rule]]
peer = "alice"
ceremony = "keygen"
key = "old"
action = "allow"
RULES
listen bob "$work/policy.toml"
as alice keygen --key old --with bob --peer "$address"
as alice keys export old -o "$work/old.pem"
stop "$pid"

say "each takes its share out, with age alone"
for name in alice bob; do
    data=$work/$name/home/data
    age -d -i "$work/$name/identity.txt" -o "$work/$name/vault.txt" "$data/identity.age"
    age -d -i "$work/$name/vault.txt" -o "$work/$name/share" "$data"/keys/old/*.age
done

say "the whole key"
/usr/bin/python3 "$recipes/combine.py" "$work/alice/share" "$work/bob/share" >"$work/key"

say "openssl signs with it, and the public key is the one of before"
printf '302e0201010420%sa00706052b8104000a' "$(cat "$work/key")" | unhex |
    openssl ec -inform DER -out "$work/key.pem" 2>/dev/null
openssl dgst -sha256 -sign "$work/key.pem" -out "$work/signature" "$recipes/leave.sh"
openssl dgst -sha256 -verify "$work/old.pem" -signature "$work/signature" "$recipes/leave.sh"
