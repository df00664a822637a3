"""Headers about the way: what a server gets of a client's, told by Python's server, asked by curl; edits; answers of our own."""
import email.utils
import json
import re
import time

import pytest

from lib.config import cluster, config, listener
from lib.mirror import Mirror, curl
from lib.nuncio import ROOT
from lib.pki import Ca

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def proxy(nuncio, peer, refusing_port):
    """proxy(routes=..., at={listener keys}, **http options) starts one in front of a Mirror, cluster "c"; its `url`."""
    def start(routes=({"cluster": "c"},), at=None, files=None, **http):
        child = nuncio(config(listeners=[listener({"http": {"routes": list(routes), **http}}, **(at or {}))],
                              clusters=[cluster(peer(Mirror)), cluster(refusing_port, name="down")]), files=files)
        child.url = f"http://{child.address('in')}"
        return child
    return start


def sent(*lines):
    """curl's options for these header lines."""
    return [word for line in lines for word in ("-H", line)]


def test_what_is_added(proxy):
    url = proxy().url
    answer = curl(url + "/a?b=c", "-A", "agent", "-H", "Accept: x")
    told = answer.told
    assert UUID.fullmatch(told.pop("x-request-id"))
    assert told == {"host": url.removeprefix("http://"), "user-agent": "agent", "accept": "x", "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-proto": "http"}
    assert answer.headers["server"] == "nuncio" and "x-request-id" not in answer.headers and "via" not in answer.headers
    assert curl(url).told["x-request-id"] != curl(url).told["x-request-id"]


CLAIMS = ["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1",
          "Forwarded: for=evil", "X-Real-IP: 198.51.100.7", "X-Request-ID: mine", "X-Envoy-Original-Path: /admin",
          "x-envoy-max-retries: 9", "X-Forwarded-Client-Cert: By=evil", "X_Forwarded_For: 198.51.100.7", "x-forwarded_proto: https",
          "X-Own: stays"]


def test_claims_of_strangers(proxy):
    told = curl(proxy().url, *sent(*CLAIMS)).told
    assert told.pop("x-request-id") != "mine"
    assert {k: v for k, v in told.items() if k.startswith(("x", "f"))} == {
        "x-forwarded-for": "198.51.100.7,127.0.0.1", "x-forwarded-proto": "http", "x-own": "stays"}
    assert curl(proxy(preserve_request_id=True).url, *sent(*CLAIMS)).told["x-request-id"] == "mine"


def test_claims_of_trusted_hops(proxy):
    child = proxy(trusted_hops=2, access_log={"path": "own.log", "format": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
                                              "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"})
    told = curl(child.url, *sent(*CLAIMS, "X-Forwarded-For: 192.0.2.9")).told
    assert told["x-forwarded-for"] == "198.51.100.7,192.0.2.9,127.0.0.1"
    assert told["x-forwarded-proto"] == "https" and told["x-request-id"] == "mine" and told["x-real-ip"] == "198.51.100.7"
    assert "x-forwarded-client-cert" not in told and "x_forwarded_for" not in told
    curl(child.url)
    assert child.file_lines("own.log", 2) == ["198.51.100.7 127.0.0.1", "127.0.0.1 127.0.0.1"]


def test_hosts_that_a_route_rewrites(proxy):
    routes = [{"match": {"path_prefix": "/a/"}, "cluster": "c", "rewrite": {"host": "in.test", "path_prefix": "/"}}, {"cluster": "c"}]
    url = proxy(routes).url
    told = curl(url + "/a/b", "-H", "Host: out.test:8080").told
    assert (told["host"], told["x-forwarded-host"], told["x-forwarded-port"]) == ("in.test", "out.test:8080", "8080")
    assert "x-forwarded-host" not in curl(url + "/b").told


def test_via_server_and_date(proxy):
    child = proxy(via="edge", server_name="", request_id_in_response=True, request_id=True, preserve_request_id=True)
    answer = curl(child.url, *sent("Via: 1.0 a", "X-Request-ID: mine"))
    assert answer.told["via"] == "1.0 a, 1.1 edge" and answer.headers["via"] == "1.1 edge"
    assert answer.headers["server"] == "mirror" and answer.headers["x-request-id"] == "mine"
    ours = curl(proxy([{"match": {"path": "/none"}, "cluster": "c"}]).url)
    assert ours.status == 404 and ours.body == "" and ours.headers["content-length"] == "0" and ours.headers["server"] == "nuncio"
    assert abs(email.utils.parsedate_to_datetime(ours.headers["date"]).timestamp() - time.time()) < 5


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Ca(tmp_path_factory.mktemp("ca"))


XFCC = {"sanitize": (None, None), "forward_only": ("By=x", None), "append_forward": ("By=x,OURS", None), "sanitize_set": ("OURS", None),
        "always_forward_only": ("By=x", "By=x")}


