#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Limits under systemd with cgroups of version 2, in a virtual machine. Takes some minutes, for lack of acceleration.
#
# usage: cgroup-v2.sh FOLDER     with the static binaries that build.sh makes
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/limits.sh
. "$(dirname "${BASH_SOURCE[0]}")/limits.sh"

begin cgroup-v2 "$@"
make_root systemd systemd systemd-sysv dbus
overlay
install_agent systemd
set_limits
boot_qemu systemd

require 'the center runs' start_center hog quiet
check 'elkeidctl set --service_type=systemd' inside elkeidctl set --service_type=systemd
require 'elkeidctl start' inside elkeidctl start
pid=$(inside systemctl show --value -p MainPID elkeid-agent)
# A tenth of an emulated processor has to download, check and install them.
require 'hog runs' within 90 plugin_pid hog
require 'quiet runs' within 90 plugin_pid quiet

unit=/sys/fs/cgroup/system.slice/elkeid-agent.service
unit_limit() { same "$1" "$(inside cat "$unit/$2")"; }
check 'memory.max of the service' unit_limit 262144000 memory.max
check 'cpu.max of the service' unit_limit '10000 100000' cpu.max
check 'pids.max of the service' unit_limit 2048 pids.max
check 'the service kills no one but the culprit' unit_limit 0 memory.oom.group
check 'no process beside the leaves' unit_limit '' cgroup.procs
check_limits v2
check_hog
check_greedy_hog
still_healthy() {
    same $'ActiveState=active\nMainPID='"$pid"$'\nNRestarts=0\nResult=success' \
        "$(inside systemctl show elkeid-agent -p ActiveState,MainPID,NRestarts,Result | sort)"
}
check 'the service goes on' still_healthy

check 'restart: the cgroup can be taken over again' inside elkeidctl restart
pid=$(inside systemctl show --value -p MainPID elkeid-agent)
check 'the agent is in its leaf' same agent "$(basename "$(group_of "$pid" v2)")"
check 'hog is in its own cgroup again' within 60 alone_in_group hog v2
check 'reload runs beside the leaves' inside systemctl reload elkeid-agent
check 'the configuration is read' within 20 log_has 'configuration reloaded'
check 'elkeidctl stop' inside elkeidctl stop
check 'no cgroup of the service is left' fails inside test -e "$unit"

show_state
power_off 60 || true
finish
