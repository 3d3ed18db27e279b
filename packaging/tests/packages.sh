# shellcheck shell=bash
# shellcheck disable=SC2034,SC2317 # variables are for the tests, whose functions are called by check
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of the packages share.
#
#   begin_packages NAME FOLDER   of deb and rpm, as build.sh makes them                     -> $deb, $rpm
#   make_deb VERSION [EDIT]      the deb with another version, or other content             -> $made
#   make_rpm VERSION             the same for the rpm
#   make_original [VERSION]      stand-ins for the original's packages       -> $original_deb, $original_rpm
#   new_overlay, chrooted COMMAND...
#   take_over FILE...            copies files into /root/packages of $target
#   transact COMMAND...          a package manager's run in the booted system, or what $enter names
#   remember, left_behind        what is in the file system, and what has been added or changed since
#   seed_state, state_is_whole   files as the original leaves them; none of them is lost
#   set_traps, trap_at           commands of maintainer scripts that kill
#   save, restore, killed_everywhere

# shellcheck source=packaging/tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packaging=$(cd "$here/.." && pwd)
readonly packaging
readonly nfpm=${NFPM:-nfpm}
readonly agent_log=/var/log/elkeid/elkeid-agent.log

packages='' architecture='' machine='' deb='' rpm='' version='' made='' original_deb='' original_rpm=''
# Root may neither mount nor make namespaces here, as in many a container. Enough can be done there for a smoke test.
is_confined=''
# How transact runs a command: inside, or chrooted.
enter=inside

# ---------------------------------------------------------------------------------------------------------------------
# Packages
# ---------------------------------------------------------------------------------------------------------------------

# newest FILE...: of those that exist.
newest() {
    local file result=''
    for file in "$@"; do
        [[ -f $file ]] || continue
        [[ -n $result && ! $file -nt $result ]] || result=$file
    done
    [[ -n $result ]] && printf '%s\n' "$result"
}

begin_packages() {
    name=$1
    [[ $# == 2 && -d $2 ]] || {
        printf 'usage: %s.sh FOLDER     with the packages that build.sh makes\n' "$name" >&2
        exit 2
    }
    packages=$(cd "$2" && pwd)
    case $(uname -m) in
        x86_64) architecture=amd64 machine=x86_64 ;;
        aarch64) architecture=arm64 machine=aarch64 ;;
        *) die "there are no packages for $(uname -m)" ;;
    esac
    deb=$(newest "$packages"/elkeid-agent_*"_$architecture.deb") || die "there is no deb for $architecture in $packages"
    rpm=$(newest "$packages"/elkeid-agent-*".$machine.rpm") || die "there is no rpm for $machine in $packages"
    need dpkg-deb:dpkg unshare:util-linux
    version=$(dpkg-deb -f "$deb" Version)
    version=${version#*:}
    version=${version%-*}
    open_work
    trap 'leave $?' EXIT
    if unshare --mount --pid --fork true 2>/dev/null; then
        # In memory: package managers wait for the disk all the time.
        mkdir "$work/layers"
        mount -t tmpfs layers "$work/layers"
    else
        is_confined=yes
    fi
}

leave() {
    local point
    for point in "$target/var/lib/elkeid" "$target/var" "$work/var"; do
        ! mountpoint -q "$point" || umount -l "$point"
    done
    # Or the next line would be the end, where a check has failed.
    set +e
    (exit "$1")
    clean_up
}

