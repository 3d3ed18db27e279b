#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The agent replaces itself by its package, as its server says: by a good version, without losing a record; by bad ones,
# which are taken back; killed, and the host too, at any moment of it. In booted containers, with systemd and sysvinit.
#
# usage: upgrade.sh FOLDER [deb|rpm [SECTION...]]     with the packages that build.sh makes, and programs in FOLDER/ARCH
#
# Sections: good, bad, killed, foreign, sysvinit (deb only), and peer: the good version with a server that is not ours,
# $INTEROP/interop-server of Tests/Interop; all if none is named. Packages of other versions are made
# of those, with that version in the program, too. SEED chooses the moments of kills, KILLS how many there are; nfpm is
# $NFPM, or in PATH.
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

suffix=${2-deb}
[[ $suffix == deb || $suffix == rpm ]] || die 'packages are of the kind deb or rpm'
wanted_sections=("${@:3}")
begin_packages "upgrade-$suffix" "${@:1:1}"
programs=$packages/$architecture
for program in elkeid-devcenter process-collector; do
    [[ -x $programs/$program ]] || die "there is no $program in $programs; make it with: bash build.sh"
done
need jq:jq python3:python3 cc:gcc /usr/include/stdio.h:libc6-dev

readonly conf=/etc/elkeid/agent.conf upgrades=/var/lib/elkeid/upgrade center_log=/root/center.log
readonly guard_log=/var/log/elkeid/elkeid-upgrade.log record_type=7001

# numbered DIGIT: the version of the packages with another last digit.
numbered() { printf '%s%s\n' "${version%?}" "$1"; }
old=$(numbered 3) new=$(numbered 4)
readonly old new

# ---------------------------------------------------------------------------------------------------------------------
# Packages of other versions, good and bad
# ---------------------------------------------------------------------------------------------------------------------

# What make_package makes; edits read it.
number=''

# The program's own version is a string in it that ends with a zero byte; another one, as long, takes its place.
renumber() {
    local program=$1/usr/sbin/elkeid-agent
    LC_ALL=C sed -z "s/^${version//./\\.}\$/$number/" "$program" >"$work/program"
    cat "$work/program" >"$program"
    rm "$work/program"
    [[ $("$program" --version) == "elkeid-agent $number" ]] || die "the program cannot be given the version $number"
}
unit_of() { find "$1" -path '*/systemd/system/elkeid-agent.service'; }

broken_program() { printf '%s\n' '#!/bin/sh' 'echo last words >&2' 'exit 1' >"$1/usr/sbin/elkeid-agent"; }
broken_again() { broken_program "$1" && echo 'echo another' >>"$1/usr/sbin/elkeid-agent"; }
# A configuration that is the package's own, in place of that of the host.
lost_server() {
    renumber "$1"
    sed -e "s/^private = .*/private = 127.0.0.1:1/; s/^service_discovery = .*/service_discovery = 127.0.0.1:1/" \
        "$target$conf" >"$1/usr/share/elkeid-agent/lost.conf"
    sed -i 's,^\(ExecStart=.* --config \).*,\1/usr/share/elkeid-agent/lost.conf,' "$(unit_of "$1")"
}
lost_again() { lost_server "$1" && echo again >"$1/usr/share/elkeid-agent/again"; }
killing() {
    renumber "$1"
    # shellcheck disable=SC2016 # for the shell in the booted system
    printf '%s\n' '#!/bin/sh' 'while :; do for p in /proc/[0-9]*; do
        case $(readlink $p/exe) in */plugin/counter/counter*) kill -9 ${p#/proc/} ;; esac; done; sleep 0.2; done' \
        >"$1/usr/share/elkeid-agent/killer"
    chmod 755 "$1/usr/share/elkeid-agent/killer"
    sed -i "s,^ExecStart=.*,&\nExecStartPost=-/bin/sh -c '/usr/share/elkeid-agent/killer >/dev/null 2>\&1 \&'," \
        "$(unit_of "$1")"
}
# dpkg fails after the files are there; rpm has no such failure, only one before that.
failing_script() {
    renumber "$1"
    case $suffix in
        deb) printf '%s\n' '#!/bin/sh' 'echo on purpose' 'exit 1' >"$1/DEBIAN/postinst" ;;
        rpm) printf '%s\n' 'echo on purpose' 'exit 1' >"${1%/*}/PREIN" ;;
    esac
}
failing_again() { failing_script "$1" && echo again >"$1/usr/share/elkeid-agent/again"; }
other_architecture() {
    [[ $suffix == rpm ]] || sed -i "s/^Architecture: .*/Architecture: $foreign_architecture/" "$1/DEBIAN/control"
}
other_architecture_again() { other_architecture "$1" && echo again >"$1/usr/share/elkeid-agent/again"; }
unmarked() { [[ $suffix == rpm ]] || sed -i '/^Provides:/d' "$1/DEBIAN/control"; }
foreign_architecture=arm64
[[ $architecture != arm64 ]] || foreign_architecture=amd64

