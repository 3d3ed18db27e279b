#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The service under systemd, in a booted container: its whole life, by way of elkeidctl.
#
# usage: systemd.sh FOLDER     with the static binaries that build.sh makes
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/fixture.sh
. "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"

# property NAME: of the unit, its value alone.
property() { inside systemctl show --value -p "$1" elkeid-agent; }
property_is() { same "$2" "$(property "$1")"; }
main_pid() { property MainPID; }

# restarted PID COUNT: systemd has started the agent anew so many times since it was last started by hand.
restarted() {
    property_is ActiveState active && property_is NRestarts "$2" && [[ $(main_pid) != "$1" ]]
}

connected_times() { (($(count_in_log 'get connection successfully') >= $1)); }

begin systemd "$@"
make_root systemd systemd systemd-sysv dbus
overlay
install_agent systemd
boot_nspawn

# ---- The unit

unit_is_clean() {
    local said
    said=$(inside systemd-analyze verify --man=no /lib/systemd/system/elkeid-agent.service 2>&1)
    same '' "$said"
}
check 'systemd finds nothing wrong with the unit' unit_is_clean

# ---- Enable, start

enabled() { same "$1" "$(inside systemctl is-enabled elkeid-agent 2>/dev/null || true)"; }
check 'elkeidctl set --service_type=systemd' inside elkeidctl set --service_type=systemd
check 'elkeidctl enable' inside elkeidctl enable
check 'enabled' enabled enabled
require 'the center runs' start_center process-collector
require 'elkeidctl start' inside elkeidctl start
# With Type=notify that says that READY=1 has come.
require 'active' property_is ActiveState active
settings_as_intended() {
    same "$(printf '%s\n' Type=notify Restart=always NotifyAccess=main RestartUSec=5s TimeoutStopUSec=30s \
        WatchdogUSec=2min NRestarts=0 CPUQuotaPerSecUSec=100ms Delegate=yes MemoryHigh=infinity \
        MemoryMax=262144000 TasksMax=2048 OOMPolicy=continue KillMode=mixed StartLimitIntervalUSec=0 | sort)" \
        "$(inside systemctl show elkeid-agent -p Type,Restart,NotifyAccess,RestartUSec,TimeoutStopUSec,WatchdogUSec \
            -p NRestarts,CPUQuotaPerSecUSec,Delegate,MemoryHigh,MemoryMax,TasksMax,OOMPolicy,KillMode \
            -p StartLimitIntervalUSec | sort)"
}
check 'the unit'"'"'s settings are in force' settings_as_intended
require 'the agent is connected' within 20 connected_times 1
check 'its plugin runs' within 20 plugin_pid process-collector

folders_as_intended() {
    same $'755 root /run/elkeid\n600 root /run/elkeid/agent.sock\n750 root /var/lib/elkeid\n750 root /var/log/elkeid' \
        "$(inside stat -c '%a %U %n' /run/elkeid /run/elkeid/agent.sock /var/lib/elkeid /var/log/elkeid)"
}
check 'folders and socket have their modes' folders_as_intended

# ---- Status, journal

status_of_running() {
    local text
    text=$(inside elkeidctl status) || return
    printf '%s\n' "$text"
    [[ $(head -n 1 <<<"$text") == *elkeid-agent.service* ]] && grep -q 'Active: active (running)' <<<"$text" &&
        grep -q process-collector <<<"$text"
}
check 'elkeidctl status: running, with its plugin' status_of_running
from_the_agent() { inside journalctl --no-pager -u elkeid-agent _COMM=elkeid-agent -o cat | grep -E -- "$1"; }
check 'the journal has what the agent says' from_the_agent 'agent .* runs'

# ---- Restart, reload

pid=$(main_pid) plugin=$(plugin_pid process-collector 2>/dev/null || true)
check 'elkeidctl restart' inside elkeidctl restart
new_pid() { [[ $(main_pid) != "$pid" ]] && property_is ActiveState active; }
check 'it is another process' new_pid
check 'the plugin, too, within 20 s' within 20 other_plugin_pid process-collector "$plugin"
check 'connected again' within 20 connected_times 2

pid=$(main_pid) plugin=$(plugin_pid process-collector 2>/dev/null || true)
reload() {
    inside sed -i 's/^linger = .*/linger = 200ms/' /etc/elkeid/agent.conf
    inside systemctl reload elkeid-agent && within 10 log_has 'configuration reloaded'
}
check 'systemctl reload takes the configuration over' reload
untouched() { same "$pid $plugin active" "$(main_pid) $(plugin_pid process-collector) $(property ActiveState)"; }
check 'agent and plugin are the same processes' untouched
reload_refused() {
    inside sed -i 's/^linger = .*/linger = never/' /etc/elkeid/agent.conf
    inside systemctl reload elkeid-agent && within 10 log_has 'the configuration in use stays' && untouched
}
check 'a faulty configuration is refused, and changes nothing' reload_refused
inside sed -i 's/^linger = .*/linger = 100ms/' /etc/elkeid/agent.conf

