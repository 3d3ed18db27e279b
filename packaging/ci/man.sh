#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Compares the manual pages with what the programs and the sample configuration say: each command, option and key is in
# its page, with its default, and nothing else is. Lints them where mandoc and groff are installed.
#
#   man.sh FOLDER    with the binaries elkeid-agent and elkeidctl
set -euo pipefail

if (($# != 1)) || [[ ! -x $1/elkeidctl || ! -x $1/elkeid-agent ]]; then
    echo 'usage: man.sh FOLDER    with the binaries elkeid-agent and elkeidctl' >&2
    exit 2
fi
binaries=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C

readonly agent_page=packaging/man/elkeid-agent.8
readonly control_page=packaging/man/elkeidctl.8
readonly settings_page=packaging/man/agent.conf.5
readonly sample=packaging/agent.conf

status=0
report() {
    printf '%s\n' "$1"
    status=1
}

# What is documented, and what there is: "PLACE<tab>TEXT" lines in a file each, compared as sets.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# tags PAGE: a line for each .TP and .TQ, "HEADING<tab>TAG"; the heading is that of the part it is in, as the page has it,
# without fonts. Headings have a line of their own, with an empty tag.
tags() {
    awk '
        function plain(text) {
            gsub(/\\f[A-Z]/, "", text)
            gsub(/\\-/, "-", text)
            gsub(/\\\(dq/, "\001", text)
            gsub(/"/, "", text)
            gsub(/\001/, "\"", text)
            gsub(/  +/, " ", text)
            sub(/^\.[A-Z]+ */, "", text)
            return text
        }
        /^\.S[HS] / { heading = plain($0); print heading "\t"; next }
        /^\.T[PQ]/ { wanted = 1; next }
        wanted { print heading "\t" plain($0); wanted = 0 }
    ' "$1"
}

# compare PAGE WHAT: $work/there and $work/documented, without duplicates.
compare() {
    local place text
    sort -u "$work/there" >"$work/there.sorted"
    sort -u "$work/documented" >"$work/documented.sorted"
    [[ -s $work/there.sorted ]] || report "$1: the programs name no $2: has their help another form?"
    while IFS=$'\t' read -r place text; do
        report "$1: missing: $2 ${text:-$place}${text:+ of $place}"
    done < <(comm -23 "$work/there.sorted" "$work/documented.sorted")
    while IFS=$'\t' read -r place text; do
        report "$1: not there any more: $2 ${text:-$place}${text:+ of $place}"
    done < <(comm -13 "$work/there.sorted" "$work/documented.sorted")
}

# options: of a help text, those that have a line of their own, with the names of their values.
options() { sed -nE 's/^  (--[a-z_-]+( [A-Z]+)?)( .*|$)/\1/p'; }

# --- The pages themselves ---------------------------------------------------------------------------------------------

for page in "$agent_page" "$control_page" "$settings_page"; do
    if command -v mandoc >/dev/null 2>&1; then
        mandoc -T lint -W warning "$page" || report "$page: mandoc finds fault with it"
    fi
    if command -v groff >/dev/null 2>&1; then
        complaints=$(groff -man -ww -z "$page" 2>&1) || complaints+=" (groff failed)"
        [[ -z $complaints ]] || report "$complaints"
    fi
done
command -v mandoc >/dev/null 2>&1 || echo 'mandoc is not installed: the manual pages are not linted'

# --- elkeidctl --------------------------------------------------------------------------------------------------------

"$binaries/elkeidctl" help >"$work/help"
sed -nE 's/^  ([a-z][a-z-]*)  +.*/\1/p' "$work/help" >"$work/commands"
sed 's/$/\t/' "$work/commands" >"$work/there"
# Commands are the only parts of the page that are named in small letters.
tags "$control_page" | sed -nE 's/^([a-z][a-z-]*)( [^\t]*)?\t$/\1\t/p' >"$work/documented"
compare "$control_page" command

{
    options <"$work/help" | sed 's/^/GLOBAL OPTIONS\t/'
    while read -r command; do
        "$binaries/elkeidctl" "$command" --help | options | sed "s/^/$command\t/"
    done <"$work/commands"
} >"$work/there"
# --help and --version stand for the commands of that name; help does not list them.
tags "$control_page" | sed -nE 's/^([a-z][a-z-]*|GLOBAL OPTIONS)( [^\t]*)?\t(--.*)$/\1\t\3/p' |
    grep -vE $'^GLOBAL OPTIONS\t--(help|version)' >"$work/documented"
compare "$control_page" option

# --- elkeid-agent -----------------------------------------------------------------------------------------------------

{
    "$binaries/elkeid-agent" --help | options | sed 's/^/OPTIONS\t/'
    "$binaries/elkeid-agent" spool --help | sed -nE 's/^  ([a-z]+)  +.*/THE SPOOL\t\1/p'
} >"$work/there"
tags "$agent_page" | sed -nE 's/^(OPTIONS|THE SPOOL)\t(.+)$/\1\t\2/p' | sed 's/ , .*//' >"$work/documented"
compare "$agent_page" option

# --- agent.conf -------------------------------------------------------------------------------------------------------

# In the sample, what stands for any plugin is an example behind comment signs: its keys have no defaults.
awk '
    /^#\[plugin "/ { section = "[plugin \"NAME\"]"; example = 1; next }
    /^\[/ { section = $0; example = 0; next }
    example { sub(/^#/, "") }
    /^[a-z_]+ =/ {
        if (example) sub(/ =.*/, " =")
        print section "\t" $0
    }
' "$sample" >"$work/there"
tags "$settings_page" | sed -nE 's/^(\[[^\t]*\])\t(.+)$/\1\t\2/p' >"$work/documented"
compare "$settings_page" key

exit "$status"
