#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Makes OUTDIR/facts/python3, an interpreter that has psutil: one of the system's where that has it, else with psutil
# from PyPI beside it. Without either it says in one line what to install.
# usage: install.sh OUTDIR
set -eu

out=${1:?usage: install.sh OUTDIR}/facts

has_psutil() { "$@" -B -c 'import psutil' >/dev/null 2>&1; }

# use INTERPRETER: the command that the tests run.
use() {
    cat >"$out/python3.new" <<END
#!/bin/sh
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=\$(dirname "\$0")/packages
export PYTHONDONTWRITEBYTECODE PYTHONPATH
exec "$1" "\$@"
END
    chmod 755 "$out/python3.new"
    mv "$out/python3.new" "$out/python3"
    has_psutil "$out/python3"
}

mkdir -p "$out"
if has_psutil "$out/python3"; then exit 0; fi
for name in python3 /usr/bin/python3; do
    python=$(command -v "$name") || continue
    if has_psutil "$python"; then
        rm -rf "$out/packages"
        use "$python" && exit 0
    fi
done
if python=$(command -v python3) && "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --timeout 20 --retries 1 \
        --only-binary :all: --upgrade --target "$out/packages" 'psutil>=5.9' >"$out/pip.log" 2>&1 </dev/null &&
        use "$python" && exit 0
fi
echo "Tests/Interop/facts: no Python with psutil, and none from PyPI. Remedy: apt-get install python3 python3-psutil" >&2
exit 1
