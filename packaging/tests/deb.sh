#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The life of the deb under systemd, in a booted container, and where nothing is booted: installed, upgraded, from the
# original too and from below the agent itself, taken back, removed, purged, and killed at every step of the way.
#
# usage: deb.sh FOLDER     with the packages that build.sh makes; nfpm is $NFPM, or in PATH
# shellcheck disable=SC2119,SC2120,SC2317 # functions are called by check, and some with or without arguments
set -euo pipefail
# shellcheck source=packaging/tests/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

begin_packages deb "$@"
make_original 1.7.0.1
make_deb 0.9.0.1 older_content
older=$made
make_deb 99.0.0.1 newer_content
newer=$made
make_deb "$version" without_certificates
bare=$made
make_deb "$version" without_program
light=$made
# The one that is delivered is installed once; to unpack it each time would take too long.
delivered=$deb
make_deb "$version"
deb=$made

make_blocker
blocker=$made

make_root systemd systemd systemd-sysv dbus
overlay
take_over "$delivered" "$deb" "$older" "$newer" "$original_deb" "$bare" "$blocker"
install -m 755 "$here/guest.sh" "$target/root/guest"
boot_nspawn
remember

section 'First installation, with what the environment says of this host'

require 'installed' install_deb "$bare" SPECIFIED_AGENT_ID="$seeded_id" SPECIFIED_IDC=cellar SPECIFIED_REGION=nowhere
check 'by its own account' installed "$version"
check 'it warns of the region that there is not' said 'nowhere'
check 'and of nothing else' said_only '.*nowhere|.*region'
check 'files, modes and links are as intended' files_as_intended deb systemd configured
check 'the files are those of the package' intact
check 'manuals and completions' papers
check 'enabled' enabled enabled
check 'our program runs, and answers' runs_ours
check 'the id is stored' specified specified_id "$seeded_id"
check 'and taken' same "$seeded_id" "$(answered id)"
check 'the data center is stored' specified specified_idc cellar
check 'the region is not' not_specified specified_region

pid=$(main_pid)
check 'without certificates, and without a server, it has tried' within 20 log_has 'next attempt'
stays() { property_is NRestarts 0 && same "$pid" "$(main_pid)" && property_is ActiveState active; }
check 'and stays' stays
check 'elkeidctl doctor says which files are missing' doctor_misses_certificates

section 'Upgrade from an older version, with its configuration as it was'

check 'removed' transact dpkg -r elkeid-agent
check 'purged' transact dpkg -P elkeid-agent
require 'the older version is installed' install_deb "$older"
check 'by its own account' installed 0.9.0.1
check 'it runs' runs_ours
pid=$(main_pid)
require 'upgraded' install_deb "$delivered"
check 'by its own account' installed "$version"
check 'nothing is complained of' said_only
check 'files, modes and links are as intended' files_as_intended deb systemd
check 'the files are those of the package' intact
check 'the program runs' runs_ours
check 'as another process' fails same "$pid" "$(main_pid)"
check 'enabled' enabled enabled
check 'the configuration is that of the new version' fails grep -q 'older version' "$target/etc/elkeid/agent.conf"

section 'Edited configuration'

check 'the configuration is edited' edit
check 'upgraded' install_deb "$newer" --force-confold
check 'by its own account' installed 99.0.0.1
check 'the edit is kept' edited
check 'its mode is, too' is_described '/etc/elkeid/agent.conf -rw-r----- root:root'
check 'it runs' runs_ours

section 'Down again'

pid=$(main_pid)
check 'taken back to the older version' install_deb "$deb" --force-confold
check 'by its own account' installed "$version"
check 'it runs' runs_ours
check 'as another process' fails same "$pid" "$(main_pid)"
check 'the edit is kept' edited

section 'Disabled, stopped'

check 'disabled' inside elkeidctl disable
check 'upgraded' install_deb "$newer" --force-confold
check 'it stays disabled' enabled disabled
check 'it runs on' runs_ours
check 'stopped' inside elkeidctl stop
check 'upgraded again' install_deb "$deb" --force-confold
check 'it stays disabled' enabled disabled
check 'and stopped' is_stopped

section 'Upgraded by itself'

