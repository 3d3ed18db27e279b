#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Checks and tests the Go library by itself, with nothing but Go 1.18 or later (Debian: golang-go). Nothing is fetched,
# and nothing is written outside of OUTDIR. With a C compiler, which Go needs for it, races are looked for too.
#
# usage: test.sh OUTDIR
set -eu

if [ $# != 1 ] || [ -z "$1" ]; then
    echo 'usage: test.sh OUTDIR' >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
library=$(cd "$here/../../../Sources/PluginLibraries/go" && pwd)
command -v go >/dev/null || {
    echo 'test.sh: go is missing: apt-get install golang-go' >&2
    exit 1
}
mkdir -p "$1"
out=$(cd "$1" && pwd)
CGO_ENABLED=0 GOPROXY=off GOTOOLCHAIN=local GOWORK=off GOENV=off GOPATH=$out/gopath GOCACHE=${GOCACHE:-$out/gocache}
GOFLAGS=-buildvcs=false
export CGO_ENABLED GOPROXY GOTOOLCHAIN GOWORK GOENV GOPATH GOCACHE GOFLAGS

gofmt=$(go env GOROOT)/bin/gofmt
[ -x "$gofmt" ] || gofmt=gofmt
unformatted=$("$gofmt" -l "$library" "$here")
[ -z "$unformatted" ] || {
    printf 'test.sh: not as gofmt writes it:\n%s\n' "$unformatted" >&2
    exit 1
}
(cd "$here" && go vet ./...)
cd "$library"
go vet ./...
go test ./...

if CGO_ENABLED=1 go build -race -o "$out/race" ./examples/loadavg 2>/dev/null; then
    rm "$out/race"
    CGO_ENABLED=1 go test -race ./...
else
    echo 'not looked for: races (Go has no race detector here, or there is no C compiler)'
fi
