#!/usr/bin/env bash
# Two people pay in Bitcoin. A watch-only wallet, Electrum here, has the descriptor of their key: it
# receives, and makes each payment as a PSBT. Both devices show what leaves, to whom and for what fee,
# and sign. The wallet checks the signatures and finishes the transaction.
. "$(dirname "$0")/../devices.sh"
need_python electrum python3-electrum
wallet() { /usr/bin/python3 "$recipes/bitcoin/wallet.py" "$@"; }

device alice
device bob
introduce alice bob
rent=bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq
# Bob's device pays the rent without asking him, once a day; everything else would need him.
cat >"$work/policy.toml" <<RULES
[[rule]]
peer = "alice"
ceremony = "keygen"
action = "allow"

[[rule]]
peer = "alice"
key = "family"
payload = "psbt"
network = "main"
to = ["$rent", "own"]
max_amount = "0.25 BTC"
max_fee = "0.0001 BTC"
max_per_day = "0.26 BTC"
action = "allow"
RULES
listen bob "$work/policy.toml"
as alice keygen --key family --with bob --peer "$address" >/dev/null
descriptor=$(as alice keys export family --format descriptor)

say "the wallet has the descriptor alone, and its addresses are those of the key"
wallet addresses "$descriptor" | tee "$work/addresses"
as bob keys address family --count 3 --json | jq -r '.result.addresses[].address' | diff - "$work/addresses"
as bob keys address family --is "$(tail -1 "$work/addresses")"

say "what both people see"
wallet pay "$descriptor" "$rent" "$work/rent.psbt"
as alice show --psbt "$work/rent.psbt" --key family

say "the transaction, which the wallet has checked and would send"
as alice sign --key family --psbt "$work/rent.psbt" --purpose "rent" --peer "$address" \
    -o "$work/signed.psbt"
wallet finish "$descriptor" "$work/signed.psbt" | tee "$work/transaction"

say "the same once more on one day"
status=0
as alice sign --key family --psbt "$work/rent.psbt" --purpose "rent" --peer "$address" || status=$?
[ "$status" = 9 ] && echo "bob's device says no"

say "a thief has alice's machine, and pays somebody else"
wallet pay "$descriptor" bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 "$work/theft.psbt"
status=0
as alice sign --key family --psbt "$work/theft.psbt" --purpose "rent" --peer "$address" || status=$?
[ "$status" = 9 ] && echo "bob's device says no"