check 'enabled again' inside elkeidctl enable
check 'and started' inside elkeidctl start
pid=$(main_pid)
install_below_agent() {
    cp "$target/bin/sh" "$target/root/elkeid-agent"
    transact /root/elkeid-agent -c "dpkg --force-confold -i '/root/packages/${newer##*/}'; exit \$?"
}
check 'upgraded by a process below one with the name of the agent' install_below_agent
check 'by its own account' installed 99.0.0.1
untouched() { same "$pid active" "$(main_pid) $(property ActiveState)"; }
check 'it is not restarted' untouched
check 'enabled' enabled enabled
check 'upgraded with ELKEID_SELF_UPGRADE=1' \
    install_deb "$deb" ELKEID_SELF_UPGRADE=1 --force-confold
check 'it is not restarted' untouched
check 'when it ends' send_signal KILL "$pid"
other_process() { [[ $(main_pid) != "$pid" ]] && runs_ours; }
check 'the new program is started' within 15 other_process

if [[ -x $packages/elkeid-devcenter ]]; then
    section 'Upgraded by a plugin, with a server'

    # A plugin that is the package manager's parent, as the agent is when it upgrades itself; once.
    start_center() {
        cp "$packages/elkeid-devcenter" "$target/root/"
        printf '%s\n' '#!/bin/sh' 'PATH=/usr/sbin:/usr/bin:/sbin:/bin' \
            'if [ ! -e /root/updater.log ]; then' \
            "dpkg --force-confold -i '/root/packages/${newer##*/}' >/root/updater.log 2>&1" \
            'echo "$?" >/root/updater.code' 'fi' 'exec cat <&3 >/dev/null' >"$target/root/updater"
        inside /root/elkeid-devcenter certs /etc/elkeid/certs
        inside sh -c 'chmod 600 /etc/elkeid/certs/*'
        inside sh -c 'setsid /root/elkeid-devcenter serve --certs /etc/elkeid/certs \
            --component updater:1.0.0.1:/root/updater </dev/null >/root/center.log 2>&1 &'
        within 20 inside grep -q 6751 /root/center.log
    }
    check 'the center runs' start_center
    check 'restarted, with its certificates' inside elkeidctl restart
    pid=$(main_pid)
    check 'connected' within 20 log_has 'get connection successfully'
    check 'its plugin has upgraded the package' within 60 inside grep -qx 0 /root/updater.code
    check 'by its own account' installed 99.0.0.1
    check 'the agent is not restarted' untouched
    check 'restarted by hand' inside elkeidctl restart
    check 'the new program runs' other_process
    check 'taken back' install_deb "$deb" --force-confold
    check 'it runs' runs_ours
fi

section 'Removed, and installed again'

id=$(answered id || true)
check 'removed' transact dpkg -r elkeid-agent
check 'by its own account' status_is "rc |3:$version-1"
check 'nothing is complained of' said_only
check 'no process is left' no_agent
check 'it is stopped' is_stopped
check 'our unit is gone' not_there /lib/systemd/system/elkeid-agent.service
check 'links are gone, the configuration is not' removed
check 'installed again' install_deb "$deb"
check 'by its own account' installed "$version"
check 'files, modes and links are as intended' files_as_intended deb systemd
check 'enabled' enabled enabled
check 'it runs' runs_ours
check 'with the id that it had' same "$id" "$(answered id)"
check 'the edit is kept' edited

section 'Purged'

inside sh -c 'mkdir -p /var/lib/elkeid/plugin/some && echo x >/var/lib/elkeid/plugin/some/some && echo >/etc/elkeid/own'
check 'purged, while it runs' transact dpkg -P elkeid-agent
check 'nothing is complained of' said_only
gone() { no_agent && property_is LoadState not-found && property_is ActiveState inactive; }
check 'no process and no unit is left' gone
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left
check 'the system has no failed unit' same '' "$(inside systemctl --failed --quiet --no-legend)"
check 'installed once more' install_deb "$deb"
check 'it runs' runs_ours
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

section 'From the original'

# The original, installed and running, with a plugin that it has started.
original_runs() {
    inside systemctl is-active --quiet elkeid-agent && [[ -n $(programs) ]] &&
        inside grep -q 'agent runs' /etc/elkeid/log/elkeid-agent.log && there /etc/elkeid/machine-id
}
install_original() {
    transact env "$@" dpkg -i "/root/packages/${original_deb##*/}" && within 10 original_runs && seed_state &&
        inside systemctl restart elkeid-agent && within 10 plugin_runs
}

