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

relay() { # PORT FLAGS...: starts a relay and sets $pid
    port=$1
    shift
    # shellcheck disable=SC2086
    target/release/cosign relay --quiet --bind "127.0.0.1:$port" $wide "$@" &
    pid=$!
    started="$started $pid"
    sleep 1
}

echo "== one relay"
relay 46810
target/release/examples/relay_load --idle "$idle" --rooms "$rooms" --seconds "$seconds" --pid "$pid" \
    ws://127.0.0.1:46810

echo "== two relays and NATS"
nats-server -a 127.0.0.1 -p 46820 >/dev/null 2>&1 &
started="$started $!"
sleep 1
relay 46811 --cluster nats://127.0.0.1:46820
relay 46812 --cluster nats://127.0.0.1:46820
target/release/examples/relay_load --idle 0 --rooms "$rooms" --seconds "$seconds" --pid "$pid" \
    ws://127.0.0.1:46811 ws://127.0.0.1:46812
