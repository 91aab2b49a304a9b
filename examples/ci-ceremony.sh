#!/usr/bin/env bash
# Two unattended machines sign a build: a builder that asks, and an approver that decides by a
# policy file. Nobody types anything; secrets come by file descriptor; exit codes are handled; both
# machines keep a record that can be checked.
#
# CEREMONY_DIR=DIR keeps what a release would publish: artifact, signature, key, both records with
# what attests their ends.
. "$(dirname "$0")/devices.sh"
out=${CEREMONY_DIR:-$work/published}
mkdir -p "$out"

# Unlike `as`: the passphrase comes from the secret store by file descriptor 3, and is on no
# command line, in no variable and in no file of the machine.
builder_secret() { printf 'correct horse battery staple\n'; }
builder() {
    COSIGN_HOME=$work/builder/home \
        "$program" --no-input --json --timeout 60s --passphrase-fd 3 "$@" 3< <(builder_secret)
}

say "two machines"
mkdir -p -m 700 "$work/builder"
builder init --name builder | jq -c .result
device approver

say "each pins the other's fingerprint, which its owner put there"
builder peers add approver --fingerprint "$(as approver id --json | jq -r .result.fingerprint)" | jq -c .result
as approver peers add builder --fingerprint "$(builder id | jq -r .result.fingerprint)"

say "the rules of the approver, and what they would say"
cat >"$work/policy.toml" <<'RULES'
[[rule]]
peer = "builder"
ceremony = "keygen"
key = "ci"
max_count = 1
action = "allow"

[[rule]]
peer = "builder"
ceremony = "sign"
key = "ci"
purpose = 'build \d+ of [a-z]+'
max_count = 100
not_after = 2099-12-31T00:00:00Z
action = "allow"
RULES
as approver policy check "$work/policy.toml" --request peer=builder key=ci "purpose=build 42 of app"
if as approver policy check "$work/policy.toml" --request peer=builder key=ci "purpose=anything" >/dev/null 2>&1; then
    echo "the rules are too wide" >&2
    exit 1
fi
listen approver "$work/policy.toml"

say "the key"
builder keygen --key ci --with approver --peer "$address" >"$work/keygen.json"
jq -e '.ok and .result.confirmed' "$work/keygen.json" >/dev/null
builder keys export ci | jq -r .result.exported >"$out/ci.pem"

say "the build"
printf 'build 42\n' >"$out/app.bin"

# sign PURPOSE: tries again what may be tried again, at most three times.
sign() {
    local try status
    for try in 1 2 3; do
        status=0
        builder sign --key ci --file "$out/app.bin" --purpose "$1" --peer "$address" \
            --request-id "build-42-${1//[^a-z0-9]/-}" >"$work/sign.json" || status=$?
        case $status in
            0) return 0 ;;
            4 | 6) echo "try $try: $(jq -r .error.message "$work/sign.json")" >&2; sleep "$try" ;;
            *) return "$status" ;;
        esac
    done
    return "$status"
}

say "the signature"
sign "build 42 of app"
jq -r .result.der "$work/sign.json" | unhex >"$out/app.bin.sig"
jq -c '.result | {key, digest, low_s, delivered_to, request_id}' "$work/sign.json"

say "what the rules do not allow is refused, here with exit code 9"
status=0
sign "something else" 2>/dev/null || status=$?
jq -c .error "$work/sign.json"
[ "$status" = 9 ]

say "openssl accepts the signature"
openssl dgst -sha256 -verify "$out/ci.pem" -signature "$out/app.bin.sig" "$out/app.bin"

say "both records are whole and tell the same, the refusal included"
stop "$pid"
builder log --verify | jq -c .result
as approver log --verify
for machine in builder approver; do
    install -d -m 700 "$out/$machine" "$out/$machine/state"
    install -m 600 "$work/$machine/home/state/log.jsonl" "$work/$machine/home/state/log.head" \
        "$out/$machine/state"
    jq -r '[.ceremony, .purpose, .outcome] | join("  ")' "$out/$machine/state/log.jsonl" |
        sed "s/^/$machine  /"
done

say "whoever has the published records can check them, without any of the devices"
for machine in builder approver; do
    "$program" --home "$out/$machine" --json log --verify | jq -ce '.result | select(.attested)'
done

say "a line that somebody changed is named"
log=$work/approver/home/state/log.jsonl
sed '2s/build 42/build 43/' "$log" >"$work/changed" && cat "$work/changed" >"$log"
status=0
as approver log --verify || status=$?
[ "$status" = 1 ]
