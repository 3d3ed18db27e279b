# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Needs: service files migration

set -e

case $1 in
    remove)
        # Or systemd would take the script that stays for a service.
        [ ! -e "$init_script" ] || chmod -x "$init_script"
        ! has deb-systemd-helper || deb-systemd-helper purge "$unit" >/dev/null || :
        reload_systemd
        ;;
    purge)
        if has update-rc.d; then
            update-rc.d elkeid-agent remove >/dev/null || :
        fi
        ! has deb-systemd-helper || deb-systemd-helper purge "$unit" >/dev/null || :
        ! has deb-systemd-helper || deb-systemd-helper unmask "$unit" >/dev/null || :
        unmount_groups
        rm -rf "$state" "$logs" "$settings" /run/elkeid /run/elkeid-agent.pid /run/elkeidctl.*
        ;;
    abort-install | abort-upgrade)
        restore_kept
        undo_migration
        ;;
esac
