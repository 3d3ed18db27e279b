# shellcheck shell=bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of the service share: root file systems, made once; a fresh overlay for each test; three ways to boot
# one; commands in it; checks and their summary. Needs root, and apt for what is missing on the host.
#
#   begin NAME FOLDER           of the static binaries; then everything below may be used
#   for_architecture ARCH       roots and virtual machines are for amd64 or arm64, whatever this machine is
#   make_root NAME [PACKAGE...] a Debian root with these packages, in the cache             -> $root
#   overlay                     a fresh copy of $root, which the test may change            -> $target
#   boot_nspawn, boot_unshared, boot_qemu, boot_again
#   inside COMMAND...           in the booted system, $command_limit seconds at most
#   power_off SECONDS
#   check NAME COMMAND...       one line of the report; require NAME COMMAND... ends the test if it fails
#   within SECONDS COMMAND...   waits until the command succeeds
#   finish                      the summary; ends with 1 if a check failed
#
# The roots are in $ELKEID_ROOTS (default /var/tmp/elkeid-roots); remove the folder to have them made anew.
set -euo pipefail

# Two files that want this one may be wanted by one test.
[[ ! -v roots ]] || return 0

[[ $EUID == 0 ]] || {
    echo 'the tests of the service boot systems and make cgroups: run them as root' >&2
    exit 3
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
roots=${ELKEID_ROOTS:-/var/tmp/elkeid-roots}
suite=bookworm
archive=http://deb.debian.org/debian
archive_keys=/usr/share/keyrings/debian-archive-keyring.gpg
case $(uname -m) in
    x86_64) own_architecture=amd64 ;;
    aarch64) own_architecture=arm64 ;;
    *) own_architecture='' ;;
esac
readonly here roots suite archive archive_keys own_architecture

# Of roots and virtual machines.
guest_architecture=$own_architecture

# The longest that one command in a booted system may take.
command_limit=60

name='' binaries='' work='' root='' target=''
booted='' booted_init='' booted_pid='' leader=''
passed=0 failed=0 summary='' terminal=''

die() {
    printf '%s: %s\n' "${name:-tests}" "$1" >&2
    exit 3
}

# ---------------------------------------------------------------------------------------------------------------------
# Begin and end
# ---------------------------------------------------------------------------------------------------------------------