# make_package VERSION EDIT: in /root/packages of the root, as EDIT.KIND                              -> $made
make_package() {
    number=$1
    case $suffix$2 in
        rpmother*) architecture=$foreign_architecture make_rpm "$1" "$2" ;;
        rpmunmarked) provides='[some-agent]' make_rpm "$1" "$2" ;;
        *) "make_$suffix" "$1" "$2" ;;
    esac
    mkdir -p "$target/root/packages"
    mv "$made" "$target/root/packages/$2.$suffix"
    made=$target/root/packages/$2.$suffix
}

# ---------------------------------------------------------------------------------------------------------------------
# The host
# ---------------------------------------------------------------------------------------------------------------------

# prepare_root: the root has packages, programs and certificates.
prepare_root() {
    make_package "$old" renumber
    mv "$made" "${made%/*}/old.$suffix"
    make_package "$new" renumber
    mv "$made" "${made%/*}/new.$suffix"
    install -m 755 "$programs/elkeid-devcenter" "$target/usr/sbin/"
    install -D -m 755 "$programs/process-collector" "$target/root/plugins/process-collector"
    cc -O1 -static -o "$target/root/plugins/counter" "$here/counter.c" || die 'counter.c cannot be compiled'
    install -m 755 "$here/guest.sh" "$target/root/guest"
    "$programs/elkeid-devcenter" certs "$target/root/certs" >/dev/null
    # Its input is a FIFO that has a writer always; it is read again after a reboot.
    cat >"$target/root/center" <<'SCRIPT'
#!/bin/sh
cd /root && rm -f /root/center.in && mkfifo /root/center.in && . /root/center.options || exit
exec elkeid-devcenter serve --certs /root/certs "$@" 0<>/root/center.in >>/root/center.log 2>&1
SCRIPT
    chmod 755 "$target/root/center"
    mkdir -p "$target/etc/systemd/system"
    printf '%s\n' '[Unit]' 'StartLimitIntervalSec=0' '[Service]' 'ExecStart=/root/center' '[Install]' \
        'WantedBy=multi-user.target' >"$target/etc/systemd/system/center.service"
    if [[ $suffix == rpm ]]; then
        # There, they are the distribution's.
        mkdir -p "$target/usr/share/licenses" "$target/usr/share/zsh/site-functions" \
            "$target/usr/share/fish/vendor_completions.d" "$target/etc/rpm" "$target/var/lib/rpm"
        # Debian's rpm would keep its database in the home of whoever calls it.
        echo '%_dbpath /var/lib/rpm' >"$target/etc/rpm/macros"
        chroot "$target" rpm --initdb
    fi
}

