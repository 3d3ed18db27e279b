#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Becomes the first process of a system, in namespaces and cgroups that boot_unshared of lib.sh has made: mounts what a
# container's init expects, enters the root, and executes it.
#
# usage: first-process.sh ROOT systemd|sysvinit mounted|none [HIERARCHY...]
set -euo pipefail
target=$1 init=$2 cgroups=$3
shift 3

mount --bind "$target" "$target"
mount -t proc proc "$target/proc"
mount -t sysfs -o ro sysfs "$target/sys"
mount -t tmpfs -o mode=755 tmpfs "$target/run"
mount -t tmpfs -o mode=755 tmpfs "$target/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$target/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$target/dev/tty" c 5 0
mknod -m 600 "$target/dev/console" c 1 3
mkdir "$target/dev/pts" "$target/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$target/dev/pts"
ln -s pts/ptmx "$target/dev/ptmx"
ln -s /proc/self/fd "$target/dev/fd"
hostname elkeid-test
# Not every init does that.
ip link set lo up

mount -t tmpfs -o mode=755 tmpfs "$target/sys/fs/cgroup"
if [[ $cgroups == mounted ]]; then
    for controllers in "$@"; do
        folder=$target/sys/fs/cgroup/${controllers#name=}
        if [[ $controllers == unified ]]; then
            mkdir "$folder"
            mount -t cgroup2 cgroup2 "$folder"
            continue
        fi
        mkdir "$folder"
        [[ $controllers != name=* ]] || controllers=none,$controllers
        mount -t cgroup -o "$controllers" cgroup "$folder"
    done
fi

mkdir -p "$target/.old"
cd "$target"
pivot_root . .old
umount -l /.old
rmdir /.old
environment=(PATH=/usr/sbin:/usr/bin:/sbin:/bin)
case $init in
    systemd) exec env -i "${environment[@]}" container=docker /lib/systemd/systemd ;;
    sysvinit) exec env -i "${environment[@]}" /sbin/init ;;
esac
