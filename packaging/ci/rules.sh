#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Rules of the code base that neither the compiler nor swift-format enforces.
#
#   rules.sh [DIRECTORY]    the repository to check; this one by default
set -euo pipefail
cd "${1-$(dirname "${BASH_SOURCE[0]}")/../..}"

readonly max_lines=1000

status=0
report() {
    printf '%s\n' "$1"
    status=1
}

# files DIRECTORY... -- PATTERN...: into the array "found".
files() {
    local directories=() names=()
    while [[ $1 != -- ]]; do
        [[ ! -d $1 ]] || directories+=("$1")
        shift
    done
    shift
    while (($# > 0)); do
        names+=(${names[@]+-o} -name "$1")
        shift
    done
    found=()
    ((${#directories[@]} == 0)) ||
        mapfile -d '' -t found < <(find "${directories[@]}" \( -name '.?*' -o -name '*.pb.go' \) -prune -o \( "${names[@]}" \) -print0 | LC_ALL=C sort -z)
}

# forbid REASON REGEX: reports each match in the files of "found".
forbid() {
    local line
    ((${#found[@]} > 0)) || return 0
    while IFS= read -r line; do
        report "$line: $1"
    done < <(grep -nHE "$2" "${found[@]}" || true)
}

files Sources Tests Benchmarks -- '*.swift' '*.c' '*.h' '*.go' '*.rs'
forbid "unfinished work belongs in an issue" '\b(TODO|FIXME|XXX)\b'
for file in ${found[@]+"${found[@]}"}; do
    lines=$(wc -l <"$file")
    ((lines <= max_lines)) || report "$file: $lines lines; at most $max_lines"
    head -n 5 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || report "$file: no SPDX line at the top"
done

files Sources Tests Benchmarks -- '*.swift'
forbid "use typed errors" '\btry!'
forbid "sharing between threads is proved, not claimed" '@unchecked Sendable'
forbid "test the public behaviour" '@testable'

files Sources -- '*.h'
forbid "define it in .c files: it changes the headers that Swift imports" '^[[:space:]]*#[[:space:]]*define[[:space:]]+_GNU_SOURCE'

found=(Package.swift)
forbid "the package must stay usable as a dependency" 'unsafeFlags'
exit "$status"
