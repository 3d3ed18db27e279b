#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Lints the packages of a folder, and the unit; holds the deb to its size.
#
#   packages.sh FOLDER    with the packages that build.sh makes
set -euo pipefail

if (($# != 1)) || [[ ! -d $1 ]]; then
    echo 'usage: packages.sh FOLDER    with the packages that build.sh makes' >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here limit=5000000

status=0
check() {
    echo "== $*"
    "$@" || status=1
}

# Hints of the third kind are mostly of words that lintian reads out of the program.
check lintian --allow-root --pedantic --fail-on error,warning "$1"/*.deb
check rpmlint --strict --config "$here/rpmlint.toml" "$1"/*.rpm

for package in "$1"/*.deb; do
    check test "$(stat -c %s "$package")" -le "$limit"
done

# The unit names the program by its installed path.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for package in "$1"/*.deb; do
    dpkg-deb -x "$package" "$work/root"
    break
done
install -D "$(readlink -f /bin/sh)" "$work/root/bin/sh"
said=$(systemd-analyze verify --man=no --root="$work/root" elkeid-agent.service 2>&1) || true
# Targets of systemd's own are not in that root.
said=$(grep -vE 'Unit .*(target|slice) not found|Failed to (load|prepare)' <<<"$said" || true)
check test -z "$said"
[[ -z $said ]] || printf '%s\n' "$said"
exit "$status"