# make_deb VERSION [EDIT]: without compression, to be quick. EDIT is called with the folder of its content, and may
# change it.
make_deb() {
    local folder=$work/content
    rm -rf "$folder"
    dpkg-deb -R "$deb" "$folder"
    sed -i "s/^Version: .*/Version: 3:$1-1/" "$folder/DEBIAN/control"
    [[ $# == 1 ]] || "$2" "$folder"
    (cd "$folder" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
    made=$work/elkeid-agent_$1${2:+_$2}.deb
    dpkg-deb --root-owner-group -Znone --build "$folder" "$made" >/dev/null
    rm -rf "$folder"
}

# make_rpm VERSION [EDIT]: made of what is in the rpm, since a package cannot be given another version. EDIT is called
# with the folder of its files, and may put a script of its own beside that, such as PREIN.
make_rpm() {
    need rpm2cpio:rpm2cpio rpm:rpm cpio:cpio
    local folder=$work/content script path mode flags link kind
    rm -rf "$folder"
    mkdir -p "$folder/files"
    (cd "$folder/files" && rpm2cpio "$rpm" | cpio --quiet -idm)
    [[ $# == 1 ]] || "$2" "$folder/files"
    {
        printf '%s\n' 'name: elkeid-agent' "arch: $architecture" 'platform: linux' 'epoch: 3' "version: $1" \
            'version_schema: none' 'release: 1' 'maintainer: Elkeid <elkeid@example.invalid>' 'license: Apache-2.0' \
            'description: Another version' "provides: ${provides-[elkeid-agent-swift]}" 'rpm: {compression: "gzip:1"}' \
            'contents:'
        while IFS='|' read -r path mode flags link; do
            case $mode in
                4????) printf '  - {dst: %s, type: dir, file_info: {mode: 0%s}}\n' "$path" "${mode: -4}" ;;
                12*) printf '  - {src: %s, dst: %s, type: symlink}\n' "$link" "$path" ;;
                *)
                    case $flags in
                        1) kind=config ;;
                        17) kind='config|noreplace' ;;
                        2) kind=doc ;;
                        128) kind=license ;;
                        *) kind='""' ;;
                    esac
                    printf '  - {src: "%s", dst: %s, type: %s, file_info: {mode: 0%s}}\n' \
                        "$folder/files$path" "$path" "$kind" "${mode: -4}"
                    ;;
            esac
        done < <(rpm -qp --nosignature --qf '[%{FILENAMES}|%{FILEMODES:octal}|%{FILEFLAGS}|%{FILELINKTOS}\n]' "$rpm")
        # What EDIT has added.
        while IFS='|' read -r mode path; do
            printf '  - {src: "%s", dst: %s, file_info: {mode: 0%s}}\n' "$folder/files$path" "$path" "$mode"
        done < <(cd "$folder/files" && find . -type f -printf '%m|/%P\n' | while IFS='|' read -r mode path; do
            ! rpm -qpl --nosignature "$rpm" | grep -xF -- "$path" >/dev/null && echo "$mode|$path"
        done)
        echo 'scripts:'
        while IFS=: read -r kind script; do
            [[ -e $folder/$script ]] || rpm -qp --nosignature --qf "%{$script}\n" "$rpm" >"$folder/$script"
            [[ $(<"$folder/$script") == '(none)' ]] || printf '  %s: %s\n' "$kind" "$folder/$script"
        done < <(printf '%s\n' preinstall:PREIN postinstall:POSTIN preremove:PREUN postremove:POSTUN)
    } >"$folder/nfpm.yaml"
    made=$work/elkeid-agent-$1${2:+_$2}.rpm
    "$nfpm" package --config "$folder/nfpm.yaml" --packager rpm --target "$made" >"$work/nfpm.log" 2>&1 || {
        cat "$work/nfpm.log" >&2
        die "no rpm of version $1 can be made"
    }
    rm -rf "$folder"
}

make_original() {
    need cc:gcc /usr/include/stdio.h:libc6-dev
    command -v "$nfpm" >/dev/null 2>&1 || die "the original's stand-in needs nfpm; put its path into NFPM"
    mkdir -p "$work/original"
    NFPM=$nfpm bash "$here/original.sh" "$work/original" "${1-1.7.0.1}" >/dev/null ||
        die "the original's stand-in cannot be made"
    original_deb=$work/original/elkeid-agent-original.deb
    original_rpm=$work/original/elkeid-agent-original.rpm
}

# take_over FILE...: to be found in /root/packages.
take_over() {
    mkdir -p "$target/root/packages"
    cp "$@" "$target/root/packages/"
}

# ---------------------------------------------------------------------------------------------------------------------
# A root that is not booted
# ---------------------------------------------------------------------------------------------------------------------

