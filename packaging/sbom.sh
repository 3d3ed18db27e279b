#!/usr/bin/env bash
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Writes what the static programs of one architecture are made of: a bill of materials (SPDX 2.3, JSON), and a copyright
# file (Debian's machine-readable format) with every licence. Both come from components.txt and the folder licenses.
#
#   sbom.sh ARCH VERSION ROOT SBOM COPYRIGHT [PROGRAM...]
#
# ARCH is amd64 or arm64, VERSION that of the programs. ROOT is the file system whose libraries were linked, "/" for
# this machine, and is asked for its packages' versions; or a folder with a file "packages", or such a file, of lines
# "package version". The PROGRAMs are listed with their SHA-256.
#
# SOURCE_DATE_EPOCH has to be set: the same input gives the same output. ELKEID_SOURCE_URL, if set, says where the
# sources of this version are.
set -euo pipefail
export LC_ALL=C

fail() {
    printf 'sbom.sh: %s\n' "$2" >&2
    exit "$1"
}

if (($# < 5)) || [[ ! $1 =~ ^(amd64|arm64)$ ]]; then
    echo 'usage: sbom.sh amd64|arm64 VERSION ROOT SBOM COPYRIGHT [PROGRAM...]' >&2
    exit 2
fi
readonly arch=$1 version=$2 root=$3 sbom=$4 copyright=$5
shift 5
programs=("$@")
[[ $version =~ ^[0-9]+(\.[0-9]+)*$ ]] || fail 2 "the version is \"$version\"; it must be numbers joined by dots"
[[ -e $root ]] || fail 2 "there is no $root"
[[ ${SOURCE_DATE_EPOCH-} =~ ^[0-9]+$ ]] || fail 2 'SOURCE_DATE_EPOCH is not set: seconds since 1970'
for program in ${programs[@]+"${programs[@]}"}; do
    [[ -f $program ]] || fail 2 "there is no program $program"
done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here licenses=$here/licenses
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
readonly created source_url=${ELKEID_SOURCE_URL-}
readonly supplier='Organization: The authors of Elkeid Agent in Swift'

# ---------------------------------------------------------------------------------------------------------------------
# Components
# ---------------------------------------------------------------------------------------------------------------------

# field[NAME KEY]; lines where the key is repeated.
declare -A field=()
names=()
name=''
while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^([a-z]+):\ (.*)$ ]] || continue
    key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
    if [[ $key == name ]]; then
        name=$value
        names+=("$name")
    fi
    field[$name $key]=${field[$name $key]+${field[$name $key]}$'\n'}$value
done <"$here/components.txt"
readonly own=${names[0]} linked=("${names[@]:1}")

get() { printf '%s' "${field[$1 $2]-}"; }

# ---------------------------------------------------------------------------------------------------------------------
# Versions
# ---------------------------------------------------------------------------------------------------------------------

# What is installed in the root: lines "PACKAGE VERSION", and of which kind they are, deb or rpm. A list that somebody
# has made is of Debian's packages.
kind='' installed='' is_list='' compiler=''
read_installed() {
    local list=$root database
    compiler=$(swift --version 2>/dev/null) || compiler=''
    [[ ! -d $list ]] || list=$root/packages
    if [[ -f $list ]]; then
        kind=deb is_list=yes
        installed=$(awk 'NF >= 2 { print $1, $2 }' "$list")
    elif [[ -d $root/var/lib/dpkg ]] && command -v dpkg-query >/dev/null 2>&1; then
        kind=deb
        # shellcheck disable=SC2016 # dpkg-query's own variables
        installed=$(dpkg-query --admindir="$root/var/lib/dpkg" -W \
            -f='${db:Status-Status} ${Architecture} ${Package} ${Version}\n' |
            awk -v arch="$arch" '$1 == "installed" && ($2 == arch || $2 == "all") { print $3, $4 }')
    elif command -v rpm >/dev/null 2>&1; then
        # Where the database is depends on the distribution, and Debian's rpm looks in a place of its own.
        for database in /usr/lib/sysimage/rpm /var/lib/rpm; do
            [[ -d $root$database && $kind != rpm ]] || continue
            kind=rpm
            installed=$(rpm --root "$(cd "$root" && pwd)" --dbpath "$database" -qa \
                --qf '%{NAME} %{VERSION}-%{RELEASE}\n')
        done
    fi
}

# package_like PATTERN: "PACKAGE VERSION" of what is installed; the last in the order of versions, as the compiler takes
# the newest of several.
package_like() {
    local package its_version
    while read -r package its_version; do
        # shellcheck disable=SC2053 # a pattern
        [[ $package != $1 ]] || printf '%s %s\n' "$package" "$its_version"
    done <<<"$installed" | sort -V | tail -n 1
}

