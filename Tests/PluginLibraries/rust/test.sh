#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Checks and tests the Rust library by itself, with nothing but Rust 1.63 or later (Debian: cargo). rustfmt and clippy
# are used where they are. Nothing is fetched, and nothing but Cargo.lock, which git ignores, is written outside of
# OUTDIR.
#
# usage: test.sh OUTDIR
set -eu

if [ $# != 1 ] || [ -z "$1" ]; then
    echo 'usage: test.sh OUTDIR' >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
library=$(cd "$here/../../../Sources/PluginLibraries/rust" && pwd)
command -v cargo >/dev/null || {
    echo 'test.sh: cargo is missing: apt-get install cargo' >&2
    exit 1
}
mkdir -p "$1"
out=$(cd "$1" && pwd)
CARGO_HOME=${CARGO_HOME:-$out/cargo/home}
CARGO_TARGET_DIR=$out/cargo/tests
export CARGO_HOME CARGO_TARGET_DIR

if cargo fmt --version >/dev/null 2>&1; then
    (cd "$library" && cargo fmt --check)
    (cd "$here" && cargo fmt --check)
    rustfmt --edition 2021 --config-path "$library/rustfmt.toml" --check "$library/bench/src/main.rs"
    # As an author's own rustfmt would write it.
    rustfmt --edition 2021 --config max_width=100,use_small_heuristics=Default --check \
        "$library/template/src/main.rs"
else
    echo 'not checked: the format (rustfmt is not here)'
fi
if cargo clippy --version >/dev/null 2>&1; then
    (cd "$library" && cargo clippy --offline --all-targets -- -D warnings)
    (cd "$here" && cargo clippy --offline --all-targets -- -D warnings)
else
    echo 'not checked: the lints of clippy (it is not here)'
fi
cd "$library"
cargo test --offline
