#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Holds packaging/components.txt, and with it the copyright file, against what the linker has really put into the
# programs: every archive and object belongs to a component, every component is there, every licence has its text.
#
#   licenses.sh MAP...    of the programs of one package, as lld writes them (-Xlinker -Map=FILE)
set -euo pipefail
export LC_ALL=C

if (($# == 0)) || [[ $1 == -* ]]; then
    echo 'usage: licenses.sh MAP...    the linker maps of the programs of one package' >&2
    exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root components=$root/packaging/components.txt licenses=$root/packaging/licenses

status=0
report() {
    printf '%s\n' "$1"
    status=1
}

# inputs MAP: the files that have a part in the program, without the archives' members. In a map the names of sections,
# files and symbols begin in columns of their own, eight apart; what lld itself makes has no file.
inputs() {
    awk '
        NR == 1 {
            column = index($0, "In      Symbol")
            if (!/^ +VMA +LMA +Size +Align +Out +In +Symbol$/) exit 1
            next
        }
        {
            name = substr($0, column)
            if (substr($0, column - 1, 1) != " " || name ~ /^ / || name !~ /:\([^()]*\)$/) next
            sub(/:\([^()]*\)$/, "", name)
            sub(/\([^()]*\)$/, "", name)
            if (name != "<internal>" && !(name in seen)) { seen[name]; print name }
        }
    ' "$1"
}

# component_of FILE: what its name says; a Swift module that has a folder in Sources is our own.
component_of() {
    local key=${1##*/} module i
    if [[ $1 =~ /([^/]+)\.build/ ]]; then
        module=${BASH_REMATCH[1]} key=${BASH_REMATCH[1]}.build
        # A program's module has other signs in its name than its folder.
        if [[ -d $root/Sources/$module || -d $root/Sources/${module//_/-} ]]; then
            printf '%s' "${names[0]}"
            return
        fi
    fi
    for i in "${!names[@]}"; do
        if [[ $key =~ ^${patterns[i]}$ ]]; then
            printf '%s' "${names[i]}"
            return
        fi
    done
}

names=() patterns=()
while IFS= read -r line; do
    case $line in
        'name: '*) names+=("${line#name: }") ;;
        'map: '*) patterns+=("${line#map: }") ;;
        'license: '*)
            for term in ${line#license: }; do
                term=${term//[()]/}
                [[ $term == @(AND|OR|WITH) || -f $licenses/$term ]] ||
                    report "packaging/licenses: the text of $term is missing, which ${names[-1]} is under"
            done
            ;;
        'notice: '*)
            [[ -f $licenses/${line#notice: } ]] || report "packaging/licenses: ${line#notice: } is missing"
            ;;
    esac
done <"$components"
if ((${#names[@]} != ${#patterns[@]})); then
    echo "$components: not every component says how it is recognised in a map"
    exit 1
fi

declare -A linked=([${names[0]}]=yes)
for map in "$@"; do
    [[ -f $map ]] || {
        echo "licenses.sh: there is no $map" >&2
        exit 2
    }
    files=$(inputs "$map") || {
        echo "$map is no linker map of lld's"
        exit 2
    }
    [[ -n $files ]] || report "$map: nothing is linked: has the map another form?"
    while IFS= read -r file; do
        component=$(component_of "$file")
        if [[ -n $component ]]; then
            linked[$component]=yes
        else
            report "$map: $file belongs to no component of packaging/components.txt"
        fi
    done <<<"$files"
done
for name in "${names[@]}"; do
    [[ -v linked[$name] ]] || report "packaging/components.txt: nothing of $name is linked any more"
done
exit "$status"
