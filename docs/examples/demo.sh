#!/bin/bash
# The demo of `make run`: two HTTPS services with certificates made on the spot, and nuncio in front of them.
# Usage: docs/examples/demo.sh NUNCIO. Everything is on loopback and ends with this script (Ctrl-C).
set -u
nuncio=$1
config=$(dirname "$0")/demo.yaml
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo "
export DEMO_HTTP=${DEMO_HTTP:-8080} DEMO_TLS=${DEMO_TLS:-8443}
tmp=$(mktemp -d)
export CERTS=$tmp/certs
children=()

end() {
    trap - EXIT INT TERM
    kill "${children[@]}" 2>/dev/null
    wait
    rm -rf "$tmp"
    exit "$1"
}
trap 'end 1' EXIT
trap 'echo; end 0' INT TERM

fail() {
    echo "demo: $1" >&2
    exit 1
}

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Polls a command for up to ten seconds while the newest child lives.
until_true() {
    for _ in {1..200}; do
        if "$@"; then return 0; fi
        kill -0 "${children[-1]}" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

accepting() {
    port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$tmp/$1.log" 2>/dev/null) # not there until the child runs
    [ -n "$port" ]
}

# A certificate of the examples' CA for NAME.test.
certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1.test" -keyout "$CERTS/$1.key" 2>/dev/null |
        openssl x509 -req -CA "$CERTS/ca.pem" -CAkey "$CERTS/ca.key" -CAcreateserial -days 2 \
            -extfile <(echo "subjectAltName=DNS:$1.test") -out "$CERTS/$1.pem" 2>/dev/null
}

# An HTTPS service called NAME.test on a free port, with one page; leaves the number in $port.
service() {
    certificate "$1" || fail "openssl made no certificate"
    mkdir "$tmp/$1"
    echo "hello from $1" >"$tmp/$1/page.html"
    (cd "$tmp/$1" && exec openssl s_server -accept 127.0.0.1:0 -WWW -cert "$CERTS/$1.pem" -key "$CERTS/$1.key") \
        >"$tmp/$1.log" 2>&1 &
    children+=($!)
    until_true accepting "$1" || fail "openssl s_server did not start: $(cat "$tmp/$1.log")"
}

for pair in "$DEMO_HTTP DEMO_HTTP" "$DEMO_TLS DEMO_TLS"; do
    read -r busy name <<<"$pair"
    if answers "$busy"; then
        fail "port $busy on 127.0.0.1 is busy. End what listens there, or choose another: $name=$((busy + 1000)) make run"
    fi
done

"$(dirname "$0")/make-certs.sh" "$CERTS" >"$tmp/certs.log" 2>&1 || fail "openssl made no certificates: $(cat "$tmp/certs.log")"
service blue && export DEMO_BLUE=127.0.0.1:$port
service green && export DEMO_GREEN=127.0.0.1:$port
"$nuncio" run -c "$config" &
children+=($!)
until_true answers "$DEMO_TLS" || fail "nuncio did not start"

cat <<TXT

Two HTTPS services run behind it: blue.test on $DEMO_BLUE, green.test on $DEMO_GREEN.
Try these in another terminal; Ctrl-C here ends everything.

TLS passed through by the name that the client asks for; the certificate is green's own:
  openssl s_client -connect 127.0.0.1:$DEMO_TLS -servername green.test </dev/null 2>/dev/null | grep subject

TLS that ends here, and an answer without any server:
  curl -sS --cacert $CERTS/ca.pem --resolve www.test:$DEMO_TLS:127.0.0.1 https://www.test:$DEMO_TLS/hello

HTTP routes, which send the paths of one name to two services, over TLS again:
  curl -sS --cacert $CERTS/ca.pem --resolve www.test:$DEMO_TLS:127.0.0.1 https://www.test:$DEMO_TLS/blue/page.html
  curl -sS --cacert $CERTS/ca.pem --resolve www.test:$DEMO_TLS:127.0.0.1 https://www.test:$DEMO_TLS/green/page.html

Plain HTTP, sent on to HTTPS:
  curl -sS -i http://127.0.0.1:$DEMO_HTTP/blue/page.html

Which chain and route take a request, and why the others do not:
  CERTS=$CERTS DEMO_TLS=$DEMO_TLS $nuncio explain -c $config 'GET https://www.test:$DEMO_TLS/blue/page.html'

What flows, on both sides of it and inside TLS, while you try the above (capturing takes root):
  $sudo$nuncio-tap -i lo --keylog $CERTS/keys.txt tcp port $DEMO_HTTP or $DEMO_TLS or ${DEMO_BLUE##*:} or ${DEMO_GREEN##*:}

TXT
wait "${children[-1]}"
end $?
