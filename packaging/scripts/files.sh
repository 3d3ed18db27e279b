# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# For maintainer scripts: settings, links, and files that no package knows.

# specify OPTION VALUE: what a shell that installs the package has in its environment. elkeidctl checks it.
specify() {
    [ -z "$2" ] || attempt "$control" set "$1" "$2" ||
        say "so it is not used; set another one with: elkeidctl set $1 VALUE"
}

specify_from_environment() {
    specify --id "${SPECIFIED_AGENT_ID-}"
    specify --idc "${SPECIFIED_IDC-}"
    specify --region "${SPECIFIED_REGION-}"
}

# Where operators, the console's manual and the original package's users look.
make_links() {
    link "$settings/log" "$logs"
    link "$settings/plugin" "$state/plugin"
    link "$settings/machine-id" "$state/machine-id"
}

link() { [ -e "$1" ] || [ -L "$1" ] || ln -s "$2" "$1" || :; }

remove_links() {
    for path in "$settings/log" "$settings/plugin" "$settings/machine-id"; do
        [ ! -L "$path" ] || rm -f "$path"
    done
}

# Only dpkg needs this: see deb-preinst.sh.
kept_files='agent.conf certs/ca.crt certs/client.crt certs/client.key'
restore_kept() {
    for path in $kept_files; do
        [ ! -e "$settings/$path.kept" ] || mv "$settings/$path.kept" "$settings/$path"
    done
}
