#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Checks what each target under Sources imports against the dependency rules of the architecture.
#
#   imports.sh [DIRECTORY]    the repository to check; this one by default
set -euo pipefail
cd "${1-$(dirname "${BASH_SOURCE[0]}")/../..}"

# A target, and what it may import. A Swift module of ours brings what that module may import, but not the C libraries
# behind it: whoever wants one of those is listed with it. The exception is CLinux, which goes with Syscalls.
rules='
Syscalls            CLinux
Buffers
Configuration       Syscalls
Reactor             Syscalls
ElkeidWire          Buffers
Compression         Buffers CSnappy CZlib CZstd
TLS                 Buffers COpenSSL
HTTP2               Buffers CNGHTTP2
GRPC                Buffers Compression HTTP2
HTTP1
JSON                CJansson
Net                 HTTP1 Reactor TLS CAres
Console
Control             JSON Reactor Syscalls
Spool               Compression Syscalls
Upgrade             Cgroups Control JSON
Delivery            Buffers ElkeidWire Reactor Spool
Transport           Net HTTP2 GRPC HTTP1 JSON Delivery Logging
Cgroups             Syscalls
Plugins             Cgroups Reactor ElkeidWire Delivery Logging
Components          Net HTTP1 Plugins DiskWorker JSON Upgrade Logging CArchive
DiskWorker          Reactor Logging CZlib
Host                Syscalls
Agent               Components Upgrade Configuration Control DiskWorker Host Plugins Transport CBuildInfo Logging
ElkeidPlugin
ControlTool         Cgroups Configuration Console Control Host Transport Logging CArchive
elkeid-agent        Agent ControlTool CBuildInfo
Conformance         Console ElkeidWire JSON Reactor Syscalls
DevelopmentCenter   Conformance Console Transport COpenSSL
elkeid-devcenter    DevelopmentCenter CBuildInfo
ProcessCollector    ElkeidPlugin
process-collector   ProcessCollector ElkeidPlugin
example             ElkeidPlugin
bench               ElkeidPlugin
template            ElkeidPlugin PackageDescription
'
# What any target may import: the language and the C library.
readonly everywhere=' Glibc Swift Synchronization '

declare -A direct=()
while read -r target modules; do
    [[ -z $target ]] || direct[$target]=$modules
done <<<"$rules"

# allowed_modules TARGET: into the variable "allowed", each module between two spaces.
allowed=''
allowed_modules() {
    local module own=$1
    for module in ${direct[$own]}; do
        [[ $allowed != *" $module "* ]] || continue
        allowed+="$module "
        [[ -v direct[$module] ]] && allowed_modules "$module" nested
    done
    # Only the Swift modules of a dependency are inherited.
    if [[ ${2-} != nested ]]; then
        local kept=' '
        for module in $allowed; do
            if [[ -v direct[$module] || " ${direct[$own]} " == *" $module "* ]]; then kept+="$module "; fi
        done
        [[ $kept != *" Syscalls "* ]] || kept+='CLinux '
        allowed=$kept
    fi
}

readonly import_line='^[[:space:]]*(@[A-Za-z_]+(\([^)]*\))?[[:space:]]+)*((public|package|internal|fileprivate|private)[[:space:]]+)?import[[:space:]]+((struct|class|enum|protocol|typealias|func|let|var)[[:space:]]+)?([A-Za-z_][A-Za-z_0-9]*)'

status=0
for directory in Sources/*/ Sources/PluginLibraries/swift/*/; do
    [[ $directory != Sources/PluginLibraries/ ]] || continue
    target=$(basename "$directory")
    mapfile -d '' -t files < <(find "$directory" -name '*.swift' -print0 | LC_ALL=C sort -z)
    ((${#files[@]} > 0)) || continue
    if [[ ! -v direct[$target] ]]; then
        printf '%s the target has no line in packaging/ci/imports.sh\n' "$directory"
        status=1
        continue
    fi
    allowed=' '
    allowed_modules "$target"
    while IFS=: read -r file number text; do
        [[ $text =~ $import_line ]] || continue
        module=${BASH_REMATCH[7]}
        [[ $allowed$everywhere == *" $module "* ]] && continue
        printf '%s:%s: %s may not import %s; allowed:%s\n' "$file" "$number" "$target" "$module" "$allowed"
        status=1
    done < <(grep -nHE '^[^/]*import[[:space:]]' "${files[@]}" || true)
done
exit "$status"
