#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The life of the deb where there is no systemd: init script, cron, and the original's way of both.
#
# usage: deb-sysvinit.sh FOLDER     with the packages that build.sh makes; nfpm is $NFPM, or in PATH
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

readonly pid_file=/var/run/elkeid-agent.pid cron_file=/etc/cron.d/elkeid-agent

# The agent's main process is older than those that it starts.
agent_pid() { our_processes | head -n 1; }

# runs_here: the packaged program, as the init script and the pid file know it, and it answers.
runs_here() {
    local process
    process=$(agent_pid) && [[ -n $process ]] && inside service elkeid-agent status &&
        same "$process" "$(inside cat "$pid_file")" && within 10 answers && inside test -e "$cron_file"
}
stopped_here() { no_agent && fails inside service elkeid-agent status && not_there "$cron_file"; }
# The process of before, whether or not its program was replaced.
same_process() { same "$pid" "$(inside cat "$pid_file")" && inside /root/guest alive "$pid"; }

links() { (cd "$target/etc" && find rc?.d -name '*elkeid-agent' | sed 's,.*/\(.\)..elkeid-agent,\1,' | sort | xargs); }
is_enabled() { same 'K K K S S S S' "$(links)"; }
starts_nowhere() { [[ $(links) != *S* ]]; }

begin_packages deb-sysvinit "$@"
make_original 1.7.0.1
make_deb 0.9.0.1 older_content
older=$made
make_deb 99.0.0.1 newer_content
newer=$made
make_blocker
blocker=$made

make_root sysvinit sysvinit-core cron orphan-sysvinit-scripts
overlay
# Terminals that are not there would be tried again and again.
sed -i '/getty/d' "$target/etc/inittab"
take_over "$deb" "$older" "$newer" "$original_deb" "$blocker"
install -m 755 "$here/guest.sh" "$target/root/guest"
boot_unshared sysvinit mounted
remember

section 'First installation'

require 'installed' install_deb "$deb" SPECIFIED_IDC=cellar SPECIFIED_AGENT_ID=12345
check 'it warns of the id that reads as a number' said '12345'
check 'and of nothing else' said_only '.*12345|.*--id'
check 'by its own account' installed "$version"
check 'files, modes and links are as intended' files_as_intended deb sysvinit
check 'the files are those of the package' intact
check 'started in levels 2 to 5, stopped in 0, 1 and 6' is_enabled
require 'our program runs, and answers' runs_here
check 'the data center is stored' specified specified_idc cellar
check 'the id is not' not_specified specified_id

section 'Upgrade, and back'

check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind
require 'the older version is installed' install_deb "$older"
check 'it runs' runs_here
pid=$(agent_pid || true)
require 'upgraded' install_deb "$deb"
check 'nothing is complained of' said_only
check 'by its own account' installed "$version"
check 'it runs' runs_here
check 'as another process' fails same_process
check 'it is one' same 1 "$(inside sh -c "cat $pid_file" | wc -l)"
check 'started in levels 2 to 5, stopped in 0, 1 and 6' is_enabled
check 'the configuration is that of the new version' fails grep -q 'older version' "$target/etc/elkeid/agent.conf"
check 'the configuration is edited' edit
check 'upgraded again' install_deb "$newer" --force-confold
check 'the edit is kept' edited
check 'it runs' runs_here
pid=$(agent_pid || true)
check 'taken back to the older version' install_deb "$deb" --force-confold
check 'it runs' runs_here
check 'as another process' fails same_process

section 'Disabled, stopped'

check 'disabled' inside elkeidctl disable
check 'upgraded' install_deb "$newer" --force-confold
check 'it stays disabled' starts_nowhere
check 'stopped' inside elkeidctl stop
check 'taken back' install_deb "$deb" --force-confold
check 'it stays disabled' starts_nowhere
check 'and stopped' stopped_here

section 'Upgraded by itself'

check 'enabled again' inside elkeidctl enable
check 'and started' inside elkeidctl start
pid=$(agent_pid || true)
check 'upgraded with ELKEID_SELF_UPGRADE=1' install_deb "$newer" ELKEID_SELF_UPGRADE=1 --force-confold
check 'it is not restarted' same_process
check 'cron still looks after it' inside test -e "$cron_file"
check 'when it ends' send_signal TERM "$pid"
check 'no agent is left' within 30 no_agent
check 'the new program is started by what cron calls' inside elkeidctl check
check 'it runs' runs_here
check 'taken back' install_deb "$deb" --force-confold

