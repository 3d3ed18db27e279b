#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Compiles static release programs for one architecture, so that the same sources give the same bytes wherever and
# whenever they are compiled.
#
#   compile.sh ARCH SCRATCH OUTPUT PRODUCT...     ARCH is amd64 or arm64; OUTPUT gets the programs
#
# Another architecture than this machine's needs the SDK that arm64/sdk.sh made; SDK names its folder. BUILD_VERSION sets
# the version in the programs. For each product, OUTPUT gets PRODUCT, which is stripped; PRODUCT.debug, the same program
# with symbols, line numbers and unwind tables, for gdb; and PRODUCT.map, the linker's.
set -euo pipefail

fail() {
    printf 'compile.sh: %s\n' "$2" >&2
    exit "$1"
}

if (($# < 4)) || [[ ! $1 =~ ^(amd64|arm64)$ ]]; then
    echo 'usage: compile.sh amd64|arm64 SCRATCH OUTPUT PRODUCT...' >&2
    exit 2
fi
readonly arch=$1
mkdir -p "$2" "$3"
scratch=$(cd "$2" && pwd) output=$(cd "$3" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
shift 3
readonly here root scratch output
cd "$root"

# The tools for other machines than this one are the compiler's own.
tools=$(swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p') || tools=''
tools=${tools%/lib/swift}/bin
[[ -x $tools/clang && -x $tools/llvm-objcopy && -x $tools/llvm-objdump ]] ||
    fail 3 'no swiftc in PATH with its clang and llvm-objcopy; install Swift from https://www.swift.org/install/linux/'

# What a program was compiled from tells it from others, for debuggers: a digest of the program itself would not do, since
# the linker makes it of more than what stays in the file. Plugin libraries are not in any program here, and other
# languages' tools leave files among them.
identity() {
    {
        swiftc --version 2>/dev/null
        printf '%s\n' "$arch ${BUILD_VERSION-}"
        find Package.swift Sources packaging/compile.sh packaging/arm64 \
            \( -path Sources/PluginLibraries -o -name '.?*' \) -prune -o -type f -print0 | LC_ALL=C sort -z |
            xargs -0 sha256sum
    } | sha256sum | cut -c 1-40
}

options=(-c release --scratch-path "$scratch" --static-swift-stdlib
    -Xswiftc -static-executable -Xswiftc -use-ld=lld
    # Functions of the same instructions are there once.
    -Xlinker --icf=all
    -Xlinker "--build-id=0x$(identity)"
    # Where the compiler keeps what it knows of C headers does not matter.
    -Xswiftc -Xfrontend -Xswiftc -no-clang-module-breadcrumbs)

# hide FOLDER NAME: where a folder is does not matter. Of several that match, the Swift compiler takes the first, clang the
# last: the outer one is to be hidden twice.
hide() { options+=(-Xswiftc -file-prefix-map -Xswiftc "$1=$2" -Xcc "-ffile-prefix-map=$1=$2"); }
options+=(-Xcc "-ffile-prefix-map=$root=.")
hide "$scratch" ./build
hide "${tools%/*}" /usr
options+=(-Xswiftc -file-prefix-map -Xswiftc "$root=.")

case $arch in
    amd64) machine=x86_64 elf=3e00 ;;
    arm64) machine=aarch64 elf=b700 ;;
esac

if [[ $(uname -m) != "$machine" ]]; then
    sdk=${SDK-}
    readonly made=elkeid-arm64.artifactbundle/made
    [[ $arch == arm64 && -e $sdk/$made ]] ||
        fail 3 "no SDK for $arch in \"$sdk\"; arm64/sdk.sh makes one for arm64, there is none for others"
    sdk=$(cd "$sdk" && pwd)
    # SwiftPM does not see that an SDK is another one than before.
    [[ ! -e $scratch/sdk.made ]] || cmp -s "$sdk/$made" "$scratch/sdk.made" || rm -rf "${scratch:?}"/*
    cp "$sdk/$made" "$scratch/sdk.made"
    sysroot=$sdk/elkeid-arm64.artifactbundle/aarch64/root
    "$tools/clang" --target=aarch64-unknown-linux-gnu --sysroot="$sysroot" -O2 -Wall -Wextra -Werror \
        -c "$here/arm64/glibc-compat.c" -o "$scratch/glibc-compat.o" || fail 1 'glibc-compat.c does not compile'
    # SwiftPM asks for the C libraries' options by these.
    export PKG_CONFIG_PATH=$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig PKG_CONFIG_SYSROOT_DIR=$sysroot
    unset PKG_CONFIG_LIBDIR
    options+=(--swift-sdks-path "$sdk" --swift-sdk elkeid-arm64 -Xlinker "$scratch/glibc-compat.o")
    hide "$sdk" ./sdk
fi

# is_static FILE: ELF of 64 bits for this architecture, which names no interpreter and no library.
is_static() {
    local head
    head=$(od -An -tx1 -N20 "$1" | tr -d ' \n')
    [[ $head == 7f454c4602* && $head == *"$elf" ]] && ! "$tools/llvm-objdump" -p "$1" | grep -Eq '^ *(INTERP|DYNAMIC) '
}

for product in "$@"; do
    swift build "${options[@]}" -Xlinker "-Map=$output/$product.map" --product "$product" >&2 ||
        fail 1 "$product does not build for $arch"
    binaries=$(swift build "${options[@]}" --show-bin-path)
    # The digests in this section, of the compiler's intermediate code, know where the sources were.
    "$tools/llvm-objcopy" -R .swift_modhash "$binaries/$product" "$output/$product.debug"
    # Nothing in these programs throws C++ exceptions: the tables that unwinding needs, a tenth of the file, are for
    # debuggers, and those have them in the other file.
    "$tools/llvm-objcopy" --strip-all -R .comment -R .eh_frame -R .eh_frame_hdr "$output/$product.debug" \
        "$output/$product"
    is_static "$output/$product" || fail 1 "$output/$product is not a static program for $arch"
done
