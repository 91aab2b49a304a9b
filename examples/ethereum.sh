#!/usr/bin/env bash
# An Ethereum message (EIP-191) signed by two devices; a library that knows nothing of them recovers
# the address from the signature.
. "$(dirname "$0")/devices.sh"
need_python ecdsa python3-ecdsa
need_python Cryptodome python3-pycryptodome

device alice
device bob
introduce alice bob
printf '[[rule]]\npeer = "alice"\naction = "allow"\n' >"$work/policy.toml"
listen bob "$work/policy.toml"
as alice keygen --key wallet --with bob --peer "$address" >/dev/null
wallet=$(as alice keys export wallet --format address-eth)
say "the address of the key: $wallet"

message="I own $wallet"
printf '\x19Ethereum Signed Message:\n%d%s' "${#message}" "$message" >"$work/message"
as alice sign --key wallet --file "$work/message" --hash keccak256 --purpose "prove ownership" \
    --peer "$address" --format recoverable -o "$work/signature"

say "the address that the signature gives"
/usr/bin/python3 - "$work/message" "$work/signature" "$wallet" <<'CHECK'
import sys
from Cryptodome.Hash import keccak
from ecdsa import SECP256k1, VerifyingKey

def keccak256(data):
    return keccak.new(digest_bits=256, data=data).digest()

message, signature = (open(path, "rb").read() for path in sys.argv[1:3])
assert len(signature) == 65 and signature[64] in (0, 1)
candidates = VerifyingKey.from_public_key_recovery_with_digest(
    signature[:64], keccak256(message), curve=SECP256k1)
address = "0x" + keccak256(candidates[signature[64]].to_string())[12:].hex()
print(address)
assert address == sys.argv[3].lower()
print("the signature as wallets write it: 0x" + (signature[:64] + bytes([27 + signature[64]])).hex())
CHECK
