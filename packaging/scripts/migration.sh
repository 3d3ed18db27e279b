# shellcheck shell=sh disable=SC2034,SC2154
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# For maintainer scripts: from the original package, which has everything in /etc/elkeid.

original_program_is_here() { [ -f "$settings/elkeid-agent" ] && [ ! -L "$settings/elkeid-agent" ]; }

# Before our files come. Whether it was enabled has to be known when its links are gone.
migration=$settings/.migration
prepare_migration() {
    original_program_is_here || original_script_is_here || return 0
    if is_enabled; then echo enabled >"$migration"; else echo disabled >"$migration"; fi
    if ! agent_upgrades_itself; then
        if systemd_runs; then
            attempt systemctl stop "$unit" || :
        elif [ -x "$settings/elkeidctl" ]; then
            attempt "$settings/elkeidctl" stop || :
        fi
        unmount_groups
    fi
    # As a file that no package owns it would make dpkg ask which one to keep.
    ! original_script_is_here || mv "$init_script" "$settings/.init-script"
    forget_specified_id
}

# Our files could not be unpacked, and the original's are back.
undo_migration() {
    [ -e "$migration" ] && original_program_is_here || return 0
    [ ! -e "$settings/.init-script" ] || mv "$settings/.init-script" "$init_script"
    if ! was_disabled && ! agent_upgrades_itself; then
        if systemd_runs; then
            attempt systemctl start "$unit" || :
        elif sysvinit_runs; then
            attempt "$settings/elkeidctl" start || :
        fi
    fi
    rm -f "$migration"
}

was_enabled() { [ "$(cat "$migration" 2>/dev/null)" = enabled ]; }
was_disabled() { [ "$(cat "$migration" 2>/dev/null)" = disabled ]; }

# Ours calls elkeidctl where our packages have it.
original_script_is_here() { [ -f "$init_script" ] && ! grep -q "^control=$control\$" "$init_script"; }

# The original's elkeidctl wrote it, and its installation put the region there; the original's agent has never read it.
# Taken for an id now, it would make one host of all that have the same region.
forget_specified_id() {
    original_program_is_here || return 0
    id=$(sed -n 's/^[[:space:]]*specified_id[[:space:]]*[=:][[:space:]]*//p' "$settings/specified_env" 2>/dev/null) || :
    [ -n "$id" ] || return 0
    sed '/^[[:space:]]*specified_id[[:space:]]*[=:]/d' "$settings/specified_env" >"$settings/specified_env.new" ||
        return 0
    mv "$settings/specified_env.new" "$settings/specified_env"
    say "specified_id ($id) had no effect in the original package, and is left out;" \
        "if it was meant: elkeidctl set --id, or --region if it is one"
}

# Its unit is a link to its file in /etc/elkeid, which would shadow ours, or lead nowhere.
remove_original_links() {
    for path in "$units/$unit" "$units"/*.wants/"$unit"; do
        [ -L "$path" ] || continue
        case $(readlink "$path") in
            "$settings"/*) rm -f "$path" ;;
        esac
    done
}

# move_file FROM TO: a file has its new name when it is whole; then the old one goes.
move_file() {
    [ -f "$1" ] && [ ! -L "$1" ] || return 0
    cp -p "$1" "$2.moving" && mv "$2.moving" "$2" && rm -f "$1"
}

# move_folder FROM TO: one entry after the other, each by a copy that has its name in TO when it is whole, so that an
# interrupted run can be repeated. (mv would do the same with the name it is to have, where it cannot rename.)
move_folder() {
    [ -d "$1" ] && [ ! -L "$1" ] || return 0
    mkdir -p "$2" || return 1
    new=$2/.elkeid-moving
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        [ -e "$entry" ] || [ -L "$entry" ] || continue
        name=${entry##*/}
        if [ -f "$entry" ] && [ -f "$2/$name" ] && ! cmp -s "$entry" "$2/$name"; then
            # That one is of an earlier installation of this package.
            name=$name.original
        fi
        if [ ! -e "$2/$name" ] && [ ! -L "$2/$name" ]; then
            rm -rf "$new"
            { cp -a "$entry" "$new" && mv "$new" "$2/$name"; } || return 1
        fi
        rm -rf "$entry"
    done
    rmdir "$1"
}

# When our files are there.
finish_migration() {
    remove_original_links
    mkdir -p "$state" "$logs"
    chmod 750 "$state" "$logs"
    if ! { move_file "$settings/machine-id" "$state/machine-id" && move_folder "$settings/plugin" "$state/plugin" &&
        move_folder "$settings/log" "$logs"; }; then
        say "not all that the original package left in $settings can be moved to $state and $logs (see above);" \
            "when that is mended, install again"
    fi
    rm -rf "$settings/tmp" "$settings/plugin.sock" "$settings/stdout" "$settings/stderr" "$settings/.init-script"
}
