# Several devices on one machine, for the recipes beside this file; read by them, not run by itself.
#
# On real machines each device has the home directory of its own account, and nothing here is
# needed but what the recipes themselves show.
# shellcheck shell=bash

set -euo pipefail
recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/cosign-recipe-XXXXXX")
listeners=()

# Ends what was started here and nothing else.
finish() {
    local status=$?
    for pid in "${listeners[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    if [ "$status" = 0 ]; then rm -rf "$work"; else echo "kept for a look: $work" >&2; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

# provide PACKAGE: on a machine where that is possible without asking; else says what to install.
provide() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing $1" >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            -o DPkg::Lock::Timeout=120 "$1" >&2
    else
        echo "this recipe needs more: apt-get install $1" >&2
        exit 10
    fi
}

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null || provide "$2"
}

# need_python MODULE PACKAGE: a library that knows nothing of cosign, for Debian's own Python.
need_python() {
    /usr/bin/python3 -c "import $1" 2>/dev/null || provide "$2"
}

# What is set for the device of whoever runs this is not meant for these.
unset COSIGN_HOME COSIGN_IDENTITY COSIGN_PASSPHRASE_FILE COSIGN_NO_INPUT COSIGN_RELAY COSIGN_LOG \
    COSIGN_TOKEN_MODULE COSIGN_TOKEN_PIN_FILE

need jq jq
need openssl openssl
need age-keygen age

# The program of this repository, not another one of the same name.
program=$(command -v cosign || true)
if ! { [ -n "$program" ] && "$program" version --json 2>/dev/null | jq -e .result.protocol >/dev/null; }; then
    cargo build --quiet --release --locked --manifest-path "$recipes/../Cargo.toml"
    program=$recipes/../target/release/cosign
fi

# as NAME ARGUMENT…: runs cosign as that device, without ever asking.
as() {
    local name=$1
    shift
    COSIGN_HOME=$work/$name/home COSIGN_IDENTITY=$work/$name/identity.txt \
        COSIGN_TIMEOUT=${COSIGN_TIMEOUT:-60s} "$program" --no-input "$@"
}

# device NAME: makes a device that an age identity file unlocks.
device() {
    mkdir -p -m 700 "$work/$1"
    age-keygen -o "$work/$1/identity.txt" 2>/dev/null
    as "$1" init --name "$1" >/dev/null
}

# introduce NAME…: every two of them pin each other's fingerprint. People would compare six digits
# with `cosign pair` instead.
introduce() {
    local one other
    for one in "$@"; do
        for other in "$@"; do
            [ "$one" = "$other" ] && continue
            as "$one" peers add "$other" \
                --fingerprint "$(as "$other" id --json | jq -r .result.fingerprint)" >/dev/null
        done
    done
}

# await FILE EVENT: waits until the events in FILE have one of that kind, and prints it.
await() {
    local line
    for _ in $(seq 600); do
        line=$(grep -m1 "\"event\":\"$2\"" "$1" 2>/dev/null || true)
        [ -n "$line" ] && { printf '%s\n' "$line"; return; }
        sleep 0.1
    done
    echo "no event \"$2\" in $1" >&2
    return 4
}

# start NAME COMMAND…: starts a command of that device that listens; its address goes to $address.
start() {
    local name=$1 events=$work/$1/events
    shift
    : >"$events"
    # Not through `as`: a signal is to reach the program itself.
    env COSIGN_HOME="$work/$name/home" COSIGN_IDENTITY="$work/$name/identity.txt" \
        "$program" --no-input --events "$@" --bind 127.0.0.1 --port 0 \
        >"$work/$name/result" 2>"$events" &
    pid=$!
    listeners+=("$pid")
    address=127.0.0.1:$(await "$events" listening | jq .port)
}

# listen NAME POLICY: that device waits, and decides by the rules in POLICY.
listen() {
    start "$1" listen --policy "$2"
}

# stop PID: ends a listener and waits until it has told the others.
stop() {
    local status=0
    kill "$1"
    wait "$1" || status=$?
    # 130 where another device was still connected.
    [ "$status" = 0 ] || [ "$status" = 130 ]
}

# unhex: hexadecimal digits to bytes.
unhex() {
    local digits
    digits=$(cat)
    # shellcheck disable=SC2059
    printf "$(sed 's/[0-9a-f][0-9a-f]/\\x&/g' <<<"$digits")"
}

say() { printf '\n== %s\n' "$*"; }
