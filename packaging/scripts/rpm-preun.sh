# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Needs: service files

if [ "$1" -eq 0 ]; then
    act stop
    if has_systemd; then
        attempt systemctl --no-reload disable "$unit"
    fi
    if [ -e "$init_script" ]; then
        ! has chkconfig || attempt chkconfig --del elkeid-agent
        rm -f "$init_script"
        ! has update-rc.d || attempt update-rc.d elkeid-agent remove
    fi
    unmount_groups
    remove_links
    remove_drop_in
    # As the original package; only a configuration that was changed stays, as agent.conf.rpmsave.
    rm -rf "$state" "$logs"
    # rpm wants to remove them itself.
    mkdir -p "$state" "$logs"
    rm -rf "$settings/specified_env" /etc/cron.d/elkeid-agent /run/elkeid /run/elkeid-agent.pid \
        /run/elkeidctl.*
fi
exit 0
