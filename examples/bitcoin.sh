#!/usr/bin/env bash
# A Bitcoin signature by two devices: double SHA-256 and strict DER with low s, under the key of a
# P2WPKH address. A library that knows nothing of them computes the same address and checks.
. "$(dirname "$0")/devices.sh"
need_python bitcoin.core.key python3-bitcoinlib

device alice
device bob
introduce alice bob
printf '[[rule]]\npeer = "alice"\naction = "allow"\n' >"$work/policy.toml"
listen bob "$work/policy.toml"
as alice keygen --key wallet --with bob --peer "$address" >/dev/null
wallet=$(as alice keys export wallet --format address-btc)
say "the address of the key: $wallet"
say "for watch-only wallets: $(as alice keys export wallet --format xpub)"

# The preimage of BIP-143's signature hash, as the wallet gives it; here that of its P2WPKH example.
preimage=0100000096b827c8483d4e9b96712b6713a7b68d6e8003a781feba36c31143470b4efd3752b0a642eea2fb7ae638c36f6252b6750293dbe574a806984b8e4d8548339a3bef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a010000001976a9141d0f172a0ecb48aee1be1f2687d2963ae33f71a188ac0046c32300000000ffffffff863ef3e1a92afbfdb97f31ad0fc7683ee943e9abcf2501590ff8f6551f47e5e51100000001000000
unhex <<<"$preimage" >"$work/preimage"
as alice sign --key wallet --file "$work/preimage" --hash sha256d --purpose "pay the rent" \
    --peer "$address" --format der -o "$work/signature"

say "checked by python-bitcoinlib"
/usr/bin/python3 - "$work/preimage" "$work/signature" "$wallet" \
    "$(as alice keys export wallet --format hex)" <<'CHECK'
import sys
from bitcoin.core import Hash, Hash160
from bitcoin.core.key import CPubKey
from bitcoin.wallet import P2WPKHBitcoinAddress

preimage, signature = (open(path, "rb").read() for path in sys.argv[1:3])
key = CPubKey(bytes.fromhex(sys.argv[4]))
assert Hash(preimage).hex() == "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
assert key.is_fullyvalid
assert key.verify(Hash(preimage), signature), "the signature is invalid"
assert not key.verify(Hash(preimage + b"x"), signature)
address = str(P2WPKHBitcoinAddress.from_bytes(0, Hash160(bytes(key))))
assert address == sys.argv[3], address
print("valid, and the address is the same")
CHECK
as alice verify --key wallet --file "$work/preimage" --hash sha256d --require-low-s "$work/signature"
