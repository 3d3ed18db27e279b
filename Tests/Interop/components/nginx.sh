#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Puts an nginx into OUTDIR/nginx: the system's, or that of the distribution's package, unpacked here and not installed,
# since an installed one is a service that listens on port 80.
# usage: nginx.sh OUTDIR
set -eu

out=${1:?usage: nginx.sh OUTDIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ ! -x "$out/nginx" ] || exit 0

for program in nginx /usr/sbin/nginx /usr/local/sbin/nginx; do
    if path=$(command -v "$program"); then
        ln -sf "$path" "$out/nginx"
        exit 0
    fi
done

work=$(mktemp -d "$out/nginx-package.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
# The program is in another of these packages from one release to the next.
for package in nginx nginx-core nginx-light; do
    if command -v apt-get >/dev/null; then
        apt-get download -q "$package" >/dev/null 2>&1 || continue
        dpkg-deb -x "$package"_*.deb root
    elif command -v dnf >/dev/null; then
        dnf download -q "$package" >/dev/null 2>&1 || continue
        mkdir -p root
        rpm2cpio "$package"-*.rpm | (cd root && cpio -idm --quiet)
    fi
    if root/usr/sbin/nginx -v >/dev/null 2>&1; then
        mv root/usr/sbin/nginx "$out/nginx"
        exit 0
    fi
done
echo "Tests/Interop: no nginx. Remedy: apt-get install nginx-light" >&2
exit 1
