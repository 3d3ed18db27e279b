#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Builds the fuzz targets and runs them: "bash run.sh help" lists how.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly targets=(FuzzConfiguration FuzzDecompress FuzzFrames FuzzGRPC FuzzHTTP2 FuzzMessages)
readonly build=.build-fuzz
# What was found interesting, from run to run; and what made a target fail in this one.
readonly found=$build/corpus
readonly failures=$build/failures

# An input that takes longer than this many seconds counts as a failure, and so does a process with more memory. The
# sanitizer alone keeps up to 256 MiB of what was freed.
readonly limits=(-timeout=20 -rss_limit_mb=2048)

# libFuzzer reports the trap; the runtime's own report would take long and say less.
export SWIFT_BACKTRACE=enable=no

usage() {
    cat <<'EOF'
Usage: bash run.sh VERB

  regressions            every input in Corpus and FailCases once
  minutes N              fuzzing for N minutes, the same share for each target; what made one fail goes to FailCases
  run TARGET [OPTION...] one target with options of libFuzzer's, or files to replay
  merge                  adds to Corpus what earlier runs found, as far as it adds coverage
  help                   this text
EOF
}

# fail STATUS MESSAGE: one line on stderr, then the end.
fail() {
    printf 'run.sh: %s\n' "$2" >&2
    exit "$1"
}

# On the command line the sanitizers apply to the agent's modules as well. lld, since gold stumbles over libFuzzer.
build_targets() {
    swift build -c release --scratch-path "$build" -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld >&2 ||
        fail 1 "the fuzz targets do not build"
}

# Long inputs are rarely better than short ones, but a message must have room to go wrong in several places.
largest_input() {
    case $1 in
        FuzzFrames | FuzzDecompress) echo 16384 ;;
        *) echo 4096 ;;
    esac
}

# inputs TARGET: the files that are kept for it, into the array "files".
inputs() {
    mapfile -d '' -t files < <(find "Corpus/$1" "FailCases/$1" -type f -print0 2>/dev/null | LC_ALL=C sort -z)
}

passed=0
failed=0

# report TARGET STATUS LOG TEXT
report() {
    if (($2 == 0)); then
        passed=$((passed + 1))
        printf '%-20s ok      %s\n' "$1" "$4"
    else
        failed=$((failed + 1))
        printf '%-20s FAILED  %s\n' "$1" "$4"
        grep -aE 'Fatal error|ERROR|SUMMARY|^Running' "$3" | tail -n 6 | sed 's/^/    | /' || true
        printf '    whole log: %s/%s\n' "$PWD" "$3"
    fi
}

finish() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    ((failed == 0)) || exit 1
    exit 0
}

# start: fresh folders for what fails now.
start() {
    build_targets
    rm -rf "$failures"
    mkdir -p "$failures" "$found"
}

# Files one by one, and not a folder: then libFuzzer neither cuts them nor leaves any out, and names the one that fails.
replay() {
    local target=$1 log=$failures/$1.log status=0 files
    inputs "$target"
    ((${#files[@]} > 0)) || fail 1 "$target has no inputs"
    "$build/release/$target" -runs=0 "${limits[@]}" "-artifact_prefix=$failures/$target-" "${files[@]}" >"$log" 2>&1 ||
        status=$?
    report "$target" "$status" "$log" "${#files[@]} inputs"
}

verb_regressions() {
    start
    local target
    for target in "${targets[@]}"; do replay "$target"; done
    finish
}

# keep TARGET: makes what failed a test; a crash is reduced first, if that is quick.
keep() {
    local target=$1 file smaller
    for file in "$failures/$target"-*; do
        [[ -f $file && $file != *.log && $file != *-slow-unit-* ]] || continue
        smaller=$file
        if [[ $file == *-crash-* ]]; then
            "$build/release/$target" -minimize_crash=1 -max_total_time=20 "${limits[@]}" \
                "-exact_artifact_path=$failures/$target.smaller" "$file" >>"$failures/$target.log" 2>&1 || true
            [[ ! -s $failures/$target.smaller ]] || smaller=$failures/$target.smaller
        fi
        mkdir -p "FailCases/$target"
        cp "$smaller" "FailCases/$target/$(basename "${file#"$failures/$target-"}")"
        printf '    kept: FailCases/%s/%s\n' "$target" "$(basename "${file#"$failures/$target-"}")"
    done
}

fuzz_target() {
    local target=$1 seconds=$2 log=$failures/$1.log status=0 folders=("$found/$1" "Corpus/$1")
    mkdir -p "$found/$target"
    [[ ! -d FailCases/$target ]] || folders+=("FailCases/$target")
    "$build/release/$target" "-max_total_time=$seconds" "-max_len=$(largest_input "$target")" "${limits[@]}" \
        -print_final_stats=1 "-artifact_prefix=$failures/$target-" "${folders[@]}" >"$log" 2>&1 || status=$?
    report "$target" "$status" "$log" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, $(last_coverage "$log")"
    if ((status != 0)); then keep "$target"; fi
}

last_coverage() {
    grep -aoE 'cov: [0-9]+' "$1" | tail -n 1 | sed 's/cov:/coverage/'
}

verb_minutes() {
    [[ ${1-} =~ ^[1-9][0-9]*$ ]] || fail 2 "minutes takes a number of minutes, not \"${1-}\""
    start
    local target
    for target in "${targets[@]}"; do fuzz_target "$target" $(($1 * 60 / ${#targets[@]})); done
    finish
}

verb_run() {
    local target=${1-}
    [[ -n $target && " ${targets[*]} " == *" $target "* ]] || fail 2 "run takes one of: ${targets[*]}"
    shift
    build_targets
    exec "$build/release/$target" "${limits[@]}" "$@"
}

verb_merge() {
    start
    local target
    for target in "${targets[@]}"; do
        mkdir -p "$found/$target"
        "$build/release/$target" -set_cover_merge=1 "-max_len=$(largest_input "$target")" "${limits[@]}" \
            "Corpus/$target" "$found/$target" >"$failures/$target.log" 2>&1 ||
            fail 1 "merging failed; see $PWD/$failures/$target.log"
        printf '%-20s %d inputs\n' "$target" "$(find "Corpus/$target" -type f | wc -l)"
    done
}

verb=${1-help}
(($# == 0)) || shift
case $verb in
    minutes | run) "verb_$verb" "$@" ;;
    regressions | merge)
        (($# == 0)) || fail 2 "$verb takes no argument, not \"$1\""
        "verb_$verb"
        ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