# drop_overlay [keep]: with what was changed in it.
drop_overlay() {
    local point
    for point in "$target/var/lib/elkeid" "$target/var" "$target" "$work/var"; do
        ! mountpoint -q "$point" || umount "$point"
    done
    rm -rf "$work/layers/work"
    [[ ${1-} == keep ]] || rm -rf "$work/layers/upper"
}

new_overlay() {
    if [[ -z $is_confined ]]; then
        drop_overlay
        overlay
        return
    fi
    target=$work/root
    rm -rf "$target"
    cp -a "$root" "$target"
}

# chrooted COMMAND...: in namespaces of its own, so that whatever it starts ends with it. Nothing is booted there.
chrooted() {
    local clean=(/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8)
    if [[ -n $is_confined ]]; then
        timeout --kill-after=5 "$command_limit" chroot "$target" "${clean[@]}" "$@"
        return
    fi
    # Without the exit, bash would become the command, and the first process of a namespace cannot be killed in it.
    # shellcheck disable=SC2016 # for the bash in the namespaces
    timeout --kill-after=5 "$command_limit" unshare --mount --uts --ipc --net --pid --fork --kill-child \
        --propagation private bash -c '
            mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=755 tmpfs "$0/run" && mkdir "$0/run/lock" || exit 125
            chroot "$0" "$@"
            exit $?
        ' "$target" "${clean[@]}" "$@"
}

# ---------------------------------------------------------------------------------------------------------------------
# Runs of package managers
# ---------------------------------------------------------------------------------------------------------------------

section() { printf -- '---- %s: %s\n' "$name" "$1"; }

# transact COMMAND...: what it says stays in $work/said.
transact() {
    local status=0
    "$enter" env DEBIAN_FRONTEND=noninteractive "$@" >"$work/said" 2>&1 || status=$?
    cat "$work/said"
    return "$status"
}

# said_only [PATTERN]: the last run said nothing but what package managers say of themselves, and lines that match.
said_only() {
    local own=('\(Reading database' 'Selecting previously' 'Preparing to unpack' 'Unpacking ' 'Setting up ' 'Removing '
        'Purging configuration files' 'Created symlink ' 'Removed "?/' 'Synchronizing state of '
        'Executing: /lib/systemd/' 'Installing new version of config file ' 'Verifying\.\.\.' 'Preparing\.\.\.'
        'Updating / ' 'Cleaning up / '
        'rpm: ' 'elkeid-agent-3:[0-9.]*-1 +#+$' '$')
    ! grep -vE "^($(IFS='|' && echo "${own[*]}"))${1:+|$1}" "$work/said"
}

said() { grep -E -- "$1" "$work/said"; }

# ---- With dpkg

