#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Builds the plugin and packs it for the server.
#
#   package.sh VERSION    four numbers such as 1.0.0.1; writes PLUGIN_NAME-VERSION.tar.gz and prints its sha256
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

version=${1-}
if [[ ! $version =~ ^[0-9]+(\.[0-9]+){3}$ ]]; then
    echo 'usage: package.sh VERSION, four numbers such as 1.0.0.1' >&2
    exit 2
fi
# The hosts have no Swift: its runtime goes into the program.
swift build -c release --static-swift-stdlib --product PLUGIN_NAME
folder=$(swift build -c release --static-swift-stdlib --show-bin-path)
archive=PLUGIN_NAME-$version.tar.gz
tar --create --gzip --file "$archive" --owner=0 --group=0 --mode=0755 --directory "$folder" PLUGIN_NAME
sha256sum "$archive"
