#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Packs a plugin as the component that agents install: NAME-VERSION.tar.gz with the program at its top, named as the
# plugin is, and prints what a server's configuration says of it. The same files give the same bytes.
#
# usage: package.sh PROGRAM VERSION [FILE...]      FILEs go beside the program
set -eu

fail() {
    printf 'package.sh: %s\n' "$*" >&2
    exit 2
}

[ $# -ge 2 ] || fail 'usage: package.sh PROGRAM VERSION [FILE...]'
program=$1 version=$2
shift 2
[ -x "$program" ] || fail "there is no program $program; build it first"
name=${program##*/}
case $name in
    '' | *[!0-9A-Za-z_-]*) fail "\"$name\" is no name of a plugin: it may have letters, digits, - and _" ;;
esac
case $version in
    *[!0-9.]* | '') fail "\"$version\" is no version; it has digits and dots, such as 1.0.0.1" ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$program" "$folder/$name"
chmod 755 "$folder/$name"
for file in "$@"; do
    [ -e "$file" ] || fail "there is no $file"
    cp -R "$file" "$folder/"
done
archive=$name-$version.tar.gz
(cd "$folder" && tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - -- *) | gzip -n >"$archive"
sum() { sha256sum "$1" | cut -d ' ' -f 1; }
printf 'name       %s\nversion    %s\ntype       tar.gz\nfile       %s\nsha256     %s\nsignature  %s\n' \
    "$name" "$version" "$archive" "$(sum "$archive")" "$(sum "$folder/$name")"
