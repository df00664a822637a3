#!/usr/bin/python3
"""Makes the seed corpora of client_hello, proxy_protocol and domain.

  tests/fuzz/make_corpus.py [CORPUS_DIR]

Hellos and PROXY headers come from real programs on loopback (openssl, curl, wget = GnuTLS, haproxy), where they
are installed; the rest is written by hand here. Files are overwritten, none is removed.
"""
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

CORPUS = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "corpus")


def save(target, name, data):
    os.makedirs(os.path.join(CORPUS, target), exist_ok=True)
    with open(os.path.join(CORPUS, target, name), "wb") as file:
        file.write(data)


def first_bytes(start):
    """Listens, calls start(port), and returns what the first connection says before it waits for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        process = start(server.getsockname()[1])
        try:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(0.5)
                data = b""
                try:
                    while more := connection.recv(65536):
                        data += more
                except (TimeoutError, ConnectionResetError):
                    pass
                return data
        finally:
            process.kill()
            process.wait()


def run(*command):
    return lambda port: subprocess.Popen([part.replace("PORT", str(port)) for part in command],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)


S_CLIENT = ["openssl", "s_client", "-connect", "127.0.0.1:PORT"]
CURL = ["curl", "-sk", "--connect-to", "::127.0.0.1:PORT"]
HELLOS = {
    "openssl-sni": [*S_CLIENT, "-servername", "a.test"],
    "openssl-no-sni": [*S_CLIENT, "-noservername"],
    "openssl-alpn": [*S_CLIENT, "-servername", "a.test", "-alpn", "h2,http/1.1,acme-tls/1"],
    "openssl-tls12": [*S_CLIENT, "-servername", "b.test", "-tls1_2"],
    "openssl-tls10": [*S_CLIENT, "-servername", "b.test", "-tls1", "-cipher", "ALL:@SECLEVEL=0"],
    "openssl-tls13": [*S_CLIENT, "-servername", "b.test", "-tls1_3", "-groups", "X25519:P-521"],
    "openssl-long-name": [*S_CLIENT, "-servername", ".".join(["label" * 12] * 4)],
    "openssl-split": [*S_CLIENT, "-servername", "split.test", "-max_send_frag", "512", "-alpn",
                      ",".join(f"protocol-{n}" for n in range(60))],
    "curl-h2": [*CURL, "https://www.test/"],
    "curl-h1": [*CURL, "--http1.1", "https://www.test/"],
    "curl-ip": [*CURL, "https://127.0.0.1/"],
    "curl-dot": [*CURL, "https://www.test./"],
    "wget-gnutls": ["wget", "-q", "-O-", "--no-check-certificate", "--tries=1", "https://localhost:PORT/"],
}


def real_hellos():
    for name, command in HELLOS.items():
        save("client_hello", name, first_bytes(run(*command)))


def vector(width, data):
    return len(data).to_bytes(width, "big") + data


def extension(kind, body):
    return struct.pack(">H", kind) + vector(2, body)


def server_name(name, kind=0):
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


def hello(extensions, ciphers=b"\x13\x01\xc0\x2f", version=0x0303, session=b"", compressions=b"\0"):
    body = struct.pack(">H", version) + bytes(range(32)) + vector(1, session) + vector(2, ciphers)
    body += vector(1, compressions) + (b"" if extensions is None else vector(2, extensions))
    return b"\x01" + vector(3, body)


def records(message, each=16384, kind=22):
    parts = [message[at:at + each] for at in range(0, len(message), each)]
    return b"".join(bytes([kind, 3, 1]) + vector(2, part) for part in parts)


def made_hellos():
    """Browsers' GREASE, odd cuts, and one file a refusal."""
    grease = (extension(0x0a0a, b"") + server_name(b"grease.test") + extension(10, b"\0\6\x2a\x2a\0\x1d\0\x17") +
              extension(11, b"\1\0") + extension(13, b"\0\4\x3a\x3a\4\3") + extension(16, b"\0\6\2\x4a\x4a\2h2") +
              extension(43, b"\4\x5a\x5a\3\4") + extension(51, b"\0\5\x6a\x6a\0\1\0") + extension(0xfafa, b"\0"))
    whole = hello(grease, ciphers=b"\xba\xba\x13\x01\x13\x02", session=bytes(32))
    name = server_name(b"a.test")
    made = {
        "grease": records(whole), "grease-records-of-1": records(whole, 1), "grease-records-of-7": records(whole, 7),
        "head-in-two-records": records(whole[:2]) + records(whole[2:]),
        "data-behind": records(whole) + b"\x14\3\3\0\1\1" + b"early data", "message-behind": records(whole + whole),
        "empty-records": records(whole[:9]) + b"\x16\3\1\0\0" * 3 + records(whole[9:]),
        "too-many-empty-records": records(whole[:9]) + b"\x16\3\1\0\0" * 17,
        "ech": records(hello(name + extension(0xfe0d, b"\0\0\1\0\1\x2a\0\0" + bytes(200)))),
        "16k": records(hello(name + extension(0x1234, bytes(16000)))), "no-extensions": records(hello(None)),
        "no-extension": records(hello(b"")), "cut": records(whole)[:90],
        "alert-inside": records(whole[:50]) + b"\x15\3\1\0\2\2\x28", "over-16k": b"\x16\3\1\x40\0\1\0\x40\1",
        "long-record": b"\x16\3\1\xff\xff", "server-hello": records(b"\2" + whole[1:]), "bad-minor": b"\x16\3\x09\0\1",
        "sslv2": b"\x80\x2e\1\3\1\0\x15\0\0\0\x10", "http": b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "dtls": b"\x16\xfe\xfd\0\0\0\0", "version-bad": records(hello(name, version=0xfefd)),
        "session-long": records(hello(name, session=bytes(33))), "ciphers-odd": records(hello(name, ciphers=b"\1\2\3")),
        "ciphers-none": records(hello(name, ciphers=b"")), "compressions-none": records(hello(name, compressions=b"")),
        "duplicate": records(hello(name + name)), "extension-cut": records(hello(name[:-1])),
        "truncated": records(b"\1" + vector(3, whole[4:20])), "extensions-short": records(b"\1" + vector(3, hello(name)[4:] + b"x")),
    }
    bodies = {
        "sni-ip4": server_name(b"10.0.0.1"), "sni-ip6": server_name(b"[2001:db8::1]"), "sni-dot": server_name(b"a.test."),
        "sni-only-dot": server_name(b"."), "sni-nul": server_name(b"a\0b"), "sni-254": server_name(b"a" * 254),
        "sni-other-type": server_name(b"x", kind=7), "sni-empty": extension(0, b""), "sni-cut": extension(0, b"\0\4\0\0\2a"),
        "sni-two": extension(0, vector(2, b"\0\0\1a\0\0\1b")), "alpn-empty": extension(16, b"\0\0"),
        "alpn-cut": extension(16, b"\0\2\2h"), "groups-odd": extension(10, b"\0\1\0"), "points-none": extension(11, b"\0"),
        "signatures-none": extension(13, b"\0\0"), "versions-odd": extension(43, b"\1\3"),
    }
    made |= {name: records(hello(body)) for name, body in bodies.items()}
    for name, data in made.items():
        save("client_hello", name, data)


