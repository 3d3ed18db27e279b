#!/bin/busybox sh
# shellcheck shell=dash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# The init of the virtual machine's initial RAM disk: finds the disk, and hands over to the system on it.
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
# In the order in which they need each other.
for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
    [ ! -e /modules/$module.ko ] || $bb insmod /modules/$module.ko
done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 50 ]; do
    $bb sleep 0.1
    tries=$((tries + 1))
done
$bb mount -t ext4 -o rw /dev/vda /root || $bb poweroff -f
# Not every init does that.
$bb ip link set lo up
for folder in dev proc sys; do $bb mount --move /$folder /root/$folder; done
exec $bb switch_root /root /sbin/init
