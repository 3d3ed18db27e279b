#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The life of the rpm: transactions of the real rpm, which is Debian's, with a systemd that runs. What only a real
# distribution of that kind has (SELinux, dnf, an rpm of 2013) is not tested.
#
# usage: rpm.sh FOLDER     with the packages that build.sh makes; nfpm is $NFPM, or in PATH
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

# with_rpm OPTION FILE [VARIABLE=VALUE...] [--OPTION]: from /root/packages.
with_rpm() {
    local options=("$1" --nosignature) file=${2##*/} variables=() word
    shift 2
    for word in "$@"; do
        if [[ $word == --* ]]; then options+=("$word"); else variables+=("$word"); fi
    done
    transact env "${variables[@]}" rpm "${options[@]}" "/root/packages/$file"
}
install_rpm() { with_rpm -ivh "$@"; }
upgrade_rpm() { with_rpm -Uvh "$@"; }

has_rpm() { same "elkeid-agent-$1-1.$machine" "$("$enter" rpm -q elkeid-agent)"; }
no_rpm() { fails "$enter" rpm -q elkeid-agent; }
# verified [FILE]: nothing differs from the package; or nothing but this file's content.
verified() {
    same "${1:+$1}" "$("$enter" rpm -V elkeid-agent | sed 's/^S\?.5.* c //; s/^[.S]\.5\.*T\.* *c //')"
}
only_saved() { same '/etc/elkeid/agent.conf.rpmsave' "$(cd "$target" && find etc/elkeid -type f -printf '/%p\n')"; }

prepare_root() {
    take_over "$@"
    install -m 755 "$here/guest.sh" "$target/root/guest"
    # There, they are the distribution's.
    mkdir -p "$target"/usr/share/{licenses,zsh/site-functions,fish/vendor_completions.d}
    # Debian's rpm would keep its database in the home of whoever calls it.
    mkdir -p "$target/etc/rpm" "$target/var/lib/rpm"
    echo '%_dbpath /var/lib/rpm' >"$target/etc/rpm/macros"
    chroot "$target" rpm --initdb
}

begin_packages rpm "$@"
make_original 1.7.0.1
make_rpm 0.9.0.1 older_content
older=$made
make_rpm 99.0.0.1 newer_content
newer=$made
foreign=$(newest "$packages"/elkeid-agent-*.aarch64.rpm || true)
[[ $machine != aarch64 ]] || foreign=$(newest "$packages"/elkeid-agent-*.x86_64.rpm || true)

make_root rpm systemd systemd-sysv dbus rpm
overlay
prepare_root "$rpm" "$older" "$newer" "$original_rpm"
boot_nspawn
remember

section 'First installation, with what the environment says of this host'

require 'installed' install_rpm "$rpm" SPECIFIED_AGENT_ID="$seeded_id" SPECIFIED_IDC=cellar SPECIFIED_REGION=nowhere
check 'it warns of the region that there is not' said 'nowhere'
check 'and of nothing else' said_only '.*nowhere|.*region'
check 'by its own account' has_rpm "$version"
check 'files, modes and links are as intended' files_as_intended rpm systemd configured
check 'the files are those of the package' verified
check 'manuals and completions' papers
check 'enabled' enabled enabled
check 'our program runs, and answers' runs_ours
check 'the id is stored' specified specified_id "$seeded_id"
check 'and taken' same "$seeded_id" "$(answered id)"
check 'the data center is stored' specified specified_idc cellar
check 'the region is not' not_specified specified_region
if [[ -n $foreign ]]; then
    take_over "$foreign"
    refused() { fails upgrade_rpm "$foreign" && said 'different architecture'; }
    check 'the one of another architecture is refused' refused
    check 'it runs on' runs_ours
else
    echo "rpm: there is no rpm of another architecture in the folder, to be refused"
fi

section 'Erased'

check 'erased, while it runs' transact rpm -e elkeid-agent
check 'nothing is complained of' said_only
gone() { no_agent && property_is LoadState not-found && property_is ActiveState inactive; }
check 'no process and no unit is left' gone
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left

section 'Upgrade from an older version'

require 'the older version is installed' install_rpm "$older"
check 'nothing is complained of' said_only
check 'it runs' runs_ours
pid=$(main_pid)
require 'upgraded' upgrade_rpm "$rpm"
check 'nothing is complained of' said_only
check 'by its own account' has_rpm "$version"
check 'files, modes and links are as intended' files_as_intended rpm systemd
check 'the files are those of the package' verified
check 'the program runs' runs_ours
check 'as another process' fails same "$pid" "$(main_pid)"
check 'enabled' enabled enabled
check 'the configuration is that of the new version' fails grep -q 'older version' "$target/etc/elkeid/agent.conf"

section 'Edited configuration, and down again'

check 'the configuration is edited' edit
check 'only that differs' verified /etc/elkeid/agent.conf
check 'upgraded' upgrade_rpm "$newer"
check 'by its own account' has_rpm 99.0.0.1
check 'the edit is kept' edited
check 'its mode is, too' is_described '/etc/elkeid/agent.conf -rw-r----- root:root'
check 'the new default is beside it' grep -q 'newer version' "$target/etc/elkeid/agent.conf.rpmnew"
rm -f "$target/etc/elkeid/agent.conf.rpmnew"
check 'it runs' runs_ours
pid=$(main_pid)
check 'a lower version is refused' fails upgrade_rpm "$rpm"
check 'taken back to it, when that is meant' upgrade_rpm "$rpm" --oldpackage
check 'by its own account' has_rpm "$version"
check 'it runs' runs_ours
check 'as another process' fails same "$pid" "$(main_pid)"
check 'the edit is kept' edited

section 'Disabled, stopped'

check 'disabled' inside elkeidctl disable
check 'upgraded' upgrade_rpm "$newer"
check 'it stays disabled' enabled disabled
check 'it runs on' runs_ours
check 'stopped' inside elkeidctl stop
check 'taken back' upgrade_rpm "$rpm" --oldpackage
check 'it stays disabled' enabled disabled
check 'and stopped' is_stopped

section 'Upgraded by itself'

check 'enabled again' inside elkeidctl enable
check 'and started' inside elkeidctl start
pid=$(main_pid)
install_below_agent() {
    cp "$target/bin/sh" "$target/root/elkeid-agent"
    transact /root/elkeid-agent -c "rpm -Uvh '/root/packages/${newer##*/}'; exit \$?"
}
check 'upgraded by a process below one with the name of the agent' install_below_agent
check 'by its own account' has_rpm 99.0.0.1
untouched() { same "$pid active" "$(main_pid) $(property ActiveState)"; }
check 'it is not restarted' untouched
check 'enabled' enabled enabled
check 'with ELKEID_SELF_UPGRADE=1, taken back' upgrade_rpm "$rpm" ELKEID_SELF_UPGRADE=1 --oldpackage
check 'it is not restarted' untouched
check 'when it ends' send_signal KILL "$pid"
other_process() { [[ $(main_pid) != "$pid" ]] && runs_ours; }
check 'the new program is started' within 15 other_process

section 'Erased, and installed again'

rm -f "$target/etc/elkeid/agent.conf.rpmnew"
check 'erased' transact rpm -e elkeid-agent
check 'nothing is complained of' said_only 'warning: /etc/elkeid/agent.conf saved as '
check 'no process and no unit is left' gone
check 'only the edited configuration stays' only_saved
check 'nothing else is left' left_behind '/etc/elkeid(/agent.conf.rpmsave)?( |$)'
check 'installed again' install_rpm "$rpm"
check 'files, modes and links are as intended' files_as_intended rpm systemd
check 'enabled' enabled enabled
check 'it runs' runs_ours
check 'erased' transact rpm -e elkeid-agent
rm -rf "$target/etc/elkeid"
check 'nothing is left' left_behind

section 'From the original'

original_runs() {
    inside systemctl is-active --quiet elkeid-agent && [[ -n $(programs) ]] &&
        inside grep -q 'agent runs' /etc/elkeid/log/elkeid-agent.log && there /etc/elkeid/machine-id
}
install_original() {
    with_rpm -ivh "$original_rpm" "$@" && within 10 original_runs && seed_state &&
        inside systemctl restart elkeid-agent && within 10 plugin_runs
}
is_ours() {
    check "$1: by its own account" has_rpm "$version"
    check "$1: our program runs" within 15 runs_ours
    check "$1: no process of the original is left" only_ours
    check "$1: nor one of its plugins" fails plugin_runs
    check "$1: enabled" enabled enabled
    check "$1: files, modes and links are as intended" files_as_intended rpm systemd
    check "$1: the files are those of the package" verified
    check "$1: all that the original kept is where it belongs" state_is_whole
    check "$1: and nothing else" no_remnants
}
require 'the original runs' install_original SPECIFIED_AGENT_ID="$seeded_id" SPECIFIED_IDC=cellar
require 'the original is upgraded to ours' upgrade_rpm "$rpm"
check 'it says that it leaves the id out' said "specified_id .*$seeded_id"
check 'nothing is complained of' said_only 'elkeid-agent: specified_id '
is_ours 'from the original'
# Nobody has ever read it, and it may be a region: then all hosts of that would be one.
check 'what the original stored as id is left out' not_specified specified_id
check 'the id is that which the original had' same "$seeded_machine" "$(answered id)"
check 'the data center is kept' specified specified_idc cellar
check 'installed over itself' upgrade_rpm "$rpm" --replacepkgs
is_ours 'installed over itself'
check 'erased' transact rpm -e elkeid-agent
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left

require 'the original runs' install_original
inside systemctl disable --quiet elkeid-agent
inside systemctl stop elkeid-agent
require 'the original, disabled and stopped, is upgraded to ours' upgrade_rpm "$rpm"
check 'it stays disabled' enabled disabled
check 'and stopped' is_stopped
check 'all that the original kept is where it belongs' state_is_whole
check 'and nothing else' no_remnants
check 'started' inside elkeidctl start
check 'it runs' runs_ours
check 'with the id that the original had' same "$seeded_machine" "$(answered id)"
check 'erased' transact rpm -e elkeid-agent
check 'nothing is left' left_behind

# The original's way: its own child is the package manager, and it ends when that is done.
require 'the original runs' install_original
upgrade_original() {
    cp "$rpm" "$target/etc/elkeid/upgrade" && mv "$target/etc/elkeid/upgrade" "$target/etc/elkeid/tmp/upgrade.rpm"
    within 30 has_rpm "$version" && within 15 runs_ours
}
check 'the original upgrades itself to ours, and ours runs' upgrade_original
is_ours 'upgraded by the original'
check 'erased' transact rpm -e elkeid-agent
check 'nothing is left' left_behind

show_state
check 'powered off' power_off 20

section 'Nothing is booted'

enter=chrooted
new_overlay
prepare_root "$rpm" "$original_rpm"
remember
check 'installed where nothing is booted' install_rpm "$rpm" SPECIFIED_IDC=cellar
check 'nothing is complained of' said_only
check 'files, modes and links are as intended' files_as_intended rpm none
check 'the files are those of the package' verified
check 'enabled' enabled enabled
check 'the data center is stored' specified specified_idc cellar
check 'erased' transact rpm -e elkeid-agent
check 'nothing is left' left_behind

section 'Killed at every step of the way from the original'

make_rpm "$version" without_program
rpm=$made
new_overlay
prepare_root "$rpm" "$original_rpm"
require 'the original is installed' install_rpm "$original_rpm"
seed_state
set_traps
save
upgrade() { "$enter" rpm --nosignature -Uvh "/root/packages/${rpm##*/}"; }
resume() { "$enter" rpm --nosignature -Uvh --replacepkgs "/root/packages/${rpm##*/}"; }
complete() { has_rpm "$version" && state_is_whole && no_remnants && enabled enabled; }
check 'script killed, /var on the same file system' killed_everywhere same script
check 'script and rpm killed, /var on another file system' killed_everywhere other all

finish
