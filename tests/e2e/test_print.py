"""`nuncio check --print`: what it writes can be read, and prints the same again. For the examples, for configs that use every
key there is, and for values that YAML could take for something else."""
import os
import re

import pytest

from lib.authority import Authority
from lib.config import config
from lib.nuncio import ROOT, run_nuncio

EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))


def round_trip(folder, text):
    """The normalized text of a config, once it has proved to be its own normalized text."""
    def printed(name, content):
        (folder / name).write_text(content)
        done = run_nuncio("check", "-c", folder / name, "--print")
        assert done.returncode == 0, f"{done.stderr}\n{content}"
        return done.stdout
    once = printed("once.yaml", text)
    assert printed("again.yaml", once) == once
    return once


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path, example_certs, tmp_path, monkeypatch):
    monkeypatch.setenv("CERTS", str(example_certs))
    for beside in (*path.parent.glob("*.txt"), *path.parent.glob("*.htpasswd")):
        (tmp_path / beside.name).write_text(beside.read_text())
    round_trip(tmp_path, path.read_text())


# --- every key

@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What keys may point to, by name."""
    folder = tmp_path_factory.mktemp("every-key")
    (folder / "list").write_text("192.0.2.0/24\n")
    (folder / "pass").write_text("secret\n")
    (folder / "htpasswd").write_text("a:{SHA}DRIHHM4AV3Qz8RTwikQAPCo1Kw0=\n")
    (folder / "ticket").write_bytes(os.urandom(80))
    root = Authority(folder)
    one = root.issue()
    made = {"cert": one.cert, "key": one.key, "p12": one.pkcs12("secret"), "ca": root.cert, "crl": root.crl(), "ocsp": root.ocsp(one)}
    return {name: str(path) for name, path in made.items()} | {name: str(folder / name) for name in ("list", "pass", "htpasswd", "ticket")}


KEEPALIVE = {"time": "30s", "interval": "5s", "probes": 3}
SOCKET = {"dscp": "af41", "mark": "0x10", "ttl": 9, "keepalive": KEEPALIVE, "user_timeout": "9s", "congestion": "reno", "mptcp": False}
NETWORKS = {"allow": ["10.1.0.0/16", "metadata"], "deny": ["private", "fd00::/8"]}
HASH = "00" * 32


def both_sides(files):
    """Keys that TLS has on either side."""
    return {"alpn": ["h2", "http/1.1"], "min_version": "1.2", "max_version": "1.3", "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"],
            "ciphersuites": ["TLS_AES_128_GCM_SHA256"], "groups": "X25519", "sigalgs": ["ECDSA+SHA256"], "handshake_timeout": "9s",
            "keylog": {"path": files["list"] + ".keys", "clients": "10.0.0.0/8", "servers": ["::/0"]}}


def terminated(files):
    allow = {"dns": "*.svc", "uri": "spiffe://mesh/*", "email": "*@b.test", "ip": "10.0.0.0/8", "sha256": HASH, "spki": HASH}
    return {**both_sides(files), "starttls": {"protocol": "postgres", "optional": True},
            "certificates": [{"cert": files["cert"], "key": files["key"], "ocsp": files["ocsp"]},
                             {"pkcs12": files["p12"], "passphrase_file": files["pass"]}],
            "client_certs": {"mode": "optional", "ca": files["ca"], "crl": files["crl"], "crl_check": "leaf", "depth": 1,
                             "allow": allow},
            "tickets": {"keys": [files["ticket"]], "rotate": "1h", "lifetime": "2h"}}


def originated(files):
    return {**both_sides(files), "sni": "from_client", "verify": "full", "ca": files["ca"], "crl": files["crl"],
            "crl_check": "chain", "depth": 2, "san": ["a.test"], "pkcs12": files["p12"], "passphrase_file": files["pass"],
            "starttls": "postgres"}


def byte_filters(files):
    return [{"ip_filter": {"allow": ["10.0.0.0/8"], "deny": "::/0", "allow_file": files["list"], "deny_file": [files["list"]], "name": "n"}},
            {"source_limit": {"connections": 5, "rate": 3, "per": "90s", "burst": 9, "ipv4_prefix": 24, "ipv6_prefix": 48,
                              "sources": 128, "when_full": "refuse", "name": "n"}},
            {"connection_limit": {"max": 5, "name": "n"}},
            {"throttle": {"rate": "1500B/s", "burst": "64KiB", "direction": "upload"}}]


def streams(files):
    logs = [{"path": "/dev/stdout", "format": "json"}, {"path": "/dev/stderr", "format": "%DURATION%\n"},
            {"path": "/dev/stdout", "json": {"a b": "%DURATION%", "~": "x", "null": "%START_TIME(%s)%"}}]
    match = {"sni": ["a.test", "*"], "alpn": "h2", "transport": "tls", "ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1", "ja3": "0" * 32,
             "source": "::/0", "source_port": [1, 2], "destination": ["10.0.0.0/8"], "destination_port": 443}
    proxy = {"idle_timeout": "0", "half_close_timeout": "1s", "connect_attempts": 2, "name": "p", "connect": "h.test:1"}
    return [
        {"name": "all", "bind": ["[::]:4430"], "backlog": 5, "max_connections": 5, "transparent": True, "original_dst": True,
         "freebind": True, "ipv4_compat": True, "interface": "lo", "socket": {**SOCKET, "fast_open": 5}, "proxy_protocol": "optional",
         "sniff_timeout": "3s", "access_log": logs,
         "chains": [{"name": "c", "match": match, "access_log": [], "tls": terminated(files),
                     "filters": [*byte_filters(files), {"tcp_proxy": {"clusters": [{"name": "a", "weight": 3}, {"name": "b"}], **proxy}}]},
                    {"match": {"sni": "h.test"}, "filters": [http(files)]},
                    {"filters": [{"tcp_proxy": {"cluster": "c", **proxy}}]}]},
        {"bind": ["unix:/run/x y.sock", "127.0.0.1:0"], "mode": "0660", "tls": {"certificates": {"cert": files["cert"], "key": files["key"]}, "tickets": "off"},
         "filters": {"echo": {"idle_timeout": "90m"}}}]


EDITS = {"set": {"x-a": "%PROTOCOL%"}, "add": {"x-b": "1"}, "remove": ["x-c"]}


def http_filters(files):
    values = [{"exact": "a"}, {"prefix": "a", "invert": True}, {"suffix": "a"}, {"contains": "a"}, {"regex": "a"}, {"present": True}]
    cors = {"allow_origin": values, "allow_methods": ["PUT"], "allow_headers": ["x-a"],
            "expose_headers": ["x-b"], "max_age": "1h", "allow_credentials": True}
    return [{"header_edit": {"request": EDITS, "response": EDITS}}, {"cors": cors},
            {"csrf": {"additional_origins": values, "share": "50%"}},
            {"local_rate_limit": {"tokens": 9, "per": "2s", "burst": 8, "status": 503, "response_headers": EDITS, "per_connection": True,
                                  "share": "99%", "enforce": "9%", "ratelimit_headers": True, "name": "r"}}, *body_filters(),
            {"basic_auth": {"users": ["a:{SHA}DRIHHM4AV3Qz8RTwikQAPCo1Kw0="], "realm": "r", "forward_username_header": "x-u", "max_pending": 9}},
            {"websocket": {"max_message": "2MiB", "max_frame": "1MiB", "messages_per_second": 9, "ping_interval": "9s", "validate": False,
                           "close_timeout": "2s"}}]


def body_filters():
    compress = {"codings": ["brotli", "gzip"], "content_type": ["a/b"], "min_content_length": "1KiB", "disable_on_etag": True,
                "remove_accept_encoding": True, "gzip": {"level": 1, "window_bits": 9, "memory_level": 9}, "brotli": {"quality": 11, "window_bits": 24}}
    decompress = {"codings": "gzip", "direction": "request", "advertise_accept_encoding": False, "ignore_no_transform": True, "max_ratio": 9,
                  "max_size": "1MiB", "max_window": "64KiB"}
    fault = {"delay": {"time": "1s", "share": "1%"}, "abort": {"status": 418, "share": "2%"}, "response_rate": "1KiB", "share": "3%",
             "headers": True, "max_active_faults": 9}
    health_check = {"path": "/up", "headers": {"x-a": "b"}, "pass_through": False, "clusters": [{"name": "a", "min_healthy": "25%"}]}
    return [{"buffer": {"max_request_bytes": "1MiB"}}, {"compress": compress}, {"decompress": decompress}, {"fault": fault},
            {"health_check": health_check}]


def http(files):
    edits = EDITS
    match = {"host": ["a.test", "*.b.test"], "path_prefix": "/api/", "method": ["GET"], "headers": {"x": "1", "y": {"present": True}},
             "query": {"d": "1"}}
    routes = [
        {"name": "r", "match": match, "clusters": [{"name": "a", "weight": 9}, {"name": "b"}], "timeout": "1s", "max_grpc_timeout": "3s", "idle_timeout": "2s",
         "rewrite": {"path_prefix": "/", "host": "b.test"}, "retry": {"when": ["5xx"], "attempts": 2},
         "request_headers": edits, "response_headers": edits},
        {"match": {"path": "/old"}, "redirect": {"path": "/new", "host": "c.test", "port": 8443, "scheme": "https", "status": 308, "strip_query": True}},
        {"match": {"path_prefix": "/old2"}, "redirect": {"path_prefix": "/n"}},
        {"match": {"path": "/old3"}, "redirect": {"path_regex": {"pattern": "x", "with": "y"}}},
        {"match": {"path_regex": "^/u/[0-9]+$"}, "respond": {"status": 200, "body": "ok", "content_type": "a/b"}},
        {"match": {"path": "/f"}, "respond": {"status": 200, "body_file": files["list"]}, "filters": {"throttle": "1KiB", "basic_auth": {"users_file": files["htpasswd"]}}},
        {"match": {"path": "/g"}, "cluster": "a", "rewrite": {"path": "/h"}},
        {"match": {"path": "/i"}, "cluster": "a", "rewrite": {"path_regex": {"pattern": "x", "with": "y"}}},
        {"cluster": "a", "upgrade": []}]
    return {"http": {
        "name": "i", "headers_timeout": "1s", "request_timeout": "2s", "stream_idle_timeout": "3s", "idle_timeout": "4s",
        "tunnel_idle_timeout": "5s", "max_connection_duration": "9h", "max_requests_per_connection": 9, "max_header_bytes": "8KiB", "max_headers": 50, "max_body_bytes": "1MiB", "escaped_slashes": "reject", "merge_slashes": True,
        "forward_client_cert": "sanitize_set", "trusted_hops": 1, "request_id": True, "preserve_request_id": True,
        "request_id_in_response": True, "via": "me", "server_name": "", "access_log": "/dev/stdout", "filters": [{"throttle": "1MiB"}, *http_filters(files)],
        "client_cert_details": ["subject", "uri"], "local_replies": [
            {"status": [503, "4xx"], "flags": "UH", "status_to": 500, "body": "sorry", "content_type": "a/b", "headers": edits},
            {"body_file": files["list"]}], "routes": routes}}


def every_key(files):
    datagrams = {"name": "u", "bind": ["udp://127.0.0.1:0", "udp://[::1]:0"], "socket": {"dscp": 63, "ttl": 1},
                 "udp": {"max_sessions": 9, "max_sessions_per_source": 3, "receive_buffer": "1500kB"},
                 "filters": [*byte_filters(files), {"udp_proxy": {"cluster": "u", "idle_timeout": "3s", "responses": 2, "name": "p"}}]}
    servers = [{"address": "a.test:1", "weight": 3, "priority": 1}, "127.0.0.1:2", "unix:/run/y"]
    clusters = [
        {"name": "a", "endpoints": servers, "balance": "round_robin", "connect_timeout": "1500ms", "proxy_protocol": "v1",
         "limits": {"connections": 9}, "panic_threshold": "20%", "health_check": {
             "interval": "2s", "timeout": "1s", "healthy": 3, "unhealthy": 4, "jitter": "1%", "no_traffic_interval": "9s",
             "unhealthy_interval": "1s", "edge_interval": "1s", "port": 99,
             "http": {"path": "/h", "host": "h.test", "method": "HEAD", "expected": ["200", "3xx"], "headers": {"x-a": "1"}}},
         "pool": {"max_idle": 9, "idle_timeout": "9s", "max_requests": 9}, "tls": originated(files), "socket": {**SOCKET, "fast_open": True}},
        {"name": "b", "original_dst": {"source": "proxy_protocol", "max_endpoints": 9, "keep": "9s", **NETWORKS}, "transparent": True,
         "tls": {"verify": "none", "sni": "a.test", "cert": files["cert"], "key": files["key"]}},
        {"name": "c", "dynamic_forward": {"allow": "*.a.test", "deny": ["b.a.test"], "addresses": NETWORKS, "port": 8443, "family": "v6",
                                          "max_hosts": 9, "max_pending": 9, "host_ttl": "9s", "dns_timeout": "1s"},
         "bind_source": {"address": ["127.0.0.1", "::1"], "interface": "lo", "freebind": True}},
        {"name": "d", "original_dst": {"enabled": True}},
        {"name": "f", "endpoints": "127.0.0.1:4", "protocol": "auto", "http2": {
            "max_concurrent_streams": 9, "initial_stream_window": "128KiB", "max_stream_window": "1MiB", "connection_window": "2MiB",
            "ping_interval": "9s", "ping_timeout": "8s"}},
        {"name": "e", "endpoints": "127.0.0.1:3", "health_check": {"tcp": {"send": "PING\r\n", "receive": ["hex:0aff"]}}},
        {"name": "g", "endpoints": "127.0.0.1:3", "health_check": {"grpc": {"service": "a.S", "host": "a.test"}}},
        {"name": "u", "dns": "a.test:53", "socket": {"dscp": "cs1"}, "bind_source": "127.0.0.1"}]
    return config(workers=2, admin="unix:/run/admin", drain_timeout="0", drain_delay="1s", seccomp=False, core_dumps=True,
                  stats_sinks=[{"statsd": {"address": "tcp://[::1]:1", "prefix": "", "interval": "1s", "tags": True}}, {"statsd": "udp://127.0.0.1"}],
                  listeners=[*streams(files), datagrams], clusters=clusters)


def documented():
    """Keys of the generated reference, as the last part of their section and the key: {("keepalive", "probes"), ...}."""
    found, section = set(), None
    text = (ROOT / "docs/reference.md").read_text().split("## Operators")[0]
    for line in text.splitlines():
        if head := re.match(r"#+ (\S+)", line):
            section = head[1].removesuffix("[]").rpartition(".")[2]
        elif row := re.match(r"\| `(\w+)` \|", line):
            found.add((section, row[1]))
    return found


def written(text):
    """The same of a normalized config: each key with the one that it stands under."""
    found, under = set(), []
    for line in text.splitlines():
        row = re.match(r"(\s*(?:- )*)(\w+):", line)
        if not row:
            continue
        depth = len(row[1])
        under = [(d, k) for d, k in under if d < depth]
        above = under[-1][1] if under else "config"
        found.update({(above, row[2]), ({"listeners": "listener", "clusters": "cluster", "chains": "chain"}.get(above, above), row[2])})
        under.append((depth, row[2]))
    return found


def test_every_key(files, tmp_path):
    """New keys have to be put into `every_key`: then this tells whether they print well."""
    text = round_trip(tmp_path, every_key(files))
    own_test = {("config", "user"), ("config", "group")}
    assert documented() - written(text) == own_test, "every_key() lacks these"


# --- values

ODD = ["true", "null", "~", "123", "0x10", "1e3", "-", "- a", "a: b", "a #b", "#", "%", "@", "`x`", "*", "&a", "!x", "|", ">", "a'b",
       'a"b', "a\\b", "$${x}", "$$$$", "$", "é ü 漢", "yes", ".inf", "2001-01-01", "=", "<<", "? a", "{a}", "[a]", "a,b", "x:", "'", " a "]


@pytest.mark.parametrize("odd", ODD)
def test_values_that_look_like_something_else(tmp_path, odd):
    text = config(listeners=[{"name": odd, "bind": "127.0.0.1:0", "filters": "echo",
                              "access_log": {"path": "/dev/stdout", "json": {odd: "x", "y": odd.replace("%", "%%")}}}])
    round_trip(tmp_path, text)


@pytest.mark.parametrize("pair", [("tcp://127.0.0.1:1", "127.0.0.1:0"), ("udp://127.0.0.1:1", "127.0.0.1:0"),
                                  ("sni:a.test=tcp://[::1]:1", "[::1]:0")])
def test_what_the_quick_start_emits(tmp_path, pair):
    round_trip(tmp_path, run_nuncio("run", "--from", pair[1], "--to", pair[0], "--emit", check=True).stdout)
