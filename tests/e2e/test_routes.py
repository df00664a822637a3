"""Routes end to end, with curl: where requests go, as what, and that `nuncio explain` says the same beforehand."""
import collections
import re

import pytest

from lib.config import cluster
from lib.http import Origin, http
from lib.nuncio import ROOT, run_nuncio
from lib.process import command


def named(name):
    """A server's answer: its name."""
    return lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name.encode())


@pytest.fixture
def servers(peer):
    """Origins by name; each answers with its name."""
    return {name: peer(Origin, named(name)) for name in "abc"}


@pytest.fixture
def routed(tight, servers):
    """routed(route, ...) starts a proxy with these routes before clusters a, b and c."""
    def start(*routes, **more):
        clusters = [cluster(origin, name=name, pool={"max_idle": 0}) for name, origin in servers.items()]
        return tight(http(*routes, clusters=clusters, **more))
    return start


def curl(nuncio, url, *words, name="in"):
    """What curl shows of a URL whose host and port stand for the listener, whatever they are."""
    host = re.match(r"http://([^/]+)", url)[1]
    host = host if re.search(r":\d+$", host) else host + ":80"
    done = command("curl", "-sS", "-m", 60, "--path-as-is", "--connect-to", f"{host}:{nuncio.address(name)}",
                   "-w", "\n%{http_code} %{redirect_url}", *words, url)
    assert done.returncode == 0, done
    body, _, rest = done.stdout.rpartition("\n")
    return body, *rest.split(" ", 1)


ROUTES = [
    {"name": "tenant", "match": {"host": ["www.test", "*.www.test"], "path_prefix": "/api/", "method": ["GET", "PUT"],
                                 "headers": {"x-v": "2"}, "query": {"d": "1"}}, "cluster": "a"},
    {"name": "api", "match": {"host": ["www.test", "*.www.test"], "path_prefix": "/api/"}, "cluster": "b"},
    {"name": "numbers", "match": {"path_regex": "^/u/[0-9]+$"}, "cluster": "a"},
    {"name": "exact", "match": {"path": "/one"}, "cluster": "c"},
    {"name": "mobile", "match": {"headers": {"user-agent": {"contains": "Mobile"}, "cookie": {"present": False}}}, "cluster": "c"},
    {"name": "rest", "match": {"host": "*.test"}, "cluster": "c"},
]

CASES = [
    ("tenant", "http://www.test/api/x?d=1", "-H", "X-V: 2"),
    ("tenant", "http://A.b.WWW.test:8080/api/x?z&d=1", "-H", "x-v: 1", "-H", "x-v: 2", "-X", "PUT"),
    ("api", "http://www.test/api/x?d=1"),
    ("api", "http://www.test./api/", "-H", "x-v: 2"),
    ("api", "http://www.test/y/../%61pi/x"),
    ("numbers", "http://other/u/12?x"),
    ("exact", "http://10.1.1.1/one"),
    ("mobile", "http://other/x", "-A", "A Mobile B"),
    ("rest", "http://x.test/api", "-A", "A Mobile B", "-b", "a=b"),
    (None, "http://other/u/12x"),
]


def explained(nuncio, url, *words):
    """The route that explain names, or None; HOST:PORT of the URL is nobody's, so all listeners are told of."""
    method, headers, words = "GET", [], list(words)
    flags = {"-A": "user-agent", "-b": "cookie"}
    while words:
        flag, value = words.pop(0), words.pop(0)
        if flag == "-X":
            method = value
        else:
            headers += ["-H", f"{flags[flag]}: {value}" if flag in flags else value]
    said = run_nuncio("explain", "-c", nuncio.path, f"{method} {url}", *headers).stdout
    found = re.search(r"^    (\w+) takes it: ", said, re.M)
    return found and found[1]


def test_the_first_route_that_matches_and_explain_agree(routed):
    nuncio = routed(*ROUTES)
    places = {route["name"]: route["cluster"] for route in ROUTES}
    for name, url, *words in CASES:
        body, status, _ = curl(nuncio, url, *words)
        assert (body, status) == ((places[name], "200") if name else ("", "404")), (name, url)
        assert explained(nuncio, url, *words) == name, url
    nuncio.wait_stat("http.ingress.no_route", 1)


def test_explain_tells_each_near_miss(routed):
    nuncio = routed(*ROUTES[:3], {"match": {"path": "/p"}, "cluster": "a", "rewrite": {"path": "/q", "host": "i.test"}},
                    at={"bind": "127.0.0.1:0"})
    said = run_nuncio("explain", "-c", nuncio.path, "GET http://www.test/p?x").stdout
    assert said == """\
listener in
  chain in takes it
    http
    tenant: path /p does not begin with /api/
    api: path /p does not begin with /api/
    numbers: path /p does not match ^/u/[0-9]+$
    routes[3] takes it: cluster a as /q?x on i.test
"""
    refused = run_nuncio("explain", "-c", nuncio.path, "GET http://www.test/p", "-H", "Host: a b")
    assert refused.returncode == 1 and "    refused: http1." in refused.stdout
    assert "an https:// request begins with TLS" in run_nuncio("explain", "-c", nuncio.path, "https://www.test/").stdout


