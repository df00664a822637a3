"""Filters of HTTP: edits, other origins, forged requests, rates, passwords; asked by curl."""
import pytest

from lib.config import cluster, config, listener
from lib.http import Reader
from lib.mirror import Mirror, curl
from lib.nuncio import ROOT
from lib.poll import eventually
from lib.process import command


@pytest.fixture
def proxy(nuncio, peer):
    """proxy(filters, routes, files=..., workers=..., **http options) starts one in front of a Mirror, cluster "c"; its `url`."""
    def start(filters, *routes, files=None, workers=1, **http):
        child = nuncio(config(workers=workers, clusters=[cluster(peer(Mirror))], listeners=[
            listener({"http": {"filters": filters, "routes": [*routes, {"cluster": "c"}], **http}})]), files=files)
        child.url = f"http://{child.address('in')}"
        return child
    return start


def sent(**fields):
    """curl's options for these header fields; _ is - in a name."""
    return [word for name, value in fields.items() for word in ("-H", f"{name.replace('_', '-')}: {value}")]


def route(path, cluster_name="c", **more):
    return {"match": {"path": path}, "cluster": cluster_name, **more}


def test_header_edit(proxy):
    own = {"match": {"path": "/own"}, "respond": {"status": 200, "body": "own"}}
    edits = {"request": {"set": {"x-a": "%REQ(USER-AGENT)%"}, "remove": "x-secret"}, "response": {"set": {"x-b": "1"}, "remove": "x-secret"}}
    child = proxy([{"header_edit": edits}], own, route("/off", filters={"header_edit": False}))
    answer = curl(child.url, "-A", "me", *sent(x_a="forged", x_secret="s"))
    assert answer.told["x-a"] == "me" and "x-secret" not in answer.told
    assert answer.headers["x-b"] == "1" and "x-secret" not in answer.headers
    assert curl(child.url + "/own").headers["x-b"] == "1"
    answer = curl(child.url + "/off", *sent(x_secret="s"))
    assert answer.told["x-secret"] == "s" and "x-b" not in answer.headers


def test_cors(proxy):
    allow = {"allow_origin": ["https://a.test", {"suffix": ".b.test"}], "allow_methods": ["PUT"], "allow_headers": ["x-a", "x-b"], "max_age": "1h"}
    child = proxy([{"cors": allow}], route("/off", filters={"cors": False}), access_log={"path": "own.log", "format": "%RESPONSE_CODE_DETAILS%"})
    asked = ["-X", "OPTIONS", *sent(Origin="https://x.b.test", Access_Control_Request_Method="PUT")]
    answer = curl(child.url, *asked)
    assert (answer.status, answer.body, answer.headers["access-control-allow-origin"]) == (200, "", "https://x.b.test")
    assert [answer.headers[f"access-control-{name}"] for name in ("allow-methods", "allow-headers", "max-age")] == ["PUT", "x-a, x-b", "3600"]
    assert child.file_lines("own.log", 1) == ["cors_response"]
    answer = curl(child.url, *sent(Origin="https://a.test"))
    assert answer.told["origin"] == "https://a.test"
    assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == ("https://a.test", "origin")
    assert "access-control-allow-origin" not in curl(child.url, *sent(Origin="https://evil.test")).headers
    assert curl(child.url + "/off", *asked[2:]).told["origin"]
    assert (child.stats()["http.ingress.cors.origin_valid"], child.stats()["http.ingress.cors.origin_invalid"]) == (2, 1)


def test_csrf(proxy):
    child = proxy([{"csrf": {"additional_origins": "b.test"}}], route("/off", filters={"csrf": False}), name="edge",
                  access_log={"path": "own.log", "format": "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"})
    origins = [child.url, "https://b.test", "https://evil.test"]
    assert [curl(child.url, "-X", "PUT", *sent(Origin=one)).status for one in origins] == [200, 200, 403]
    assert child.file_lines("own.log", 3)[2] == "UAEX csrf_origin_mismatch"
    assert curl(child.url, "-d", "x").body == "Invalid origin"
    assert curl(child.url, *sent(Origin="https://evil.test")).status == 200
    assert curl(child.url + "/off", "-X", "PUT", *sent(Origin="https://evil.test")).status == 200
    told = [child.stats()[f"http.edge.csrf.{name}"] for name in ("request_valid", "request_invalid", "missing_source_origin")]
    assert told == [2, 2, 1]


def test_local_rate_limit(proxy):
    """One bucket for all workers and connections; a route's own, for each connection."""
    headers = {"set": {"retry-after": "1"}}
    limits = [{"local_rate_limit": {"tokens": 5, "per": "1h", "response_headers": headers, "name": "edge"}}]
    own = {"local_rate_limit": {"tokens": 2, "per": "1h", "per_connection": True, "ratelimit_headers": True}}
    child = proxy(limits, route("/own", filters=own), workers=2, access_log={"path": "own.log", "format": "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"})
    answers = [curl(child.url) for _ in range(8)]
    assert [one.status for one in answers] == [200] * 5 + [429] * 3
    assert (answers[-1].body, answers[-1].headers["retry-after"]) == ("local_rate_limited", "1")
    assert child.file_lines("own.log", 8).count("RL local_rate_limited") == 3
    told = [child.stats()[f"edge.http_local_rate_limit.{name}"] for name in ("enabled", "ok", "rate_limited", "enforced")]
    assert told == [8, 5, 3, 3]
    for _ in range(2):
        done = command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %header{x-ratelimit-remaining}\n", f"{child.url}/own?[1-3]")
        assert done.stdout.splitlines() == ["200 1", "200 0", "429 0"]


