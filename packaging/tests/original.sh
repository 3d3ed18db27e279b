#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Makes a deb and an rpm that stand in for the original package: the same name, epoch, files and maintainer's actions,
# its defects among them, with a small program (original.c) as the agent and a script as its elkeidctl. They are for
# machines of this kind.
#
# usage: original.sh FOLDER [VERSION]     the packages go there; nfpm is $NFPM, or in PATH
set -euo pipefail

[[ $# -ge 1 && $# -le 2 && -d $1 ]] || {
    echo 'usage: original.sh FOLDER [VERSION]     VERSION being four numbers, 1.7.0.1 if it is not given' >&2
    exit 2
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=$(cd "$1" && pwd)
version=${2:-1.7.0.1}
nfpm=${NFPM:-nfpm}
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *)
        echo "original.sh: there are no packages for $(uname -m)" >&2
        exit 3
        ;;
esac

cc -O1 -static -o "$files/elkeid-agent" "$here/original.c"

cat >"$files/elkeid-agent.service" <<'END'
[Unit]
Description=Stands in for the original agent
[Service]
Type=simple
ExecStart=/etc/elkeid/elkeid-agent
WorkingDirectory=/etc/elkeid
EnvironmentFile=-/etc/elkeid/specified_env
Restart=always
RestartSec=45
KillMode=control-group
MemoryMax=250M
MemoryLimit=250M
CPUQuota=10%
Delegate=yes
[Install]
WantedBy=multi-user.target
END

cat >"$files/elkeid-agent.sysvinit" <<'END'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          elkeid-agent
# Required-Start:    $local_fs $remote_fs
# Required-Stop:     $local_fs $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Stands in for the original agent
### END INIT INFO
case $1 in
    start | stop | restart | status) exec /etc/elkeid/elkeidctl "$1" ;;
    *) exit 1 ;;
esac
END

# With service_type unset or unknown all but set and unset do nothing.
cat >"$files/elkeidctl" <<'END'
#!/bin/sh
cd /etc/elkeid || exit 1
pid_file=/var/run/elkeid-agent.pid
cron_file=/etc/cron.d/elkeid-agent

value_of() { [ ! -f specified_env ] || sed -n "s/^$1 = //p" specified_env; }
fail() {
    echo "Error: $1" >&2
    exit 1
}

store() {
    [ ! -f specified_env ] || sed "/^$1 = /d" specified_env >specified_env.new
    [ -z "$2" ] || echo "$1 = $2" >>specified_env.new
    chmod 644 specified_env.new
    mv specified_env.new specified_env
}

# All keys in one line when one of several is removed.
forget() {
    store "$1" ''
    tr -d '\n' <specified_env >specified_env.new
    mv specified_env.new specified_env
}

owner() {
    pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && echo "$pid"
}

restart_cron() {
    service cron restart
    service crond restart
    true
} >/dev/null 2>&1

# Hierarchies that nobody has mounted are mounted in its own folder, and stay.
enter_groups() {
    for name in cpu memory; do
        point=$(awk -v c="$name" '$3 == "cgroup" && "," $4 "," ~ "," c "," { print $2; exit }' /proc/mounts)
        if [ -z "$point" ]; then
            point=/etc/elkeid/cgroup/$name
            mkdir -p "$point" && mount -t cgroup -o "$name" cgroup "$point" || continue
        fi
        mkdir -p "$point/elkeid-agent" && echo $$ >"$point/elkeid-agent/cgroup.procs"
    done
} 2>/dev/null

launch() {
    rm -f "$pid_file"
    (
        enter_groups
        set -- PATH=/sbin:/bin:/usr/sbin:/usr/bin service_type=sysvinit
        for key in specified_id specified_idc specified_region; do
            [ -z "$(value_of $key)" ] || set -- "$@" "$key=$(value_of $key)"
        done
        exec setsid env -i "$@" /etc/elkeid/elkeid-agent
    ) </dev/null >/dev/null 2>&1 &
    tries=50
    until owner >/dev/null || [ "$tries" -eq 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
}

write_cron_file() {
    (umask 077 && echo '* * * * * root /etc/elkeid/elkeidctl check' >"$cron_file")
    restart_cron
}

# With all that has come of it.
descendants() {
    echo "$1"
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do descendants "$child"; done
}

end() {
    rm -f "$cron_file"
    restart_cron
    pid=$(owner) || return 0
    all=$(descendants "$pid")
    kill -TERM $all 2>/dev/null
    tries=300
    while kill -0 $all 2>/dev/null && [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
    kill -KILL $all 2>/dev/null
    return 0
}

command=$1
[ $# -eq 0 ] || shift
case $command in
    set)
        while [ $# -gt 0 ]; do
            case $1 in
                --*=*) name=${1%%=*} value=${1#*=} ;;
                *) name=$1 value=$2 && shift ;;
            esac
            shift
            case $name in
                --service_type) store service_type "$value" ;;
                --id) store specified_id "$value" ;;
                --idc) store specified_idc "$value" ;;
                --region) store specified_region "$value" ;;
                *) fail "unknown flag: $name" ;;
            esac
        done
        exit 0
        ;;
    unset)
        for name in "$@"; do forget "${name#--}"; done
        exit 0
        ;;