# serve --json|--follow [VERSION FILE [DETAIL]]: a new center, with plugins, and a version of the agent.
serve() {
    local options=("$1" --component counter:1.0.0.1:/root/plugins/counter --detail "counter:${4-slow}")
    options+=(--component process-collector:1.0.0.1:/root/plugins/process-collector
        --detail 'process-collector:{"interval_seconds":3600}')
    [[ $# == 1 ]] || options+=(--component "elkeid-agent:$2:/root/packages/$3")
    printf "set -- %s\n" "${options[*]@Q}" >"$target/root/center.options"
    stop_center
    : >"$target$center_log"
    if [[ $booted_init == systemd ]]; then
        inside systemctl start center
    else
        inside sh -c 'setsid /root/center </dev/null >/dev/null 2>&1 &' </dev/null >/dev/null 2>&1
    fi
    within 20 inside sh -c 'cat /proc/net/tcp /proc/net/tcp6 | grep -qi ":1A5F .* 0A "'
}
stop_center() {
    if [[ $booted_init == systemd ]]; then
        inside systemctl stop center
    else
        local process
        for process in $(inside /root/guest pids /usr/sbin/elkeid-devcenter); do send_signal KILL "$process"; done
    fi
}
push() { inside sh -c 'echo push >/root/center.in'; }
# Sent again, and read by the agent.
push_again() {
    local before
    before=$(field .traffic.commands_received) && push && within 10 more_commands "$before"
}
more_commands() { (($(field .traffic.commands_received) > $1)); }

# field EXPRESSION: of the agent's status, as jq has it.
field() { inside elkeidctl status --json 2>/dev/null | jq -er "$1"; }

# Of the agent.conf that counts.
set_option() { sed -i "s/^$1 = .*/$1 = $2/" "$target$conf" && grep -q "^$1 = $2\$" "$target$conf"; }
change_option() { set_option "$1" "$2" && inside elkeidctl reload; }

prepare_agent() {
    local file
    for file in ca.crt client.crt client.key; do
        install -m 600 "$target/root/certs/$file" "$target/etc/elkeid/certs/$file" || return
    done
    set_option reconnect_min 100ms && set_option reconnect_max 200ms && set_option upgrade 20s &&
        set_option install_retry_min 1s
}

install_package() {
    case $suffix in
        deb) transact dpkg --force-confold -i "/root/packages/$1" ;;
        rpm) transact rpm -Uvh --nosignature --oldpackage --replacepkgs "/root/packages/$1" ;;
    esac
}

