#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The deb on a whole machine of its architecture, an emulated one: its kernel with cgroups of version 2 and kernel TLS,
# systemd, and a server in it. Installed, limited, upgraded, switched off and on, removed, purged. Takes some minutes,
# for lack of acceleration.
#
# usage: machine.sh amd64|arm64 FOLDER     with the packages that build.sh makes, and the programs in FOLDER/amd64 or
#                                          FOLDER/arm64
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
# shellcheck source=packaging/tests/limits.sh
. "$(dirname "${BASH_SOURCE[0]}")/limits.sh"

# An emulated processor unpacks a package for a while, beside others that are busy.
command_limit=300
# A tenth of it, which is what the service may use, downloads and checks plugins.
readonly patience=240

begin_machine() {
    [[ $# == 2 && $1 =~ ^(amd64|arm64)$ && -d $2 ]] || {
        echo 'usage: machine.sh amd64|arm64 FOLDER     with the packages that build.sh makes' >&2
        exit 2
    }
    name=machine-$1
    architecture=$1
    packages=$(cd "$2" && pwd)
    binaries=$packages/$1
    deb=$(newest "$packages"/elkeid-agent_*"_$1.deb") ||
        die "there is no elkeid-agent_*_$1.deb in $packages; make it with: bash build.sh"
    local program missing=()
    for program in elkeid-devcenter process-collector; do
        [[ -x $binaries/$program ]] || missing+=("$program")
    done
    ((${#missing[@]} == 0)) ||
        die "${missing[*]} missing in $binaries; packaging/compile.sh $1 makes such programs"
    open_work
    need dpkg-deb:dpkg dumpe2fs:e2fsprogs
    version=$(dpkg-deb -f "$deb" Version)
    version=${version#*:}
    version=${version%-*}
    for_architecture "$1"
}

# ---- Programs for the machine, static, since it has no compiler and perhaps another C library

compiler=()

# The compiler that makes the programs for ARM, with the same libraries; or Debian's.
find_compiler() {
    local tools sysroot=${SDK:-$packaging/../.build-arm64-sdk}/elkeid-arm64.artifactbundle/aarch64/root
    if ! is_foreign; then
        need cc:gcc /usr/include/stdio.h:libc6-dev
        compiler=(cc)
        return
    fi
    tools=$(swiftc -print-target-info 2>/dev/null | sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p') || tools=''
    tools=${tools%/lib/swift}/bin
    if [[ -x $tools/clang && -x $tools/ld.lld && -d $sysroot ]]; then
        compiler=("$tools/clang" --target=aarch64-unknown-linux-gnu "--sysroot=$sysroot" -fuse-ld=lld)
    else
        need aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu /usr/aarch64-linux-gnu/lib/libc.a:libc6-dev-arm64-cross
        compiler=(aarch64-linux-gnu-gcc)
    fi
}

# compiled SOURCE PROGRAM
compiled() {
    "${compiler[@]}" -O1 -static -Wall -Wextra -Werror -o "$target/root/$2" "$here/$1" || die "$1 cannot be compiled"
}

prepare() {
    mkdir -p "$target/root/plugins"
    install -m 755 "$binaries/elkeid-devcenter" "$target/usr/sbin/elkeid-devcenter"
    install -m 755 "$binaries/process-collector" "$target/root/plugins/process-collector"
    find_compiler
    compiled hog.c plugins/hog
    cp "$target/root/plugins/hog" "$target/root/plugins/quiet"
    compiled kernel-tls.c kernel-tls
    add_modules
    take_over "$deb" "$newer"
}

# ---- What is asked below

machine_is() { same "$1" "$(inside uname -m)"; }
groups_are() { same "$1" "$(inside stat -f -c %T /sys/fs/cgroup)"; }
system_is_well() { same running "$(inside systemctl is-system-running)"; }

# The disk is the machine's own: it is the machine that looks at it.
listing_there() { inside bash -c "$(declare -f listing); target=/; listing >/root/$1"; }
left_there() {
    listing_there now
    same '' "$(inside sh -c 'diff /root/before /root/now | grep "^[<>]"' | grep -vE "${1:-^$}")"
}
# Where the listing does not look.
no_name_there() { same '' "$(inside find /run /tmp /var/tmp /var/cache -iname '*elkeid*' ! -name '*elkeid-test*')"; }

ready() { same $'notify\nactive\nrunning' "$(property Type && property ActiveState && property SubState)"; }
# shellcheck disable=SC2016 # for the shell in the machine
put_limits() { inside sh -c 'printf "%s\n" "$1" >>/etc/elkeid/agent.conf' sh "$(limits)"; }
limits_kept() { inside grep -qx '.plugin "hog".' /etc/elkeid/agent.conf; }

connected_times() { (($(count_in_log 'get connection successfully.* tls=TLSv1\.3') >= $1)); }

# The number of records that the center has got.
records() { center_says 'records [0-9]+' | sed 's/.*records \([0-9]*\).*/\1/'; }
more_records() { (($(records) > $1)); }

status_of_running() {
    local text plugin
    text=$(inside elkeidctl status) || return
    printf '%s\n' "$text"
    [[ $(head -n 1 <<<"$text") == *elkeid-agent.service* ]] || return
    for plugin in process-collector hog quiet; do grep -q "$plugin" <<<"$text" || return; done
}

# tls_counted COUNTER=NUMBER...: what the kernel says of its connections.
tls_counted() {
    local text wanted
    text=$(inside cat /proc/net/tls_stat)
    printf '%s\n' "$text"
    for wanted in "$@"; do grep -Eq "^${wanted/=/[[:space:]]+}[[:space:]]*$" <<<"$text" || return; done
}

# The agent's process and its connection are what they were, and records arrive.
unharmed() {
    same "$pid" "$(main_pid)" && same "$connections" "$(count_in_log 'get connection successfully')" &&
        within 60 more_records "$1"
}

other_process() { [[ $(main_pid) != "$pid" ]] && runs_ours; }

# The kernel writes down that it is still in use, and takes that back when it is unmounted.
disk_is_clean() {
    local text
    text=$(dumpe2fs -h "$work/disk" 2>/dev/null)
    grep -E '^Filesystem (state|features)' <<<"$text"
    grep -q '^Filesystem state: *clean$' <<<"$text" && ! grep -q needs_recovery <<<"$text"
}

removed_there() {
    # shellcheck disable=SC2016 # for the shell in the machine
    inside sh -c 'test -e /etc/elkeid/agent.conf && ! test -e /usr/sbin/elkeid-agent &&
        ! test -e /lib/systemd/system/elkeid-agent.service &&
        test -z "$(find /etc/systemd /etc/elkeid -type l -name "*elkeid-agent*")"'
}

unit_is_gone() {
    no_agent && property_is LoadState not-found && property_is ActiveState inactive &&
        same '' "$(inside systemctl --failed --quiet --no-legend)"
}

# ---- The test

begin_machine "$@"
make_deb 99.0.0.1
newer=$made
make_root machine systemd systemd-sysv dbus kmod
overlay
prepare
boot_qemu systemd

case $architecture in
    amd64) check 'the kernel is one for amd64' machine_is x86_64 ;;
    arm64) check 'the kernel is one for arm64' machine_is aarch64 ;;
esac
check 'the system is well' system_is_well
check 'it has cgroups of version 2' groups_are cgroup2fs
listing_there before

section 'Installed'

require 'installed' install_deb "$deb"
check 'by its own account' installed "$version"
check 'nothing is complained of' said_only
check 'the files are those of the package' intact
check 'enabled' enabled enabled
check 'active, and ready by its own account' ready
require 'our program runs, and answers' within "$patience" runs_ours
check 'without certificates it tries, and stays' within 30 log_has 'next attempt'

section 'A server'

check 'certificates' inside elkeid-devcenter certs /etc/elkeid/certs
check 'limits for a plugin' put_limits
check 'the configuration is faultless' inside elkeid-agent --check-config
require 'the center runs' start_center process-collector hog quiet
require 'elkeidctl restart' inside elkeidctl restart
require 'connected, with mutual TLS' within "$patience" connected_times 1
require 'records of the agent arrive' within "$patience" center_says 'records [1-9].* 1000:'
require 'its plugin runs' within "$patience" plugin_pid process-collector
require 'records of the plugin arrive' within "$patience" center_says ' 5050:[1-9]'
require 'hog runs' within "$patience" plugin_pid hog
require 'quiet runs' within "$patience" plugin_pid quiet
check 'elkeidctl status' within 30 status_of_running
check 'elkeidctl doctor: nothing is wrong' inside elkeidctl doctor

section 'Kernel TLS'

pid=$(main_pid)
connections=$(count_in_log 'get connection successfully')
count=$(records)
require 'modprobe tls' inside modprobe tls
check 'the kernel offers it' inside grep -qw tls /proc/sys/net/ipv4/tcp_available_ulp
check 'no connection has used it' tls_counted TlsTxSw=0 TlsRxSw=0
check 'TLS 1.3 with AES-GCM, there and back, by the kernel' inside /root/kernel-tls
# For each size of keys: four ends that send, three that receive, one of them with another key.
check 'by its own account' tls_counted TlsTxSw=8 TlsRxSw=6 TlsDecryptError=2
check 'none of them is left' within 10 tls_counted TlsCurrTxSw=0 TlsCurrRxSw=0
check 'the connection of the agent is unharmed' unharmed "$count"

section 'Limits'

check_service_limits
check_limits v2
check_hog
check_greedy_hog
check 'the service goes on' still_healthy

section 'Upgraded'

connections=$(count_in_log 'get connection successfully')
require 'upgraded' install_deb "$newer"
check 'by its own account' installed 99.0.0.1
check 'nothing is complained of' said_only
check 'the files are those of the package' intact
check 'the program runs, as another process' within "$patience" other_process
pid=$(main_pid)
check 'enabled' enabled enabled
check 'the configuration is kept' limits_kept
check 'connected again, beside the module tls' within "$patience" connected_times $((connections + 1))
check 'its plugin runs again' within "$patience" plugin_pid process-collector
check 'hog is in its own cgroup again' within "$patience" alone_in_group hog v2
check 'the service goes on' still_healthy

section 'Off and on'

check 'powered off in order, with a service that runs' power_off 60
check 'the disk is clean' disk_is_clean
boot_again
check 'the system is well' system_is_well
require 'the service runs, without being told' within "$patience" runs_ours
check 'the agent had stopped in order' log_has 'the agent has stopped'
check 'the center runs' start_center process-collector hog quiet
check 'connected again' within "$patience" connected_times $((connections + 2))
check 'its plugin runs again' within "$patience" plugin_pid process-collector
check 'records arrive' within "$patience" center_says ' 5050:[1-9]'

# The purge takes the log away.
show_state

section 'Removed, and purged'

check 'removed' transact dpkg -r elkeid-agent
check 'by its own account' status_is 'rc |3:99.0.0.1-1'
check 'nothing is complained of' said_only
check 'stopped, and no process is left' is_stopped
check 'nor one of its plugins' no_plugins
check 'nor a cgroup' fails inside test -e "$unit"
check 'the program is gone, the configuration is not' removed_there
check 'the center ends' inside sh -c 'echo quit >/run/center.in'
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is complained of' said_only
check 'no process and no unit is left' unit_is_gone
check 'no file is left' left_there
check 'nor anything of its name' no_name_there

check 'powered off in order' power_off 60
check 'the disk is clean' disk_is_clean
finish