require 'the original runs' install_original SPECIFIED_AGENT_ID="$seeded_id" SPECIFIED_IDC=cellar
require 'the original is upgraded to ours' install_deb "$deb"
check 'it says that it leaves the id out' said "specified_id .*$seeded_id"
check 'nothing is complained of' said_only '.*integer expression expected|elkeid-agent: specified_id '
is_ours() {
    check "$1: by its own account" installed "$version"
    check "$1: our program runs" within 15 runs_ours
    check "$1: no process of the original is left" only_ours
    check "$1: nor one of its plugins" fails plugin_runs
    check "$1: files, modes and links are as intended" files_as_intended deb systemd
    check "$1: the files are those of the package" intact
    check "$1: all that the original kept is where it belongs" state_is_whole
    check "$1: and nothing else" no_remnants
}
is_ours 'from the original'
check 'enabled' enabled enabled
# Nobody has ever read it, and it may be a region: then all hosts of that would be one.
check 'what the original stored as id is left out' not_specified specified_id
check 'the id is that which the original had' same "$seeded_machine" "$(answered id)"
check 'the data center is kept' specified specified_idc cellar
pid=$(main_pid)
check 'configured again' inside env DPKG_MAINTSCRIPT_PACKAGE=elkeid-agent DPKG_MAINTSCRIPT_NAME=postinst \
    /var/lib/dpkg/info/elkeid-agent.postinst configure "3:$version-1"
is_ours 'configured again'
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left

require 'the original runs' install_original
inside systemctl disable --quiet elkeid-agent
inside systemctl stop elkeid-agent
require 'the original, disabled and stopped, is upgraded to ours' install_deb "$deb"
check 'it stays disabled' enabled disabled
check 'and stopped' is_stopped
check 'all that the original kept is where it belongs' state_is_whole
check 'and nothing else' no_remnants
check 'without an id of its own, none is stored' not_specified specified_id
check 'started' inside elkeidctl start
check 'it runs' runs_ours
check 'with the id that the original had' same "$seeded_machine" "$(answered id)"
check 'purged' transact dpkg -P elkeid-agent

# It is stopped before that is known.
require 'the original runs' install_original
check 'there is a package in the way' transact dpkg -i /root/packages/blocker.deb
check 'ours cannot be unpacked' fails install_deb "$deb"
check 'the reason is that package' said 'trying to overwrite'
check 'the original is still there' status_is 'ii |3:1.7.0.1-1'
check 'and runs' within 10 original_runs
check 'enabled' enabled enabled
check 'with all that it had' same "$seeded_plugins" "$(tree_of /etc/elkeid/plugin)"
check 'the package in the way is gone' transact dpkg -P blocker
check 'ours is installed' install_deb "$deb"
is_ours 'after a failure'
check 'enabled' enabled enabled
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

# The original's way: its own child is the package manager, and it ends when that is done.
require 'the original runs' install_original
upgrade_original() {
    cp "$deb" "$target/etc/elkeid/upgrade" && mv "$target/etc/elkeid/upgrade" "$target/etc/elkeid/tmp/upgrade.deb"
    within 30 installed "$version" && within 15 runs_ours
}
check 'the original upgrades itself to ours, and ours runs' upgrade_original
is_ours 'upgraded by the original'
check 'enabled' enabled enabled
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

section 'Where configuration was there first'

there_first() {
    mkdir -p "$target/etc/elkeid/certs"
    cp "$packaging/agent.conf" "$target/etc/elkeid/agent.conf"
    edit
    echo 'an authority' >"$target/etc/elkeid/certs/ca.crt"
}
check 'a configuration, and a certificate' there_first
check 'installed, without a question' install_deb "$deb"
check 'the configuration is what it was' edited
check 'the certificate, too' grep -qx 'an authority' "$target/etc/elkeid/certs/ca.crt"
check 'it runs' runs_ours
no_leftovers() { same '' "$(find "$target/etc/elkeid" -name '*.kept' -o -name '*.dpkg-*')"; }
check 'and nothing is beside them' no_leftovers
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

section 'Older systemd'

