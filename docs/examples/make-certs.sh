#!/bin/sh
# Certificates for trying out the examples with TLS: a CA of its own, and what it signed.
#
#   docs/examples/make-certs.sh docs/examples/certs
#
# ca.pem                    the CA
# server.pem  server.key    www.test, *.www.test, backend.test, localhost, 127.0.0.1
# client.pem  client.key    a client: spiffe://mesh/web
# service.pem service.key   a service that is both: service.mesh, spiffe://mesh/service
#
# They are good for a month. For anything but trying out, use certificates of your own CA.
set -eu
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
umask 077

key() {
    openssl genpkey -quiet -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null ||
        openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

# signed NAME COMMON_NAME ALT_NAMES
signed() {
    key "$1"
    printf 'subjectAltName=%s\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" >"$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$2" |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 31 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.ext"
}

key ca
openssl req -x509 -new -key ca.key -days 31 -subj "/CN=examples CA" -out ca.pem \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
signed server www.test "DNS:www.test,DNS:*.www.test,DNS:backend.test,DNS:localhost,IP:127.0.0.1"
signed client web "URI:spiffe://mesh/web"
signed service service.mesh "DNS:service.mesh,URI:spiffe://mesh/service"
