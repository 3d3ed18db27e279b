#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# What the tests ask a booted system, where ps(1) and its friends are not installed. Put there as /root/guest.
#
# usage: guest pids PROGRAM              the processes that execute this file, oldest first
#        guest alive PID                 is it there, and no zombie?
#        guest group PID CONTROLLER      the folder of its cgroup: memory, cpu, pids; "v2" for the unified hierarchy
#        guest limit PID CONTROLLER FILE what is in that file of the group
#        guest serve DEVICE              commands from a serial line, for boot_qemu of lib.sh
set -u

# The time of start of a process, in ticks; the name before it can hold anything, also blanks and brackets.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

pids() {
    for folder in /proc/[0-9]*; do
        [ "$(readlink "$folder/exe")" = "$1" ] || continue
        printf '%s %s\n' "$(started "${folder#/proc/}")" "${folder#/proc/}"
    done | sort -n | cut -d ' ' -f 2
}

alive() {
    state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ]
}

# The first mount of the hierarchy counts: all of them show the same.
group() {
    if [ "$2" = v2 ]; then
        path=$(sed -n 's/^0:://p' "/proc/$1/cgroup")
        mounted=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    else
        path=$(sed -n "s/^[0-9]*:\([a-z_,=]*,\)*$2\(,[a-z_,=]*\)*://p" "/proc/$1/cgroup")
        mounted=$(awk -v c="$2" '$3 == "cgroup" && "," $4 "," ~ "," c "," { print $2; exit }' /proc/mounts)
    fi
    if [ -z "$path" ] || [ -z "$mounted" ]; then
        echo "process $1 has no cgroup for $2, or its hierarchy is not mounted" >&2
        return 1
    fi
    echo "$mounted${path%/}"
}

limit() {
    folder=$(group "$1" "$2") || return 1
    cat "$folder/$3"
}

# A line of a request: seconds and a command in base64. The answer: exit status, and what it printed in base64.
serve() {
    stty -F "$1" raw -echo
    # shellcheck disable=SC2094 # a line has two directions
    exec <"$1" >"$1"
    echo ready
    while read -r seconds command; do
        status=0
        printf '%s' "$command" | base64 -d >/run/guest.command
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 timeout --kill-after=5 "$seconds" \
            bash /run/guest.command >/run/guest.output 2>&1 </dev/null || status=$?
        printf '%s %s\n' "$status" "$(base64 -w 0 /run/guest.output)"
    done
}

case ${1-} in
    pids | alive | group | limit | serve) "$@" ;;
    *)
        sed -n 's/^# \(usage: .*\)/\1/p; s/^# \{8\}/       /p' "$0" >&2
        exit 2
        ;;
esac
