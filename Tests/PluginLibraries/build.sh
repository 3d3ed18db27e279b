#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Builds the plugin libraries' probes and examples into OUTDIR, as probe-LANGUAGE and loadavg-LANGUAGE. Nothing is
# fetched.
#
# usage: build.sh OUTDIR BINARIES      BINARIES: the folder with what SwiftPM has built
set -eu

out=${1:?usage: build.sh OUTDIR BINARIES}
binaries=$(cd "${2:?usage: build.sh OUTDIR BINARIES}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)

# As the others: programs that can be copied.
cp -f "$binaries/plugin-probe" "$out/probe-swift"
cp -f "$binaries/loadavg" "$out/loadavg-swift"
for language in c go rust; do
    sh "$here/$language/build.sh" "$out"
done