esac

case $(value_of service_type) in
    systemd)
        case $command in
            enable) systemctl enable /etc/elkeid/elkeid-agent.service ;;
            disable) systemctl disable elkeid-agent ;;
            start | stop | restart | status) systemctl "$command" elkeid-agent ;;
            service-reload)
                systemctl daemon-reload
                exit 0
                ;;
        esac || fail "exit status $?"
        ;;
    sysvinit)
        case $command in
            enable) update-rc.d elkeid-agent defaults ;;
            disable) update-rc.d -f elkeid-agent remove ;;
            start)
                owner >/dev/null || launch
                write_cron_file
                ;;
            stop) end ;;
            restart)
                end
                launch
                write_cron_file
                ;;
            status)
                if pid=$(owner); then
                    echo 'agent is running, procs:'
                    descendants "$pid"
                else
                    echo 'agent is dead'
                fi
                ;;
            check) owner >/dev/null || launch ;;
            service-reload) restart_cron ;;
        esac || fail "exit status $?"
        ;;
esac
exit 0
END

# The shell of rpm's scriptlets is /bin/sh, whatever their first line says.
cat >"$files/preinst" <<'END'
#!/bin/bash
has() { command -v "$1" >/dev/null 2>&1; }
has systemctl && exit 0
{ has update-rc.d || has chkconfig; } && has crontab && exit 0
echo 'neither systemd nor sysvinit with cron' >&2
exit 1
END

# An id, if a region is given with it, is overwritten by the region.
cat >"$files/postinst" <<'END'
#!/bin/bash
control=/etc/elkeid/elkeidctl
type=sysvinit
command -v systemctl >/dev/null 2>&1 && type=systemd

put_init_script() {
    mkdir -p /etc/init.d
    cp /etc/elkeid/elkeid-agent.sysvinit /etc/init.d/elkeid-agent
}

first() {
    [ "$type" = systemd ] || put_init_script
    $control set --service_type="$type"
    $control enable || exit
    [ -z "$SPECIFIED_IDC" ] || $control set --idc "$SPECIFIED_IDC"
    [ -z "$SPECIFIED_AGENT_ID" ] || $control set --id "$SPECIFIED_AGENT_ID"
    [ -z "$SPECIFIED_REGION" ] || $control set --id "$SPECIFIED_REGION"
    $control service-reload
    $control cleanup
    $control start
    true
}

again() {
    [ "$type" = systemd ] || put_init_script
    $control enable || exit
    $control service-reload
    $control cleanup
}

case $1 in
    configure) if [ -z "$2" ]; then first; else again; fi ;;
    1) first ;;
    2) again ;;
esac
END

# dpkg's upgrade makes the comparison with a number complain, and go on.
cat >"$files/prerm" <<'END'
#!/bin/bash
if [ "$1" = remove ] || [ "$1" -eq 0 ]; then
    control=/etc/elkeid/elkeidctl
    $control disable || exit
    $control stop
    for point in /etc/elkeid/cgroup/*; do umount "$point" 2>/dev/null; done
    cd /etc/elkeid || exit
    rm -rf log machine-id specified_env plugin stderr stdout plugin.sock
    rm -f /etc/init.d/elkeid-agent.sysvinit
fi
exit 0
END

cat >"$files/nfpm.yaml" <<END
name: elkeid-agent
arch: $architecture
platform: linux
epoch: 3
version: $version
version_schema: none
release: 1
section: default
priority: extra
maintainer: Stands in <original@example.invalid>
description: Stands in for the original package
contents:
  - {src: $files/elkeid-agent, dst: /etc/elkeid/elkeid-agent, file_info: {mode: 0700}}
  - {src: $files/elkeidctl, dst: /etc/elkeid/elkeidctl, file_info: {mode: 0700}}
  - {src: $files/elkeid-agent.service, dst: /etc/elkeid/elkeid-agent.service, file_info: {mode: 0600}}
  - {src: $files/elkeid-agent.sysvinit, dst: /etc/elkeid/elkeid-agent.sysvinit, file_info: {mode: 0700}}
scripts:
  preinstall: $files/preinst
  postinstall: $files/postinst
  preremove: $files/prerm
END

for kind in deb rpm; do
    "$nfpm" package --config "$files/nfpm.yaml" --packager "$kind" --target "$output/elkeid-agent-original.$kind" \
        >"$files/log" 2>&1 || {
        cat "$files/log" >&2
        exit 1
    }
    printf '%s\n' "$output/elkeid-agent-original.$kind"
done
