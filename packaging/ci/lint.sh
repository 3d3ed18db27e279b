#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# All checks that need no build. Every one runs, whatever the others find.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0

echo '== swift format'
bash packaging/ci/swift-files.sh | xargs -0 swift format lint --strict --parallel || status=1

echo '== shellcheck'
if command -v shellcheck >/dev/null 2>&1; then
    {
        printf '%s\0' build.sh .ci/run packaging/sysvinit/elkeid-agent
        find packaging Tests Sources -name '.?*' -prune -o -name '*.sh' -print0
    } | xargs -0 shellcheck || status=1
else
    echo 'not installed: the shell scripts are not checked'
fi

echo '== imports'
bash packaging/ci/imports.sh || status=1

echo '== source rules'
bash packaging/ci/rules.sh || status=1

exit "$status"