def test_servers_see_the_rewritten_request(routed, servers):
    nuncio = routed(
        {"match": {"path_prefix": "/api/"}, "cluster": "a", "rewrite": {"path_prefix": "/v1/", "host": "api.internal"}},
        {"match": {"path_prefix": "/bare"}, "cluster": "a", "rewrite": {"path_prefix": "/"}},
        {"cluster": "a", "rewrite": {"path_regex": {"pattern": "^/u/([a-z]+)/([0-9]+)$", "with": "/users?name=\\1&id=\\2"}}})
    for url in "http://h/api/x%20y?z=%2F", "http://h/bare/x", "http://h/bare", "http://h/u/me/7?more", "http://h/other":
        assert curl(nuncio, url)[0] == "a"
    seen = [(r.start.split()[1], r.get("host")) for r in servers["a"].requests]
    assert seen == [("/v1/x%20y?z=%2F", "api.internal"), ("/x", "h"), ("/", "h"), ("/users?name=me&id=7&more", "h"), ("/other", "h")]
    assert curl(nuncio, "http://h/bare../secret")[1][0] == "4" and len(servers["a"].requests) == 5


def test_clients_follow_redirects(routed):
    nuncio = routed(
        {"match": {"path": "/old"}, "redirect": {"path": "/new", "status": 308}},
        {"match": {"path_prefix": "/go/"}, "redirect": {"path_prefix": "/"}},
        {"match": {"path": "/tls"}, "redirect": {"scheme": "https", "port": 8443}},
        {"match": {"path": "/away"}, "redirect": {"host": "b.test", "strip_query": True, "status": 302}},
        {"match": {"path": "/new"}, "cluster": "b"})
    assert curl(nuncio, "http://h/old?x") == ("", "308", "http://h/new?x")
    assert curl(nuncio, "http://h/old", "-L", "-d", "body") == ("b", "200", "")
    assert curl(nuncio, "http://h/go//evil.test/") == ("", "301", "http://h/evil.test/")
    assert curl(nuncio, "http://h:81/tls?x") == ("", "301", "https://h:8443/tls?x")
    assert curl(nuncio, "http://h/away?x") == ("", "302", "http://b.test/away")
    nuncio.wait_stat("http.ingress.rq_redirect", 5)


def test_answers_of_its_own(routed, tmp_path):
    (tmp_path / "page.html").write_text("<p>later</p>")
    nuncio = routed({"match": {"path": "/ok"}, "respond": {"body": "ok\n"}},
                    {"respond": {"status": 503, "body_file": str(tmp_path / "page.html"), "content_type": "text/html"}})
    assert curl(nuncio, "http://h/ok", "-w", "\n%{http_code} %{content_type}") == ("ok\n", "200", "text/plain")
    assert curl(nuncio, "http://h/", "-w", "\n%{http_code} %{content_type}") == ("<p>later</p>", "503", "text/html")
    nuncio.wait_stat("http.ingress.rq_direct_response", 2)


def test_weighted_clusters(routed):
    nuncio = routed({"clusters": [{"name": "a", "weight": 80}, {"name": "b", "weight": 20}, {"name": "c", "weight": 0}]})
    body = command("curl", "-sS", "-m", 60, f"http://{nuncio.address('in')}/[1-300]").stdout
    counts = collections.Counter(body)
    assert sum(counts.values()) == 300 and 200 <= counts["a"] <= 275 and counts["c"] == 0  # 8 deviations wide


def test_a_regular_expression_at_its_limit_is_no_match(routed):
    nuncio = routed({"match": {"path_regex": "^/(a+)+$"}, "cluster": "a"}, {"cluster": "b"})
    assert curl(nuncio, "http://h/" + "a" * 2000) == ("a", "200", "")
    assert curl(nuncio, "http://h/" + "a" * 2000 + "!") == ("b", "200", "")
    nuncio.wait_stat("regex.failed", 1)


def test_example_http_routes(nuncio, servers, monkeypatch):
    for key, value in {"EDGE_PORT": 0, "SHOP": servers["a"].address, "NEXT": servers["b"].address, "API": servers["c"].address}.items():
        monkeypatch.setenv(key, str(value))
    child = nuncio(ROOT / "docs/examples/http-routes.yaml")

    def ask(url, *words):
        return curl(child, url, *words, name="edge")
    assert ask("http://x.test/healthz") == ("ok\n", "200", "")
    assert ask("http://shop.test/a?b") == ("", "308", "http://www.shop.test/a?b")
    assert ask("http://www.shop.test//api/v1/users", "-d", "x")[1] == "401"
    assert ask("http://www.shop.test//api/v1/users", "-d", "x", "-H", "x-api-key: k") == ("c", "200", "")
    seen = servers["c"].requests[-1]
    assert (seen.start, seen.get("host")) == ("POST /users HTTP/1.1", "api.internal")
    assert ask("http://www.shop.test/item-12.html") == ("", "301", "http://www.shop.test/items/12")
    assert ask("http://www.shop.test/?preview=1") == ("b", "200", "")
    assert ask("http://www.shop.test/")[0] in ("a", "b")
    assert ask("http://other.test/") == ("no such shop\n", "421", "")
