#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Builds OUTDIR/probe-rust and OUTDIR/loadavg-rust with nothing but Rust 1.63 or later (Debian: cargo); with --bench also
# OUTDIR/bench-rust, which needs Debian's packages of prost. Nothing is fetched.
#
# usage: build.sh OUTDIR [--bench]
set -eu

usage() {
    echo 'usage: build.sh OUTDIR [--bench]' >&2
    exit 2
}
[ $# = 1 ] || { [ $# = 2 ] && [ "$2" = --bench ]; } || usage
[ -n "$1" ] || usage
wants_bench=${2-}
here=$(cd "$(dirname "$0")" && pwd)
library=$(cd "$here/../../../Sources/PluginLibraries/rust" && pwd)
command -v cargo >/dev/null || {
    echo 'build.sh: cargo is missing: apt-get install cargo' >&2
    exit 1
}
mkdir -p "$1"
out=$(cd "$1" && pwd)
CARGO_HOME=${CARGO_HOME:-$out/cargo/home}
export CARGO_HOME

# build NAME FOLDER ARGUMENT...: the folder decides which .cargo/config.toml is used.
build() {
    name=$1 folder=$2
    shift 2
    (cd "$folder" && cargo build --release --offline --target-dir "$out/cargo/$name" "$@")
}

build probe "$here"
cp "$out/cargo/probe/release/probe-rust" "$out/probe-rust"
build library "$library" --example loadavg
cp "$out/cargo/library/release/examples/loadavg" "$out/loadavg-rust"
[ -n "$wants_bench" ] || exit 0

rm -f "$out/bench-rust"
for crate in prost-0.11 prost-derive-0.11; do
    set -- /usr/share/cargo/registry/"$crate".*
    [ -d "$1" ] || {
        echo "build.sh: $crate is missing: apt-get install librust-prost-dev librust-prost-derive-dev" >&2
        exit 1
    }
done
build bench "$library/bench"
cp "$out/cargo/bench/release/bench-rust" "$out/bench-rust"
