#!/bin/sh
# Measures relays on this machine: one alone, then two that NATS joins (nats-server must be installed).
#   examples/relay/load.sh [IDLE ROOMS] [ACTIVE ROOMS] [SECONDS]
set -eu
cd "$(dirname "$0")/../.."
idle=${1:-10000} rooms=${2:-1000} seconds=${3:-10}
cargo build --release --quiet --locked --bin cosign --example relay_load
PATH="$PATH:/usr/sbin"
wide="--max-per-source 100000 --joins-per-minute 10000000"
started=""
trap 'kill $started 2>/dev/null || true' EXIT INT TERM

background() { # WORD COMMAND...: starts a program, sets $pid, and waits until it has said WORD
    word=$1 said=$(mktemp)
    shift
    "$@" >"$said" 2>&1 &
    pid=$!
    started="$started $pid"
    until grep -q "$word" "$said"; do
        kill -0 "$pid" 2>/dev/null || { cat "$said" >&2; exit 1; }
        sleep 0.1
    done
    rm "$said"
}

relay() { # PORT FLAGS...
    port=$1
    shift
    # shellcheck disable=SC2086
    background listening target/release/cosign relay --bind "127.0.0.1:$port" $wide "$@"
}

echo "== one relay"
relay 16810
target/release/examples/relay_load --idle "$idle" --rooms "$rooms" --seconds "$seconds" --pid "$pid" \
    ws://127.0.0.1:16810

kill "$pid"
wait "$pid" || true

echo "== two relays and NATS"
background 'Server is ready' nats-server -a 127.0.0.1 -p 16820
relay 16811 --cluster nats://127.0.0.1:16820
relay 16812 --cluster nats://127.0.0.1:16820
target/release/examples/relay_load --idle 0 --rooms "$rooms" --seconds "$seconds" --pid "$pid" \
    ws://127.0.0.1:16811 ws://127.0.0.1:16812
