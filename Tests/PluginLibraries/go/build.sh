#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Builds OUTDIR/probe-go and OUTDIR/loadavg-go with nothing but Go 1.18 or later (Debian: golang-go); with --bench also
# OUTDIR/bench-go, which needs Debian's packages of the protobuf libraries. Nothing is fetched.
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
library=$(cd "$here/../../../Sources/PluginLibraries/go" && pwd)

# require WHAT PACKAGES COMMAND...: ends with one line unless the command succeeds.
require() {
    what=$1 packages=$2
    shift 2
    "$@" >/dev/null && return
    echo "build.sh: $what is missing: apt-get install $packages" >&2
    exit 1
}
require go golang-go command -v go

mkdir -p "$1"
out=$(cd "$1" && pwd)
CGO_ENABLED=0 GOPROXY=off GOTOOLCHAIN=local GOWORK=off GOENV=off GOPATH=$out/gopath GOCACHE=${GOCACHE:-$out/gocache}
# -buildvcs=false: the same program comes out of a source archive, and whoever owns the folder.
GOFLAGS='-buildvcs=false -trimpath'
export CGO_ENABLED GOPROXY GOTOOLCHAIN GOWORK GOENV GOPATH GOCACHE GOFLAGS

(cd "$here" && go build -o "$out/probe-go" .)
(cd "$library" && go build -o "$out/loadavg-go" ./examples/loadavg)
[ -n "$wants_bench" ] || exit 0

rm -f "$out/bench-go"
debian=/usr/share/gocode
google=google.golang.org/protobuf
gogo=github.com/gogo/protobuf
packages='protobuf-compiler gogoprotobuf golang-google-protobuf-dev golang-github-gogo-protobuf-dev'
require protoc "$packages" command -v protoc
require protoc-gen-gogofaster "$packages" command -v protoc-gen-gogofaster
require "$google" "$packages" [ -d "$debian/src/$google/cmd/protoc-gen-go" ]
require "$gogo" "$packages" [ -d "$debian/src/$gogo/proto" ]

# Without modules the protobuf libraries are found where Debian has them.
workspace=$out/gopath
source=$workspace/src/elkeid
rm -rf "$workspace/src"
mkdir -p "$source/plugin" "$source/bench/google" "$source/bench/gogo"
cp "$library"/*.go "$source/plugin/"
cp "$library"/bench/*.go "$source/bench/"
GO111MODULE=off GOPATH=$debian:$workspace
export GO111MODULE GOPATH
# The protoc-gen-go that Debian installs as a program is an older one.
(cd "$workspace" && go build -o "$out/protoc-gen-go" "$google/cmd/protoc-gen-go")
file=record.proto
protoc -I "$library/bench" --plugin="$out/protoc-gen-go" --go_out="$source/bench/google" \
    --go_opt=paths=source_relative --go_opt="M$file=elkeid/bench/google" "$file"
protoc -I "$library/bench" --gogofaster_out="paths=source_relative,M$file=elkeid/bench/gogo:$source/bench/gogo" "$file"
(cd "$source/bench" && go build -o "$out/bench-go" .)
