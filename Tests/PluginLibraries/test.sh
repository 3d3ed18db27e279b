#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of the plugin libraries that are written in each language itself, and begins a plugin from each
# template, as an author would: it is built, answers a task, and is packed. Nothing is fetched.
#
# usage: test.sh OUTDIR      OUTDIR has what build.sh has built there
set -eu

out=${1:?usage: test.sh OUTDIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
libraries=$here/../../Sources/PluginLibraries
GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOCACHE=${GOCACHE:-$out/gocache}
export GOPROXY GOTOOLCHAIN GOFLAGS CGO_ENABLED GOCACHE

for language in go rust; do
    echo "== tests in $language"
    sh "$here/$language/test.sh" "$out"
done

rm -rf "$out/new"
mkdir "$out/new"
for language in c go rust swift; do
    echo "== a new plugin in $language"
    folder=$out/new/hello-$language
    sh "$libraries/new.sh" "$language" "$folder"
    cd "$folder"
    case $language in
        c) make -s ;;
        go) go build -o hello-go . ;;
        rust) cargo build -q --release --offline && cp target/release/hello-rust . ;;
        swift) swift build -c release --product hello-swift && cp .build/release/hello-swift . ;;
    esac
    # Without an agent tasks are typed and records are lines; the end of its input is its end.
    line=$(echo '7001 hello' | ELKEID_PLUGIN_DEBUG=1 "./hello-$language" | grep '"msg":"hello"') || line=
    case $line in
        '{"data_type":'*) ;;
        *)
            echo "hello-$language does not answer a task" >&2
            exit 1
            ;;
    esac
    sh package.sh "./hello-$language" 1.0.0.1
    [ "$(tar -tzf "hello-$language-1.0.0.1.tar.gz")" = "hello-$language" ]
done
