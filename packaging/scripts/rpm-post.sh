# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Needs: service files migration

finish_migration
make_links
add_drop_in
# The distribution's folders have no place for it where systemd starts everything.
if ! has_systemd && has_sysvinit; then
    cp "$shared/elkeid-agent.init" "$init_script" && chmod 755 "$init_script"
fi
if [ "$1" -eq 1 ]; then
    specify_from_environment
fi
# The first time; after that it is as whoever has the host wants it.
if { [ "$1" -eq 1 ] || [ -e "$migration" ]; } && ! was_disabled; then
    if has_systemd; then
        attempt systemctl enable "$unit"
    elif has chkconfig; then
        attempt chkconfig --add elkeid-agent
    elif has update-rc.d; then
        attempt update-rc.d elkeid-agent defaults
    fi
fi
rm -f "$migration"
start_or_restart
exit 0
