#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Builds the C library's probe and example, with --bench its benchmark too, and compiles the library as authors get it.
# CC and CFLAGS are honoured, so that a sanitizer can be used: CFLAGS='-g -fsanitize=address,undefined' build.sh OUTDIR
#
# usage: build.sh OUTDIR [--bench]
set -eu

case $#:${2-} in
    1: | 2:--bench) ;;
    *)
        echo 'usage: build.sh OUTDIR [--bench]' >&2
        exit 2
        ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
library=$(cd "$here/../../../Sources/PluginLibraries/c" && pwd)
mkdir -p "$1"

build() {
    # CFLAGS is a list of options.
    # shellcheck disable=SC2086
    ${CC:-cc} -std=c99 ${CFLAGS:--O2} -Wall -Wextra -Wpedantic -Wconversion -Wshadow -I"$library" -pthread \
        -o "$1" "$2" "$library/elkeid_plugin.c"
}
build "$1/probe-c" "$here/probe.c"
build "$1/loadavg-c" "$library/example/loadavg.c"
[ $# = 1 ] || build "$1/bench-c" "$library/bench/bench.c"

# What authors get must compile, too.
single=$(mktemp -d)
trap 'rm -rf "$single"' EXIT
sh "$library/amalgamate.sh" "$single"
${CC:-cc} -std=c99 -O2 -Wall -Wextra -Wpedantic -Werror -c -o "$single/elkeid_plugin.o" "$single/elkeid_plugin.c"
