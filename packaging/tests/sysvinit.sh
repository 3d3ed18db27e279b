#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The service where there is no systemd: init script, cron, pid file, and cgroups of version 1 with limits.
#
# usage: sysvinit.sh FOLDER     with the static binaries that build.sh makes
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/limits.sh
. "$(dirname "${BASH_SOURCE[0]}")/limits.sh"

readonly pid_file=/var/run/elkeid-agent.pid cron_file=/etc/cron.d/elkeid-agent

service() { inside service elkeid-agent "$@"; }
agent_pid() { inside /root/guest pids /usr/sbin/elkeid-agent | head -n 1; }

# service_ends_with CODE ACTION
service_ends_with() {
    local status=0
    service "$2" || status=$?
    same "$1" "$status"
}

has_limits() { [[ -d /sys/fs/cgroup/memory && -d /sys/fs/cgroup/cpu && -d /sys/fs/cgroup/pids ]]; }

begin sysvinit "$@"
make_root sysvinit sysvinit-core cron orphan-sysvinit-scripts
overlay
install_agent sysvinit
set_limits
boot_unshared sysvinit mounted

# ---- Enable, start

links() { inside find /etc -path '/etc/rc?.d/*' -name '*elkeid-agent'; }
check 'elkeidctl enable' inside elkeidctl enable
linked() { same 'K K K S S S S' "$(links | sed 's,.*/\(.\)..elkeid-agent,\1,' | sort | xargs)"; }
check 'started in levels 2 to 5, stopped in 0, 1 and 6' linked
require 'the center runs' start_center hog quiet
check 'before the first start, the status is 3' service_ends_with 3 status
require 'service start' service start
pid=$(agent_pid)
require 'it runs' test -n "$pid"
check 'the pid file has its pid' same "$pid" "$(inside cat "$pid_file")"
check 'the status is 0' service_ends_with 0 status
status_of_running() {
    local text
    text=$(inside elkeidctl status) || return
    printf '%s\n' "$text"
    [[ $(head -n 1 <<<"$text") == 'agent is running, procs:' ]] && sed -n 2p <<<"$text" | grep -qxE '[0-9]+' &&
        grep -qx "$pid" <<<"$text"
}
check 'elkeidctl status lists its process' status_of_running
check 'the file for cron' same '* * * * * root /usr/sbin/elkeidctl check' "$(inside cat "$cron_file")"
check 'is for root only' same 600 "$(inside stat -c %a "$cron_file")"
require 'hog runs' within 30 plugin_pid hog
require 'quiet runs' within 30 plugin_pid quiet
check 'a second start changes nothing' service start
check 'it is the same process' same "$pid" "$(agent_pid)"
working_folder() { same /etc/elkeid "$(inside readlink "/proc/$pid/cwd")"; }
check 'its working directory is /etc/elkeid' working_folder
check 'its standard streams are /dev/null' same /dev/null \
    "$(inside readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1" "/proc/$pid/fd/2" | sort -u)"
own_session() { same "$pid" "$(inside sh -c "sed 's/.*) //' /proc/$pid/stat | cut -d ' ' -f 4")"; }
check 'it leads a session of its own' own_session

# ---- Limits

if has_limits; then
    check 'memory.limit_in_bytes of the service' limit_is 262144000 "$pid" memory memory.limit_in_bytes
    check 'cpu.cfs_quota_us of the service' limit_is 10000 "$pid" cpu cpu.cfs_quota_us
    check_limits v1
    check_hog
    check_greedy_hog
else
    echo 'sysvinit: limits are not checked: this host has no cgroups of version 1'
fi

# ---- Restart, reload

check 'service restart' service restart
check 'it is another process' fails same "$pid" "$(agent_pid)"
pid=$(agent_pid)
check 'quiet runs again' within 30 plugin_pid quiet
if has_limits; then
    check 'within the limit of memory' limit_is 262144000 "$pid" memory memory.limit_in_bytes
    check 'quiet is in its own cgroup' within 10 alone_in_group quiet memory
fi
reload() { inside sed -i 's/^linger = .*/linger = 200ms/' /etc/elkeid/agent.conf && service reload; }
check 'service reload' reload
check 'the configuration is read' within 10 log_has 'configuration reloaded'
check 'by the same process' same "$pid" "$(agent_pid)"
check 'service try-restart' service try-restart
check 'it is another process' fails same "$pid" "$(agent_pid)"
check 'an unknown action is refused' service_ends_with 2 dance

# ---- Killed; the number of a process that is gone given to another one