HAPROXY = """
global
    ssl-server-verify none
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen l
    bind FRONT
    server s 127.0.0.1:PORT OPTIONS
"""
SENDERS = {
    "haproxy-v1": ("127.0.0.1:9", "send-proxy"), "haproxy-v1-ip6": ("[::1]:9", "send-proxy"),
    "haproxy-v2": ("127.0.0.1:9", "send-proxy-v2"), "haproxy-v2-ip6": ("[::1]:9", "send-proxy-v2"),
    "haproxy-v2-crc": ("127.0.0.1:9", "send-proxy-v2 proxy-v2-options crc32c"),
    "haproxy-v2-id": ("127.0.0.1:9", "send-proxy-v2 proxy-v2-options crc32c,unique-id"),
    "haproxy-v2-ssl": ("127.0.0.1:9", "send-proxy-v2-ssl-cn"),
    "haproxy-v2-check": (None, "send-proxy-v2 check inter 200ms"),
    "haproxy-v1-check": (None, "send-proxy check inter 200ms"),
}


def haproxy_header(front, options):
    """What haproxy puts before a client's bytes, or before a health check's (front None)."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(
            socket.AF_INET6 if front and front[0] == "[" else socket.AF_INET) as probe:
        probe.bind(("::1" if front and front[0] == "[" else "127.0.0.1", 0))
        free = probe.getsockname()[1]
        probe.close()
        bind = (front or "127.0.0.1:9").replace(":9", f":{free}")

        def start(port):
            config = HAPROXY.replace("FRONT", bind).replace("PORT", str(port)).replace("OPTIONS", options)
            if "unique-id" in options:
                config += "    unique-id-format %[uuid()]\n"
            with open(f"{folder}/cfg", "w") as file:
                file.write(config)
            process = run("haproxy", "-db", "-f", f"{folder}/cfg")(port)
            client_deadline = time.monotonic() + 5
            while front and time.monotonic() < client_deadline:
                try:
                    start.client = socket.create_connection((front.rsplit(":", 1)[0].strip("[]"), free), 1)
                    start.client.sendall(b"behind")
                    break
                except OSError:
                    time.sleep(0.05)
            return process

        data = first_bytes(start)
        if front:
            start.client.close()
        return data


def real_headers():
    for name, (front, options) in SENDERS.items():
        save("proxy_protocol", name, haproxy_header(front, options))


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IP4 = b"\xc0\0\2\1\x0a\0\0\1\xff\xff\1\xbb"


def v2(command, family, block):
    return SIGNATURE + bytes([command, family]) + vector(2, block)


def tlv(kind, value):
    return bytes([kind]) + vector(2, value)


def made_headers():
    ssl = tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x23, b"TLS_AES_128_GCM_SHA256"))
    tlvs = tlv(1, b"h2") + tlv(2, b"a.test") + tlv(4, b"") + tlv(5, b"id") + ssl + tlv(0x30, b"ns") + tlv(0xea, b"vpce-1")
    made = {
        "v1-unknown": b"PROXY UNKNOWN\r\n", "v1-unknown-rest": b"PROXY UNKNOWN ffff:: ::1 1 2\r\nGET /",
        "v1-tcp4": b"PROXY TCP4 192.0.2.1 10.0.0.1 65535 443\r\n", "v1-tcp6": b"PROXY TCP6 2001:db8::1 ::1 1 2\r\nx",
        "v1-mapped": b"PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n", "v1-cut": b"PROXY TCP4 192.0.2.1",
        "v1-zeros": b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "v1-port": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        "v1-words": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "v1-family": b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "v1-lf": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "v1-long": b"PROXY UNKNOWN " + b"x" * 100,
        "v2-tcp4": v2(0x21, 0x11, IP4) + b"behind", "v2-udp4": v2(0x21, 0x12, IP4),
        "v2-tcp6": v2(0x21, 0x21, bytes(range(36))), "v2-mapped": v2(0x21, 0x21, (bytes(10) + b"\xff\xff\x0a\0\0\1") * 2 + b"\0\1\0\2"),
        "v2-unix": v2(0x21, 0x31, b"/run/a".ljust(108, b"\0") + b"x" * 108), "v2-unix-unnamed": v2(0x21, 0x32, bytes(216)),
        "v2-local": v2(0x20, 0, b""), "v2-local-junk": v2(0x20, 0xff, b"junk"), "v2-unspec": v2(0x21, 0, tlv(4, b"pad")),
        "v2-no-transport": v2(0x21, 0x10, IP4), "v2-tlvs": v2(0x21, 0x11, IP4 + tlvs), "v2-tlv-cut": v2(0x21, 0x11, IP4 + tlvs[:-1]),
        "v2-crc-wrong": v2(0x21, 0x11, IP4 + tlv(3, b"abcd")), "v2-crc-short": v2(0x21, 0x11, IP4 + tlv(3, b"abc")),
        "v2-short": v2(0x21, 0x21, IP4), "v2-family": v2(0x21, 0x41, IP4), "v2-command": v2(0x22, 0x11, IP4),
        "v2-version": v2(0x31, 0x11, IP4), "v2-long": SIGNATURE + b"\x21\x11\xff\xff", "v2-4k": v2(0x21, 0x11, IP4 + tlv(4, bytes(4000))),
        "v2-cut": v2(0x21, 0x11, IP4)[:20], "tls": b"\x16\3\1\2\0\1", "http": b"POST / HTTP/1.1\r\n", "empty": b"",
    }
    for name, data in made.items():
        save("proxy_protocol", name, data)


def domains():
    label = "x" * 63
    tables = {
        "exact": "a.test\nb.test\n\na.test\nA.TEST\na.test.\nc.test\n", "wildcard": "*.b.test\n\nb.test\na.b.test\nx.y.b.test\n",
        "any": "*\n\n\nanything\n10.0.0.1\na..b\n", "longest": "*.test\n*.b.test\n*.a.b.test\na.b.test\n*\n\nx.a.b.test\na.b.test\nb.test\n",
        "duplicate": "a.test\nA.test.\n*.a.test\n*.A.TEST\n\na.test\n", "case": "MiXed.Test\n*.UPPER.test\n\nmixed.test\nx.upper.TEST\n",
        "dots": ".a\na..b\n.\n*.\n..\na.\n\n.a\na..b\n.\n..\na.\n", "stars": "a*.test\n*.*\na.*\n**\n*a\n\n*.a\n",
        "addresses": "10.0.0.1\n::1\n[::1]\n10.0.0\n\n10.0.0.1\n10.0.0\n", "characters": "a b\na_b.test\na:1\n-a.test\na-.test\nä.test\nxn--4ca.test\n\na_b.test\n",
        "long-label": f"{label}.test\n{label}y.test\n\n{label}.test\n", "long-name": ".".join([label] * 4)[:253] + "\n" + ".".join([label] * 4) + "\n\n" + ".".join([label] * 4)[:253] + "\n",
        "deep": "*." + ".".join("abcdefghij") + "\n\n" + ".".join("zabcdefghij") + "\n", "shared": "a.x.test\nb.x.test\n*.x.test\nx.test\n\na.x.test\nc.x.test\nx.test\ntest\n",
        "many": "".join(f"h{n}.test\n*.w{n}.test\n" for n in range(30)) + "\nh7.test\nq.w9.test\n", "no-names": "a.test\n", "no-patterns": "\na.test\n",
    }
    for name, text in tables.items():
        save("domain", name, text.encode())


real_hellos()
made_hellos()
real_headers()
made_headers()
domains()
