#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Begins a plugin: a folder with a program that runs, its build file, and a copy of the library. Nothing in it refers to
# this repository.
#
# usage: new.sh swift|c|go|rust FOLDER      the folder's name is the plugin's
set -eu

here=$(cd "$(dirname "$0")" && pwd)

fail() {
    printf 'new.sh: %s\n' "$*" >&2
    exit 2
}

[ $# = 2 ] || fail 'usage: new.sh swift|c|go|rust FOLDER'
language=$1 folder=${2%/}
name=${folder##*/}
case $name in
    '' | *[!0-9A-Za-z_-]*) fail "\"$name\" is no name of a plugin: it may have letters, digits, - and _" ;;
    -*) fail "\"$name\": a name that begins with - would be taken for an option" ;;
esac
case $language:$name in
    rust:[0-9]*) fail "\"$name\" begins with a digit, which cargo does not take for a package's name" ;;
    go:elkeid | rust:elkeid-plugin | swift:ElkeidPlugin) fail "\"$name\" is the library's own name" ;;
esac
[ ! -e "$folder" ] || fail "$folder is there already"
[ -d "$here/$language/template" ] || fail "there is no library for \"$language\"; there are: swift, c, go, rust"

mkdir -p "${folder%"$name"}." "$folder"
cp -R "$here/$language/template/." "$folder"
case $language in
    c) sh "$here/c/amalgamate.sh" "$folder" ;;
    go)
        mkdir "$folder/elkeid"
        cp "$here/go/go.mod" "$folder/elkeid/"
        for file in "$here"/go/*.go; do
            case $file in *_test.go) ;; *) cp "$file" "$folder/elkeid/" ;; esac
        done
        ;;
    rust)
        mkdir "$folder/elkeid-plugin"
        cp -R "$here/rust/Cargo.toml" "$here/rust/src" "$folder/elkeid-plugin/"
        ;;
    swift)
        mkdir -p "$folder/Sources"
        cp -R "$here/../ElkeidPlugin" "$folder/Sources/"
        ;;
esac
cp "$here/package.sh" "$folder/"

# The template's own files, the deepest first: a folder's name may be the plugin's, too.
(cd "$here/$language/template" && find . -mindepth 1 -depth) | while IFS= read -r path; do
    if [ -f "$folder/$path" ]; then
        sed "s/PLUGIN_NAME/$name/g" "$folder/$path" >"$folder/.new"
        # Into the file that is there, which keeps its mode.
        cat "$folder/.new" >"$folder/$path"
        rm "$folder/.new"
    fi
    base=${path##*/}
    case $base in
        *PLUGIN_NAME*)
            mv "$folder/$path" "$folder/${path%"$base"}$(printf '%s' "$base" | sed "s/PLUGIN_NAME/$name/g")"
            ;;
    esac
done
printf '%s is a plugin in %s; its README.md says how to build and try it\n' "$folder" "$language"