@pytest.mark.parametrize("mode", XFCC)
def test_client_certificates(proxy, ca, mode):
    ours, me = ca.get("a.test", "DNS:a.test", "URI:spiffe://mesh/edge"), ca.get("me", "DNS:me.test", "DNS:me2.test", "URI:spiffe://mesh/me;x=1")
    tls = {"certificates": [{"cert": str(ours.cert), "key": str(ours.key)}], "client_certs": {"mode": "optional", "ca": str(ca.cert)}}
    details = {"client_cert_details": ["uri", "subject", "dns", "cert"]} if "OURS" in str(XFCC[mode][0]) else {}
    child = proxy(at={"tls": tls}, forward_client_cert=mode, **details)
    url = child.url.replace("http:", "https:")
    options = ["-k", "-H", "X-Forwarded-Client-Cert: By=x"]
    with_one = curl(url, *options, "--cert", me.cert, "--key", me.key).told
    without = curl(url, *options).told
    assert with_one["x-forwarded-proto"] == without["x-forwarded-proto"] == "https"
    pattern = XFCC[mode][0] and re.escape(XFCC[mode][0]).replace(
        "OURS", "By=spiffe://mesh/edge;Hash=[0-9a-f]{64};Cert=\"-----BEGIN%20CERTIFICATE-----%0A[\\w%-]+\";Subject=\"CN=me\";"
        "URI=\"spiffe://mesh/me;x=1\";DNS=me.test;DNS=me2.test")
    got = with_one.get("x-forwarded-client-cert")
    assert got is pattern is None or re.fullmatch(pattern, got), got
    assert without.get("x-forwarded-client-cert") == XFCC[mode][1]


def test_edits(proxy):
    request = {"set": {"x-who": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% by %PROTOCOL%", "x-cert": "%DOWNSTREAM_PEER_SUBJECT%"},
               "add": {"x-list": ["a", "b"]}, "remove": ["x-gone", "accept"]}
    response = {"set": {"server-says": "%RESPONSE_CODE%"}, "remove": "x-secret"}
    route = {"cluster": "c", "request_headers": request, "response_headers": response}
    answer = curl(proxy([route]).url, *sent("X-Who: me", "X-Cert: CN=forged", "X-Gone: 1"))
    told = json.loads(answer.body)["headers"]
    assert ["x-who", "127.0.0.1 by HTTP/1.1"] in told and [v for k, v in told if k == "x-list"] == ["a", "b"]
    assert not {"x-gone", "accept", "x-cert"} & {k for k, _ in told}
    assert "x-secret" not in answer.headers and answer.headers["server-says"] == "200"


def test_local_replies(proxy):
    replies = [{"status": 404, "body_file": "404.html", "content_type": "text/html", "headers": {"set": {"x-id": "%REQ(X-REQUEST-ID)%"}}},
               {"flags": ["UF"], "status_to": 502, "body": "later"}]
    routes = [{"match": {"path": "/down"}, "cluster": "down"}, {"match": {"path": "/own"}, "respond": {"status": 404, "body": "mine"}}]
    child = proxy(routes, local_replies=replies, files={"404.html": "<p>no"})
    answer = curl(child.url + "/x")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (404, "<p>no", "text/html") and UUID.fullmatch(answer.headers["x-id"])
    answer = curl(child.url + "/x", "-I")
    assert answer.headers["content-length"] == "5" and answer.body == ""
    assert curl(child.url + "/own").body == "mine"
    answer = curl(child.url + "/down")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (502, "later", "text/plain")


def test_example_http_headers(nuncio, peer, example_certs, monkeypatch):
    for name, value in {"CERTS": example_certs, "EDGE_PORT": 0, "SERVICE": peer(Mirror).address}.items():
        monkeypatch.setenv(name, str(value))
    child = nuncio(ROOT / "docs/examples/http-headers.yaml")
    port = child.port("edge")
    base, trust = f"https://www.test:{port}", ["--cacert", example_certs / "ca.pem", "--resolve", f"www.test:{port}:127.0.0.1"]
    me = ["--cert", example_certs / "client.pem", "--key", example_certs / "client.key"]
    answer = curl(base + "/api/x", *trust, *me, *sent("X-Caller: forged", "X-Debug: 1", "X-Forwarded-Client-Cert: By=forged"))
    told = answer.told
    assert answer.headers["x-request-id"] == told["x-request-id"] and answer.headers["server"] == "front"
    assert told["host"] == "api.internal" and told["x-forwarded-host"] == f"www.test:{port}" and "x-debug" not in told
    assert re.search(r"Hash=[0-9a-f]{64};Subject=\"[^\"]+\";URI=" + re.escape(told["x-caller"]), told["x-forwarded-client-cert"])
    stranger = curl(base + "/api/x", *trust, *sent("X-Caller: forged", "X-Forwarded-Client-Cert: By=forged")).told
    assert "x-caller" not in stranger and "x-forwarded-client-cert" not in stranger
    answer = curl(base + "/down", *trust)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "60", "<h1>Back in a minute</h1>\n")
    assert curl(base + "/none", *trust).status == 404
    child.wait_line(r'"GET /down HTTP/1.1" 503 UF 0 \d+ ')
