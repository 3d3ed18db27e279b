#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Limits under systemd with cgroups of version 2, in a virtual machine. Takes some minutes, for lack of acceleration.
#
# usage: cgroup-v2.sh FOLDER     with the static binaries that build.sh makes
# shellcheck disable=SC2317 # functions are called by check
set -euo pipefail
# shellcheck source=packaging/tests/limits.sh
. "$(dirname "${BASH_SOURCE[0]}")/limits.sh"

begin cgroup-v2 "$@"
make_root systemd systemd systemd-sysv dbus
overlay
install_agent systemd
set_limits
boot_qemu systemd

require 'the center runs' start_center hog quiet
check 'elkeidctl set --service_type=systemd' inside elkeidctl set --service_type=systemd
require 'elkeidctl start' inside elkeidctl start
pid=$(inside systemctl show --value -p MainPID elkeid-agent)
# A tenth of an emulated processor has to download, check and install them.
require 'hog runs' within 90 plugin_pid hog
require 'quiet runs' within 90 plugin_pid quiet

check_service_limits
check_limits v2
check_hog
check_greedy_hog
check 'the service goes on' still_healthy

check 'restart: the cgroup can be taken over again' inside elkeidctl restart
pid=$(inside systemctl show --value -p MainPID elkeid-agent)
check 'the agent is in its leaf' same agent "$(basename "$(group_of "$pid" v2)")"
check 'hog is in its own cgroup again' within 60 alone_in_group hog v2
check 'reload runs beside the leaves' inside systemctl reload elkeid-agent
check 'the configuration is read' within 20 log_has 'configuration reloaded'
check 'elkeidctl stop' inside elkeidctl stop
check 'no cgroup of the service is left' fails inside test -e "$unit"

show_state
power_off 60 || true
finish
