#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The programs on a kernel that has no system call younger than Linux 3.10, the oldest that is supported: a center and
# an agent with its plugin, an upgrade of that, the spool, everything that elkeidctl looks at, and the end in order.
# What an old kernel does otherwise in the calls that it has, only a machine with one would tell.
#
# usage: old-kernel.sh FOLDER     with the static binaries that build.sh makes
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Processes of this shell, which must not outlive it.
center='' agent=''

end_and_clean_up() {
    local status=$? process
    set +e
    # The shell would tell how they ended.
    {
        for process in $center $agent; do
            kill -KILL "$process"
            wait "$process"
        done
    } 2>/dev/null
    (exit "$status")
    clean_up
}

begin old-kernel "$@"
trap end_and_clean_up EXIT
need cc:gcc /usr/include/stdio.h:libc6-dev script:bsdutils

readonly launcher=$work/launcher log=$work/log/elkeid-agent.log center_log=$work/center.log input=$work/center.input
# Nothing of what is set here may tell the programs where they are.
readonly old=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=xterm LC_ALL=C.UTF-8 "$launcher")

# ---- The filter

readonly answers='getrandom ENOSYS
memfd_create ENOSYS
pidfd_open ENOSYS
sched_setattr ENOSYS
getcpu works
timerfd_create(CLOCK_MONOTONIC) works
timerfd_create(CLOCK_BOOTTIME) EINVAL
uname 3.10.0'

here_and_now() {
    local text
    text=$("$launcher" --probe)
    printf '%s\n' "$text"
    ! grep -q ENOSYS <<<"$text"
}

# is_filtered PID
is_filtered() { grep -q '^Seccomp:[[:space:]]*2$' "/proc/$1/status"; }

# ---- The programs

# start_center VERSION: of the plugin. Where it was before, so that the agent finds it.
listen=127.0.0.1:0 http=127.0.0.1:0
start_center() {
    : >"$center_log"
    # Its input has a writer always, so that it never ends.
    "${old[@]}" "$binaries/elkeid-devcenter" serve --listen "$listen" --http "$http" --certs "$work/certs" \
        --component "process-collector:$1:$work/process-collector.tar.gz" \
        --detail 'process-collector:{"interval_seconds":1}' 0<>"$input" >"$center_log" 2>&1 &
    center=$!
    within 20 center_says 'agents: ' || return
    listen=$(sed -n 's/.*agents: \([^ ]*\).*/\1/p' "$center_log")
    http=$(sed -n 's/.*http: \([^ ]*\).*/\1/p' "$center_log")
}

center_says() { grep -E -- "$1" "$center_log" | tail -n 1 | grep .; }
log_has() { grep -E -- "$1" "$log"; }

# ended PROCESS: in order.
ended() {
    local status=0
    within 60 fails kill -0 "$1" || return
    wait "$1" || status=$?
    same 0 "$status"
}

stop_center() {
    echo quit >"$input"
    ended "$center" || return
    center=''
}

start_agent() {
    mkdir "$work/state"
    cat >"$work/agent.conf" <<END
[agent]
id = old-kernel
work_dir = $work/state
log_dir = $work/log
control_socket = $work/agent.sock
[tls]
ca = certs/ca.crt
certificate = certs/client.crt
private_key = certs/client.key
server_name = elkeid.com
[region "default"]
service_discovery =
private = $listen
[timeouts]
reconnect_min = 100ms
reconnect_max = 200ms
spool_age = 100ms
END
    "${old[@]}" "$binaries/elkeid-agent" --config "$work/agent.conf" >"$work/agent.output" 2>&1 &
    agent=$!
    within 20 log_has 'agent .* runs id=old-kernel'
}

stop_agent() {
    local process=$agent
    kill -TERM "$process"
    ended "$process" || return
    agent=''
    log_has 'the agent has stopped ledger=.*"dropped":\{\}.*"malformed":0.*"spooled":0'
}

plugin_is_filtered() {
    local process
    process=$(sed -n 's/.*plugin has been loaded pid=\([0-9]*\).*/\1/p' "$log" | tail -n 1)
    [[ -n $process ]] && is_filtered "$process"
}

# ---- What is asked