quiet=$(plugin_pid quiet 2>/dev/null || true)
pid=$(agent_pid)
check 'killed with SIGKILL' send_signal KILL "$pid"
check 'the status is 1: dead, with a pid file' within 5 service_ends_with 1 status
running_again() {
    local now
    now=$(agent_pid) && [[ -n $now && $now != "$pid" ]] && service_ends_with 0 status
}
check 'cron has it running again within 75 s' within 75 running_again
check 'the orphaned plugin is gone, a new one runs' within 30 other_plugin_pid quiet "$quiet"
if has_limits; then
    check 'within the limit of memory, though cron started it' \
        limit_is 262144000 "$(agent_pid)" memory memory.limit_in_bytes
fi

check 'cron stopped, so that it does not interfere' inside service cron stop
# reused PID: the agent is killed, and its number seems to be that of another process.
reused() {
    send_signal KILL "$(agent_pid)"
    within 5 same '' "$(agent_pid)" >/dev/null
    [[ -n $1 ]] && inside sh -c "echo $1 >$pid_file" || return
    service_ends_with 1 status && same 'agent is dead' "$(inside elkeidctl status | head -n 1)"
}
back() { inside elkeidctl check && service_ends_with 0 status && inside /root/guest alive "$1"; }
check 'the number of init in the pid file: dead' reused 1
check 'elkeidctl check starts it' back 1
inside sh -c 'setsid sleep 1000 >/dev/null 2>&1 &'
sleeper=$(inside /root/guest pids /usr/bin/sleep | tail -n 1)
check 'the number of another process in the pid file: dead' reused "$sleeper"
check 'elkeidctl check starts it, and leaves the other alone' back "$sleeper"
check 'a number that nobody has: dead' reused 4194303
check 'service start starts it' service start
check 'it runs' service_ends_with 0 status
# ---- One that hangs

hung=$(agent_pid)
check 'stopped by SIGSTOP, it answers nothing' send_signal STOP "$hung"
check 'the first check remembers it' inside elkeidctl check
check 'and leaves it alone' same "$hung" "$(agent_pid)"
replaced() {
    inside elkeidctl check && service_ends_with 0 status && [[ $(agent_pid) != "$1" ]]
}
check 'the second one replaces it' replaced "$hung"

# main_processes: those that are not the agent's own children.
main_processes() {
    local process parent
    for process in $(inside /root/guest pids /usr/sbin/elkeid-agent); do
        parent=$(inside sed -n 's/^PPid:\t//p' "/proc/$process/status") || continue
        [[ $(inside readlink "/proc/$parent/exe" || true) == /usr/sbin/elkeid-agent ]] || echo "$process"
    done
}
two_checks() {
    inside sh -c 'for i in 1 2 3 4 5 6; do elkeidctl check & done; wait'
    inside sh -c 'for i in 1 2 3 4 5 6; do elkeidctl start & done; wait'
    same 1 "$(main_processes | wc -l)"
}
check 'killed again' send_signal KILL "$(agent_pid)"
check 'six checks and starts at once: one agent' two_checks
check 'cron started' inside service cron start

# ---- Stop

check 'quiet runs' within 30 plugin_pid quiet
check 'service stop' service stop
check 'no agent is left' same '' "$(agent_pid)"
check 'no plugin is left' no_plugins
check 'it stopped in order' log_has 'the agent has stopped'
check 'the file for cron is gone' fails inside test -e "$cron_file"
check 'the status is 3: not running' service_ends_with 3 status
check 'elkeidctl status: dead, exit code 0' same 'agent is dead' "$(inside elkeidctl status | head -n 1)"
check 'a second stop is no failure' service stop
check 'try-restart does not start it' service try-restart
check 'nothing runs' same '' "$(agent_pid)"

# ---- Boot and shutdown

check 'powered off' power_off 45
boot_unshared sysvinit mounted
check 'after boot to level 2 it runs' within 20 service_ends_with 0 status
check 'cron looks after it' inside test -e "$cron_file"
check 'its plugin runs before a server can be reached' within 30 plugin_pid quiet
stopped_before="$(count_in_log 'the agent has stopped')"
check 'powered off, with the agent running' power_off 45
# Before all processes get SIGTERM, that is: then the plugins would have ended by a signal.
stopped_in_order() {
    same $((stopped_before + 1)) "$(grep -c 'the agent has stopped' "$target$agent_log")" &&
        same 2 "$(tail -n 5 "$target$agent_log" | grep -c 'plugin has ended: exit code 0')"
}
check 'shutdown stopped it in order, with its plugins' stopped_in_order

# ---- Disable

boot_unshared sysvinit mounted
check 'elkeidctl disable' inside elkeidctl disable
check 'no link is left' same '' "$(links)"
check 'service stop' service stop

show_state
power_off 20 || true
finish
