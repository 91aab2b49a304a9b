#!/usr/bin/env bash
# An Ethereum message (EIP-191) and a payment signed by two devices; libraries that know nothing of
# them recover the address from the signatures.
. "$(dirname "$0")/devices.sh"
need_python ecdsa python3-ecdsa
need_python Cryptodome python3-pycryptodome
need_python rlp python3-rlp

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

# Both devices show chain, receiver, value and fee. What comes out is for any node: eth_sendRawTransaction.
payment='{"type": 2, "chainId": 11155111, "nonce": 0, "gas": 21000,
    "maxFeePerGas": "30000000000", "maxPriorityFeePerGas": "1000000000",
    "to": "0x1111111111111111111111111111111111111111", "value": "1500000000000000000"}'
as alice show --eth-tx "$payment"
as alice sign --key wallet --eth-tx "$payment" --peer "$address" >"$work/transaction"

say "the account that the payment is from"
/usr/bin/python3 - "$work/transaction" "$wallet" <<'CHECK'
import sys
import rlp
from Cryptodome.Hash import keccak
from ecdsa import SECP256k1, VerifyingKey

def keccak256(data):
    return keccak.new(digest_bits=256, data=data).digest()

raw = bytes.fromhex(open(sys.argv[1]).read().strip()[2:])
*fields, odd, r, s = rlp.decode(raw[1:])
assert raw[0] == 2 and int.from_bytes(fields[6], "big") == 1500000000000000000
candidates = VerifyingKey.from_public_key_recovery_with_digest(
    r.rjust(32, b"\0") + s.rjust(32, b"\0"), keccak256(raw[:1] + rlp.encode(fields)), curve=SECP256k1)
account = "0x" + keccak256(candidates[odd == b"\1"].to_string())[12:].hex()
assert account == sys.argv[2].lower()
print("the payment is from " + account)
CHECK
