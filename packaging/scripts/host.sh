# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# What the maintainer scripts of both formats share: package.sh puts the parts that one names, and this one, in front of
# it. They do not fail where something is unusual: a package that can neither be configured nor removed is worse than a
# line on stderr.

settings=/etc/elkeid
state=/var/lib/elkeid
logs=/var/log/elkeid
shared=/usr/share/elkeid-agent
control=/usr/sbin/elkeidctl
unit=elkeid-agent.service
units=/etc/systemd/system
init_script=/etc/init.d/elkeid-agent

say() { echo "elkeid-agent: $*" >&2; }

# attempt COMMAND...: what it says is shown only if it fails.
attempt() {
    said=$("$@" 2>&1) && return 0
    say "\"$*\" failed: $said"
    return 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# sd_booted(3). In an image that is being made there may be a systemd that does not run.
systemd_runs() { [ -d /run/systemd/system ]; }
has_systemd() { systemd_runs || has systemctl; }
has_sysvinit() { [ -d /etc/init.d ] && { has update-rc.d || has chkconfig; }; }

# Nothing is started where no init has started this system: not in a chroot, nor in a container that is being made.
sysvinit_runs() {
    ! systemd_runs && has_sysvinit || return 1
    case $(readlink /proc/1/exe) in
        */init) [ "$(stat -Lc %d:%i /)" = "$(stat -Lc %d:%i /proc/1/root)" ] ;;
        *) return 1 ;;
    esac
}

# Does the agent itself, ours or the original one, run the package manager? To stop its service would be to end the
# package manager with it. It ends by itself when the package manager is done, and its new version is started.
agent_upgrades_itself() {
    [ -z "${ELKEID_SELF_UPGRADE-}" ] || return 0
    process=$$
    while [ "${process:-0}" -gt 1 ]; do
        [ "$(cat "/proc/$process/comm" 2>/dev/null)" != elkeid-agent ] || return 0
        process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status" 2>/dev/null)
    done
    return 1
}
