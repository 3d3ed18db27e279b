#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# A Swift SDK that compiles static programs for 64-bit ARM on another machine: the C libraries of Debian 12, and the
# Swift library of Debian's unstable suite, since swift.org offers none for cross compiling with glibc.
#
#   sdk.sh FOLDER     makes the SDK there, if it is not there or is one of an older recipe
#
# Nothing is installed, and the machine's own apt and dpkg are neither asked nor changed: the packages are downloaded
# and checked by apt with a state of its own, and unpacked. The work is done in FOLDER/new, which an interrupted run
# leaves for the next one to go on with; FOLDER/log has the details. Ends with 4 if a package cannot be had.
set -euo pipefail

# A change of this number has every SDK made anew.
readonly recipe=2

readonly suite=bookworm swift_suite=sid
readonly archive=http://deb.debian.org/debian security_archive=http://deb.debian.org/debian-security
readonly archive_keys=/usr/share/keyrings/debian-archive-keyring.gpg

# The oldest library that the sources compile with; the newest is the compiler's own version.
readonly oldest_swift=6.2

# Headers, start files and archives of the C side, and of what build.sh asks for under "build_needs".
readonly c_packages=(libc6-dev linux-libc-dev libcrypt-dev libgcc-12-dev libstdc++-12-dev
    libssl-dev libnghttp2-dev libc-ares-dev libjansson-dev libarchive-dev zlib1g-dev libzstd-dev libsnappy-dev)

readonly swift_folder=usr/libexec/swift/lib/swift_static

fail() {
    printf 'sdk.sh: %s\n' "$2" >&2
    exit "$1"
}

say() { printf 'sdk.sh: %s\n' "$1" >&2; }

