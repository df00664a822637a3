#!/bin/bash
# The demo of `make run`: two TLS services with certificates made on the spot, and nuncio in front of them.
# Usage: docs/examples/demo.sh NUNCIO. Everything is on loopback and ends with this script (Ctrl-C).
set -u
nuncio=$1
config=$(dirname "$0")/demo.yaml
export DEMO_ECHO=${DEMO_ECHO:-7007} DEMO_TLS=${DEMO_TLS:-8443}
tmp=$(mktemp -d)
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

# A TLS service called NAME.test on a free port; leaves the number in $port.
service() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1.test" \
        -addext "subjectAltName=DNS:$1.test" -keyout "$tmp/$1.key" -out "$tmp/$1.crt" 2>/dev/null ||
        fail "openssl made no certificate"
    openssl s_server -accept 127.0.0.1:0 -www -cert "$tmp/$1.crt" -key "$tmp/$1.key" >"$tmp/$1.log" 2>&1 &
    children+=($!)
    until_true accepting "$1" || fail "openssl s_server did not start: $(cat "$tmp/$1.log")"
}

for pair in "$DEMO_ECHO DEMO_ECHO" "$DEMO_TLS DEMO_TLS"; do
    read -r busy name <<<"$pair"
    if answers "$busy"; then
        fail "port $busy on 127.0.0.1 is busy. End what listens there, or choose another: $name=$((busy + 1000)) make run"
    fi
done

service blue && export DEMO_BLUE=127.0.0.1:$port
service green && export DEMO_GREEN=127.0.0.1:$port
"$nuncio" run -c "$config" &
children+=($!)
until_true answers "$DEMO_TLS" || fail "nuncio did not start"

cat <<TXT

Two TLS services run behind it: blue.test on $DEMO_BLUE, green.test on $DEMO_GREEN.
Try these in another terminal; Ctrl-C here ends everything.

  bash -c 'exec 3<>/dev/tcp/127.0.0.1/$DEMO_ECHO; echo hello >&3; head -n 1 <&3'
  openssl s_client -connect 127.0.0.1:$DEMO_TLS -servername blue.test </dev/null 2>/dev/null | grep subject
  openssl s_client -connect 127.0.0.1:$DEMO_TLS -servername green.test </dev/null 2>/dev/null | grep subject

TXT
wait "${children[-1]}"
end $?
