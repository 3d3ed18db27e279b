#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Builds interop-server, interop-discovery, interop-faults, interop-judge and interop-plugin-writer into OUTDIR, with
# nothing but Debian's packages.
# usage: build.sh OUTDIR [--selftest]
set -eu

out=${1:?usage: build.sh OUTDIR [--selftest]}
here=$(cd "$(dirname "$0")" && pwd)
packages='golang-go golang-google-grpc-dev golang-github-golang-snappy-dev golang-github-klauspost-compress-dev
    golang-goprotobuf-dev golang-golang-x-net-dev protobuf-compiler'
library=/usr/share/gocode

missing=
for tool in go protoc protoc-gen-go; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
for import in google.golang.org/grpc github.com/golang/snappy github.com/klauspost/compress/zstd \
    github.com/golang/protobuf/proto golang.org/x/net/http2; do
    [ -d "$library/src/$import" ] || missing="$missing $import"
done
if [ -n "$missing" ]; then
    echo "Tests/Interop: not found:$missing. Remedy: apt-get install $packages" >&2
    exit 1
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
workspace=$out/gopath
source=$workspace/src/elkeid-interop
rm -rf "$workspace/src"
mkdir -p "$source"
cp -R "$here/server" "$here/discovery" "$here/faults" "$here/typing" "$here/judge" "$here/plugin-writer" \
    "$here/selftest" "$source/"

GO111MODULE=off GOPATH=$library:$workspace GOFLAGS='' GOTOOLCHAIN=local CGO_ENABLED=0
GOCACHE=${GOCACHE:-$out/gocache}
export GO111MODULE GOPATH GOFLAGS GOTOOLCHAIN CGO_ENABLED GOCACHE

protoc -I "$here" --go_out="$workspace/src" grpc.proto
(cd "$source/server" && go build -o "$out/interop-server" .)
(cd "$source/judge" && go build -o "$out/interop-judge" .)
(cd "$source/plugin-writer" && go build -o "$out/interop-plugin-writer" .)
(cd "$source/discovery" && go build -o "$out/interop-discovery" .)
(cd "$source/faults" && go build -o "$out/interop-faults" .)

if [ "${2:-}" = --selftest ]; then
    "$here/../Vectors/make-certs.sh" "$out/certs"
    for part in server discovery faults typing judge plugin-writer selftest; do
        (cd "$source/$part" && go vet . &&
            INTEROP_BIN=$out INTEROP_CERTS=$out/certs INTEROP_VECTORS=$here/../Vectors go test -count=1 -timeout 180s .)
    done
fi
