#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Writes the library as the two files that a plugin takes: elkeid_plugin.h, and elkeid_plugin.c with its parts in it.
#
# usage: amalgamate.sh FOLDER
set -eu

[ $# -eq 1 ] || { echo 'usage: amalgamate.sh FOLDER' >&2; exit 2; }
[ -d "$1" ] || { printf 'amalgamate.sh: there is no folder %s\n' "$1" >&2; exit 2; }
folder=$(cd "$1" && pwd -P)
cd "$(dirname "$0")"
[ "$folder" != "$(pwd -P)" ] || { echo 'amalgamate.sh: that would overwrite the library itself' >&2; exit 2; }

# The two header lines of a part are left out.
awk '
    function fail(reason) {
        print "amalgamate.sh: " part ": " reason | "cat >&2"
        exit 1
    }
    !/^#include "parts\// { print; next }
    {
        part = $0
        gsub(/^#include "|"$/, "", part)
        count = 0
        while ((status = (getline line <part)) > 0) {
            if (++count > 2) print line
            else if (count == 2 && line !~ /SPDX-License-Identifier.*\*\/$/) fail("its header is not two lines")
        }
        if (status < 0 || count < 3) fail("cannot be read, or is empty")
        close(part)
    }
' elkeid_plugin.c >"$folder/elkeid_plugin.c"
cp elkeid_plugin.h "$folder/"