# ---- Killed, stuck

check 'killed with SIGKILL' send_signal KILL "$pid"
check 'started again within 10 s' within 10 restarted "$pid" 1
check 'its old plugin is gone, a new one runs' within 20 other_plugin_pid process-collector "$plugin"

# The unit's own times would make the test last minutes. A stopped process does not see the watchdog's SIGABRT, so that
# systemd has to wait before it takes SIGKILL.
inside mkdir -p /etc/systemd/system/elkeid-agent.service.d
inside sh -c 'printf "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\nRestartSec=500ms\n" \
    >/etc/systemd/system/elkeid-agent.service.d/test.conf'
check 'elkeidctl service-reload' inside elkeidctl service-reload
check 'restart with a watchdog of 3 s' inside elkeidctl restart
pid=$(main_pid)
watchdog_is_fed() { sleep 7 && property_is NRestarts 0 && same "$pid" "$(main_pid)"; }
check 'not killed while it runs, for 7 s' watchdog_is_fed
check 'stopped with SIGSTOP' send_signal STOP "$pid"
check 'the watchdog has it started again' within 20 restarted "$pid" 1
journal_has() { inside journalctl --no-pager -u elkeid-agent -o cat | grep -E -- "$1"; }
check 'the journal says that it was the watchdog' journal_has 'Watchdog timeout'
check 'the plugin runs again' within 20 plugin_pid process-collector
inside rm -r /etc/systemd/system/elkeid-agent.service.d
inside systemctl daemon-reload

# ---- Stop

check 'restart with the unit as it is' inside elkeidctl restart
check 'connected, with the plugin' within 20 plugin_pid process-collector
sleep 2
stop_within() {
    local start=$SECONDS
    command_limit=60 inside elkeidctl stop || return
    ((SECONDS - start <= $1)) || {
        echo "took $((SECONDS - start)) s"
        return 1
    }
    same $'ActiveState=inactive\nExecMainCode=1\nExecMainStatus=0\nResult=success' \
        "$(inside systemctl show elkeid-agent -p ActiveState,ExecMainCode,ExecMainStatus,Result | sort)"
}
check 'elkeidctl stop: within 30 s, exit code 0' stop_within 30
# The last line has the ledger; the plugin was told to end and did, so nothing of it may be missing.
drained() {
    local last
    last=$(inside tail -n 1 "$agent_log")
    printf '%s\n' "$last"
    [[ $last == *'the agent has stopped'* ]] && grep -Eq '"received":[1-9]' <<<"$last" &&
        grep -q '"malformed":0' <<<"$last" && grep -q '"dropped":{}' <<<"$last"
}
check 'the plugin was drained, nothing was dropped' drained
check 'no plugin is left' no_plugins
status_of_stopped() {
    local text status=0
    text=$(inside elkeidctl status) || status=$?
    printf '%s\n' "$text"
    same 1 "$status" && grep -q 'Active: inactive (dead)' <<<"$text"
}
check 'elkeidctl status: inactive, exit code 1' status_of_stopped

# ---- A configuration that cannot be parsed

broken() {
    inside sh -c 'cp /etc/elkeid/agent.conf /root/agent.conf; rm -f /var/lib/elkeid/agent.conf*
        printf "[agent\n\001" >/etc/elkeid/agent.conf'
    fails inside elkeidctl start && same 78 "$(property ExecMainStatus)" && property_is ActiveState activating
}
check 'without a configuration and a last good one, the start fails with 78' broken
mended() { inside mv /root/agent.conf /etc/elkeid/agent.conf && within 10 property_is ActiveState active; }
check 'once it is mended, the agent comes up by itself' mended
kept_up() {
    within 10 inside ls /var/lib/elkeid/agent.conf.last-good || return
    inside sh -c 'cp /etc/elkeid/agent.conf /root/agent.conf; printf "[agent\n\001" >/etc/elkeid/agent.conf'
    inside elkeidctl restart && property_is ActiveState active && within 20 plugin_pid process-collector
}
check 'with a last good configuration, a broken one does not keep it from starting' kept_up
inside mv /root/agent.conf /etc/elkeid/agent.conf

# ---- Reboot

check 'powered off in order, with the agent running' power_off 45
boot_nspawn
check 'after a reboot it is there' within 10 property_is ActiveState active
check 'its plugin runs before a server can be reached' within 20 plugin_pid process-collector

# ---- A plugin that does not want to end

check 'the center runs again' start_center process-collector stubborn
check 'a stubborn plugin runs' within 90 plugin_pid stubborn
check 'stopped within 30 s all the same, exit code 0' stop_within 30
check 'no plugin is left' no_plugins

# ---- Disable

check 'elkeidctl disable' inside elkeidctl disable
check 'disabled' enabled disabled
no_links() { same '' "$(inside find /etc/systemd -name 'elkeid-agent*')"; }
check 'no link is left' no_links

show_state
power_off 20 || true
finish
