# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Needs: service files migration

set -e

case $1 in
    configure)
        restore_kept
        finish_migration
        make_links
        add_drop_in
        [ -n "${2-}" ] || specify_from_environment
        if has deb-systemd-helper; then
            # Enabled the first time, and after that as whoever has the host wants it. Where the original's links took the
            # place of ours, and were taken away, the helper would see whoever has the host at work.
            ! was_enabled || deb-systemd-helper purge "$unit" >/dev/null || :
            deb-systemd-helper unmask "$unit" >/dev/null || :
            if ! was_disabled && deb-systemd-helper --quiet was-enabled "$unit"; then
                deb-systemd-helper enable "$unit" >/dev/null || :
            else
                deb-systemd-helper update-state "$unit" >/dev/null || :
            fi
        elif [ -z "${2-}" ] && has systemctl; then
            attempt systemctl enable "$unit" || :
        fi
        # Somebody may have taken its links away.
        if has update-rc.d && [ -x "$init_script" ] && ! was_disabled && { [ -z "${2-}" ] || is_enabled; }; then
            update-rc.d elkeid-agent defaults >/dev/null || :
        fi
        rm -f "$migration"
        start_or_restart
        ;;
    abort-upgrade | abort-remove | abort-deconfigure)
        make_links
        start_or_restart
        ;;
esac