begin() {
    name=$1
    [[ $# == 2 && -d $2 ]] || {
        printf 'usage: %s.sh FOLDER     with the static binaries that build.sh makes\n' "$name" >&2
        exit 2
    }
    binaries=$(cd "$2" && pwd)
    local program
    for program in elkeid-agent elkeidctl elkeid-devcenter process-collector; do
        [[ -x $binaries/$program ]] || die "there is no $program in $binaries; make it with: bash build.sh"
    done
    open_work
}

# A folder for this test, which ends with it.
open_work() {
    mkdir -p "$roots"
    work=$(mktemp -d "$roots/run.XXXXXX")
    exec {terminal}>&2
    trap clean_up EXIT
    # Without handlers of their own, signals would end bash before the trap above.
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

clean_up() {
    local status=$?
    trap - EXIT
    set +e
    # A signal may come while a check has its output redirected.
    exec 2>&"$terminal"
    [[ -n $summary || $status == 77 ]] || printf '%s: ended before its last check (%d)\n' "$name" "$status" >&2
    [[ -n $booted ]] && kill_booted
    mountpoint -q "$work/root" && umount -l "$work/root"
    mountpoint -q "$work/layers" && umount -l "$work/layers"
    unregister_emulator
    rm -rf --one-file-system "$work"
    exit "$status"
}

finish() {
    summary="$name: $passed passed, $failed failed"
    echo "$summary"
    ((failed == 0)) || exit 1
    exit 0
}

# need COMMAND:PACKAGE...: installs what is missing on the host. A path stands for that file.
need() {
    local pair missing=()
    for pair in "$@"; do
        [[ -e ${pair%%:*} ]] || command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair#*:}")
    done
    ((${#missing[@]} > 0)) || return 0
    command -v apt-get >/dev/null 2>&1 || die "install first: ${missing[*]}"
    printf '%s: installing %s\n' "$name" "${missing[*]}" >&2
    {
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    } >"$work/apt.log" 2>&1 </dev/null || {
        tail -n 20 "$work/apt.log" >&2
        die "cannot install ${missing[*]}"
    }
}

# ---------------------------------------------------------------------------------------------------------------------
# Report
# ---------------------------------------------------------------------------------------------------------------------

# check NAME COMMAND...: what the command prints is shown only if it fails.
check() {
    local title=$1 status=0 start=${EPOCHREALTIME/./}
    shift
    "$@" >"$work/check.log" 2>&1 </dev/null || status=$?
    local spent=$(((${EPOCHREALTIME/./} - start) / 10000))
    if ((status == 0)); then
        passed=$((passed + 1))
        printf 'ok      %3d.%02d s  %s\n' $((spent / 100)) $((spent % 100)) "$title"
    else
        failed=$((failed + 1))
        printf 'FAILED  %3d.%02d s  %s (status %d)\n' $((spent / 100)) $((spent % 100)) "$title" "$status"
        tail -n 25 "$work/check.log" | sed 's/^/    | /'
    fi
}

# require NAME COMMAND...: a check without which the others make no sense.
require() {
    local before=$failed
    check "$@"
    ((failed == before)) || {
        echo "$name: the rest is left out"
        show_state
        finish
    }
}

# A test may define what one wants to read when something has failed.
show_state() { :; }

# within SECONDS COMMAND...: again and again until it succeeds. Prints what it said last.
within() {
    local limit=$1 end output status
    shift
    end=$((SECONDS + limit))
    while :; do
        status=0
        output=$("$@" 2>&1) || status=$?
        if ((status == 0 || SECONDS >= end)); then break; fi
        sleep 0.1
    done
    [[ -z $output ]] || printf '%s\n' "$output"
    ((status == 0)) || printf 'not within %d s: %s\n' "$limit" "$*"
    return "$status"
}

# same WANTED FOUND
same() {
    [[ $1 == "$2" ]] && return 0
    printf 'wanted: %s\nfound:  %s\n' "$1" "$2"
    return 1
}

# fails COMMAND...: succeeds if the command does not.
fails() { ! "$@"; }

# ---------------------------------------------------------------------------------------------------------------------
# Root file systems
# ---------------------------------------------------------------------------------------------------------------------

# for_architecture amd64|arm64: from here on.
for_architecture() {
    [[ $1 == "$own_architecture" || $1 == arm64 ]] || die "there is no emulator here for the programs of a root for $1"
    guest_architecture=$1
}

is_foreign() { [[ $guest_architecture != "$own_architecture" ]]; }

# make_root NAME [PACKAGE...]: made once, and anew when the list of packages has changed.
make_root() {
    local recipe="$suite ${*:2}" lock
    root=$roots/$1
    ! is_foreign || root+=-$guest_architecture
    # Two tests that are started together make one root.
    exec {lock}>"$roots/.${root##*/}.lock"
    flock "$lock"
    if [[ ! -e $root.recipe || $(<"$root.recipe") != "$recipe" ]]; then
        # A host that is not Debian may lack the keys of its archive.
        need mmdebstrap:mmdebstrap debootstrap:debootstrap "$archive_keys:debian-archive-keyring"
        printf '%s: making the root "%s"\n' "$name" "${root##*/}" >&2
        rm -rf "$root" "$root.recipe" "$root.new"
        # Packages run programs of their own when they are set up.
        ! is_foreign || register_emulator
        fill_root "${@:2}" >"$work/root.log" 2>&1 </dev/null || {
            tail -n 20 "$work/root.log" >&2
            rm -rf "$root.new"
            die "cannot make the root $1"
        }
        ! is_foreign || unregister_emulator
        mv "$root.new" "$root"
        printf '%s\n' "$recipe" >"$root.recipe"
    fi
    exec {lock}>&-
}

# fill_root [PACKAGE...]: where mmdebstrap may not mount what it needs, debootstrap often does with less.
fill_root() {
    local packages=$* options=(--variant=minbase "--keyring=$archive_keys") architecture=''
    [[ -z $packages ]] || options+=("--include=${packages// /,}")
    ! is_foreign || architecture=$guest_architecture
    timeout 900 mmdebstrap --quiet --mode=root ${architecture:+"--architectures=$architecture"} "${options[@]}" \
        "$suite" "$root.new" "$archive" && return
    rm -rf "$root.new"
    timeout 900 debootstrap ${architecture:+"--arch=$architecture"} "${options[@]}" "$suite" "$root.new" "$archive"
}

# ---- The emulator of programs for 64-bit ARM: until it is unregistered, the kernel starts such programs with it
# (binfmt_misc), wherever they are

readonly formats=/proc/sys/fs/binfmt_misc emulator=/usr/bin/qemu-aarch64-static
format='' is_mounted_here=''

# Since the emulator is opened here and now (F), it is found in containers, too.
register_emulator() {
    [[ -z $format ]] || return 0
    [[ $(uname -m) != aarch64 ]] || return 0
    local zero='\x00\x00\x00\x00\x00\x00\x00\x00' any='\xff\xff\xff\xff\xff\xff\xff'
    need "$emulator:qemu-user-static" arch-test:arch-test
    if [[ ! -e $formats/register ]]; then
        mount -t binfmt_misc binfmt_misc "$formats" || die 'the kernel has no binfmt_misc'
        is_mounted_here=yes
    fi
    format=elkeid-test-$$
    printf '%s' ":$format:M::\x7fELF\x02\x01\x01\x00$zero\x02\x00\xb7\x00" \
        ":$any\x00$any\xff\xfe\xff\xff\xff:$emulator:F" >"$formats/register" || {
        format=''
        die "cannot register $emulator in $formats"
    }
}

unregister_emulator() {
    [[ -z $format ]] || echo -1 >"$formats/$format"
    # With the last mount, formats of other tests would go.
    [[ -z $is_mounted_here ]] || compgen -G "$formats/elkeid-test-*" >/dev/null || umount "$formats"
    format='' is_mounted_here=''
}

overlay() {
    target=$work/root
    mkdir -p "$target" "$work/layers"
    # An overlay cannot be laid over another one, as the files of a container are: then memory holds what is changed.
    if ! mount_overlay 2>/dev/null; then
        mount -t tmpfs layers "$work/layers"
        mount_overlay || die "cannot mount an overlay"
    fi
    rm -f "$target/etc/machine-id" "$target/etc/resolv.conf"
    : >"$target/etc/machine-id"
    echo elkeid-test >"$target/etc/hostname"
    printf '127.0.0.1 localhost elkeid-test\n' >"$target/etc/hosts"
}

mount_overlay() {
    mkdir -p "$work/layers/upper" "$work/layers/work"
    mount -t overlay elkeid-test -o "lowerdir=$root,upperdir=$work/layers/upper,workdir=$work/layers/work" "$target"
}

# ---------------------------------------------------------------------------------------------------------------------
# Booting
# ---------------------------------------------------------------------------------------------------------------------

# The process with number 1 in the namespace that a child of PID made; nothing if there is none yet.
first_process() {
    local child children numbers
    read -ra children < <(cat "/proc/$1/task/"*/children 2>/dev/null)
    for child in "${children[@]}"; do
        numbers=$(sed -n 's/^NSpid:\t//p' "/proc/$child/status" 2>/dev/null) || continue
        if [[ $numbers == *$'\t'1 ]]; then
            echo "$child"
            return 0
        fi
    done
    return 1
}

is_up() {
    local state
    if [[ $booted == qemu ]]; then
        # Said once; before that, nobody listens.
        [[ -n $leader ]] || read -r -t 1 leader <&"$from_guest" || return 1
    else
        leader=$(first_process "$booted_pid") || return 1
    fi
    case $booted_init in
        systemd)
            state=$(command_limit=5 inside systemctl is-system-running 2>/dev/null) || true
            [[ $state == running || $state == degraded ]]
            ;;
        sysvinit)
            state=$(command_limit=5 inside runlevel 2>/dev/null) || true
            # The level is known before its scripts have run; rc is what runs them.
            [[ $state == 'N 2' ]] && ! inside sh -c 'cat /proc/[0-9]*/comm 2>/dev/null' | grep -qx 'rc\|startpar'
            ;;
    esac
}

# Is the booted system's process, our child, still there? Its number alone could be another's by now.
is_running() { [[ -n $booted_pid && $(sed -n 's/^PPid:\t//p' "/proc/$booted_pid/status" 2>/dev/null) == "$$" ]]; }

wait_for_boot() {
    local limit=60 start=${EPOCHREALTIME/./} end
    # Without acceleration, and perhaps beside a build.
    [[ $booted != qemu ]] || limit=180
    end=$((SECONDS + limit))
    until is_up; do
        is_running || boot_failed 'the system ended while it booted'
        ((SECONDS < end)) || boot_failed "the system is not up after $limit s"
        sleep 0.05
    done
    printf '%s: booted (%s, %s) in %d ms\n' "$name" "$booted" "$booted_init" \
        $(((${EPOCHREALTIME/./} - start) / 1000))
}

boot_failed() {
    tail -q -n 30 "$work"/qemu.log "$work/console" 2>/dev/null >&2 || true
    die "$1"
}

# ---------------------------------------------------------------------------------------------------------------------
# Cgroups: a group of our own in every hierarchy of the host, so that nothing is left anywhere else
# ---------------------------------------------------------------------------------------------------------------------

hierarchies=() group_folders=()

make_groups() {
    local group=elkeid-test-$$ lines line controllers path folder
    hierarchies=() group_folders=()
    mapfile -t lines </proc/self/cgroup
    for line in "${lines[@]}"; do
        IFS=: read -r _ controllers path <<<"$line"
        folder=$(hierarchy_folder "$controllers")
        [[ -d $folder ]] || continue
        folder=$folder${path%/}/$group
        mkdir "$folder"
        group_folders+=("$folder")
        hierarchies+=("${controllers:-unified}")
        # A new group of cpuset has no processors, and takes no process.
        if [[ $controllers == cpuset ]]; then
            cat "${folder%/*}/cpuset.cpus" >"$folder/cpuset.cpus"
            cat "${folder%/*}/cpuset.mems" >"$folder/cpuset.mems"
        fi
    done
}

# hierarchy_folder CONTROLLERS: as /proc/self/cgroup has them; none for that of version 2.
hierarchy_folder() {
    if [[ -n $1 ]]; then
        echo "/sys/fs/cgroup/${1#name=}"
    elif [[ -d /sys/fs/cgroup/unified ]]; then
        echo /sys/fs/cgroup/unified
    else
        echo /sys/fs/cgroup
    fi
}

enter_groups() {
    local folder
    for folder in "${group_folders[@]}"; do echo "$BASHPID" >"$folder/cgroup.procs"; done
}

# Commands belong into the cgroups of the booted system, or what they start would be outside of it.
join_leader() {
    local lines line controllers path
    mapfile -t lines <"/proc/$leader/cgroup"
    for line in "${lines[@]}"; do
        IFS=: read -r _ controllers path <<<"$line"
        echo "$BASHPID" >"$(hierarchy_folder "$controllers")$path/cgroup.procs" || true
    done 2>/dev/null
}

remove_groups() {
    local folder tries
    for folder in "${group_folders[@]}"; do
        # Processes leave a group a little after they have ended.
        for ((tries = 0; tries < 50; tries++)); do
            find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [[ -d $folder ]] || break
            sleep 0.1
        done
        [[ ! -d $folder ]] || printf '%s: %s cannot be removed\n' "$name" "$folder" >&2
    done
    group_folders=()
}

# ---------------------------------------------------------------------------------------------------------------------
# Three ways to boot
# ---------------------------------------------------------------------------------------------------------------------

# A shutdown leaves its root read-only.
make_writable() { mount -o remount,rw "$target"; }

# boot_nspawn: a container with systemd and a network of its own. Limits are not enforced in it.
boot_nspawn() {
    need systemd-nspawn:systemd-container nsenter:util-linux
    booted=nspawn booted_init=systemd
    make_writable
    make_groups
    (
        enter_groups
        exec systemd-nspawn --quiet --register=no --keep-unit --machine="elkeid-test-$$" --directory="$target" \
            --private-network --console=pipe --boot
    ) >"$work/console" 2>&1 </dev/null &
    booted_pid=$!
    wait_for_boot
}

# boot_unshared INIT [CGROUPS]: systemd or sysvinit in namespaces and cgroups (v1) of its own, whose limits the kernel
# enforces. CGROUPS: mounted, or none, as on a host whose init does not care.
boot_unshared() {
    need unshare:util-linux nsenter:util-linux ip:iproute2
    booted=unshared booted_init=$1
    make_writable
    make_groups
    (
        enter_groups
        exec unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child --propagation private \
            bash "$here/first-process.sh" "$target" "$1" "${2:-mounted}" "${hierarchies[@]}"
    ) >"$work/console" 2>&1 </dev/null &
    booted_pid=$!
    wait_for_boot
}

# boot_qemu INIT [PARAMETER...]: a virtual machine without acceleration, with a kernel of Debian's, cgroups of version
# 2, and the parameters on the kernel's command line. Takes 10 s or more; each command a little longer than elsewhere.
boot_qemu() {
    local console line parameters
    booted_init=$1
    shift
    need mke2fs:e2fsprogs cpio:cpio base64:coreutils
    make_kernel
    # One line for what the kernel says, one for commands.
    case $guest_architecture in
        amd64)
            need qemu-system-x86_64:qemu-system-x86
            console=ttyS0 line=ttyS1
            virtual_machine=(qemu-system-x86_64 -M q35 -cpu max
                -serial file:"$work/console" -serial pipe:"$work/serial")
            ;;
        arm64)
            need qemu-system-aarch64:qemu-system-arm
            # The machine has one line of its own.
            console=ttyAMA0 line=ttyS0
            # shellcheck disable=SC2054 # commas of its own
            virtual_machine=(qemu-system-aarch64 -M virt -cpu cortex-a72 -serial file:"$work/console"
                -chardev pipe,id=line,path="$work/serial" -device pci-serial,chardev=line)
            ;;
        *) die "there is no virtual machine for $(uname -m)" ;;
    esac
    install -m 755 "$here/guest.sh" "$target/root/guest"
    case $booted_init in
        systemd)
            mkdir -p "$target/etc/systemd/system/multi-user.target.wants"
            printf '%s\n' '[Service]' "ExecStart=/root/guest serve /dev/$line" \
                >"$target/etc/systemd/system/elkeid-test.service"
            ln -sf ../elkeid-test.service "$target/etc/systemd/system/multi-user.target.wants/"
            # Without it 90 s are spent on waiting for a terminal that udev would announce.
            set -- "$@" "systemd.mask=serial-getty@$console.service"
            ;;
        sysvinit)
            grep -q "$line" "$target/etc/inittab" ||
                echo "T0:2345:respawn:/root/guest serve /dev/$line" >>"$target/etc/inittab"
            ;;
    esac
    rm -f "$work/disk"
    truncate -s 1500M "$work/disk"
    mke2fs -q -t ext4 -d "$target" "$work/disk" || die 'cannot make a disk for the virtual machine'
    parameters="console=$console quiet panic=-1 mitigations=off apparmor=0 selinux=0 $*"
    # shellcheck disable=SC2054 # commas of its own
    virtual_machine+=(-accel tcg,thread=multi -smp 1 -m 1024 -display none -no-reboot -nodefaults
        -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd.gz" -append "$parameters"
        -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" -device virtio-rng-pci)
    boot_again
}