# install_deb FILE [VARIABLE=VALUE...] [--OPTION]: from /root/packages. If dpkg has a question, that is a failure.
install_deb() {
    local file=${1##*/} options=() variables=() word
    shift
    for word in "$@"; do
        if [[ $word == --* ]]; then options+=("$word"); else variables+=("$word"); fi
    done
    transact env "${variables[@]}" dpkg "${options[@]}" -i "/root/packages/$file"
}

# make_blocker: a package that has a file of ours, so that ours cannot be unpacked                        -> $made
make_blocker() {
    local folder=$work/blocker
    mkdir -p "$folder/DEBIAN" "$folder/usr/share/elkeid-agent"
    printf '%s\n' 'Package: blocker' 'Version: 1' 'Architecture: all' 'Maintainer: Nobody <nobody@example.invalid>' \
        'Description: is in the way' >"$folder/DEBIAN/control"
    echo mine >"$folder/usr/share/elkeid-agent/before-231.conf"
    made=$work/blocker.deb
    dpkg-deb --root-owner-group -Znone --build "$folder" "$made" >/dev/null
}

# status_is 'ii |VERSION': as dpkg has it.
status_is() {
    # shellcheck disable=SC2016 # dpkg-query's own
    same "$1" "$("$enter" dpkg-query -W -f '${db:Status-Abbrev}|${Version}' elkeid-agent 2>/dev/null || true)"
}
installed() { status_is "ii |3:$1-1"; }

# The files are as they were packaged; but for configuration.
intact() { same '' "$("$enter" dpkg --verify elkeid-agent | grep -v ' c /')"; }

# For make_deb. Another version is told by its configuration, too.
older_content() { sed -i '1i # of the older version' "$1/etc/elkeid/agent.conf"; }
newer_content() { sed -i '1i # of the newer version' "$1/etc/elkeid/agent.conf"; }
# Enough for scripts that only move files: there is less to unpack.
without_program() { printf '%s\n' '#!/bin/sh' 'exit 0' >"$1/usr/sbin/elkeid-agent"; }
without_certificates() { rm -f "$1"/etc/elkeid/certs/*; }

# Somebody changes the configuration; the change is there.
edit() { sed -i '1i # edited here' "$target/etc/elkeid/agent.conf"; }
edited() { same '# edited here' "$(head -n 1 "$target/etc/elkeid/agent.conf")"; }

# What a removal, without a purge, leaves behind: configuration, but nothing that leads to the program.
removed() {
    same '' "$(find "$target/etc/elkeid" "$target/etc/systemd" -type l \( -name '*elkeid*' -o -lname '*elkeid*' \))" &&
        not_there /etc/cron.d/elkeid-agent && there /etc/elkeid/agent.conf && not_there /usr/sbin/elkeid-agent
}

# ---------------------------------------------------------------------------------------------------------------------
# What is there
# ---------------------------------------------------------------------------------------------------------------------

# described PATH...: in the root, without following links into the host's files. Where a link leads to is told from the
# root, however it says that.
described() {
    local path link
    for path in "$@"; do
        if [[ -L $target$path ]]; then
            link=$(readlink "$target$path")
            [[ $link == /* ]] || link=$(realpath -ms "${path%/*}/$link")
            printf '%s -> %s\n' "$path" "$link"
        elif [[ -e $target$path ]]; then
            printf '%s %s\n' "$path" "$(stat -c '%A %U:%G' "$target$path")"
        else
            printf '%s is missing\n' "$path"
        fi
    done
}

there() { [[ -e $target$1 || -L $target$1 ]]; }
not_there() { ! there "$1"; }

# is_described LINE...: as described says it.
is_described() {
    local line paths=()
    for line in "$@"; do paths+=("${line%% *}"); done
    diff <(printf '%s\n' "$@") <(described "${paths[@]}")
}

# All files, links and folders, and the content of what is in /etc; without what changes by itself.
listing() {
    (
        cd "$target" || exit
        find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./root -o -path ./var/cache \
            -o -path ./var/lib/rpm -o -path ./var/log/journal -o -path ./var/log/dpkg.log \) -prune \
            -o ! -path './var/lib/dpkg/*-old' ! -path './var/lib/dpkg/triggers/*' ! -path './var/lib/dpkg/lock*' \
            ! -path './var/lib/systemd/random-seed' ! -path './var/log/dmesg*' ! -path './tmp/systemd-private-*' \
            ! -path './var/tmp/systemd-private-*' ! -path './var/lib/private' \
            -printf '%p %y %m %U:%G %l\n'
        find ./etc -xdev -type f ! -name ld.so.cache -exec md5sum {} +
    ) | LC_ALL=C sort
}

remember() { listing >"$work/listing"; }

# left_behind [PATTERN]: fails if anything differs, but for lines that match the pattern.
left_behind() {
    listing >"$work/listing.now"
    same '' "$(diff "$work/listing" "$work/listing.now" | grep '^[<>]' | grep -vE "${1:-^$}")"
}

# files_as_intended deb|rpm systemd|sysvinit|none [configured]: those whose place, kind and mode are promised. An id
# that is configured is not kept, nor is one where no agent has run yet.
files_as_intended() {
    local wanted=(
        '/usr/sbin/elkeid-agent -rwxr-xr-x root:root'
        '/usr/sbin/elkeidctl -> /usr/sbin/elkeid-agent'
        '/etc/elkeid drwxr-xr-x root:root'
        '/etc/elkeid/agent.conf -rw-r----- root:root'
        '/etc/elkeid/certs drwx------ root:root'
        '/etc/elkeid/elkeid-agent -> /usr/sbin/elkeid-agent'
        '/etc/elkeid/elkeidctl -> /usr/sbin/elkeidctl'
        '/etc/elkeid/log -> /var/log/elkeid'
        '/etc/elkeid/plugin -> /var/lib/elkeid/plugin'
        '/etc/elkeid/machine-id -> /var/lib/elkeid/machine-id'
        '/var/lib/elkeid drwxr-x--- root:root'
        '/var/log/elkeid drwxr-x--- root:root'
    )
    case $1 in
        deb)
            wanted+=('/lib/systemd/system/elkeid-agent.service -rw-r--r-- root:root'
                '/etc/init.d/elkeid-agent -rwxr-xr-x root:root')
            ;;
        rpm) wanted+=('/usr/lib/systemd/system/elkeid-agent.service -rw-r--r-- root:root') ;;
    esac
    [[ $2 == none || $# == 3 ]] || wanted+=('/var/lib/elkeid/machine-id -rw------- root:root')
    [[ $1$2 != rpmsysvinit ]] || wanted+=('/etc/init.d/elkeid-agent -rwxr-xr-x root:root')
    [[ $1$2 != rpmsystemd ]] || fails there /etc/init.d/elkeid-agent || return
    not_there /etc/elkeid/specified_env || wanted+=('/etc/elkeid/specified_env -rw-r--r-- root:root')
    local file
    for file in ca.crt client.crt client.key; do
        not_there "/etc/elkeid/certs/$file" || wanted+=("/etc/elkeid/certs/$file -rw------- root:root")
    done
    is_described "${wanted[@]}"
}

# Manual pages that are compressed and whole, completions that the shell takes, a licence.
papers() {
    local file
    for file in man8/elkeid-agent.8 man8/elkeidctl.8 man5/agent.conf.5; do
        gzip -t "$target/usr/share/man/$file.gz" || return
    done
    bash -n "$target/usr/share/bash-completion/completions/elkeidctl" || return
    [[ -n $(find "$target/usr/share" -path '*zsh*' -name _elkeidctl -size +0) ]] || return
    [[ -n $(find "$target/usr/share/doc/elkeid-agent" -type f -size +0) ]]
}

# Nothing by its name, wherever it may be; dpkg's log is its own, and /root is the test's.
no_name_left() {
    same '' "$(find "$target" -xdev -path "$target/root" -prune -o -iname '*elkeid*' -print)" &&
        same '' "$("$enter" find /run /tmp /var/tmp /etc /usr /var -iname '*elkeid*')" &&
        same '' "$(find "$target/etc" "$target/var/lib" "$target/var/spool" -xdev -lname '*elkeid*')"
}

# ---------------------------------------------------------------------------------------------------------------------
# The service
# ---------------------------------------------------------------------------------------------------------------------

# property NAME: of the unit, its value alone.
property() { inside systemctl show --value -p "$1" elkeid-agent; }
property_is() { same "$2" "$(property "$1")"; }
main_pid() { property MainPID; }

# All processes of our installed program.
our_processes() { "$enter" /root/guest pids /usr/sbin/elkeid-agent; }

# What agents execute, whosever they are, and whether or not it is still there. Those that ours starts have other names.
programs() {
    # shellcheck disable=SC2016 # for the shell in the booted system
    "$enter" sh -c 'for process in $(grep -lx elkeid-agent /proc/[0-9]*/comm 2>/dev/null); do
        readlink "${process%/comm}/exe"
    done'
}
no_agent() { same '' "$(programs)" && same '' "$(our_processes)"; }
only_ours() { same /usr/sbin/elkeid-agent "$(programs | sort -u)"; }