control=("${old[@]}" "$binaries/elkeidctl" --config "$work/agent.conf")
readonly control

# control_says PATTERN COMMAND...: whatever its exit code is, which is about this host's services, too.
control_says() {
    local text pattern=$1
    shift
    text=$(timeout 60 "${control[@]}" "$@" 2>&1) || true
    printf '%s\n' "$text"
    grep -Eq -- "$pattern" <<<"$text"
}

network_is_right() {
    control_says '^  ok +TLS ' doctor && control_says '^  ok +gRPC ' doctor
}

# As a person sees it, who leaves by the key q.
top() {
    {
        within 20 grep -q process-collector "$work/screen" >/dev/null || true
        printf q
    } | timeout 60 script --quiet --return --flush --command "${control[*]} top" "$work/screen" >/dev/null || return
    grep -q process-collector "$work/screen"
}

bundle() {
    "${control[@]}" bundle --output "$work/bundle.tar.gz" && tar -tzf "$work/bundle.tar.gz" | grep elkeid-agent.log
}

# spool WORD: what the program says that looks at it.
spool() { "${old[@]}" "$binaries/elkeid-agent" spool "$1" "$work/state"; }

show_state() {
    ((failed > 0)) || return 0
    printf -- '---- %s\n' "$log"
    tail -n 40 "$log" || true
}

# ---- The test

cc -O1 -Wall -Wextra -Werror -static -o "$launcher" "$here/old-kernel.c" || die 'old-kernel.c cannot be compiled'
require 'this kernel has the later calls' here_and_now
require 'under the filter it does not' same "$answers" "$("${old[@]}" "$launcher" --probe)"

mkfifo "$input"
# Downloaded and unpacked by the agent.
tar -C "$binaries" -czf "$work/process-collector.tar.gz" process-collector
require 'certificates are made' "${old[@]}" "$binaries/elkeid-devcenter" certs "$work/certs"
require 'the center runs' start_center 1.0.0.1
require 'the agent runs' start_agent
check 'it is under the filter' is_filtered "$agent"
require 'it is connected, with mutual TLS' within 20 log_has 'get connection successfully.* tls=TLSv1.3'
require 'the plugin is downloaded, unpacked and started' within 30 log_has 'plugin has been loaded.* version=1.0.0.1'
check 'it is under the filter' plugin_is_filtered
check 'the records of both arrive' within 20 center_says ' 5050:[1-9].* 1000:[1-9]'

check 'elkeidctl status' control_says '^process-collector +1\.0\.0\.1 +running' status
check 'elkeidctl status --json' control_says '"state":"running"' status --json
check 'elkeidctl doctor' network_is_right
check 'elkeidctl top' top
check 'elkeidctl bundle' bundle
check 'elkeidctl metrics' control_says '^elkeid_agent_connected\{.*\} 1$' metrics
check 'elkeidctl tail' timeout 60 "${control[@]}" tail --count 2
check 'elkeidctl log' control_says 'plugin has been loaded' log
check 'elkeidctl reload' "${control[@]}" reload
check 'elkeidctl log-level' "${control[@]}" log-level debug
check 'elkeidctl reconnect' "${control[@]}" reconnect

check 'the center stops' stop_center
check 'records wait on the disk' within 20 control_says 'spooled [1-9]' status
check 'elkeid-agent spool stat' spool stat
check 'elkeid-agent spool verify' spool verify
require 'the center runs again, with a new version of the plugin' start_center 1.0.0.2
check 'the records that waited are sent' within 20 control_says 'spooled 0$' status
check 'the new version takes the place of the old one' within 30 \
    log_has 'plugin has been loaded.* version=1.0.0.2'
check 'its records arrive' within 20 control_says '^process-collector +1\.0\.0\.2 .* [1-9][0-9]* +0$' status
check 'the agent stops in order, with nothing lost' stop_agent
check 'the center stops' stop_center

demonstration() {
    timeout 60 "${old[@]}" "$binaries/elkeid-devcenter" demo --agent "$binaries/elkeid-agent" \
        --plugin "$binaries/process-collector" --compression zstd --seconds 2
}
check 'a demonstration: all that the agent had has arrived' demonstration

show_state
finish