# os_release KEY
os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" "$root/etc/os-release" 2>/dev/null | head -n 1; }

# url_encoded TEXT: what a package URL may not have as it is.
url_encoded() {
    local text=${1//%/%25}
    text=${text//+/%2B}
    printf '%s' "${text//:/%3A}"
}

# What is known of the component that was asked for last.
found_version='' found_package='' found_url='' found_location='' found_supplier='' found_origin=''

# from_deb 'PACKAGE SOURCE'
from_deb() {
    local package pattern=${1% *} source=${1#* } source_version open system=debian release=''
    read -r package found_version < <(package_like "$pattern") || return 1
    # What the pattern left open: libgcc-12-dev is of gcc-12.
    open=${package#"${pattern%%\**}"}
    source=${source/\*/"${open%"${pattern#*\*}"}"}
    if [[ -z $is_list ]]; then
        system=$(os_release ID) release=$(os_release VERSION_ID)
        system=${system:-debian}
    fi
    found_package=$package
    found_supplier="Organization: ${system^}"
    found_origin="$package $found_version, of ${system^}'s source package $source"
    found_url="pkg:deb/$system/$(url_encoded "$package")@$(url_encoded "$found_version")?arch=$arch"
    found_url+="${release:+&distro=$system-$release}&upstream=$(url_encoded "$source")"
    # A package that was only compiled anew has a version of its own.
    source_version=${found_version%+b[0-9]*}
    case $system in
        debian) found_location=https://snapshot.debian.org/package/$source/$(url_encoded "$source_version")/ ;;
        ubuntu) found_location=https://launchpad.net/ubuntu/+source/$source/$source_version ;;
    esac
}

# from_rpm PACKAGE
from_rpm() {
    local system release machine=x86_64
    read -r found_package found_version < <(package_like "$1") || return 1
    system=$(os_release ID) release=$(os_release VERSION_ID)
    [[ $arch == amd64 ]] || machine=aarch64
    found_supplier="Organization: ${system^}"
    found_origin="$found_package $found_version, of ${system^}"
    found_url="pkg:rpm/$system/$(url_encoded "$found_package")@$(url_encoded "$found_version")?arch=$machine"
    found_url+="${release:+&distro=$system-$release}"
}

# from_compiler REPOSITORY
from_compiler() {
    local tag repository=$1
    [[ $compiler =~ Swift\ version\ ([0-9.]+)\ \(([A-Za-z0-9._-]+)\) ]] || return 1
    found_version=${BASH_REMATCH[1]} tag=${BASH_REMATCH[2]}
    found_supplier='Organization: Swift.org'
    found_origin="Swift $found_version, $tag"
    found_url="pkg:github/${repository#https://github.com/}@$tag"
    found_location="git+$repository.git@$tag"
}

# from_resolved IDENTITY
from_resolved() {
    local file=$here/../Package.resolved location revision
    [[ -f $file ]] || return 1
    read -r location revision found_version < <(awk -F '"' -v identity="$1" '
        $2 == "identity" { wanted = $4 == identity }
        wanted && $2 == "location" { location = $4 }
        wanted && $2 == "revision" { revision = $4 }
        wanted && $2 == "version" { print location, revision, $4 }
    ' "$file") || return 1
    location=${location%.git}
    found_supplier="Organization: ${location#https://github.com/}"
    found_supplier=${found_supplier%/*}
    found_origin="$1 $found_version, revision $revision"
    found_url="pkg:swift/${location#https://}@$found_version"
    found_location="git+$location.git@$revision"
}

from_pkgconfig() {
    found_version=$(pkg-config --modversion "$1" 2>/dev/null) || return 1
    found_origin="$1 $found_version, as pkg-config says"
}

# look_up NAME: fills what is known of it.
look_up() {
    local swift debian fedora module resolved
    found_version='' found_package='' found_url='' found_location='' found_supplier='' found_origin=''
    swift=$(get "$1" swift) debian=$(get "$1" debian) fedora=$(get "$1" fedora)
    module=$(get "$1" pkgconfig) resolved=$(get "$1" resolved)
    if [[ -n $resolved ]] && from_resolved "$resolved"; then return; fi
    # What this machine's compiler and pkg-config say is of no use for another file system; here, the compiler brings
    # its own library.
    if [[ $root == / && -n $swift ]]; then
        from_compiler "$swift" && return
    elif [[ $kind == deb && -n $debian ]]; then
        from_deb "$debian" && return
    elif [[ $kind == rpm && -n $fedora ]]; then
        from_rpm "$fedora" && return
    fi
    if [[ $root == / && -n $module ]] && from_pkgconfig "$module"; then return; fi
    found_version=NOASSERTION
    printf 'sbom.sh: no version is known of %s\n' "$1" >&2
}

# ---------------------------------------------------------------------------------------------------------------------
# Licences
# ---------------------------------------------------------------------------------------------------------------------

# terms EXPRESSION: the licences in it, each in a line, with its exception.
terms() {
    local text=${1//[()]/}
    text=${text// AND /$'\n'}
    printf '%s\n' "${text// OR /$'\n'}"
}

# debian_name EXPRESSION: as Debian's format calls them.
debian_name() {
    sed -E 's/LicenseRef-//g; s/\bMIT\b/Expat/g; s/(BSD-[0-9])-Clause/\1-clause/g; s/ AND / and /g; s/ OR / or /g
        s/\b(L?GPL-[0-9.]+)-or-later/\1+/g; s/\b(L?GPL-[0-9.]+)-only/\1/g; s/(GPL-[0-9]+)\.0/\1/g
        s/ WITH ([A-Za-z]+)-exception[-0-9.]*/ with \1 exception/g; s/ ([A-Z]+)-exception/ \1/g' <<<"$1"
}

# license_text TERM
license_text() {
    local file
    for file in "${1%% WITH *}" "${1##* WITH }"; do
        [[ -f $licenses/$file ]] || fail 1 "there is no text of the licence $file in $licenses"
    done
    cat "$licenses/${1%% WITH *}"
    [[ $1 != *' WITH '* ]] || printf '\n%s\n' "$(<"$licenses/${1##* WITH }")"
}

all_terms=$(for name in "${names[@]}"; do terms "$(get "$name" license)"; done | sort -u)
readonly all_terms
while IFS= read -r term; do license_text "$term" >/dev/null; done <<<"$all_terms"

# The licence of the whole: everything that is in it.
whole_license=$(for name in "${names[@]}"; do get "$name" license && echo; done |
    awk '{ n = split($0, part, / AND /)
        for (i = 1; i <= n; i++) if (!(part[i] in seen)) {
            seen[part[i]]
            printf "%s%s", joined++ ? " AND " : "", index(part[i], " OR ") ? "(" part[i] ")" : part[i]
        } }')
readonly whole_license

# ---------------------------------------------------------------------------------------------------------------------
# The two files
# ---------------------------------------------------------------------------------------------------------------------

json() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\t'/\\t}
    printf '"%s"' "${text//$'\n'/\\n}"
}

# member INDENT KEY VALUE: a line of an object, with the comma after it.
member() { printf '%*s"%s": %s,\n' "$1" '' "$2" "$(json "$3")"; }

# indented FILE...: text in a field of Debian's format.
indented() { sed -E 's/[ \t]+$//; s/^$/./; s/^/ /'; }

reference() { printf 'SPDXRef-%s-%s' "$1" "${2//+/p}"; }

copyright_text() { get "$1" copyright | sed 's/^/Copyright /'; }

# package REFERENCE NAME VERSION CONCLUDED DECLARED COPYRIGHT: the members that all have; the object stays open.
package() {
    echo '    {'
    member 6 SPDXID "$1"
    member 6 name "$2"
    member 6 versionInfo "$3"
    member 6 licenseConcluded "$4"
    member 6 licenseDeclared "$5"
    member 6 copyrightText "$6"
    printf '      "filesAnalyzed": false'
}

# more KEY VALUE: another member of the object that is open.
more() { [[ -z $2 ]] || printf ',\n      "%s": %s' "$1" "$(json "$2")"; }

packages() {
    local program license
    package "$(reference Package "$own")" "$own" "$version" "$whole_license" "$(get "$own" license)" \
        "$(copyright_text "$own")"
    more supplier "$supplier"
    more downloadLocation "${source_url:-NOASSERTION}"
    more homepage "$source_url"
    more primaryPackagePurpose APPLICATION
    purl "pkg:generic/$own@$version?arch=$arch"
    printf '\n    }'
    for program in ${programs[@]+"${programs[@]}"}; do
        printf ',\n'
        package "$(reference Program "${program##*/}")" "${program##*/}" "$version" NOASSERTION NOASSERTION NOASSERTION
        more supplier "$supplier"
        more downloadLocation NOASSERTION
        more packageFileName "${program##*/}"
        more primaryPackagePurpose APPLICATION
        printf ',\n      "checksums": [{ "algorithm": "SHA256", "checksumValue": "%s" }]\n    }' \
            "$(sha256sum <"$program" | cut -d ' ' -f 1)"
    done
    for name in "${linked[@]}"; do
        look_up "$name"
        printf ',\n'
        license=$(get "$name" license)
        package "$(reference Component "$name")" "$name" "$found_version" "$license" "$license" \
            "$(copyright_text "$name")"
        more supplier "${found_supplier:-NOASSERTION}"
        more downloadLocation "${found_location:-NOASSERTION}"
        more homepage "$(get "$name" homepage)"
        more sourceInfo "$found_origin"
        more primaryPackagePurpose LIBRARY
        [[ -z $(get "$name" notice) ]] ||
            printf ',\n      "attributionTexts": [%s]' "$(json "$(<"$licenses/$(get "$name" notice)")")"
        [[ -z $found_url ]] || purl "$found_url"
        printf '\n    }'
    done
    echo
}

purl() {
    printf ',\n      "externalRefs": [\n        {\n'
    member 10 referenceCategory PACKAGE-MANAGER
    member 10 referenceType purl
    printf '          "referenceLocator": %s\n        }\n      ]' "$(json "$1")"
}

extracted() {
    local term comma=''
    while IFS= read -r term; do
        [[ $term == LicenseRef-* ]] || continue
        printf '%s    {\n' "$comma"
        member 6 licenseId "$term"
        member 6 name "${term#LicenseRef-}"
        printf '      "extractedText": %s\n    }' "$(json "$(license_text "$term")")"
        comma=$',\n'
    done <<<"$all_terms"
    echo
}

# relation FROM TYPE TO
relation() {
    printf '    { "spdxElementId": "%s", "relationshipType": "%s", "relatedSpdxElement": "%s" }' "$1" "$2" "$3"
}

relations() {
    local package program
    package=$(reference Package "$own")
    relation SPDXRef-DOCUMENT DESCRIBES "$package"
    for program in ${programs[@]+"${programs[@]}"}; do
        printf ',\n'
        relation "$package" CONTAINS "$(reference Program "${program##*/}")"
    done
    for name in "${linked[@]}"; do
        printf ',\n'
        relation "$package" STATIC_LINK "$(reference Component "$name")"
    done
    echo
}

# bill NAMESPACE
bill() {
    echo '{'
    member 2 spdxVersion SPDX-2.3
    member 2 dataLicense CC0-1.0
    member 2 SPDXID SPDXRef-DOCUMENT
    member 2 name "$own-$version-$arch"
    member 2 documentNamespace "$1"
    printf '  "creationInfo": {\n'
    member 4 created "$created"
    printf '    "creators": [%s, "Tool: sbom.sh-%s"]\n  },\n' "$(json "$supplier")" "$version"
    printf '  "packages": [\n%s\n  ],\n' "$packages"
    printf '  "hasExtractedLicensingInfos": [\n%s\n  ],\n' "$(extracted)"
    printf '  "relationships": [\n%s\n  ]\n}\n' "$(relations)"
}

copyright_file() {
    local term
    cat <<TEXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: $own
${source_url:+Source: $source_url
}Comment:
 The programs of this package are linked statically. Besides their own code they
 contain parts of the libraries below, each under its own licence; linked/NAME/*
 stands for what they have of NAME.
 .
 glibc, and a part of libgcc, are under the GNU Lesser General Public License.
 You may change them, and link the programs with your own version of them:
  - Their sources are named below.
  - The sources of the programs, $own $version, are under the
    Apache License 2.0${source_url:+ and are found at
    $source_url}.
    build.sh in them, with the folder packaging, is the whole recipe: it compiles
    the programs, and links them with the static libraries that are installed.
 You may change the programs for your own use, and reverse engineer them to find
 the faults in such changes.

Files: *
Copyright: $(get "$own" copyright)
License: $(debian_name "$(get "$own" license)")
TEXT
    for name in "${linked[@]}"; do
        look_up "$name" 2>/dev/null
        printf '\nFiles: linked/%s/*\nCopyright:\n%s\n' "$name" "$(get "$name" copyright | indented)"
        printf 'License: %s\n' "$(debian_name "$(get "$name" license)")"
        printf 'Comment:\n %s\n' "${found_origin:-of an unknown version}"
        printf ' %s\n' "$(get "$name" homepage)"
        [[ -z $found_location ]] || printf ' Sources: %s\n' "$found_location"
        [[ -z $(get "$name" notice) ]] || printf ' .\n%s\n' "$(indented <"$licenses/$(get "$name" notice)")"
    done
    while IFS= read -r term; do
        printf '\nLicense: %s\n%s\n' "$(debian_name "$term")" "$(license_text "$term" | indented)"
    done <<<"$all_terms"
}

read_installed
packages=$(packages)
readonly packages
hash=$(bill '' | sha256sum)
bill "https://spdx.org/spdxdocs/$own-$version-$arch-${hash:0:32}" >"$sbom"
copyright_file >"$copyright"
