# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Needs: service files migration

set -e

# A file that dpkg does not know, for instance because a configuration tool was there first, would make it ask which one
# to keep, and fail where nobody can answer: it is put aside, and back by postinst.
keep_unknown() {
    for path in $kept_files; do
        [ -e "$settings/$path" ] || continue
        case $(dpkg-query --show --showformat='${Conffiles}' elkeid-agent 2>/dev/null) in
            *" $settings/$path "*) ;;
            *) mv "$settings/$path" "$settings/$path.kept" ;;
        esac
    done
}

case $1 in
    install | upgrade)
        prepare_migration
        keep_unknown
        # postrm has taken that away.
        [ ! -e "$init_script" ] || chmod +x "$init_script"
        ;;
esac