if (($# != 1)) || [[ $1 == -* ]]; then
    echo 'usage: sdk.sh FOLDER     where the Swift SDK for 64-bit ARM is to be' >&2
    exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
readonly folder new=$folder/new log=$folder/log bundle=$folder/elkeid-arm64.artifactbundle
# Of the bundle that is being made, and of any.
readonly new_bundle=$new/${bundle##*/} resources=aarch64/root/usr/lib/swift_static
readonly root=$new_bundle/aarch64/root

# ---------------------------------------------------------------------------------------------------------------------
# Packages
# ---------------------------------------------------------------------------------------------------------------------

# with_apt PROGRAM STATE ARGUMENT...: the program of apt's, with everything that it would read of the machine's own, but
# for how to reach the network, in the folder of this state.
with_apt() {
    local program=$1 state=$new/apt/$2
    shift 2
    LC_ALL=C "$program" -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state" \
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Default-Release= -o Acquire::Languages=none \
        -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false \
        -o APT::Update::Error-Mode=any -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=60 "$@"
}

# reason: the first thing that apt complained about.
reason() {
    local text
    text=$(grep -m 1 -E '^[EW]: Failed to fetch|^E: ' "$log") || true
    printf '%s' "${text:-see $log}"
}

# cannot_get WHAT WHERE
cannot_get() {
    fail 4 "cannot get $1 for arm64 from $2 ($(reason)); run this again when it can be reached, it is needed only once"
}

# read_lists STATE SUITE SOURCE...: what there is in the sources, each "ADDRESS SUITE".
read_lists() {
    local state=$new/apt/$1 source
    mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/debs"
    : >"$state/status"
    for source in "${@:3}"; do printf 'deb [signed-by=%s] %s main\n' "$archive_keys" "$source"; done \
        >"$state/sources.list"
    with_apt apt-get "$1" update >>"$log" 2>&1 </dev/null || cannot_get "the list of packages of $2" "$archive"
}

# download STATE SUITE PACKAGE...: into the state's folder "debs". What an interrupted run has got is not fetched again.
download() {
    (cd "$new/apt/$1/debs" && with_apt apt-get "$1" download "${@:3}") >>"$log" 2>&1 </dev/null ||
        cannot_get "${*:3}" "$archive $2"
}

# note_package DEB: what the programs are made of is read from this list.
note_package() {
    # shellcheck disable=SC2016 # dpkg-deb's own variables
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$1" >>"$new_bundle/packages"
}

add_c_libraries() {
    rm -rf "$new/apt/c" "$root"
    say "fetching the C libraries of $suite (20 MB)"
    read_lists c "$suite" "$archive $suite" "$archive $suite-updates" "$security_archive $suite-security"
    download c "$suite" "${c_packages[@]}"
    mkdir -p "$root"
    local package
    rm -f "$new_bundle/packages"
    for package in "$new"/apt/c/debs/*.deb; do
        dpkg-deb -x "$package" "$root"
        note_package "$package"
    done
    rm -rf "${root:?}"/usr/{share,bin} "$new/apt/c"
    # Links to shared libraries, which are not here.
    find "$root" -name '*.so' -type l -delete
}

# is_before VERSION VERSION: as numbers, not as text.
is_before() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

add_swift_library() {
    local found compiler package
    compiler=$(swiftc --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    [[ -n $compiler ]] || fail 3 'no swiftc in PATH; install Swift from https://www.swift.org/install/linux/'
    read_lists swift "$swift_suite" "$archive $swift_suite"
    found=$(with_apt apt-cache swift show --no-all-versions swiftlang 2>>"$log" | sed -n 's/^Version: //p') || true
    [[ -n $found ]] || cannot_get swiftlang "$archive $swift_suite"
    found=${found#*:}
    if is_before "$found" "$oldest_swift"; then
        fail 4 "$archive $swift_suite has swiftlang $found for arm64, and the sources need $oldest_swift or newer"
    fi
    # A compiler reads the interfaces of older versions, not of newer ones.
    if is_before "$compiler" "$(grep -oE '^[0-9]+\.[0-9]+' <<<"$found")"; then
        fail 4 "$archive $swift_suite has swiftlang $found for arm64, too new for swiftc $compiler: update Swift first"
    fi
    find "$new/apt/swift/debs" -type f ! -name "swiftlang_*${found}_*" -delete
    say "fetching swiftlang $found of $swift_suite (500 MB)"
    download swift "$swift_suite" swiftlang
    mkdir -p "$new/swift" "$root/usr/lib"
    for package in "$new"/apt/swift/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$new/swift" "./$swift_folder" 2>>"$log" ||
            fail 4 "cannot unpack $swift_folder of swiftlang $found for arm64 (see $log): sdk.sh was made for 6.2.3"
        note_package "$package"
    done
    rm -rf "$new/apt/swift"
    rm -rf "${new_bundle:?}/$resources"
    mv "$new/swift/$swift_folder" "$new_bundle/$resources"
    rm -rf "$new/swift"
    # Modules as another compiler stored them; the text beside them is what this one reads.
    find "$new_bundle/$resources" -name '*.swiftmodule' -type f -delete
    # Foundation has no such text, and nothing that runs on a host may import it.
    find "$new_bundle/$resources" -depth -iname '*foundation*' ! -path '*/shims/*' -exec rm -rf {} +
    # What Swift 6.3 calls unsafe is said to be unsafe here too: each "unsafe" that is for it would bring a warning.
    sed -i -E '/^extension Swift\.(Mutable)?Span where Element : Swift\.BitwiseCopyable \{$/,/^\}/{
        /@unsafe/! s/public var bytes: Swift\.RawSpan \{$/@unsafe &/
    }' "$new_bundle/$resources"/linux/Swift.swiftmodule/*.swiftinterface
    # Looked for under this name, too.
    ln -sfn swift_static "$root/usr/lib/swift"
}

# ---------------------------------------------------------------------------------------------------------------------
# The SDK
# ---------------------------------------------------------------------------------------------------------------------

# step NAME COMMAND: done once in the life of FOLDER/new.
step() {
    [[ ! -e $new/$1.done ]] || return 0
    "$2"
    : >"$new/$1.done"
}

describe() {
    cat >"$new_bundle/info.json" <<'JSON'
{
  "schemaVersion": "1.0",
  "artifacts": {
    "elkeid-arm64": { "type": "swiftSDK", "version": "1.0.0", "variants": [{ "path": "aarch64" }] }
  }
}
JSON
    cat >"$new_bundle/aarch64/swift-sdk.json" <<'JSON'
{
  "schemaVersion": "4.0",
  "targetTriples": {
    "aarch64-unknown-linux-gnu": {
      "sdkRootPath": "root",
      "swiftResourcesPath": "root/usr/lib/swift_static",
      "swiftStaticResourcesPath": "root/usr/lib/swift_static",
      "toolsetPaths": ["toolset.json"]
    }
  }
}
JSON
    cat >"$new_bundle/aarch64/toolset.json" <<'JSON'
{
  "schemaVersion": "1.0",
  "rootPath": "",
  "swiftCompiler": { "extraCLIOptions": ["-use-ld=lld"] }
}
JSON
}

# The headers of the compiler itself are always those of the compiler in use.
link_compiler() {
    local own
    own=$(swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p') || true
    [[ -e $own/clang ]] || fail 3 'no swiftc in PATH; install Swift from https://www.swift.org/install/linux/'
    ln -sfn "$own/clang" "$bundle/$resources/clang"
}

# Two builds that are started together make one SDK.
exec {lock}>"$folder/.lock"
flock "$lock"
if [[ ! -e $bundle/recipe || $(<"$bundle/recipe") != "$recipe" ]]; then
    for tool in apt-get apt-cache dpkg-deb; do
        command -v "$tool" >/dev/null 2>&1 ||
            fail 4 "no $tool: the SDK is made of Debian's packages, with the tools of Debian or Ubuntu"
    done
    [[ -e $archive_keys ]] || fail 4 "no $archive_keys: install the package debian-archive-keyring"
    # What was begun by another recipe is of no use.
    [[ -e $new_bundle/recipe && $(<"$new_bundle/recipe") == "$recipe" ]] || rm -rf "$new"
    mkdir -p "$new_bundle"
    echo "$recipe" >"$new_bundle/recipe"
    : >"$log"
    step c add_c_libraries
    step swift add_swift_library
    describe
    date -u +%FT%TZ >"$new_bundle/made"
    rm -rf "$bundle"
    mv "$new_bundle" "$bundle"
    rm -rf "$new"
    say "made $folder ($(du -sm "$folder" | cut -f 1) MB)"
fi
link_compiler
