#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Counts what the hot path costs, on fixed input, and compares it with gates.txt: instructions (valgrind), heap
# allocations, system calls (strace). Never seconds. Ends with 1 when something costs more than it may.
#
# usage: gates.sh FOLDER     with the release builds of Benchmarks, elkeid-agent, floor and load-generator
set -euo pipefail

binaries=$(cd "${1:?usage: gates.sh FOLDER}" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# valgrind 3.19 cannot read the debug information that Swift writes.
strip --strip-debug -o "$work/benchmarks" "$binaries/Benchmarks"
runtime=$(dirname "$(ldd "$binaries/Benchmarks" | sed -n 's/.*libswiftCore\.so => \(\S*\).*/\1/p')")
export LD_LIBRARY_PATH=$runtime

# instructions STAGE ROUNDS SIZE: within the rounds alone. Making keys and certificates takes another number each time.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*HotPathC5round*' \
        "$work/benchmarks" hot-path "$@" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

# field NAME STAGE ROUNDS SIZE: of what the work says of itself.
field() {
    local name=$1
    shift
    "$work/benchmarks" hot-path "$@" | sed -n "s/.*\\b$name \\([0-9]*\\).*/\\1/p"
}

# What 100 rounds cost more than 0 do: those that warm up are in both.
marginal() {
    local stage=$1 size=$2
    echo $(($(instructions "$stage" 100 "$size") - $(instructions "$stage" 0 "$size")))
}

divide() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

failures=0
# gate NAME VALUE UNIT
gate() {
    local limit
    limit=$(awk -v name="$1" '$1 == name { print $2 }' "$here/gates.txt")
    [[ -n $limit ]] || {
        printf 'gates.sh: %s is not in gates.txt (it is %s %s now)\n' "$1" "$2" "$3" >&2
        failures=$((failures + 1))
        return 0
    }
    local verdict=ok
    if awk -v v="$2" 'BEGIN { exit !(v <= 0) }'; then
        verdict='NOT COUNTED'
        failures=$((failures + 1))
    elif awk -v v="$2" -v l="$limit" 'BEGIN { exit !(v > l) }'; then
        verdict='TOO MUCH'
        failures=$((failures + 1))
    fi
    printf '%-36s %12s  at most %-10s %-26s %s\n' "$1" "$2" "$limit" "$3" "$verdict"
}

# A record of 600 bytes is checked and spliced: instructions beyond copying it, and for a record of 100 bytes.
for size in 600 100; do
    records=$(field records splice 100 "$size")
    splice=$(($(marginal splice "$size") - $(marginal copy "$size")))
    gate "splice-$size" "$(divide "$splice" "$records")" "instructions a record"
done

# A message of 256 KiB: from the splice to the stream and through confirmation; and in frames, TLS itself left out.
chain=$(($(marginal chain 600) - $(marginal splice 600)))
gate message "$(divide "$chain" 100)" "instructions a message"
framing=$(($(marginal http2 600) - $(marginal chain 600) - $(marginal tls 600)))
gate frames "$(divide "$framing" 100)" "instructions a message"

# Allocations, when pools and queues have grown: ours, and with OpenSSL's three for each TLS record.
for stage in splice chain http2; do
    gate "allocations-$stage" "$(divide "$(field allocations "$stage" 100 600)" 100)" "allocations a message"
done

# The agent from pipe to socket: 512 MiB flat out. How the kernel cuts reads and writes is not ours to decide, so these
# are not the same in each run; the limits leave room for that.
"$binaries/Benchmarks" system-calls --agent "$binaries/elkeid-agent" >"$work/calls" 2>"$work/log" || {
    cat "$work/log" >&2
    exit 1
}
while read -r name value; do gate "calls-$name" "$value" "calls a MiB"; done <"$work/calls"

if ((failures > 0)); then
    printf 'gates.sh: %d gates failed\n' "$failures" >&2
    exit 1
fi
