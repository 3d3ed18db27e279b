# shellcheck shell=bash
# shellcheck disable=SC2317 # functions are called by check
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The limits of the service and of its plugins, as the kernel has them; for both versions of cgroups.
#
#   set_limits              in the agent.conf of $target: 32M and half a processor for the plugin hog, nothing for others
#   check_limits v1|v2      with a running agent, its main process in $pid, that has the plugins hog and quiet
#   check_hog v1|v2         the hog eats, and is killed alone
# shellcheck source=packaging/tests/fixture.sh
. "$(dirname "${BASH_SOURCE[0]}")/fixture.sh"

readonly hog_memory=33554432
# The agent's main process.
pid=''

set_limits() { printf '\n[plugin "hog"]\nmemory_max = 32M\ncpu_max = 50%%\npids_max = 16\n' >>"$target/etc/elkeid/agent.conf"; }

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
        check 'memory.high of hog is below that' high_below_max "$hog"
        check 'memory.oom.group of hog' limit_is 1 "$hog" v2 memory.oom.group
        check 'cpu.max of hog' limit_is '50000 100000' "$hog" v2 cpu.max
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
    check 'cpu.cfs_quota_us of hog' limit_is 50000 "$hog" cpu cpu.cfs_quota_us
    check 'cpu.cfs_period_us of hog' limit_is 100000 "$hog" cpu cpu.cfs_period_us
    check 'pids.max of hog' limit_is 16 "$hog" pids pids.max
    # The largest number of bytes in whole pages: what version 1 says for "none".
    check 'no memory limit for quiet' limit_is 9223372036854771712 "$quiet" memory memory.limit_in_bytes
    check 'no cpu quota for quiet' limit_is -1 "$quiet" cpu cpu.cfs_quota_us
}

high_below_max() {
    local high
    high=$(inside /root/guest limit "$1" v2 memory.high)
    echo "memory.high: $high"
    [[ $high =~ ^[0-9]+$ ]] && ((high > hog_memory / 2 && high < hog_memory))
}

check_hog() {
    local hog quiet
    hog=$(plugin_pid hog) quiet=$(plugin_pid quiet) || return 0
    check 'hog gets a task, and begins to eat' send_task hog
    # Near its limit the kernel (version 2) makes it ever slower before it kills.
    check 'hog is killed' within 120 gone "$hog"
    check 'the reason is in the log' within 20 log_has 'plugin ended unexpectedly: .*out of memory.* plugin=hog'
    check 'and in elkeidctl status' status_says 'out of memory'
    check 'hog is started again' within 60 other_plugin_pid hog "$hog"
    check 'the agent is the same process' same "$pid" "$(inside /root/guest pids /usr/sbin/elkeid-agent | head -n 1)"
    check 'the other plugin is, too' same "$quiet" "$(plugin_pid quiet)"
}

gone() { fails inside /root/guest alive "$1"; }
