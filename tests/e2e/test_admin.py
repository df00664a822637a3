"""The admin over HTTP, and `nuncio ctl`."""
import http.client
import json
import re
import shlex
import signal
import stat
import subprocess

import pytest

from lib.build import SANITIZED
from lib import clients
from lib.nuncio import BINARY, ROOT, run_nuncio
from lib.peers import Echo
from lib.poll import PATIENCE, eventually
from lib.ports import free_port
from lib.process import Child

CONFIG = "listeners: [{name: a, bind: '127.0.0.1:0', filters: [echo]}]\n"
PAGES = {"/ready", "/stats", "/stats/prometheus", "/clusters", "/listeners", "/config_dump", "/server_info", "/certs", "/memory", "/help"}
CHANGES = {"/reload", "/drain_listeners", "/quitquitquit", "/healthcheck/fail", "/healthcheck/ok", "/logging"}


class Unix(http.client.HTTPConnection):
    """http.client over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = clients.connect(f"unix:{self.path}")


def ask(conn, target, method="GET", body=None, **fields):
    """(status, text, headers) of a request; `fields` with _ for -."""
    conn.request(method, target, body, {name.replace("_", "-"): value for name, value in fields.items()})
    answer = conn.getresponse()
    return answer.status, answer.read().decode(), answer.headers


@pytest.fixture
def admin(nuncio, closing):
    """A proxy, and a kept connection to its admin on a UNIX socket."""
    proxy = nuncio(CONFIG)
    return proxy, closing(Unix(proxy.dir / "admin.sock"))


# --- ctl

def test_help_lists_what_works(nuncio):
    proxy = nuncio(CONFIG)
    names = {line.split()[0] for line in proxy.ctl("help").splitlines()}
    assert names == {"stats", "ready", "clusters", "listeners", "config_dump", "certs", "reload", "drain", "quit", "healthcheck", "server_info",
                     "memory", "log_level", "help", "/PATH"}
    for name in names - {"drain", "quit", "healthcheck", "/PATH"}:
        proxy.ctl(name)
    assert proxy.ctl("/stats?filter=server.live") == "server.live: 1\n"


def test_unknown_commands_and_arguments(nuncio):
    proxy = nuncio(CONFIG)
    for words, code, said in ((["stat"], 2, 'unknown command "stat": did you mean "stats"?'), (["ready", "now"], 2, '"ready" takes no argument'),
                              (["\x1b[31m"], 2, 'unknown command "?[31m"'), (["log_level", "loud"], 1, 'error: unknown level "loud"'),
                              (["stats", "a("], 1, "error: filter: bad regular expression"), (["/nothing"], 1, "error: there is no such page"),
                              (["a", "b", "c"], 2, "one argument at most")):
        done = run_nuncio("ctl", "-c", proxy.path, *words)
        assert done.returncode == code and said in done.stdout + done.stderr, done


def test_stats_by_name_and_for_prometheus(nuncio):
    proxy = nuncio(CONFIG, workers=2)
    with proxy.connect("a") as client:
        client.sendall(b"x")
        client.recv(1)
        stats = proxy.wait_stat("listener.a.downstream_cx_active", 1)
        assert stats["server.live"] == 1 and stats["server.concurrency"] == 2 and stats["server.total_connections"] == 1
        assert stats["server.generation"] == 1
        assert proxy.ctl("stats", r"^listener\.a\..*cx_active$") == "listener.a.downstream_cx_active: 1\nlistener.a.downstream_pre_cx_active: 0\n"
        assert 'nuncio_listener_downstream_cx_active{listener="a"} 1' in proxy.ctl("stats", "prometheus").splitlines()


def test_uptime_and_memory(nuncio):
    proxy = nuncio(CONFIG)
    eventually(lambda: proxy.stats()["server.uptime"] > 0)
    memory = dict(line.split(": ") for line in proxy.ctl("memory").splitlines())
    for rss in int(memory["rss"]), proxy.stats()["server.memory_physical_size"]:
        assert abs(rss // 1024 - proxy.rss_kb()) < 8192


def test_server_info(nuncio, closing):
    proxy = nuncio(CONFIG, workers=3)
    with proxy.connect("a") as client:
        client.sendall(b"x")
        client.recv(1)
        info = dict(line.split(": ", 1) for line in proxy.ctl("server_info").splitlines())
        as_json = json.loads(ask(closing(Unix(proxy.dir / "admin.sock")), "/server_info")[1])
    assert info["pid"] == str(proxy.pid) and info["workers"] == "3" and info["generation"] == "1" and info["state"] == "live"
    assert info["connections"] == "1" and info["config"] == str(proxy.path) and re.match(r"\d+\.\d+", info["version"])
    assert as_json["state"] == "LIVE" and as_json["pid"] == proxy.pid and as_json["command_line_options"]["concurrency"] == 3
    assert as_json["version"] == info["version"] and re.fullmatch(r"\d+s", as_json["uptime_current_epoch"])


def test_listeners_and_clusters(nuncio, peer, closing):
    echo = peer(Echo)
    proxy = nuncio(CONFIG + f"clusters: [{{name: web, endpoints: ['{echo.address}', 'unix:/no/where']}}, {{name: empty, endpoints: []}}]\n"
                   .replace(", {name: empty, endpoints: []}", ""))
    assert proxy.ctl("listeners") == f"a::{proxy.address('a')}\n"
    assert f"web::{echo.address}::cx_total::0" in proxy.ctl("clusters").splitlines()
    conn = closing(Unix(proxy.dir / "admin.sock"))
    listeners = json.loads(ask(conn, "/listeners?format=json")[1])["listener_statuses"]
    host, port = proxy.address("a").split(":")
    assert listeners == [{"name": "a", "local_address": {"socket_address": {"address": host, "port_value": int(port)}}, "protocol": "TCP"}]
    web, = json.loads(ask(conn, "/clusters?format=json")[1])["cluster_statuses"]
    first, second = web["host_statuses"]
    assert web["name"] == "web" and first["address"]["socket_address"]["port_value"] == int(echo.address.split(":")[1])
    assert second["address"] == {"pipe": {"path": "/no/where"}} and first["health_status"] == {"eds_health_status": "HEALTHY"}
    assert {"name": "cx_total", "value": "0"} in first["stats"] and first["weight"] == 1


def test_log_level_is_shown_and_set(nuncio):
    proxy = nuncio(CONFIG)
    assert proxy.ctl("log_level") == "log level: info\n"
    assert proxy.ctl("log_level", "debug") == "log level: debug\n" == proxy.ctl("log_level")
    proxy.ctl("reload")
    proxy.wait_line(r"debug reload +step from=switching to=retiring")


# --- ready

def test_ready_waits_for_names_and_first_checks(nuncio, closing, refusing_port):
    proxy = nuncio(CONFIG + "clusters: [{name: web, endpoints: 'nothing.invalid:80'}]\n")
    done = run_nuncio("ctl", "-c", proxy.path, "ready")
    assert done.returncode == 1 and re.match(r"not ready: cluster web: resolving nothing.invalid since \d+ s: ", done.stdout)
    conn = closing(Unix(proxy.dir / "admin.sock"))
    assert ask(conn, "/ready")[:2] == (503, "INITIALIZING\n")
    with proxy.connect("a") as client:
        client.sendall(b"served")
        assert clients.recv_exactly(client, 6) == b"served"
    proxy.reload(CONFIG)
    assert proxy.ctl("ready") == "ready\n" and ask(conn, "/ready")[:2] == (200, "LIVE\n")


def test_health_checks_can_be_failed(admin):
    proxy, conn = admin
    assert ask(conn, "/healthcheck/fail", "POST")[:2] == (200, "OK\n")
    assert ask(conn, "/ready")[:2] == (503, "DRAINING\n")
    status, text, _ = ask(conn, "/ready?verbose")
    assert status == 503 and re.fullmatch(r"not ready: told to fail health checks since \d+ s\n", text)
    proxy.reload(CONFIG)
    assert ask(conn, "/ready")[0] == 503  # until told otherwise
    assert proxy.ctl("healthcheck", "ok") == "OK\n" and ask(conn, "/ready")[0] == 200


def test_a_drain_is_answered_and_seen(nuncio, closing):
    proxy = nuncio(CONFIG + "drain_timeout: 10s\n")
    with proxy.connect("a") as client:
        client.sendall(b"x")
        client.recv(1)
        assert proxy.ctl("drain") == "draining\n"
        done = run_nuncio("ctl", "-c", proxy.path, "ready")
        assert done.returncode == 1 and re.match(r"not ready: draining since \d+ s\n", done.stdout)
        assert run_nuncio("ctl", "-c", proxy.path, "reload").stdout == "error: not reloaded: the process is draining\n"
        conn = closing(Unix(proxy.dir / "admin.sock"))
        assert ask(conn, "/quitquitquit", "POST")[:2] == (200, "OK\n")
        assert clients.how_it_ends(client) in ("fin", "rst")
    assert proxy.wait() == 0


# --- pages

def test_pages_have_types_and_methods(admin):
    _, conn = admin
    for page in PAGES:
        status, text, fields = ask(conn, page)
        assert status == 200 and (text or page == "/clusters") and fields["cache-control"] == "no-cache, max-age=0" and fields["x-content-type-options"] == "nosniff"
        assert fields["content-type"].startswith(("text/plain", "application/json")) and "frame-ancestors 'none'" in fields["content-security-policy"]
        head = ask(conn, page, "HEAD")
        assert head[0] == 200 and head[1] == "" and head[2]["content-type"] == fields["content-type"]
        refused = ask(conn, page, "POST")
        assert refused[0] == 405 and refused[2]["allow"] == "GET, HEAD"
    for page in CHANGES:
        for method in "GET", "HEAD", "PUT":
            refused = ask(conn, page, method)
            assert refused[0] == 405 and refused[2]["allow"] == "POST", (page, method)
    assert "server.reload_total: 0" in ask(conn, "/stats")[1].splitlines()
    for target, status in ("/", 404), ("/stats/", 404), ("//stats", 404), ("/stat%73", 200), ("/ready?x", 400), ("/stats?filter=%", 400), ("/stats?filter=a(", 400):
        assert ask(conn, target)[0] in ((200, 404) if target in ("/", "/stat%73") else (status,)), target


def test_stats_as_text_and_json(nuncio, closing):
    proxy = nuncio(CONFIG)
    conn = closing(Unix(proxy.dir / "admin.sock"))
    with proxy.connect("a") as client:
        client.sendall(b"x")
        client.recv(1)
    proxy.wait_stat("listener.a.downstream_cx_destroy", 1)
    lines = ask(conn, "/stats")[1].splitlines()
    names = [line.partition(": ")[0] for line in lines]
    assert names == sorted(names) and len(set(names)) == len(names)
    used = ask(conn, "/stats?usedonly&filter=^listener[.]a[.]")[1].splitlines()
    assert "listener.a.downstream_cx_total: 1" in used and not any("overflow" in line for line in used)
    length, = (line for line in used if ".downstream_cx_length_ms: " in line)
    assert re.fullmatch(r"\S+ P0\(nan,\d+\) P25\(nan,\d+\) P50\(nan,\d+\) .* P99.5\(nan,\d+\) P99.9\(nan,\d+\) P100\(nan,\d+\)", length)
    status, text, fields = ask(conn, "/stats?format=json&filter=^listener[.]a[.]")
    assert status == 200 and fields["content-type"] == "application/json"
    *figures, histograms = json.loads(text)["stats"]
    assert {"name": "listener.a.downstream_cx_total", "value": 1} in figures
    histograms = histograms["histograms"]
    assert histograms["supported_quantiles"][:3] == [0, 25, 50] and len(histograms["computed_quantiles"][0]["values"]) == 10
    whole = json.loads(ask(conn, "/stats?format=json")[1])["stats"]
    assert len(whole) - 1 + len(whole[-1]["histograms"]["computed_quantiles"]) == len(names)
    assert json.loads(ask(conn, "/stats?format=json&filter=nothing")[1])["stats"][0]["histograms"]["computed_quantiles"] == []


def test_config_dump_has_defaults_and_no_secrets(nuncio, closing):
    proxy = nuncio("listeners: [{name: a, bind: '127.0.0.1:0', filters: [{http: {filters: [{basic_auth: {users: ['bob:{SHA}hunter2ph5Mm5Pz8GgiULbPgzG3=']}}], "
                   "routes: [{cluster: web, request_headers: {set: {authorization: 'Bearer hunter2', x-token: 'hunter2', x-plain: 'shown', x-env: 'a${NU_SECRET}b'}}}]}}]}]\n"
                   "clusters: [{name: web, endpoints: '127.0.0.1:1', connect_timeout: '${NU_NONE:-250ms}'}]\n", env={"NU_SECRET": "hunter2"})
    conn = closing(Unix(proxy.dir / "admin.sock"))
    text = ask(conn, "/config_dump")[1]
    assert "hunter2" not in text and text.count("[redacted]") == 5 and 'x-plain: "shown"' in text and "balance: round_robin" in text
    proxy.path.write_text("nonsense")  # what serves is shown, not what lies there
    assert ask(conn, "/config_dump")[1] == text


def test_reload_waits_for_its_outcome(admin):
    proxy, conn = admin
    assert ask(conn, "/reload", "POST")[:2] == (200, "reloaded: generation 2, 1 listeners, 0 clusters\n")
    proxy.write(CONFIG + "bogus: 1\n" + "".join(f"k{i}: 1\n" for i in range(90)))
    status, text, _ = ask(conn, "/reload", "POST")
    assert status == 500 and text.startswith("error: reload failed, errors: 91; generation 2 serves on\n") and 'unknown key "bogus"' in text
    conns = [Unix(proxy.dir / "admin.sock") for _ in range(20)]  # at once
    for other in conns:
        other.request("POST", "/reload")
    for other in conns:
        assert other.getresponse().status == 500
        other.close()
    conn.request("POST", "/reload")  # its client leaves: nobody is told
    conn.close()
    assert proxy.ctl("ready") == "ready\n"


# --- HTTP

def test_requests_in_one_piece_are_answered_in_order(nuncio, closing):
    proxy = nuncio(CONFIG)
    sock = closing(clients.connect(f"unix:{proxy.dir}/admin.sock"))
    sock.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\nPOST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxx"
                 b"GET /server_info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = clients.recv_all(sock).decode()
    assert text.index("LIVE") < text.index("reloaded: generation 2") < text.index('"generation":2')


def test_the_old_protocol_is_gone(nuncio, closing):
    sock = closing(clients.connect(f"unix:{nuncio(CONFIG).dir}/admin.sock"))
    sock.sendall(b"drain\n")
    assert clients.recv_all(sock).startswith(b"HTTP/1.1 400 ")


def test_heads_and_bodies_have_limits(nuncio, closing):
    proxy = nuncio(CONFIG)
    for request, status in ((b"GET /ready HTTP/1.1\r\nHost: x\r\n" + b"x: " + b"y" * 20000 + b"\r\n\r\n", b"431"),
                            (b"POST /logging HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n", b"413"), (b"GET /ready HTTP/1.1\r\n\r\n", b"400")):
        sock = closing(clients.connect(f"unix:{proxy.dir}/admin.sock"))
        sock.sendall(request)
        assert clients.recv_all(sock).split()[1] == status


def test_who_does_not_read_is_waited_for(nuncio, closing):
    """Answers are not made faster than they are read: memory stays where it is, other clients are served."""
    clusters = "".join(f"- {{name: c{i}, endpoints: '127.0.0.1:1'}}\n" for i in range(600))
    proxy = nuncio(CONFIG + "clusters:\n" + clusters)
    sock = closing(clients.connect(f"unix:{proxy.dir}/admin.sock"))
    whole = len(proxy.ctl("stats"))
    before = proxy.rss_kb()
    assert whole > 1 << 20
    for _ in range(20):
        sock.sendall(b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n")
    assert proxy.ctl("ready") == "ready\n"
    assert SANITIZED or proxy.rss_kb() - before < 8192  # sanitizers keep what is freed
    got = 0
    while got < 20 * whole * 0.9:
        got += len(sock.recv(1 << 20))
    proxy.reload(CONFIG)  # what they are about goes in the midst of it
    sock.close()
    assert proxy.ctl("ready") == "ready\n"


def test_connections_have_a_limit(nuncio, closing):
    proxy = nuncio(CONFIG)
    socks = [closing(clients.connect(f"unix:{proxy.dir}/admin.sock")) for _ in range(100)]
    refused = closing(clients.connect(f"unix:{proxy.dir}/admin.sock"))
    assert clients.how_it_ends(refused) in ("fin", "rst")
    for sock in socks:
        sock.close()
    eventually(lambda: run_nuncio("ctl", "-c", proxy.path, "ready").stdout == "ready\n")
    assert proxy.stats()["listener.admin.downstream_cx_overflow"] >= 1


# --- pages of others

def test_pages_of_others_are_refused(nuncio, closing):
    port = free_port()
    nuncio(CONFIG + f"admin: 127.0.0.1:{port}\n")
    conn = closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE))
    own = f"http://127.0.0.1:{port}"
    for status, fields in ((200, {}), (200, {"Host": f"localhost:{port}"}), (403, {"Host": "rebound.example"}), (403, {"Host": f"rebound.example:{port}"}),
                           (200, {"Origin": own}), (403, {"Origin": "http://evil.example"}), (403, {"Origin": "null"}), (200, {"Sec-Fetch-Site": "none"}),
                           (200, {"Sec-Fetch-Site": "same-origin", "Origin": own}), (403, {"Sec-Fetch-Site": "cross-site"}),
                           (403, {"Sec-Fetch-Site": "same-site"})):
        for method, target in ("GET", "/stats"), ("POST", "/healthcheck/ok"):
            assert ask(conn, target, method, **fields)[0] == status, (method, fields)
    unix = nuncio(CONFIG)
    assert ask(closing(Unix(unix.dir / "admin.sock")), "/ready", Host="any.example")[0] == 200
    assert ask(closing(Unix(unix.dir / "admin.sock")), "/ready", Origin="http://evil.example")[0] == 403


def test_curl(nuncio):
    port = free_port()
    proxy = nuncio(CONFIG + f"admin: 127.0.0.1:{port}\n")

    def curl(*words):
        return subprocess.run(["curl", "-sS", "-m", str(PATIENCE), *words], capture_output=True, text=True, check=True).stdout
    assert curl(f"http://localhost:{port}/ready") == "LIVE\n"
    assert "server.live: 1\n" in curl(f"http://127.0.0.1:{port}/stats?usedonly&filter=server")
    assert curl("-X", "POST", f"http://127.0.0.1:{port}/reload").startswith("reloaded")
    assert curl("-d", "x=y", f"http://127.0.0.1:{port}/logging?level=warn") == "log level: warn\n"
    assert curl("-I", f"http://127.0.0.1:{port}/stats").startswith("HTTP/1.1 200 OK\n")
    assert proxy.running()


# --- where it listens


def test_the_socket_is_its_owner_s_alone(nuncio):
    proxy = nuncio(CONFIG)
    mode = (proxy.dir / "admin.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o600


def test_a_loopback_port_and_a_path(nuncio):
    for address in f"127.0.0.1:{free_port()}", f"[::1]:{free_port('::1')}", "unix:other.sock":
        proxy = nuncio(CONFIG + f"admin: '{address}'\n")
        where = address.replace("unix:", f"unix:{proxy.dir}/")
        assert run_nuncio("ctl", "-s", where, "ready").stdout == proxy.ctl("ready") == "ready\n"


def test_a_socket_left_behind_is_replaced(nuncio, closing, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "admin: on\n")
    killed = closing(Child(BINARY, "run", "-c", path))
    killed.wait_line("^ready")
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert (tmp_path / "admin.sock").exists()
    again = nuncio(path)
    assert again.ctl("ready") == "ready\n"
    again.signal(signal.SIGTERM)
    again.wait()
    assert not (tmp_path / "admin.sock").exists()


def test_a_second_process_on_the_same_config_is_told_so(nuncio):
    proxy = nuncio(CONFIG)
    done = run_nuncio("run", "-c", proxy.path)
    assert done.returncode == 1 and f"cannot listen on unix:{proxy.dir}/admin.sock: Address already in use" in done.stderr
    assert proxy.ctl("ready") == "ready\n"


def test_without_admin_there_is_none(nuncio, tmp_path):
    proxy = nuncio(CONFIG + "admin: off\n")
    done = run_nuncio("ctl", "-c", proxy.path, "ready")
    assert done.returncode == 1 and 'add the line "admin: on"' in done.stderr
    assert not (proxy.dir / "admin.sock").exists()


@pytest.mark.parametrize("address, code, said", [("unix:/no/such.sock", 1, "Is nuncio running there?"),
                                                 ("10.0.0.1:9901", 2, "neither a loopback address"),
                                                 ("somewhere", 2, "is not an address")])
def test_ctl_says_why_it_cannot_ask(address, code, said):
    done = run_nuncio("ctl", "-s", address, "ready")
    assert (done.returncode, done.stdout) == (code, "") and said in done.stderr


def test_a_reload_moves_the_admin_socket(nuncio):
    proxy = nuncio(CONFIG)
    before = proxy.path.read_text()
    kept = Unix(proxy.dir / "admin.sock")
    assert ask(kept, "/ready")[0] == 200
    proxy.path.write_text(before.replace("admin: on", "admin: unix:moved.sock"))
    assert proxy.ctl("ready", check=False) == ""  # the file names the new one already
    status, text, _ = ask(kept, "/reload", "POST")
    assert status == 200 and text.startswith("reloaded: generation 2")
    assert proxy.ctl("ready") == "ready\n"
    with pytest.raises(OSError):
        clients.connect(f"unix:{proxy.dir}/admin.sock")
    proxy.path.write_text(before)  # and back at once
    assert run_nuncio("ctl", "-s", f"unix:{proxy.dir}/moved.sock", "reload").stdout.startswith("reloaded: generation 3")
    assert proxy.ctl("ready") == "ready\n" and not (proxy.dir / "moved.sock").exists()
    proxy.path.write_text(before.replace("admin: on", "admin: unix:/no/such/folder/sock"))
    refused = run_nuncio("ctl", "-s", f"unix:{proxy.dir}/admin.sock", "reload")
    assert refused.returncode == 1 and "cannot listen on unix:/no/such/folder/sock: No such file or directory" in refused.stdout
    proxy.path.write_text(before)
    kept.close()


def test_example_admin(nuncio, monkeypatch):
    port = free_port()
    monkeypatch.setenv("ADMIN", f"127.0.0.1:{port}")
    monkeypatch.setenv("WEB", "127.0.0.1:0")
    text = (ROOT / "docs/examples/admin.yaml").read_text()
    nuncio(ROOT / "docs/examples/admin.yaml")
    said = [subprocess.run(shlex.split(line.replace(":7901", f":{port}")), capture_output=True, text=True, check=True).stdout
            for line in re.findall(r"^# +(curl .*?)  ", text, re.M)]
    assert len(said) == 5 and "/config_dump" in said[0] and said[1] == "LIVE\n" and said[2].startswith("http.admin.")
    assert "# TYPE nuncio_" in said[3] and said[4] == "OK\n"
