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
register_emulator

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
