#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The programs for 64-bit ARM, in an emulator: the service under systemd in a booted container, its plugin, and a server
# on the other side that is a program of this machine, with mutual TLS between them.
#
# usage: arm64.sh FOLDER [NATIVE]     with the static binaries for ARM; NATIVE has those of this machine (output)
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/fixture.sh
. "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"

# ---- The emulator: while the test runs, the kernel starts programs for ARM with it (binfmt_misc), wherever they are

readonly formats=/proc/sys/fs/binfmt_misc emulator=/usr/bin/qemu-aarch64-static
format='' is_mounted_here=''

# Since the emulator is opened here and now (F), it is found in containers, too.
register_emulator() {
    local zero='\x00\x00\x00\x00\x00\x00\x00\x00' any='\xff\xff\xff\xff\xff\xff\xff'
    if [[ ! -e $formats/register ]]; then
        mount -t binfmt_misc binfmt_misc "$formats" || die 'the kernel has no binfmt_misc'
        is_mounted_here=yes
    fi
    format=elkeid-test-$$
    printf '%s' ":$format:M::\x7fELF\x02\x01\x01\x00$zero\x02\x00\xb7\x00" \
        ":$any\x00$any\xff\xfe\xff\xff\xff:$emulator:F" >"$formats/register" || {
        format=''
        die "cannot register $emulator in $formats"
    }
}

unregister_and_clean_up() {
    local status=$?
    set +e
    [[ -z $format ]] || echo -1 >"$formats/$format"
    [[ -z $is_mounted_here ]] || umount "$formats"
    (exit "$status")
    clean_up
}

# ---- What is asked below

# version_of PROGRAM ARGUMENT
version_of() { "$binaries/$1" "$2" 2>&1 | grep -oE '[0-9]+(\.[0-9]+){3}' | head -n 1; }

is_for_arm() {
    local program
    for program in elkeid-agent elkeidctl elkeid-devcenter process-collector; do
        same '7f454c460201 b700' "$(od -An -tx1 -N20 "$binaries/$program" | tr -d ' \n' |
            sed 's/^\(.\{12\}\).*\(....\)$/\1 \2/')" || return
    done
}

center_says() { inside grep -E -- "$1" /run/center.log | tail -n 1 | grep .; }

status_of_running() {
    local text
    text=$(inside elkeidctl status) || return
    printf '%s\n' "$text"
    [[ $(head -n 1 <<<"$text") == *elkeid-agent.service* ]] && grep -q 'Active: active (running)' <<<"$text" &&
        grep -q process-collector <<<"$text"
}

# The last line has the ledger.
drained() {
    local last
    last=$(inside tail -n 1 "$agent_log")
    printf '%s\n' "$last"
    [[ $last == *'the agent has stopped'* ]] && grep -Eq '"received":[1-9]' <<<"$last" &&
        grep -q '"malformed":0' <<<"$last" && grep -q '"dropped":{}' <<<"$last"
}

# ---- The test

begin arm64 "${@:1:1}"
native=$(cd "${2:-$here/../../output}" 2>/dev/null && pwd) || die "there are no native programs in ${2:-output}"
[[ -x $native/elkeid-devcenter ]] || die "there is no elkeid-devcenter in $native; make it with: bash build.sh"
if [[ $(uname -m) != aarch64 ]]; then
    need "$emulator:qemu-user-static"
    trap unregister_and_clean_up EXIT
    register_emulator
fi

require 'the programs are for ARM' is_for_arm
require 'elkeid-agent --version' version_of elkeid-agent --version
version=$(version_of elkeid-agent --version)
check 'elkeidctl version' same "$version" "$(version_of elkeidctl version)"

make_root systemd systemd systemd-sysv dbus
overlay
install_agent systemd
# The server is a program of this machine.
install -m 755 "$native/elkeid-devcenter" "$target/usr/sbin/elkeid-devcenter"
# Downloaded and unpacked by the agent.
tar -C "$binaries" -czf "$target/root/plugins/process-collector" process-collector
sed -i 's/^compression = .*/compression = zstd/' "$target/etc/elkeid/agent.conf"
boot_nspawn

check 'elkeid-agent --check-config' inside elkeid-agent --check-config
require 'the center runs, without emulator' start_center process-collector
require 'elkeidctl start' inside elkeidctl start
require 'the agent is connected, with mutual TLS' within 60 log_has 'get connection successfully.* tls=TLSv1'
check 'its records arrive at the center' within 60 center_says 'records [1-9].* 1000:'
check 'the plugin was downloaded, unpacked and started; its records arrive' within 60 center_says ' 5050:[1-9]'
check 'elkeidctl status' within 20 status_of_running
check 'elkeidctl doctor: nothing is wrong' inside elkeidctl doctor
check 'elkeidctl metrics' inside elkeidctl metrics
check 'elkeidctl bundle' inside elkeidctl bundle
check 'elkeidctl stop' inside elkeidctl stop
check 'the plugin was drained, nothing was dropped' drained

# ---- Everything emulated: the demonstration ends with 0 if all that the agent had has arrived

install -D -m 755 "$binaries/elkeid-devcenter" "$target/root/arm64/elkeid-devcenter"
install -m 755 "$binaries/process-collector" "$target/root/arm64/process-collector"
demonstration() {
    inside /root/arm64/elkeid-devcenter demo --agent /usr/sbin/elkeid-agent --plugin /root/arm64/process-collector \
        --compression "$1" --seconds 3
}
for coding in none snappy gzip; do check "a demonstration, compression $coding" demonstration "$coding"; done

show_state
check 'powered off in order' power_off 45
finish