# boot_again: after power_off, with what is on the disk by then.
boot_again() {
    booted=qemu
    rm -f "$work/serial.in" "$work/serial.out"
    mkfifo "$work/serial.in" "$work/serial.out"
    [[ -z $to_guest ]] || exec {to_guest}>&- {from_guest}>&-
    # Opened for both directions, so that nobody waits for the other to open them.
    exec {to_guest}<>"$work/serial.in" {from_guest}<>"$work/serial.out"
    "${virtual_machine[@]}" >"$work/qemu.log" 2>&1 </dev/null &
    booted_pid=$!
    wait_for_boot
}

to_guest='' from_guest='' kernel='' virtual_machine=()

# The kernel, its modules, and those of them that reach the disk; made once.
make_kernel() {
    kernel=$roots/kernel-$guest_architecture
    local lock
    exec {lock}>"$roots/.${kernel##*/}.lock"
    flock "$lock"
    if [[ ! -e $kernel/initrd.gz ]]; then
        need mmdebstrap:mmdebstrap "$archive_keys:debian-archive-keyring"
        printf '%s: fetching a kernel for %s\n' "$name" "$guest_architecture" >&2
        # Extracted only: nothing is installed, and nothing of another architecture is started.
        timeout 600 mmdebstrap --quiet --mode=root --variant=extract "--architectures=$guest_architecture" \
            "--include=linux-image-cloud-$guest_architecture,busybox-static" \
            --keyring="$archive_keys" "$suite" "$work/kernel" "$archive" >"$work/root.log" 2>&1 </dev/null || {
            tail -n 20 "$work/root.log" >&2
            die 'cannot fetch a kernel'
        }
        make_initrd "$work/kernel" || die 'cannot make an initial RAM disk'
        rm -rf "$work/kernel"
    fi
    exec {lock}>&-
}