# --- basic_auth

def hashed(*words):
    """What Apache's htpasswd writes: hashed("-B", name, password)."""
    return command("htpasswd", "-nb", *words).stdout.strip() + "\n"


def test_basic_auth(proxy):
    """Names and passwords of a file, which changes twice while it is served: to nonsense, and to another user."""
    files = {"users": "# ours\n" + hashed("-B", "ann", "open:sesame") + hashed("-s", "bob", "b")}
    options = {"users_file": "users", "realm": "shop", "forward_username_header": "x-user"}
    child = proxy([{"basic_auth": options}], route("/off", filters={"basic_auth": False}), files=files,
                  access_log={"path": "own.log", "format": "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"})
    for name, password in (("ann", "open:sesame"), ("ann", "open:sesame"), ("bob", "b")):
        assert curl(child.url, "-u", f"{name}:{password}", *sent(x_user="forged")).told["x-user"] == name
    refused = [curl(child.url, *words) for words in ([], ["-u", "ann:wrong"], ["-u", "carl:b"], ["-u", "bob:c"], sent(Authorization="Basic !"),
                                                     sent(Authorization="Digest a"))]
    assert {one.headers["www-authenticate"] for one in refused} == {'Basic realm="shop", charset="UTF-8"'}
    assert child.file_lines("own.log", 9)[3:] == [f"401 UAEX {why}_for_basic_auth" for why in (
        "no_credential_found", "invalid_credential", "invalid_credential", "invalid_credential", "invalid_format", "invalid_scheme")]
    assert curl(child.url + "/off").status == 200
    (child.dir / "users").write_text("ann\n")
    child.wait_stat("http.ingress.basic_auth.update_rejected", 1)
    child.wait_line(r'file is wrong, the users before serve on path=\S+ line=1 error="expected \\"name:hash\\""')
    assert curl(child.url, "-u", "ann:open:sesame").status == 200
    (child.dir / "users").write_text(hashed("-B", "carl", "c") + hashed("-B", "ann", "new"))
    child.wait_stat("http.ingress.basic_auth.update_success", 1)
    statuses = []

    def login(words):
        statuses.append(curl(child.url, "-u", words).status)
        return statuses[-1]

    eventually(lambda: login("carl:c") == 200)  # the worker has them, too
    assert [login(words) for words in ("bob:b", "ann:open:sesame", "ann:new")] == [401, 401, 200]
    told = [child.stats()[f"http.ingress.basic_auth.{name}"] for name in ("allowed", "denied")]
    assert told == [4 + statuses.count(200), 6 + statuses.count(401)]


def test_logins_hold_up_nobody(proxy):
    """A slow hash is compared apart: others are served meanwhile, and logins beyond those that may wait are sent away."""
    slow = {"basic_auth": {"users": hashed("-B", "-C", "11", "ann", "a").strip(), "max_pending": 1}}
    child = proxy([], {"match": {"path": "/login"}, "respond": {"status": 200}, "filters": slow}, access_log={"path": "own.log", "format": "%REQ(:PATH)% %RESPONSE_CODE%"})
    with child.frozen():
        clients = [child.connect("in") for _ in range(5)]
        for one in clients[:4]:
            one.sendall(b"GET /login HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic YW5uOmI=\r\n\r\n")
        clients[4].sendall(b"GET /other HTTP/1.1\r\nHost: a.test\r\n\r\n")
    statuses = [Reader(one).response().status for one in clients]
    assert statuses[4] == 200 and {*statuses[:4]} == {401, 503}
    order = child.file_lines("own.log", 5)
    assert order.index("/other 200") < order.index("/login 401")
    child.wait_stat("http.ingress.basic_auth.overflow", statuses.count(503))


def test_example_http_filters(nuncio, peer, monkeypatch):
    shop = peer(Mirror)
    monkeypatch.setenv("SHOP", shop.address)
    monkeypatch.setenv("EDGE_PORT", "0")
    url = f"http://{nuncio(ROOT / 'docs/examples/http-filters.yaml').address('edge')}"
    answer = curl(url + "/a", *sent(Origin="https://www.shop.test", X_Shop_User="forged"))
    assert "x-shop-user" not in answer.told and answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["access-control-allow-credentials"] == "true"
    answer = curl(url + "/api/cart", "-X", "DELETE", *sent(Origin="https://evil.test"))
    assert (answer.status, answer.headers["x-frame-options"]) == (403, "DENY")
    assert curl(url + "/hooks/a", "-d", "x").status == 200
    words = ["curl", "-sS", "-u", "ann:open sesame", "-o", "/dev/null", "-w", "%{http_code}\n", f"{url}/admin/?[1-7]"]
    assert command(*words).stdout.split() == ["200"] * 5 + ["429"] * 2
    assert dict(shop.wait(7)[-1]["headers"])["x-shop-user"] == "ann"
    assert curl(url + "/admin/", "-u", "bob:changeit").status == 200
    assert curl(url + "/admin/").headers["www-authenticate"].startswith('Basic realm="the shop"')
