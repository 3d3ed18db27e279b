# shellcheck shell=bash
# shellcheck disable=SC2317 # functions are called by check
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The limits of the service and of its plugins, as the kernel has them; for both versions of cgroups.
#
#   limits                  for agent.conf: 32M and a twentieth of a processor for hog, none for quiet
#   set_limits              the same, put into that of $target
#   check_limits v1|v2      with a running agent, its main process in $pid, that has the plugins hog and quiet
#   check_service_limits    those of the service as a whole, under systemd with cgroups of version 2
#   check_hog               the hog eats, and is killed alone
#   check_greedy_hog        the same, where only the service as a whole is limited
#   still_healthy           systemd has not seen any of that
# shellcheck source=packaging/tests/fixture.sh
. "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"

readonly hog_memory=33554432
# The service's cgroup of version 2.
readonly unit=/sys/fs/cgroup/system.slice/elkeid-agent.service
# The agent's main process.
pid=''

# A share of the processor that is larger than the service's own is refused by version 1.
limits() {
    printf '%s\n' '' '[plugin "hog"]' 'memory_max = 32M' 'cpu_max = 5%' 'pids_max = 16' \
        '[plugin "quiet"]' 'memory_max = infinity'
}

set_limits() { limits >>"$target/etc/elkeid/agent.conf"; }

# limit_is WANTED PID CONTROLLER FILE
limit_is() { same "$1" "$(inside /root/guest limit "$2" "$3" "$4")"; }

# group_of PID CONTROLLER
group_of() { inside /root/guest group "$1" "$2"; }

# alone_in_group PLUGIN CONTROLLER: its process, and no other, is in a cgroup of its own below the service's.
alone_in_group() {
    local plugin_process folder
    plugin_process=$(plugin_pid "$1") && folder=$(group_of "$plugin_process" "$2") || return
    same "plugin-$1" "${folder##*/}" && same "$plugin_process" "$(inside cat "$folder/cgroup.procs")"
}

below_the_service() {
    local own plugin
    own=$(group_of "$pid" "$2") && plugin=$(group_of "$(plugin_pid "$1")" "$2") || return
    [[ $2 != v2 ]] || own=${own%/agent}
    same "$own" "${plugin%/*}"
}

check_limits() {
    local version=$1 controller plugin hog quiet
    hog=$(plugin_pid hog) quiet=$(plugin_pid quiet) || return 0
    if [[ $version == v2 ]]; then
        check 'the agent is in a leaf of its own' same agent "$(basename "$(group_of "$pid" v2)")"
        for plugin in hog quiet; do
            check "$plugin is in its own cgroup" alone_in_group "$plugin" v2
            check "$plugin's is below the service's" below_the_service "$plugin" v2
        done
        check 'memory.max of hog' limit_is "$hog_memory" "$hog" v2 memory.max
        # A plugin beyond it would crawl for minutes instead of being killed and started anew.
        check 'memory.high of hog' limit_is "$((hog_memory * 63 / 64))" "$hog" v2 memory.high
        check 'memory.oom.group of hog' limit_is 1 "$hog" v2 memory.oom.group
        check 'cpu.max of hog' limit_is '5000 100000' "$hog" v2 cpu.max
        check 'pids.max of hog' limit_is 16 "$hog" v2 pids.max
        check 'no memory.max for quiet' limit_is max "$quiet" v2 memory.max
        check 'no cpu.max for quiet' limit_is 'max 100000' "$quiet" v2 cpu.max
        return 0
    fi
    for controller in memory cpu pids; do
        for plugin in hog quiet; do
            check "$plugin is in its own cgroup of $controller" alone_in_group "$plugin" "$controller"
            check "$plugin's is below the service's" below_the_service "$plugin" "$controller"
        done
    done
    check 'memory.limit_in_bytes of hog' limit_is "$hog_memory" "$hog" memory memory.limit_in_bytes
    check 'cpu.cfs_quota_us of hog' limit_is 5000 "$hog" cpu cpu.cfs_quota_us
    check 'cpu.cfs_period_us of hog' limit_is 100000 "$hog" cpu cpu.cfs_period_us
    check 'pids.max of hog' limit_is 16 "$hog" pids pids.max
    # The largest number of bytes in whole pages: what version 1 says for "none".
    check 'no memory limit for quiet' limit_is 9223372036854771712 "$quiet" memory memory.limit_in_bytes
    check 'no cpu quota for quiet' limit_is -1 "$quiet" cpu cpu.cfs_quota_us
}

unit_limit() { same "$1" "$(inside cat "$unit/$2")"; }

check_service_limits() {
    check 'memory.max of the service' unit_limit 262144000 memory.max
    check 'cpu.max of the service' unit_limit '10000 100000' cpu.max
    check 'pids.max of the service' unit_limit 2048 pids.max
    check 'the service kills no one but the culprit' unit_limit 0 memory.oom.group
    check 'no process beside the leaves' unit_limit '' cgroup.procs
}

check_hog() {
    local hog quiet
    hog=$(plugin_pid hog) quiet=$(plugin_pid quiet) || return 0
    check 'hog gets a task, and begins to eat' send_task hog
    check 'hog is killed' within 120 gone "$hog"
    check 'the reason is in the log' within 20 log_has 'plugin ended unexpectedly: .*out of memory.* plugin=hog'
    check 'and in elkeidctl status' within 30 status_says 'out of memory'
    check 'hog is started again' within 60 other_plugin_pid hog "$hog"
    check 'the agent is the same process' same "$pid" "$(inside /root/guest pids /usr/sbin/elkeid-agent | head -n 1)"
    check 'the other plugin is, too' same "$quiet" "$(plugin_pid quiet)"
}

# check_greedy_hog: without a limit of its own it meets the service's, and is still the only one that dies.
check_greedy_hog() {
    local hog quiet
    inside sed -i '/^.plugin "hog".$/,/^memory_max/s/^memory_max = .*/memory_max = infinity/' /etc/elkeid/agent.conf
    check 'elkeidctl reload: no limit for hog any more' inside elkeidctl reload
    hog=$(plugin_pid hog) quiet=$(plugin_pid quiet) || return 0
    check 'hog begins to eat what the service has' send_task hog
    # As slowly as an emulated processor lets it, of which it has a twentieth.
    check 'hog is killed' within 600 gone "$hog"
    check 'the reason is in the log' within 20 log_has 'out of memory \(it has no memory_max.* plugin=hog'
    check 'the agent is the same process' same "$pid" "$(inside /root/guest pids /usr/sbin/elkeid-agent | head -n 1)"
    check 'the other plugin is, too' same "$quiet" "$(plugin_pid quiet)"
    check 'hog is started again' within 60 other_plugin_pid hog "$hog"
}

gone() { fails inside /root/guest alive "$1"; }

still_healthy() {
    same $'ActiveState=active\nMainPID='"$pid"$'\nNRestarts=0\nResult=success' \
        "$(inside systemctl show elkeid-agent -p ActiveState,MainPID,NRestarts,Result | sort)"
}