section 'Removed, and installed again'

id=$(answered id || true)
check 'removed' transact dpkg -r elkeid-agent
check 'nothing is complained of' said_only
check 'by its own account' status_is "rc |3:$version-1"
check 'no process is left' no_agent
check 'links are gone, the configuration is not' removed
check 'installed again' install_deb "$deb"
check 'files, modes and links are as intended' files_as_intended deb sysvinit
check 'started in levels 2 to 5, stopped in 0, 1 and 6' is_enabled
check 'it runs' runs_here
check 'with the id that it had' same "$id" "$(answered id)"
check 'the edit is kept' edited

section 'Purged'

check 'purged, while it runs' transact dpkg -P elkeid-agent
check 'nothing is complained of' said_only
check 'no process is left' no_agent
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left
check 'no cgroup is left' same '' "$(inside find /sys/fs/cgroup -type d -name 'elkeid-agent*')"

section 'From the original'

original_runs() { [[ -n $(programs) ]] && plugin_runs && inside service elkeid-agent status; }
# Its first start finds no plugins yet.
install_original() {
    transact env "$@" dpkg -i "/root/packages/${original_deb##*/}" && seed_state &&
        inside /etc/elkeid/elkeidctl restart && within 10 original_runs && inside test -e "$cron_file"
}
is_ours() {
    check "$1: by its own account" installed "$version"
    check "$1: our program runs" within "$2" runs_here
    check "$1: no process of the original is left" only_ours
    check "$1: nor one of its plugins" fails plugin_runs
    check "$1: files, modes and links are as intended" files_as_intended deb sysvinit
    check "$1: the files are those of the package" intact
    check "$1: all that the original kept is where it belongs" state_is_whole
    check "$1: and nothing else" no_remnants
    check "$1: started in levels 2 to 5, stopped in 0, 1 and 6" is_enabled
}
require 'the original runs' install_original SPECIFIED_AGENT_ID="$seeded_id"
require 'the original is upgraded to ours' install_deb "$deb"
check 'it says that it leaves the id out' said "specified_id .*$seeded_id"
check 'nothing is complained of' said_only '.*integer expression expected|elkeid-agent: specified_id '
is_ours 'from the original' 10
check 'what the original stored as id is left out' not_specified specified_id
check 'the id is that which the original had' same "$seeded_machine" "$(answered id)"
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

# It is stopped before that is known.
require 'the original runs' install_original
check 'there is a package in the way' transact dpkg -i /root/packages/blocker.deb
check 'ours cannot be unpacked' fails install_deb "$deb"
check 'the original is still there' status_is 'ii |3:1.7.0.1-1'
check 'and runs' within 10 original_runs
check 'started in levels 2 to 5, stopped in 0, 1 and 6' is_enabled
check 'the package in the way is gone' transact dpkg -P blocker
check 'ours is installed' install_deb "$deb"
is_ours 'after a failure' 10
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

require 'the original runs' install_original
upgrade_original() {
    cp "$deb" "$target/etc/elkeid/upgrade" && mv "$target/etc/elkeid/upgrade" "$target/etc/elkeid/tmp/upgrade.deb"
    within 60 installed "$version"
}
require 'the original upgrades itself to ours' upgrade_original
# Until cron calls, nobody starts the new program.
is_ours 'upgraded by the original' 75
check 'with the id that the original had' same "$seeded_machine" "$(answered id)"
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind

show_state
check 'powered off' power_off 45

section 'From the original, with cgroups that it has mounted in its folder'

boot_unshared sysvinit none
require 'the original runs' install_original
groups_mounted() { inside grep -q ' /etc/elkeid/cgroup/memory ' /proc/mounts; }
check 'it has mounted cgroups' groups_mounted
check 'the original is upgraded to ours' install_deb "$deb"
check 'our program runs' runs_here
check 'no process of the original is left' only_ours
check 'all that the original kept is where it belongs' state_is_whole
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is mounted there any more' fails groups_mounted
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left

show_state
check 'powered off' power_off 45
finish