# begin_with old|new [OPTION...]: for the first section, that version, installed by hand, and the center with these
# options.
begin_with() {
    [[ -z $is_begun ]] || return 0
    is_begun=yes
    local first=$1
    shift
    [[ $# -gt 0 ]] || set -- --follow
    require 'installed by hand' install_package "$first.$suffix"
    require 'configured' prepare_agent
    [[ $# == 1 ]] || check 'upgrades are switched off' set_option enabled off
    check 'the center runs' serve "$@"
    check 'restarted with certificates' inside elkeidctl restart
    require 'it runs, with its plugin' within 30 runs "${!first}"
}
is_begun=''

# ---------------------------------------------------------------------------------------------------------------------
# What is
# ---------------------------------------------------------------------------------------------------------------------

# This version answers, is connected, and its plugin runs.
runs() {
    local all='[.version, .connection.state, (.plugins[] | select(.name == "counter").state)] | join(" ")'
    same "$1 running running" "$(field "$all")"
}

# listed VERSION: the package manager has it, whole.
listed() {
    case $suffix in
        deb) installed "$1" && same '' "$(inside dpkg --audit)" && intact ;;
        rpm)
            same "elkeid-agent-$1-1.$machine" "$(inside rpm -q elkeid-agent)" || return
            # What an operator may change, and what a service manager changes.
            same '' "$(inside rpm -V elkeid-agent | grep -v ' c /')"
            ;;
    esac
}

has_guard() { [[ -n $(inside /root/guest pids "$upgrades/guard") ]]; }
guard_is_outside() {
    local process
    process=$(inside /root/guest pids "$upgrades/guard" | head -n 1)
    inside cat "/proc/$process/cgroup" && fails inside grep -q elkeid-agent "/proc/$process/cgroup"
}
kill_guard() {
    local process
    # It may be over, or not yet there.
    for process in $(inside /root/guest pids "$upgrades/guard"); do send_signal KILL "$process" || true; done
}
no_guard() {
    same '' "$(inside /root/guest pids "$upgrades/guard")" || return
    local path
    for path in "$upgrades/"{guard,files,"new.$suffix"} /etc/cron.d/elkeid-upgrade \
        /etc/systemd/system/{,multi-user.target.wants/}elkeid-upgrade.service; do
        not_there "$path" || {
            echo "$path is there"
            return 1
        }
    done
}

# All that agents execute is the installed program, or what has the same contents: one that was never stopped runs on
# when another file with its version has taken the place of its own.
one_program() {
    # shellcheck disable=SC2016 # for the shell in the booted system
    same /usr/sbin/elkeid-agent "$(inside sh -c 'for exe in /proc/[0-9]*/exe; do readlink $exe; done' |
        sed -n 's/ (deleted)$//; /\/elkeid-agent$/p; /upgrade\/guard$/p' | sort -u)"
}

# is_whole VERSION: it alone, and nothing is under way.
is_whole() { is_final && runs "$1" && listed "$1" && no_guard && one_program; }
is_final() { not_there "$upgrades/state.json" || [[ $(phase) =~ ^(succeeded|undone)$ ]]; }
phase() { jq -r .phase "$target$upgrades/state.json"; }
outcome() { jq -r '"\(.phase) \(.from) \(.to)"' "$target$upgrades/state.json"; }

reported() { field '.reasons[]' | grep -E -- "$1"; }
marked_bad() { jq -e --arg v "$1" '.[] | select(.version == $v).version' "$target$upgrades/bad.json"; }
attempts() { grep -cF "the server wants version $1 of the agent" "$target$agent_log" || true; }
center_has() { grep -E -- "$1" "$target$center_log"; }

show_state() {
    ((failed > 0)) || return 0
    [[ -n $booted ]] || return 0
    local file
    for file in "$guard_log" "$agent_log" "$upgrades/state.json" "$upgrades/bad.json"; do
        printf -- '---- %s\n' "$file"
        tail -n 40 "$target$file" || true
    done
    ls -la "$target$upgrades" || true
}

# ---------------------------------------------------------------------------------------------------------------------
# Good
# ---------------------------------------------------------------------------------------------------------------------

counted() { echo $((10#$(<"$target/root/counted"))); }
at_server() { grep -E '^\{' "$target$center_log" | tail -n 1 | jq -er "$1"; }
all_arrived() { same "$(counted)" "$(at_server ".types[\"$record_type\"]")"; }
# The agent's own account, of both versions.
books_are_clean() {
    local books
    books=$(sed -n 's/.*the agent has stopped.*ledger=//p' "$target$agent_log" | tail -n 1)
    printf '%s\n' "$books"
    jq -e '[.dropped // {} | to_entries[] | select(.key != "superseded" and .value > 0)] == [] and .malformed == 0
        and .queued == 0 and .in_flight == 0 and .spooled == 0' <<<"$books"
}
plugin_files() { stat -c '%n %i %Y' "$target/var/lib/elkeid/plugin/counter/"{counter,.elkeid-manifest}; }
gap() { jq -e .gap "$target$upgrades/state.json"; }
gap_is_short() {
    echo "gap: $(gap) ms"
    (($(gap) < 5000))
}

good() {
    local id plugin
    section 'To a good version, with records flowing'
    begin_with old --json "$new" "new.$suffix" fast
    check 'switched off, an upgrade is refused' within 10 reported '\[upgrade\] enabled is off'
    check 'nothing is fetched' same 0 "$(attempts "$new")"
    id=$(field .id) plugin=$(plugin_files)
    check 'switched on' change_option enabled on
    push
    check 'there is a guard' within 30 has_guard
    check 'which is not in the cgroups of the service' guard_is_outside
    require 'the new version runs, and is good' within 60 is_whole "$new"
    check 'it went that way' same "succeeded $old $new" "$(outcome)"
    check 'it is said' within 10 log_has "upgraded from version $old to $new"
    check 'plugins were away for less than 5 s' gap_is_short
    printf '%s: plugins were away for %s ms\n' "$name" "$(gap)"
    check 'its package is kept, as the way back' cmp "$target/root/packages/new.$suffix" "$target$upgrades/$new.$suffix"
    check 'the id is the same' same "$id" "$(field .id)"
    check 'the plugin is the same, not fetched again' same "$plugin" "$(plugin_files)"
    check 'the server has not seen two of it' same 0 "$(at_server .refused)"
    check 'stopped' inside elkeidctl stop
    check 'each record that the plugin has written is at the server' within 15 all_arrived
    printf '%s: %s records\n' "$name" "$(counted)"
    check 'the agents have dropped none' books_are_clean
    check 'started' inside elkeidctl start
    check 'it runs' within 30 runs "$new"
}

# ---------------------------------------------------------------------------------------------------------------------
# Good, and the server is a grpc-go one
# ---------------------------------------------------------------------------------------------------------------------

readonly peer_dump=/root/peer.dump

# peer_entry NAME VERSION FILE URL_NAME [DETAIL]: of a server's configuration; the center is there for the downloads.
peer_entry() {
    local sum
    sum=$(sha256sum "$target$3" | cut -d ' ' -f 1)
    jq -n --arg name "$1" --arg version "$2" --arg sum "$sum" --arg detail "${5-}" \
        --arg url "http://127.0.0.1:8088/agent/component/$1/$4" \
        '{name: $name, type: "exec", version: $version, sha256: $sum, signature: "", detail: $detail,
          download_urls: [$url]}'
}

# start_peer ENTRY...: a server with them as its configuration.
start_peer() {
    [[ -z ${peer_process-} ]] || kill_peer
    printf '%s\n' "$@" | jq -s . >"$target/root/peer.json"
    # As long as its input is open, it runs.
    inside sh -c 'rm -f /root/peer.in && mkfifo /root/peer.in && setsid interop-server -listen 127.0.0.1:6752 \
        -ca /root/certs/ca.crt -cert /root/certs/server.crt -key /root/certs/server.key -config /root/peer.json \
        -dump /root/peer.dump 0<>/root/peer.in >>/root/peer.log 2>&1 &' </dev/null >/dev/null 2>&1
    peer_process=yes
    within 20 inside sh -c 'cat /proc/net/tcp /proc/net/tcp6 | grep -qi ":1A60 .* 0A "'
}
# As a server is stopped that has read what has come: it writes its dump then.
kill_peer() {
    local process
    for process in $(inside /root/guest pids /usr/sbin/interop-server); do send_signal TERM "$process"; done
    within 10 same '' "$(inside /root/guest pids /usr/sbin/interop-server)"
}

# Each number that the plugin has counted, at least once.
peer_has_all() {
    local arrived
    arrived=$(python3 - "$target$peer_dump" <<'END'
import struct, sys
numbers, data, at = set(), open(sys.argv[1], "rb").read(), 0
while at + 16 <= len(data):
    kind, _, size = struct.unpack_from("<IQI", data, at)
    if kind == 7001:
        # One field: a map entry of "n" and the number.
        numbers.add(int(data[at + 16 + 7:at + 16 + size]))
    at += 16 + size
last = max(numbers, default=0)
print(last, len(numbers))
END
    )
    same "$(counted) $(counted)" "$arrived"
}

peer() {
    local plugin agent
    section 'To a good version, with a grpc-go server'
    begin_with old --follow "$new" "new.$suffix" fast
    install -m 755 "$INTEROP/interop-server" "$target/usr/sbin/"
    plugin=$(peer_entry counter 1.0.0.1 /root/plugins/counter counter-default-default-1.0.0.1.plg fast)
    agent=$(peer_entry elkeid-agent "$new" "/root/packages/new.$suffix" "elkeid-agent-default-default-$new.$suffix")
    rm -f "$target/root/counted"
    check 'its server is another one' set_option service_discovery 127.0.0.1:1
    check 'by its address' set_option private 127.0.0.1:6752
    check 'which has a configuration' start_peer "$plugin"
    check 'restarted' inside elkeidctl restart
    require 'it runs' within 30 runs "$old"
    check 'upgrades are allowed' change_option enabled on
    check 'the server comes back with another version' start_peer "$plugin" "$agent"
    require 'the new version runs, and is good' within 60 is_whole "$new"
    check 'plugins were away for less than 5 s' gap_is_short
    printf '%s: plugins were away for %s ms\n' "$name" "$(gap)"
    check 'stopped' inside elkeidctl stop
    check 'the server ends' kill_peer
    check 'each record that the plugin has written is at the server' peer_has_all
    printf '%s: %s records\n' "$name" "$(counted)"
    check 'the agents have dropped none' books_are_clean
}

# ---------------------------------------------------------------------------------------------------------------------
# Bad
# ---------------------------------------------------------------------------------------------------------------------

# bad_version TITLE EDIT REASON: from the old version, whose package is on the disk.
bad_version() {
    local title=$1 edit=$2 reason=$3 before
    section "$title"
    before=$(attempts "$new")
    [[ -e $target/root/packages/$edit.$suffix ]] || make_package "$new" "$edit"
    rm -f "$target$upgrades/bad.json"
    check "$title: served" serve --follow "$new" "$edit.$suffix"
    check "$title: marked bad" within 75 marked_bad "$new"
    check "$title: the old version runs" within 60 is_whole "$old"
    check "$title: the reason is in the state" within 40 reported "version $new .*$reason"
    check "$title: and in bad.json" grep -Eq -- "$reason" "$target$upgrades/bad.json"
    check "$title: the server knows" within 40 center_has "^[0-9:. ]*1010 .*version $new "
    check "$title: tried once" same $((before + 1)) "$(attempts "$new")"
    check "$title: pushed again" push_again
    check "$title: not tried again" same $((before + 1)) "$(attempts "$new")"
    check "$title: restarted" inside elkeidctl restart
    check "$title: the old version runs" within 30 runs "$old"
    check "$title: not tried by it either" within 10 reported "version $new .*not tried again.*$reason"
    check "$title: nor was it" same $((before + 1)) "$(attempts "$new")"
}

# tried_again EDIT: the same version with another checksum.
tried_again() {
    local before
    before=$(attempts "$new")
    make_package "$new" "$1"
    check 'the same version with another checksum' serve --follow "$new" "$1.$suffix"
    check 'is tried' within 20 same_attempts $((before + 1))
    check 'and marked bad, too' within 60 marked_twice
    check 'the old version runs' within 60 is_whole "$old"
}
same_attempts() { same "$1" "$(attempts "$new")"; }
marked_twice() { same 2 "$(jq length "$target$upgrades/bad.json")"; }

bad() {
    local before
    section 'To a lower version'
    begin_with new
    check 'a lower version is served' serve --follow "$old" "old.$suffix"
    check 'it is refused' within 20 reported "version $old .*lower than .*allow_lower is off"
    check 'nothing was fetched' same 0 "$(attempts "$old")"
    check 'the new version runs' is_whole "$new"
    check 'allowed' change_option allow_lower on
    push
    require 'the lower version runs, and is good' within 60 is_whole "$old"
    check 'its package is kept, as the way back' cmp "$target/root/packages/old.$suffix" "$target$upgrades/$old.$suffix"

    if [[ $suffix == deb ]]; then
        bad_version 'fails half-way' failing_script 'it cannot be installed: .*post-installation script'
    else
        bad_version 'fails half-way' failing_script 'it cannot be installed: .*(PREIN|prein)'
    fi
    tried_again failing_again
    bad_version 'does not start' broken_program 'it was not good within 20 s: it has not answered'
    check 'what the guard said is kept' test -s "$target$upgrades/failed/elkeid-upgrade.log"
    check 'what it said before it had a log, too' grep -q 'last words' "$target$upgrades/failed/journal.txt"
    check 'and what plugins said' test -e "$target$upgrades/failed/counter.stderr"
    bad_version 'cannot connect' lost_server 'it was not good within 20 s: it has no connection'
    bad_version 'kills its plugins' killing 'it was not good within 20 s: plugins do not run: counter'
    bad_version 'for another architecture' other_architecture "it is for (arm64|aarch64|amd64|x86_64), this host is"
    tried_again other_architecture_again
    bad_version 'of another agent' unmarked "it does not provide elkeid-agent-swift"

    make_package "$(numbered 5)" renumber
    mv "$made" "${made%/*}/misnamed.$suffix"
    bad_version 'published as another version' misnamed "it holds version $(numbered 5), and is published as $new"
    head -c 200 "$target/root/packages/new.$suffix" >"$target/root/packages/short.$suffix"
    bad_version 'cut off early' short 'cannot read it'
    before=$(stat -c %s "$target/root/packages/new.$suffix")
    head -c $((before * 2 / 3)) "$target/root/packages/new.$suffix" >"$target/root/packages/cut.$suffix"
    bad_version 'cut off late' cut 'it cannot be installed|cannot read it'
    head -c 5000 /dev/urandom >"$target/root/packages/noise.$suffix"
    bad_version 'no package' noise 'neither a deb nor an rpm'

    by_files broken_again
    # Its unit is another one.
    by_files lost_again
}

# by_files EDIT: the package that was installed by hand is not there to be gone back to.
by_files() {
    section "Without the old package: $1"
    rm -f "$target$upgrades/$old.$suffix" "$target$upgrades/bad.json"
    make_package "$new" "$1"
    check 'served' serve --follow "$new" "$1.$suffix"
    check 'marked bad' within 75 marked_bad "$new"
    check 'the old version runs' within 60 runs "$old"
    check 'no guard is left' within 20 no_guard
    check 'what runs is the installed program' one_program
    check 'the state says what is left to be done' within 20 \
        reported "version $new was taken back.*package manager goes on listing $new"
    check 'a good package mends it' install_package "old.$suffix"
    check 'restarted' inside elkeidctl restart
    check 'all is whole' within 30 is_whole "$old"
}

# The original one, and back.
foreign() {
    section 'To another agent'
    begin_with old
    make_original "$(numbered 9)"
    cp "$work/original/elkeid-agent-original.$suffix" "$target/root/packages/original.$suffix"
    check 'served' serve --follow "$(numbered 9)" "original.$suffix"
    check 'it is refused' within 40 reported "version $(numbered 9) .*allow_foreign would let it in"
    check 'and allowed then' change_option allow_foreign on
    check 'it is installed' within 40 original_is_listed
    check 'and runs' within 20 original_runs
    check 'no guard is left' within 20 no_guard
    # As long as the policy names the original, ours would make room for it again.
    check 'the policy names ours again' serve --follow "$new" "new.$suffix"
    check 'ours is back' install_package "new.$suffix"
    check 'it runs' within 30 runs "$new"
}
original_is_listed() {
    local query=(dpkg-query -W elkeid-agent)
    [[ $suffix == deb ]] || query=(rpm -q elkeid-agent)
    inside "${query[@]}" | grep -F -- "$(numbered 9)"
}
original_runs() { same /etc/elkeid/elkeid-agent "$(programs)"; }

# ---------------------------------------------------------------------------------------------------------------------
# Killed
# ---------------------------------------------------------------------------------------------------------------------

settled() { { runs "$1" || marked_bad "$1" >/dev/null; } && is_whole "$(field .version)"; }

# killed_once NUMBER: the agent, its guard, or the host.
killed_once() {
    local from to file moment victim process
    from=$(field .version)
    to=$new file=new.$suffix
    [[ $from != "$new" ]] || to=$old file=old.$suffix
    rm -f "$target$upgrades/bad.json"
    # Of an upgrade, the first seconds are those in which most happens.
    moment=$((RANDOM * 4 % ($1 % 4 == 0 ? 14000 : 4000)))
    case $(($1 % 3)) in
        0) victim=host ;;
        1) victim=agent ;;
        2) victim=guard ;;
    esac
    local attempts
    attempts=$(attempts "$to")
    serve --json "$to" "$file" || return
    within 20 more_attempts "$to" "$attempts" || return
    sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
    local at
    at=$(phase 2>/dev/null) || true
    case $victim in
        host)
            kill_booted
            boot_nspawn || return
            ;;
        agent)
            process=$(main_pid)
            [[ $process == 0 ]] || send_signal KILL "$process" || true
            ;;
        guard) kill_guard ;;
    esac
    killed+=("$victim in \"$at\" after $moment ms")
    echo "from $from to $to: $victim in \"$at\" after $moment ms"
    within 120 settled "$to"
}
more_attempts() { (($(attempts "$1") > $2)); }
killed=()