enabled() { same "$1" "$("$enter" systemctl is-enabled elkeid-agent 2>/dev/null || true)"; }

# runs_ours: the unit that is packaged has the packaged program running, and it answers.
runs_ours() {
    local process
    property_is ActiveState active && process=$(main_pid) &&
        same /usr/sbin/elkeid-agent "$(inside readlink "/proc/$process/exe")" &&
        [[ $(property FragmentPath) == */lib/systemd/system/elkeid-agent.service ]] &&
        within 10 answers
}

# The control socket's answer is JSON with the pid of the agent.
answers() {
    local text
    text=$("$enter" elkeidctl status --json) && [[ $text == \{*\"pid\":* ]]
}

# answered MEMBER: its text, or number.
answered() {
    "$enter" elkeidctl status --json | grep -oE "\"$1\": ?(\"[^\"]*\"|[0-9]+)" | sed 's/^[^:]*: *//; s/"//g; q'
}

is_stopped() { property_is ActiveState inactive && no_agent; }

log_has() { "$enter" grep -E -- "$1" "$agent_log"; }

# The shell's own kill: the roots have no other.
send_signal() { inside sh -c "kill -$1 $2"; }

# Each of the three files, and what to do about it.
doctor_misses_certificates() {
    local status=0 file
    "$enter" elkeidctl doctor --offline >"$work/said" 2>&1 || status=$?
    cat "$work/said"
    same 1 "$status" || return
    for file in ca.crt client.crt client.key; do
        grep -A 1 "BAD .*/etc/elkeid/certs/$file is missing" "$work/said" | grep -q 'put the file there' || return
    done
}

# specified KEY VALUE: elkeidctl has stored it.
specified() { same "$1 = $2" "$(grep "^$1 *=" "$target/etc/elkeid/specified_env")"; }
not_specified() { ! grep -s "^$1 *=" "$target/etc/elkeid/specified_env"; }

show_state() {
    ((failed > 0)) || return 0
    [[ -n $booted ]] || return 0
    printf -- '---- %s\n' "$agent_log"
    inside tail -n 30 "$agent_log" || true
    [[ $booted_init == sysvinit ]] || inside journalctl --no-pager -n 30 -u elkeid-agent -o short-precise || true
}

# ---------------------------------------------------------------------------------------------------------------------
# State as the original leaves it
# ---------------------------------------------------------------------------------------------------------------------

readonly seeded_id=6c1fd0b1-55a6-4d6f-9d6e-0f6f7a1c2d3e

# seed_state: plugins and logs in /etc/elkeid, with names, kinds and modes that are easily lost; and what they are.
seed_state() {
    local folder=$target/etc/elkeid driver=$target/etc/elkeid/plugin/driver
    mkdir -p "$driver/deep/er" "$folder/plugin/with blank/empty" "$folder/log" "$folder/tmp"
    # Larger than what a trapped command may write.
    head -c 300000 /dev/urandom >"$driver/hids_driver_latest.ko"
    head -c 200000 /dev/urandom >"$driver/deep/er/data"
    printf '#!/bin/sh\nwhile :; do sleep 1; done\n' >"$driver/driver"
    echo hidden >"$driver/.hidden"
    printf 'name\n' >"$folder/plugin/with blank/-o \$(x)
y"
    ln -s deep/er/data "$driver/link"
    ln -s /nowhere/at/all "$driver/dangling"
    chmod 700 "$driver/driver"
    chmod 600 "$driver/.hidden"
    chmod 750 "$driver"
    chmod 2770 "$driver/deep"
    chown 1234:4321 "$driver/deep/er/data"
    touch -d 2021-03-04T05:06:07Z "$driver/hids_driver_latest.ko" "$driver/deep"
    head -c 150000 /dev/urandom >"$folder/log/elkeid-agent-2026-11-01T00-00-00.000.log.gz"
    echo 'from the original' >>"$folder/log/elkeid-agent.log"
    [[ -s $folder/machine-id ]] || (umask 077 && printf '%s' "$seeded_id" >"$folder/machine-id")
    head -c 1000 /dev/urandom >"$folder/tmp/$seeded_id"
    : >"$folder/stdout"
    : >"$folder/stderr"
    seeded_plugins=$(tree_of /etc/elkeid/plugin) seeded_machine=$(<"$folder/machine-id")
    seeded_logs=$(sums_of /etc/elkeid/log '*.gz')
    seeded_sums=$(all_sums /etc/elkeid/plugin /etc/elkeid/log)
}

# The plugin of the seed runs, as the original's child.
plugin_runs() { "$enter" sh -c 'cat /proc/[0-9]*/comm' | grep -qx driver; }

seeded_plugins='' seeded_logs='' seeded_machine='' seeded_sums=''

# tree_of FOLDER: everything about what is in it. What our agent knows of its plugins is not the original's.
tree_of() {
    (
        cd "$target$1" || exit
        find . -name .components -prune -o -printf '%P %y %m %U:%G %l' \( -type d -printf '\n' -o -printf ' %s %t\n' \)
        find . -name .components -prune -o -type f -exec md5sum {} +
    ) | LC_ALL=C sort
}

# sums_of FOLDER PATTERN
sums_of() { (cd "$target$1" && find . -maxdepth 1 -name "$2" -exec md5sum {} +) | LC_ALL=C sort; }

all_sums() {
    local folder folders=()
    for folder in "$@"; do
        [[ ! -d $target$folder || -L $target$folder ]] || folders+=("$target$folder")
    done
    # A backslash stands before the sum of a file with an odd name.
    find "${folders[@]}" -type f ! -name elkeid-agent.log -exec md5sum {} + |
        sed 's/^\\\{0,1\}\([0-9a-f]*\) .*/\1/' | LC_ALL=C sort -u
}

# Whatever is half done, each seeded file is somewhere, as it was; but for the log, which may have grown.
nothing_is_lost() {
    same '' "$(LC_ALL=C comm -23 <(printf '%s\n' "$seeded_sums") \
        <(all_sums /etc/elkeid /var/lib/elkeid /var/log/elkeid))"
}

# state_is_whole: moved, all of it, and linked.
state_is_whole() {
    is_described '/etc/elkeid/plugin -> /var/lib/elkeid/plugin' '/etc/elkeid/log -> /var/log/elkeid' \
        '/etc/elkeid/machine-id -> /var/lib/elkeid/machine-id' || return
    diff <(printf '%s\n' "$seeded_plugins") <(tree_of /var/lib/elkeid/plugin) || return
    same "$seeded_logs" "$(sums_of /var/log/elkeid '*.gz')" || return
    grep -q 'from the original' "$target/var/log/elkeid/elkeid-agent.log" || return
    same "$seeded_machine" "$(<"$target/var/lib/elkeid/machine-id")" || return
    same "-rw------- root:root" "$(stat -c '%A %U:%G' "$target/var/lib/elkeid/machine-id")"
}

# Nothing of the original's, and nothing of the way, is left beside it. A socket of the agent's own may be.
no_remnants() {
    same "$(printf '%s\n' agent.conf certs elkeid-agent elkeidctl log machine-id plugin specified_env)" \
        "$(find "$target/etc/elkeid" -mindepth 1 -maxdepth 1 -printf '%f\n' | LC_ALL=C sort)" &&
        same '' "$(find "$target/etc" "$target/var/lib" "$target/var/log" -xdev -maxdepth 1 -iname '*elkeid*' \
            ! -name elkeid -print)" &&
        same '' "$(find "$target/etc/systemd" -lname '/etc/elkeid/*')"
}

# ---------------------------------------------------------------------------------------------------------------------
# Traps: commands that maintainer scripts call are counted, and one of them is the script's last
# ---------------------------------------------------------------------------------------------------------------------

# The commands with which scripts change something; what only looks cannot leave anything half done.
readonly trapped=(mv cp ln rm mkdir rmdir chmod chown install touch tar sync systemctl deb-systemd-helper
    deb-systemd-invoke invoke-rc.d update-rc.d elkeidctl)

# set_traps: in $target, which is not booted. Until trap_at, nothing is changed by them.
set_traps() {
    local command path
    mkdir -p "$target/root/traps"
    cat >"$target/root/traps/trap" <<'END'
#!/bin/bash
# Called in place of a command. If it is one of a maintainer script, and the chosen one, what it writes is cut off, and
# the script is killed, and with it the package manager if so chosen: what a power cut leaves, or the lack of memory.
real=/root/traps/${0##*/}
# The same program may have several names.
[[ -e $real ]] || real=$(readlink "$0") && real=/root/traps/${real##*/}
process=$PPID victims=() own=() script=''
if [[ -e /root/traps/chosen ]]; then
    while ((process > 1)); do
        mapfile -d '' -t words <"/proc/$process/cmdline"
        [[ -n $script ]] || own+=("$process")
        case "${words[*]}" in
            */elkeid-agent.p[or]* | */tmp.ci/p[or]* | */rpm-tmp.*) script=$process ;;
        esac
        victims+=("$process")
        process=$(sed -n 's/^PPid:\t//p' "/proc/$process/status")
    done
fi
[[ -n $script ]] || exec -a "${0##*/}" "$real" "$@"
count=$(($(</root/traps/count) + 1))
echo "$count" >/root/traps/count
echo "${0##*/} $*" >>/root/traps/commands
read -r chosen mode </root/traps/chosen
((count == chosen)) || exec -a "${0##*/}" "$real" "$@"
(
    ulimit -f 64
    exec "$real" "$@"
)
[[ $mode == all ]] || victims=("${own[@]}")
kill -KILL "${victims[@]}"
sleep 1
END
    chmod 755 "$target/root/traps/trap"
    for command in "${trapped[@]}"; do
        path=$(chroot "$target" sh -c "command -v $command" || true)
        # A link of the package's own is not there yet, and would be overwritten later.
        [[ -n $path && $command != elkeidctl ]] || continue
        path=$(chroot "$target" readlink -f "$path")
        [[ $path != /root/traps/* ]] || continue
        mv "$target$path" "$target/root/traps/$command"
        ln -s /root/traps/trap "$target$path"
    done
}

# trap_at NUMBER script|all: the next command of that number is the last. 0: they are counted only.
trap_at() {
    echo 0 >"$target/root/traps/count"
    : >"$target/root/traps/commands"
    echo "$1 $2" >"$target/root/traps/chosen"
}

trapped_commands() { cat "$target/root/traps/count"; }
release_traps() { rm -f "$target/root/traps/chosen"; }

# ---------------------------------------------------------------------------------------------------------------------
# Killed at every step. A test says how: upgrade, resume (after a power cut), complete (is all as it should be?)
# ---------------------------------------------------------------------------------------------------------------------

# save: what is in $target, for restore.
save() {
    drop_overlay keep
    mv "$work/layers/upper" "$work/layers/base"
}

# restore same|other|bind: what save has saved, with /var on the same file system, on another one, or
# on the same one, but mounted, so that nothing can be renamed across.
restore() {
    drop_overlay
    cp -a "$work/layers/base" "$work/layers/upper"
    mount_overlay
    local var=$work/var
    case $1 in
        same) return ;;
        other)
            mkdir -p "$var"
            mount -t tmpfs var "$var"
            ;;
        bind)
            var=$target/srv/var
            mkdir "$var"
            ;;
    esac
    cp -a "$target/var/." "$var/"
    mount --bind "$var" "$target/var"
}

# killed_everywhere same|other|bind script|all
killed_everywhere() {
    local number count broken=0 log=$work/killed
    restore "$1"
    trap_at 0 "$2"
    upgrade && complete || return
    count=$(trapped_commands)
    printf '%d commands\n' "$count"
    # Fewer cannot be: the traps are not seen.
    ((count >= 5)) || return
    for ((number = 1; number <= count; number++)); do
        restore "$1"
        trap_at "$number" "$2"
        upgrade >"$log" 2>&1 || true
        if (($(trapped_commands) < number)); then
            echo 'it was not killed' >>"$log"
        elif nothing_is_lost >>"$log" 2>&1 && release_traps && resume >>"$log" 2>&1 && complete >>"$log" 2>&1; then
            continue
        fi
        broken=$((broken + 1))
        printf '** killed at %d: %s\n' "$number" "$(sed -n "${number}p" "$target/root/traps/commands")"
        tail -n 6 "$log"
    done
    same 0 "$broken"
}
