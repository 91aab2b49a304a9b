#!/usr/bin/env bash
# Two people sign an Ethereum message and a payment, which both devices show. Libraries that know
# nothing of them recover the account from the signatures.
. "$(dirname "$0")/../devices.sh"
need_python ecdsa python3-ecdsa
need_python Cryptodome python3-pycryptodome
need_python rlp python3-rlp

device alice
device bob
introduce alice bob
grocer=0x1111111111111111111111111111111111111111
# Bob's device decides by these rules; on real machines it would ask him about what is larger.
cat >"$work/policy.toml" <<RULES
[[rule]]
peer = "alice"
ceremony = "keygen"
action = "allow"

[[rule]]
peer = "alice"
payload = "message"
purpose = "prove ownership"
action = "allow"

[[rule]]
peer = "alice"
payload = "eth-tx"
chain = 11155111
to = ["$grocer"]
max_amount = "2 ETH"
max_fee = "0.001 ETH"
action = "allow"
RULES
listen bob "$work/policy.toml"
as alice keygen --key wallet --with bob --peer "$address" >/dev/null
wallet=$(as alice keys export wallet --format address-eth)
say "the address of the key: $wallet"

message="I own $wallet"
as alice sign --key wallet --message "$message" --purpose "prove ownership" --peer "$address" \
    >"$work/signature"

say "the address that the signature gives"
/usr/bin/python3 - "$message" "$work/signature" "$wallet" <<'CHECK'
import sys
from Cryptodome.Hash import keccak
from ecdsa import SECP256k1, VerifyingKey

def keccak256(data):
    return keccak.new(digest_bits=256, data=data).digest()

message = sys.argv[1].encode()
signature = bytes.fromhex(open(sys.argv[2]).read().strip()[2:])
assert len(signature) == 65 and signature[64] in (27, 28)
prefixed = b"\x19Ethereum Signed Message:\n%d%s" % (len(message), message)
candidates = VerifyingKey.from_public_key_recovery_with_digest(
    signature[:64], keccak256(prefixed), curve=SECP256k1)
address = "0x" + keccak256(candidates[signature[64] - 27].to_string())[12:].hex()
print(address)
assert address == sys.argv[3].lower()
CHECK

# Both devices show chain, receiver, value and fee. What comes out is for any node: eth_sendRawTransaction.
payment='{"type": 2, "chainId": 11155111, "nonce": 0, "gas": 21000,
    "maxFeePerGas": "30000000000", "maxPriorityFeePerGas": "1000000000",
    "to": "'$grocer'", "value": "1500000000000000000"}'
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

say "a thief has alice's machine, and pays somebody else"
status=0
as alice sign --key wallet --eth-tx "${payment/$grocer/0x2222222222222222222222222222222222222222}" \
    --peer "$address" || status=$?
[ "$status" = 9 ] && echo "bob's device says no"
