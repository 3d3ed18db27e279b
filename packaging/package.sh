#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Makes the deb and the rpm of one architecture from a program that compile.sh made.
#
#   package.sh ARCH PROGRAMS ROOT OUTPUT     ARCH is amd64 or arm64
#
# PROGRAMS is the folder with elkeid-agent; ROOT what sbom.sh takes for the place of the libraries. Settings, from the
# environment:
#
#   BUILD_VERSION       of the program and the packages
#   SOURCE_DATE_EPOCH   the time of everything in the packages
#   AGENT_CONF          a deployment's own agent.conf
#   CERT_DIR            a folder with its ca.crt, client.crt and client.key
#   PACKAGER            "Name <address>" of who makes the packages
#   NFPM                the program nfpm
#   RUNNER              what runs programs of that architecture, such as qemu-aarch64-static; only where one is needed
set -euo pipefail
export LC_ALL=C

fail() {
    printf 'package.sh: %s\n' "$2" >&2
    exit "$1"
}

if (($# != 4)) || [[ ! $1 =~ ^(amd64|arm64)$ ]]; then
    echo 'usage: package.sh amd64|arm64 PROGRAMS ROOT OUTPUT' >&2
    exit 2
fi
: "${BUILD_VERSION:?}" "${SOURCE_DATE_EPOCH:?}" "${NFPM:?}"
readonly arch=$1 root=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$4"
programs=$(cd "$2" && pwd) output=$(cd "$4" && pwd)
packager=${PACKAGER:-Elkeid Agent in Swift <packages@elkeid-agent.invalid>}
readonly here programs output packager

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# ---- What a deployment brings ----

configuration=${AGENT_CONF:-$here/agent.conf}
[[ -f $configuration ]] || fail 2 "AGENT_CONF: there is no file $configuration"
cp "$programs/elkeid-agent" "$here/nfpm.yaml" "$here/lintian-overrides" "$stage/"
cp "$configuration" "$stage/agent.conf"
certificates=()
if [[ -n ${CERT_DIR-} ]]; then
    mkdir "$stage/certs"
    for file in ca.crt client.crt client.key; do
        [[ -f $CERT_DIR/$file ]] || fail 2 "CERT_DIR: there is no $file in $CERT_DIR"
        cp "$CERT_DIR/$file" "$stage/certs/$file"
        certificates+=("$file")
        printf '  - {src: certs/%s, dst: /etc/elkeid/certs/%s, type: config|noreplace, file_info: {mode: 0600}}\n' \
            "$file" "$file" >>"$stage/nfpm.yaml"
        printf 'elkeid-agent: non-standard-file-perm 0600 != 0644 [etc/elkeid/certs/%s]\n' "$file" \
            >>"$stage/lintian-overrides"
    done
    public_key=$(openssl x509 -noout -pubkey -in "$CERT_DIR/client.crt") ||
        fail 2 "CERT_DIR: there is no certificate in client.crt"
    [[ $(openssl pkey -pubout -in "$CERT_DIR/client.key") == "$public_key" ]] ||
        fail 2 "CERT_DIR: client.key is not the key of the certificate in client.crt"
    openssl verify -CAfile "$CERT_DIR/ca.crt" "$CERT_DIR/client.crt" >/dev/null 2>&1 ||
        fail 2 "CERT_DIR: client.crt is not signed by ca.crt, or has expired"
fi
readonly certificates

# ---- Files ----

cp "$here/systemd/elkeid-agent.service" "$here/systemd/before-231.conf" "$stage/"
cp "$here/sysvinit/elkeid-agent" "$stage/elkeid-agent.init"
cp "$here/../LICENSE" "$stage/Apache-2.0"
cp "$here"/licenses/full/* "$stage/"
for page in elkeid-agent.8 elkeidctl.8 agent.conf.5; do gzip -9nc "$here/man/$page" >"$stage/$page.gz"; done
gzip -9nc "$here/../CHANGELOG.md" >"$stage/NEWS.gz"

# Completions are what the program itself says.
ln -s elkeid-agent "$stage/elkeidctl"
runner=()
[[ -z ${RUNNER-} ]] || runner=("$RUNNER" -0 elkeidctl)
for shell in bash zsh fish; do
    "${runner[@]}" "$stage/elkeidctl" completion "$shell" >"$stage/completion.$shell" ||
        fail 1 "$programs/elkeid-agent does not run here as elkeidctl"
done
said=$("${runner[@]}" "$stage/elkeidctl" --version)
[[ $said == "elkeidctl $BUILD_VERSION" ]] || fail 1 "$programs/elkeid-agent is \"$said\", not version $BUILD_VERSION"

[[ -z ${RUNNER-} ]] || runner=("$RUNNER" -0 elkeid-agent)
said=$("${runner[@]}" "$stage/elkeid-agent" --check-config --config "$stage/agent.conf" 2>&1 >/dev/null) ||
    fail 2 "$configuration is not faultless for this version: $said"

bash "$here/sbom.sh" "$arch" "$BUILD_VERSION" "$root" "$stage/sbom.spdx.json" "$stage/copyright" "$programs/elkeid-agent"

date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
cat >"$stage/changelog.yaml" <<YAML
- semver: "3:$BUILD_VERSION-1"
  date: $date
  packager: $packager
  deb: {urgency: medium, distributions: [UNRELEASED]}
  changes:
    - note: "Version $BUILD_VERSION; what is new is in NEWS.gz."
- semver: 0.0.0.0-0
  date: $date
  packager: $packager
  deb: {urgency: medium, distributions: [UNRELEASED]}
  changes:
    - note: "Before this package there was one of the same name, with the original agent, written in Go."
YAML

# Each script has all that it needs, without comments.
for script in deb-preinst deb-postinst deb-prerm deb-postrm rpm-pre rpm-post rpm-preun rpm-postun; do
    parts=$(sed -n 's/^# Needs: //p' "$here/scripts/$script.sh")
    {
        echo '#!/bin/sh'
        for part in host $parts "$script"; do
            printf '\n# %s\n' "$part"
            sed '/^ *#/d' "$here/scripts/$part.sh" | cat -s
        done
    } >"$stage/$script"
    sh -n "$stage/$script"
done

find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
chmod -R u=rwX,go=rX "$stage"

# ---- Packages ----

export PKG_ARCH=$arch PKG_VERSION=$BUILD_VERSION PKG_MAINTAINER=$packager PKG_VENDOR=${packager% <*}
case $arch in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
esac
deb=$output/elkeid-agent_$BUILD_VERSION-1_$arch.deb rpm=$output/elkeid-agent-$BUILD_VERSION-1.$machine.rpm
rm -f "$deb" "$rpm"
for package in "$deb" "$rpm"; do
    (cd "$stage" && "$NFPM" package --config nfpm.yaml --packager "${package##*.}" --target "$package") >"$stage/log" 2>&1 || {
        cat "$stage/log" >&2
        fail 1 "nfpm cannot make $package"
    }
done

# A deb is an archive of three members, as deb(5) has it.
mkdir "$stage/members"
tools=$(dirname "$(readlink -f "$(command -v swiftc)")")
(
    cd "$stage/members"
    "$tools/llvm-ar" x "$deb"
    xz -9e --check=crc32 --threads=1 data.tar
    rm "$deb"
    "$tools/llvm-ar" --format=gnu rcSD "$deb" debian-binary control.tar.gz data.tar.xz
)
printf '%s\n' "$deb" "$rpm"