# add_modules: the kernel's, to $target, for modprobe; few tests need one.
add_modules() {
    need depmod:kmod
    make_kernel
    cp -a "$kernel/modules" "$target/lib/modules"
    depmod -b "$target" "$(ls "$kernel/modules")" || die 'the modules of the kernel cannot be listed'
}

# make_initrd FOLDER: with the extracted kernel.
make_initrd() {
    local files=$1/initrd module
    rm -rf "$kernel"
    mkdir -p "$files"/{bin,dev,proc,sys,root,modules} "$kernel"
    cp "$1/bin/busybox" "$files/bin/" || return
    for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
        # In this order; one that is not there is a part of the kernel.
        find "$1/lib/modules" -name "$module.ko" -exec cp {} "$files/modules/" \;
    done
    cp "$here/guest-init.sh" "$files/init" && chmod 755 "$files/init" || return
    (cd "$files" && find . | cpio --quiet -o -H newc | gzip) >"$kernel/initrd.new" || return
    cp "$1"/boot/vmlinuz-* "$kernel/vmlinuz" && cp -a "$1/lib/modules" "$kernel/modules" || return
    mv "$kernel/initrd.new" "$kernel/initrd.gz"
}

ask_qemu() {
    local command
    printf -v command '%q ' "$@"
    printf '%s %s\n' "$command_limit" "$(base64 -w 0 <<<"$command")" >&"$to_guest"
}

