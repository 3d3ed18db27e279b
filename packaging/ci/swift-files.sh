#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Prints every Swift file of the repository, NUL-terminated and without what builds leave behind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

find . -name '.?*' -prune -o -name output -prune -o -name '*.swift' -print0 | LC_ALL=C sort -z
