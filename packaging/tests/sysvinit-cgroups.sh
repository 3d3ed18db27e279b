#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Limits without systemd, on hosts whose init has mounted no cgroups, or only those of version 2: in a virtual machine,
# since a container cannot have hierarchies that its host has not. Takes some minutes, for lack of acceleration.
#
# usage: sysvinit-cgroups.sh FOLDER     with the static binaries that build.sh makes
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/limits.sh
. "$(dirname "${BASH_SOURCE[0]}")/limits.sh"

agent_pid() { inside /root/guest pids /usr/sbin/elkeid-agent | head -n 1; }

start_agent() {
    require 'the center runs' start_center hog quiet
    require 'service start' inside service elkeid-agent start
    pid=$(agent_pid)
    require 'it runs' test -n "$pid"
    require 'hog runs' within 90 plugin_pid hog
    require 'quiet runs' within 90 plugin_pid quiet
}

stop_agent() {
    check 'service stop' inside service elkeid-agent stop
    check 'no process is left' same '' "$(agent_pid)"
    check 'no cgroup is left' same '' "$(inside sh -c '
        find /etc/elkeid/cgroup /sys/fs/cgroup -type d -name "*elkeid-agent*" 2>/dev/null')"
    show_state
    check 'powered off' power_off 90
}

begin sysvinit-cgroups "$@"
make_root sysvinit sysvinit-core cron orphan-sysvinit-scripts

# ---- Nothing is mounted

overlay
install_agent sysvinit
set_limits
boot_qemu sysvinit
check 'no cgroups are mounted' fails inside grep -q ' cgroup2\? ' /proc/mounts
start_agent
check 'memory.limit_in_bytes of the service' limit_is 262144000 "$pid" memory memory.limit_in_bytes
check 'cpu.cfs_quota_us of the service' limit_is 10000 "$pid" cpu cpu.cfs_quota_us
check_limits v1
check_hog
stop_agent

# ---- Version 2 only

boot_qemu sysvinit cgroup_no_v1=all
check 'version 2 is mounted' inside mount -t cgroup2 cgroup2 /sys/fs/cgroup
start_agent
service_limit() { same "$1" "$(inside cat "/sys/fs/cgroup/elkeid-agent/$2")"; }
check 'memory.max of the service' service_limit 262144000 memory.max
check 'cpu.max of the service' service_limit '10000 100000' cpu.max
check_limits v2
check_hog
check 'service restart' inside service elkeid-agent restart
pid=$(agent_pid)
check 'the agent is in its leaf' same agent "$(basename "$(group_of "$pid" v2)")"
check 'hog is in its own cgroup again' within 60 alone_in_group hog v2
stop_agent

finish