# inside_qemu COMMAND...: what it prints, also on stderr, comes on stdout.
inside_qemu() {
    local status output
    is_running || die 'the virtual machine has ended'
    ask_qemu "$@"
    read -r -t $((command_limit + 30)) status output <&"$from_guest" || {
        # A late answer would be taken for that to another command.
        kill -KILL "$booted_pid"
        die 'the virtual machine does not answer, and is switched off'
    }
    [[ -z $output ]] || base64 -d <<<"$output"
    return "$status"
}

inside() {
    if [[ $booted == qemu ]]; then
        inside_qemu "$@"
        return
    fi
    (
        join_leader
        exec timeout --kill-after=5 "$command_limit" nsenter --target "$leader" --mount --uts --ipc --net --pid \
            --cgroup --root --wd -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
    )
}

# power_off SECONDS: in order; fails if the system is not down by then.
power_off() {
    local limit=$1 command=(poweroff)
    [[ $booted_init == sysvinit ]] || command=(systemctl poweroff)
    if [[ $booted == qemu ]]; then
        # The machine goes down without an answer.
        ask_qemu "${command[@]}"
    else
        inside "${command[@]}" >/dev/null 2>&1 </dev/null || true
    fi
    local end=$((SECONDS + limit))
    while is_running; do
        if ((SECONDS >= end)); then
            echo "not powered off within $limit s"
            kill_booted
            return 1
        fi
        sleep 0.05
    done
    kill_booted
}

kill_booted() {
    local first
    if is_running; then
        # The end of the first process is that of all in its namespace.
        first=$(first_process "$booted_pid") && kill -KILL "$first"
        is_running && kill -KILL "$booted_pid"
    fi
    wait "$booted_pid"
    remove_groups
    booted='' booted_pid='' leader=''
    return 0
} 2>/dev/null
