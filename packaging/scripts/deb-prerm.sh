# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Needs: service files

set -e

case $1 in
    remove)
        act stop || :
        unmount_groups
        remove_links
        remove_drop_in
        rm -f /etc/cron.d/elkeid-agent
        ;;
esac
