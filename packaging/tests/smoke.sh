#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Both packages in a small root where nothing is booted, within a minute: they install, the programs run, the agent can
# be started by hand, and nothing is left of them. The other tests of the packages tell more.
#
# usage: smoke.sh FOLDER     with the packages that build.sh makes
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

version_is() { same "$1 $version" "$(chrooted "$1" "$2" | head -n 1)"; }
configured() { chrooted elkeid-agent --check-config; }
status_of_none() { same 'agent is dead' "$(chrooted elkeidctl status 2>/dev/null | head -n 1)"; }
json_of_none() { fails chrooted elkeidctl status --json; }

# All in one namespace, which ends with its shell.
by_hand() {
    cat >"$target/root/by-hand" <<'END'
elkeid-agent --config /etc/elkeid/agent.conf &
agent=$!
tries=200
until elkeidctl status --json; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 90
    sleep 0.05
done
elkeidctl doctor --offline
elkeidctl metrics | grep -qx 'elkeid_agent_up 1' || exit 91
kill -TERM "$agent"
wait "$agent"
code=$?
cat /var/log/elkeid/elkeid-agent.log
exit "$code"
END
    chrooted sh /root/by-hand >"$work/by-hand" 2>/dev/null || {
        local code=$?
        cat "$work/by-hand"
        return "$code"
    }
    grep -q '"version": \{0,1\}"'"$version" "$work/by-hand" && grep -q "agent $version runs" "$work/by-hand" &&
        grep -q 'the agent has stopped' "$work/by-hand"
}

programs_run() {
    if [[ -n $is_confined ]]; then
        echo 'smoke: the programs are not run: they need /proc, which cannot be mounted here'
        return
    fi
    check 'the data center is stored' specified specified_idc cellar
    # Those of a deployment would have doctor miss nothing.
    rm -f "$target"/etc/elkeid/certs/*
    check 'elkeid-agent --version' version_is elkeid-agent --version
    check 'elkeidctl --version' version_is elkeidctl --version
    check 'the configuration is faultless' configured
    check 'elkeidctl status: no agent runs' status_of_none
    check 'elkeidctl status --json: neither' json_of_none
    check 'elkeidctl doctor says which files are missing' doctor_misses_certificates
    check 'the agent, started by hand, answers, and stops in order' by_hand
}

begin_packages smoke "$@"
need rpm:rpm
make_root minbase
idc=cellar
[[ -z $is_confined ]] || idc=''
enter=chrooted

section 'deb'

new_overlay
take_over "$deb"
remember
require 'installed' install_deb "$deb" SPECIFIED_IDC="$idc"
check 'nothing is complained of' said_only
check 'by its own account' installed "$version"
check 'files, modes and links are as intended' files_as_intended deb none
check 'the files are those of the package' intact
check 'manuals and completions' papers
programs_run
check 'removed' transact dpkg -r elkeid-agent
check 'links are gone, the configuration is not' removed
check 'purged' transact dpkg -P elkeid-agent
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left

section 'rpm'

# from_outside COMMAND...: rpm is the host's, its scripts run in the root.
from_outside() {
    if [[ -n $is_confined ]]; then
        timeout --kill-after=5 "$command_limit" "$@"
        return
    fi
    # shellcheck disable=SC2016 # for the bash in the namespaces
    timeout --kill-after=5 "$command_limit" unshare --mount --uts --ipc --net --pid --fork --kill-child \
        --propagation private bash -c 'mount -t proc proc "$0/proc" && "$@"; exit $?' "$target" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}
rpm_there() { from_outside env SPECIFIED_IDC="$idc" rpm --root "$target" --dbpath /var/lib/rpm --nosignature "$@"; }
verified() { same '' "$(rpm_there -V elkeid-agent)"; }
no_rpm() { fails rpm_there -q elkeid-agent; }

new_overlay
# The distribution's.
mkdir -p "$target"/usr/share/{licenses,zsh/site-functions,fish/vendor_completions.d}
remember
require 'installed' rpm_there -ivh "$rpm"
check 'by its own account' rpm_there -q "elkeid-agent-$version"
check 'files, modes and links are as intended' files_as_intended rpm none
check 'where there is no systemctl, the init script is in its place' \
    is_described '/etc/init.d/elkeid-agent -rwxr-xr-x root:root'
check 'the files are those of the package' verified
check 'manuals and completions' papers
programs_run
check 'erased' rpm_there -e elkeid-agent
check 'by its own account' no_rpm
check 'nothing is left' left_behind
check 'nor anything of its name' no_name_left

finish
