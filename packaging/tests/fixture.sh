# shellcheck shell=bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# An installed agent, and a server that gives it plugins, in a root of lib.sh. Files are put where packages put them.
#
#   install_agent systemd|sysvinit
#   start_center PLUGIN...       the development center, in the booted system: process-collector, hog, quiet, stubborn
#   send_task PLUGIN           by way of the center
#   send_signal NAME PID
#   plugin_pid PLUGIN, log_has PATTERN, log_lacks PATTERN, center_says PATTERN ...

# shellcheck source=packaging/tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Beside packages.sh, which has said the same.
if [[ ! -v packaging ]]; then
    packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    readonly packaging
    readonly agent_log=/var/log/elkeid/elkeid-agent.log
fi
readonly plugin_folder=/var/lib/elkeid/plugin

install_agent() {
    need cc:gcc /usr/include/stdio.h:libc6-dev
    local program
    for program in elkeid-agent elkeidctl elkeid-devcenter; do
        install -D -m 755 "$binaries/$program" "$target/usr/sbin/$program"
    done
    install -D -m 755 "$binaries/process-collector" "$target/root/plugins/process-collector"
    # Static, since the root has another C library than the host, or none.
    cc -O1 -static -o "$target/root/plugins/hog" "$here/hog.c" || die 'hog.c cannot be compiled'
    for program in quiet stubborn; do cp "$target/root/plugins/hog" "$target/root/plugins/$program"; done
    install -m 755 "$here/guest.sh" "$target/root/guest"
    install -D -m 640 "$packaging/agent.conf" "$target/etc/elkeid/agent.conf"
    "$binaries/elkeid-devcenter" certs "$target/etc/elkeid/certs" >/dev/null
    case $1 in
        systemd)
            install -D -m 644 "$packaging/systemd/elkeid-agent.service" \
                "$target/lib/systemd/system/elkeid-agent.service"
            ;;
        sysvinit)
            install -D -m 755 "$packaging/sysvinit/elkeid-agent" "$target/etc/init.d/elkeid-agent"
            # Terminals that are not there would be tried again and again.
            sed -i '/getty/d' "$target/etc/inittab"
            ;;
    esac
}

start_center() {
    local plugin options=()
    for plugin in "$@"; do options+=(--component "$plugin:1.0.0.1:/root/plugins/$plugin"); done
    [[ " $* " != *' process-collector '* ]] || options+=(--detail 'process-collector:{"interval_seconds":2}')
    # Its input is a FIFO that has a writer always, so that it never ends; tasks are written into it.
    # shellcheck disable=SC2016 # for the shell in the booted system
    inside sh -c '
        cd /root && rm -f /run/center.in && mkfifo /run/center.in || exit
        setsid elkeid-devcenter serve --certs /etc/elkeid/certs "$@" 0<>/run/center.in >/run/center.log 2>&1 &
    ' sh "${options[@]}"
    within 20 inside grep -q 6751 /run/center.log
}

send_task() { inside sh -c "echo 'task $1 1 go' >/run/center.in"; }

# The shell's own kill: the roots have no other.
send_signal() { inside sh -c "kill -$1 $2"; }

# plugin_pid NAME: fails if there is none, or more than one.
plugin_pid() {
    local found
    found=$(inside /root/guest pids "$plugin_folder/$1/$1")
    [[ $found =~ ^[0-9]+$ ]] || {
        echo "processes of $1: ${found:-none}" >&2
        return 1
    }
    echo "$found"
}

# other_plugin_pid NAME PID: it runs, as another process.
other_plugin_pid() {
    local now
    now=$(plugin_pid "$1") && [[ $now != "$2" ]]
}

no_plugins() { same '' "$(inside sh -c "for p in $plugin_folder/*/; do /root/guest pids \$p\$(basename \$p); done")"; }

log_has() { inside grep -E -- "$1" "$agent_log"; }
log_lacks() { fails log_has "$1"; }

# center_says PATTERN: the last such line.
center_says() { inside grep -E -- "$1" /run/center.log | tail -n 1 | grep .; }

# count_in_log PATTERN
count_in_log() { inside grep -cE -- "$1" "$agent_log" || true; }

# status_says PATTERN: what elkeidctl status prints, whatever its exit code is.
status_says() {
    local text
    text=$(inside elkeidctl status) || true
    printf '%s\n' "$text"
    grep -Eq -- "$1" <<<"$text"
}

# What one wants to read when a check has failed.
show_state() {
    ((failed > 0)) || return 0
    printf -- '---- %s\n' "$agent_log"
    inside tail -n 40 "$agent_log" || true
}
