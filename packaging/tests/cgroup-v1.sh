#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Limits under systemd with cgroups of version 1, enforced by this host's kernel.
#
# usage: cgroup-v1.sh FOLDER     with the static binaries that build.sh makes; 77: this host has no such cgroups
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/limits.sh
. "$(dirname "${BASH_SOURCE[0]}")/limits.sh"

begin cgroup-v1 "$@"
for controller in memory cpu pids; do
    [[ -d /sys/fs/cgroup/$controller ]] || {
        echo "cgroup-v1: skipped: no $controller hierarchy of version 1 on this host"
        exit 77
    }
done
make_root systemd systemd systemd-sysv dbus
overlay
install_agent systemd
set_limits
boot_unshared systemd

require 'the center runs' start_center hog quiet process-collector
check 'elkeidctl set --service_type=systemd' inside elkeidctl set --service_type=systemd
require 'elkeidctl start' inside elkeidctl start
pid=$(inside systemctl show --value -p MainPID elkeid-agent)
require 'hog runs' within 30 plugin_pid hog
require 'quiet runs' within 30 plugin_pid quiet

check 'memory.limit_in_bytes of the service' limit_is 262144000 "$pid" memory memory.limit_in_bytes
check 'cpu.cfs_quota_us of the service' limit_is 10000 "$pid" cpu cpu.cfs_quota_us
check 'pids.max of the service' limit_is 2048 "$pid" pids pids.max
check_limits v1
check 'process-collector runs' within 30 plugin_pid process-collector
check 'four fifths of the memory for a plugin without a setting' \
    limit_is 209715200 "$(plugin_pid process-collector)" memory memory.limit_in_bytes
check_hog
check_greedy_hog
still_healthy() {
    same $'ActiveState=active\nMainPID='"$pid"$'\nNRestarts=0\nResult=success' \
        "$(inside systemctl show elkeid-agent -p ActiveState,MainPID,NRestarts,Result | sort)"
}
check 'systemd has noticed nothing' still_healthy

groups_of_plugins() { inside find /sys/fs/cgroup -type d -name 'plugin-*'; }
check 'elkeidctl stop' inside elkeidctl stop
check 'no cgroup of a plugin is left' same '' "$(groups_of_plugins)"

show_state
power_off 20 || true
finish