old_systemd() {
    # shellcheck disable=SC2016 # for the script
    printf '%s\n' '#!/bin/sh' '[ "$*" != --version ] || { echo "systemd $(cat /root/version)"; exit; }' \
        'exec /usr/bin/systemctl.real "$@"' >"$target/root/systemctl"
    chmod 755 "$target/root/systemctl"
    mv "$target/usr/bin/systemctl" "$target/usr/bin/systemctl.real"
    cp "$target/root/systemctl" "$target/usr/bin/systemctl"
}
readonly drop_ins=/etc/systemd/system/elkeid-agent.service.d
old_systemd
echo 231 >"$target/root/version"
check 'installed with systemd 231' install_deb "$deb"
check 'without a drop-in' not_there "$drop_ins"
check 'purged' transact dpkg -P elkeid-agent
echo 219 >"$target/root/version"
check 'installed with systemd 219' install_deb "$deb"
limited() { cmp "$target/usr/share/elkeid-agent/before-231.conf" "$target$drop_ins/"*.conf; }
check 'with the drop-in' limited
check 'upgraded' install_deb "$newer"
check 'it is still there' limited
check 'purged' transact dpkg -P elkeid-agent
check 'the drop-in is gone' not_there "$drop_ins"
mv "$target/usr/bin/systemctl.real" "$target/usr/bin/systemctl"
check 'nothing is left' left_behind

show_state
check 'powered off' power_off 20

section 'Nothing is booted, as in a container, or while an image is made'

enter=chrooted
new_overlay
take_over "$deb" "$original_deb"
remember
check 'installed where nothing is booted' install_deb "$deb" SPECIFIED_IDC=cellar
check 'nothing is complained of' said_only
check 'files, modes and links are as intended' files_as_intended deb none
check 'enabled' enabled enabled
check 'the data center is stored' specified specified_idc cellar
check 'removed' transact dpkg -r elkeid-agent
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

section 'Killed at every step of the way from the original'

# What is installed below.
package=$light
upgrade() { "$enter" dpkg --force-unsafe-io -i "/root/packages/${package##*/}"; }
# What one does after a power cut.
resume() {
    "$enter" dpkg --force-unsafe-io --configure -a || true
    installed "$version" || upgrade
}
complete() { installed "$version" && state_is_whole && no_remnants && enabled enabled; }

new_overlay
take_over "$light" "$original_deb"
require 'the original is installed' chrooted dpkg -i "/root/packages/${original_deb##*/}"
seed_state
set_traps
save
check 'script killed, /var on the same file system' killed_everywhere same script
check 'script and dpkg killed, /var on another file system' killed_everywhere other all
check 'script and dpkg killed, /var on the same file system, mounted' killed_everywhere bind all

# A folder of its own for the state, which is too small.
full() {
    restore same
    mkdir -p "$target/var/lib/elkeid"
    mount -t tmpfs -o mode=750,size=100k full "$target/var/lib/elkeid"
    upgrade || true
    nothing_is_lost || return
    mount -o remount,size=10m "$target/var/lib/elkeid"
    upgrade && complete
}
check 'no room for what is moved: nothing is lost, and with room it is moved' full

section 'The same at some of the steps, with a service that runs'

enter=inside
restore same
package=$deb
take_over "$package"
install -m 755 "$here/guest.sh" "$target/root/guest"
chroot "$target" dpkg -P elkeid-agent >/dev/null 2>&1
boot_nspawn
trap_at 0 all
require 'the original runs' install_original
check 'the original is upgraded to ours' install_deb "$package"
count=$(trapped_commands)
killed_in_service() {
    trap_at 0 all
    transact dpkg -P elkeid-agent && install_original || return
    trap_at "$1" all
    fails upgrade || return
    printf '** killed at %d: %s\n' "$1" "$(sed -n "${1}p" "$target/root/traps/commands")"
    nothing_is_lost || return
    release_traps
    resume || return
    within 15 runs_ours && enabled enabled && state_is_whole && no_remnants && only_ours &&
        fails plugin_runs
}
before=$failed
for ((part = 1; part <= 10 && failed == before; part++)); do
    check "killed at $part elevenths of its $count commands" killed_in_service $((count * part / 11))
done
show_state
power_off 20 || true
finish
