#!/bin/sh
# Elkeid Agent in Swift
# SPDX-License-Identifier: Apache-2.0
#
# Makes certificates for tests. Every folder below DIR has ca.{crt,key}, server.{crt,key} and client.{crt,key}:
#   elkeid          like those that Elkeid ships: X.509 v1 authority, leaves with subject == issuer == authority,
#                   no extended key usage, name elkeid.com, keys in PKCS#1
#   elkeid-other    the same names, made again with other keys: nothing of it fits elkeid
#   ordinary        what a careful operator would make: v3 authority, RSA, key identifiers, extended key usages
#   ordinary-ec     the same with P-256 keys in PKCS#8 and an intermediate authority in server.crt and client.crt
#   stranger        as ordinary, under an authority that nobody knows
#   wrong-name      authority and client of ordinary, server for other.example
#   expired         authority of ordinary, server and client that ended in 2021
#   not-yet-valid   authority of ordinary, server and client that begin in 2090
# usage: make-certs.sh DIR
set -eu

root=${1:?usage: make-certs.sh DIR}
mkdir -p "$root"
cd "$root"
log=$PWD/openssl.log
: >"$log"

fail() {
    echo "make-certs.sh: $1 (see $log)" >&2
    exit 1
}

# Runs openssl quietly.
ssl() {
    echo "+ openssl $*" >>"$log"
    openssl "$@" >>"$log" 2>&1 || fail "openssl $1 failed"
}

# key FILE KIND: a new key; pkcs1 and rsa are RSA 2048, ec is P-256.
key() {
    case $2 in
    pkcs1)
        # OpenSSL 1.1 writes PKCS#1 without being asked and does not know the option.
        openssl genrsa -traditional -out "$1" 2048 2>>"$log" || ssl genrsa -out "$1" 2048
        grep -q 'BEGIN RSA PRIVATE KEY' "$1" || fail "$1 is not in PKCS#1"
        ;;
    rsa) ssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1" ;;
    ec) ssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" ;;
    esac
    chmod 600 "$1"
}

# elkeid DIR: the odd set.
elkeid() {
    mkdir -p "$1"
    subject='/C=GB/L=China/O=hids-svr/CN=elkeid@elkeid.com'
    key "$1/ca.key" pkcs1
    ssl req -new -key "$1/ca.key" -subj "$subject" -out "$1/csr"
    ssl x509 -req -in "$1/csr" -signkey "$1/ca.key" -days 36500 -sha256 -out "$1/ca.crt"
    if ! openssl x509 -in "$1/ca.crt" -noout -text | grep -q 'Version: 1 '; then
        # Newer versions of OpenSSL make v1 only when told to.
        ssl req -x509 -x509v1 -key "$1/ca.key" -subj "$subject" -days 36500 -sha256 -out "$1/ca.crt"
    fi
    printf '%s\n' authorityKeyIdentifier=issuer:always basicConstraints=CA:FALSE \
        keyUsage=digitalSignature,nonRepudiation,keyEncipherment,dataEncipherment \
        subjectAltName=DNS:elkeid.com >"$1/extensions"
    for name in server client; do
        key "$1/$name.key" pkcs1
        ssl req -new -key "$1/$name.key" -subj "$subject" -out "$1/csr"
        ssl x509 -req -in "$1/csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 3650 -sha256 \
            -extfile "$1/extensions" -out "$1/$name.crt"
    done
    rm -f "$1/csr" "$1/extensions" "$1/ca.srl"
}

# authority DIR KIND CN: a v3 authority with a serial number file for what it signs.
authority() {
    mkdir -p "$1"
    key "$1/ca.key" "$2"
    printf '%s\n' '[req]' 'distinguished_name=name' '[name]' '[extensions]' 'basicConstraints=critical,CA:TRUE' \
        'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash' >"$1/configuration"
    ssl req -x509 -new -config "$1/configuration" -extensions extensions -key "$1/ca.key" -subj "/O=Test/CN=$3" \
        -days 3650 -sha256 -out "$1/ca.crt"
    rm "$1/configuration"
}

# leaf DIR ISSUER NAME KIND DNSNAME USAGE START END: DIR/NAME.{crt,key}, signed by ISSUER/ca.{crt,key}.
# "openssl ca" is the one command that can set both ends of the validity in every version.
leaf() {
    work=$1/ca-work
    mkdir -p "$work"
    : >"$work/index"
    openssl rand -hex 8 >"$work/serial"
    extensions="subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid"
    case $6 in
    authority) extensions="$extensions
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign" ;;
    *) extensions="$extensions
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=$6
subjectAltName=DNS:$5" ;;
    esac
    cat >"$work/configuration" <<END
[ca]
default_ca=this
[this]
database=$work/index
serial=$work/serial
new_certs_dir=$work
default_md=sha256
policy=any
unique_subject=no
[any]
organizationName=optional
commonName=supplied
[extensions]
$extensions
END
    key "$1/$3.key" "$4"
    ssl req -new -key "$1/$3.key" -subj "/O=Test/CN=$3 for $5" -out "$work/csr"
    ssl ca -batch -notext -config "$work/configuration" -extensions extensions -cert "$2/ca.crt" \
        -keyfile "$2/ca.key" -startdate "$7" -enddate "$8" -in "$work/csr" -out "$1/$3.crt"
    rm -rf "$work"
}

# pair DIR ISSUER KIND SERVERNAME START END: a server and a client.
pair() {
    mkdir -p "$1"
    leaf "$1" "$2" server "$3" "$4" serverAuth "$5" "$6"
    leaf "$1" "$2" client "$3" elkeid.com clientAuth "$5" "$6"
    [ "$1" = "$2" ] || cp "$2/ca.crt" "$2/ca.key" "$1/"
}

start=20200101000000Z
end=20890101000000Z

elkeid elkeid
elkeid elkeid-other

authority ordinary rsa 'Test Authority'
pair ordinary ordinary rsa elkeid.com $start $end

authority stranger rsa 'Unknown Authority'
pair stranger stranger rsa elkeid.com $start $end

pair wrong-name ordinary rsa other.example $start $end
cp ordinary/client.crt ordinary/client.key wrong-name/
pair expired ordinary rsa elkeid.com $start 20210101000000Z
pair not-yet-valid ordinary rsa elkeid.com 20900101000000Z 20910101000000Z

authority ordinary-ec ec 'Test Authority EC'
mkdir -p ordinary-ec/intermediate
leaf ordinary-ec/intermediate ordinary-ec ca ec 'intermediates' authority $start $end
for name in server client; do
    leaf ordinary-ec ordinary-ec/intermediate $name ec elkeid.com ${name}Auth $start $end
    cat ordinary-ec/intermediate/ca.crt >>ordinary-ec/$name.crt
done

rm "$log"