killed() {
    local number
    section "Killed, with the seed ${SEED:=$RANDOM}"
    RANDOM=$SEED
    begin_with old
    check 'lower versions are allowed' change_option allow_lower on
    for ((number = 1; number <= ${KILLS:-20}; number++)); do
        check "killed, $number" killed_once "$number"
        printf '    %s; then %s\n' "${killed[-1]-not}" "$(outcome)"
    done
}

# ---------------------------------------------------------------------------------------------------------------------
# sysvinit
# ---------------------------------------------------------------------------------------------------------------------

with_sysvinit() {
    is_begun=
    section 'With sysvinit'
    make_root sysvinit sysvinit-core cron orphan-sysvinit-scripts
    new_overlay
    # Terminals that are not there would be tried again and again.
    sed -i '/getty/d' "$target/etc/inittab"
    prepare_root
    make_package "$new" broken_program
    boot_unshared sysvinit mounted
    begin_with old
    check 'lower versions are allowed' change_option allow_lower on
    check 'the new version is served' serve --follow "$new" "new.$suffix"
    require 'the new version runs, and is good' within 60 is_whole "$new"
    check 'plugins were away for less than 5 s' gap_is_short
    printf '%s: plugins were away for %s ms\n' "$name" "$(gap)"
    check 'the old version is served' serve --follow "$old" "old.$suffix"
    require 'the old version runs, and is good' within 60 is_whole "$old"
    bad_version 'sysvinit: does not start' broken_program 'it was not good within 20 s: it has not answered'
    section 'With sysvinit, the guard killed'
    rm -f "$target$upgrades/bad.json"
    check 'the new version is served' serve --follow "$new" "new.$suffix"
    check 'there is a guard' within 30 has_guard
    check 'which is not in the cgroups of the service' guard_is_outside
    check 'it is killed' kill_guard
    # cron's turn.
    check 'all is whole' within 120 settled "$new"
}
# ---------------------------------------------------------------------------------------------------------------------

wants() { ((${#wanted_sections[@]} == 0)) || [[ " ${wanted_sections[*]} " == *" $1 "* ]]; }

root_name=systemd packages_of_root=(systemd systemd-sysv dbus)
[[ $suffix == deb ]] || root_name=rpm packages_of_root+=(rpm)
if wants peer; then
    [[ -x ${INTEROP-}/interop-server ]] ||
        die 'INTEROP is to name a folder with interop-server; make it with: bash Tests/Interop/build.sh FOLDER'
    make_root "$root_name" "${packages_of_root[@]}"
    new_overlay
    prepare_root
    boot_nspawn
    inside systemctl enable --quiet center
    peer
    show_state
    check 'powered off' power_off 20
    is_begun=''
fi
if wants good || wants bad || wants foreign || wants killed; then
    make_root "$root_name" "${packages_of_root[@]}"
    new_overlay
    prepare_root
    boot_nspawn
    inside systemctl enable --quiet center
    for part in good bad killed foreign; do
        ! wants "$part" || "$part"
    done
    show_state
    check 'powered off' power_off 20
fi
if [[ $suffix == deb ]] && wants sysvinit; then
    with_sysvinit
    show_state
    check 'powered off' power_off 45
fi
finish
