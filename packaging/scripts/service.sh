# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# For maintainer scripts: the service, by whatever this host has for it.

# By its links, which tell as much where no init runs.
is_enabled() {
    if has_systemd; then
        set -- "$units"/*.wants/"$unit"
    else
        set -- /etc/rc[2345].d/S*elkeid-agent /etc/rc.d/rc[2345].d/S*elkeid-agent
    fi
    for link in "$@"; do
        [ ! -L "$link" ] || return 0
    done
    return 1
}

is_running() {
    if systemd_runs; then
        [ "$(systemctl is-active "$unit" 2>/dev/null)" = active ]
    else
        sysvinit_runs && "$init_script" status >/dev/null 2>&1
    fi
}

# act VERB: start, restart or stop, as the host's policy allows it (policy-rc.d(8) on Debian).
act() {
    if systemd_runs; then
        if has deb-systemd-invoke; then attempt deb-systemd-invoke "$1" "$unit"; else attempt systemctl "$1" "$unit"; fi
    elif sysvinit_runs; then
        if has invoke-rc.d; then attempt invoke-rc.d elkeid-agent "$1"; else attempt "$init_script" "$1"; fi
    fi
}

reload_systemd() { ! systemd_runs || attempt systemctl daemon-reload || :; }

# After an installation or an upgrade: what is enabled or runs, runs in this version.
start_or_restart() {
    reload_systemd
    ! agent_upgrades_itself || return 0
    if is_running; then
        act restart || :
    elif is_enabled; then
        act start || :
    fi
    has_systemd || has_sysvinit ||
        say "no init is here that it knows; let this be run at boot: elkeid-agent --config $settings/agent.conf"
}

# systemd before 231 does not know a directive of the unit.
add_drop_in() {
    version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    if [ -n "$version" ] && [ "$version" -lt 231 ]; then
        mkdir -p "$units/$unit.d"
        cp "$shared/before-231.conf" "$units/$unit.d/before-231.conf" || :
    fi
}

remove_drop_in() {
    rm -f "$units/$unit.d/before-231.conf"
    rmdir "$units/$unit.d" 2>/dev/null || :
}

# What elkeidctl mounts where nobody else has.
unmount_groups() {
    for point in "$settings"/cgroup/*; do
        [ -d "$point" ] || continue
        umount -l "$point" 2>/dev/null || :
        rmdir "$point" 2>/dev/null || :
    done
    rmdir "$settings/cgroup" 2>/dev/null || :
}
