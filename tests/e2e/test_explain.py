"""nuncio explain: which chain and route would take a request, and why the others do not."""
import pytest

from lib.nuncio import run_nuncio

CHAINS = """
listeners:
  - name: edge
    bind: 127.0.0.1:8443
    chains:
      - {name: a, match: {sni: [a.test, "*.b.test"], alpn: h2}, filters: [{tcp_proxy: a}]}
      - {name: b, match: {sni: ["*.b.test"]}, filters: [{throttle: {rate: 1MiB}}, {tcp_proxy: a}]}
      - {name: inside, match: {sni: x.b.test, source: 10.0.0.0/8}, filters: [echo]}
      - {name: plain, match: {transport: plain, destination_port: [1, 2, 3, 8443, 4]}, filters: [echo]}
  - {name: other, bind: ["127.0.0.1:81", "127.0.0.1:82"], filters: [echo]}
  - {name: names, bind: "udp://127.0.0.1:53", filters: [{udp_proxy: a}]}
clusters: [{name: a, endpoints: "127.0.0.1:1"}]
"""


@pytest.fixture
def explain(tmp_path):
    """explain(config, request, ...) gives what is said, after looking at the exit code."""
    def ask(config, *words, code=0):
        (tmp_path / "some.yaml").write_text(config)
        done = run_nuncio("explain", "-c", str(tmp_path / "some.yaml"), *words)
        assert done.returncode == code, done
        return done.stdout if code == 0 or done.stdout else done.stderr
    return ask


def test_the_chain_and_why_not_the_others(explain):
    assert explain(CHAINS, "GET https://x.b.test:8443/p") == """\
listener edge
  chain a takes it
    tcp_proxy
  chain b: a is more specific
  chain inside: source is not 10.0.0.0/8
  chain plain: transport is not plain
"""


def test_the_client_counts(explain):
    said = explain(CHAINS, "https://x.b.test:8443", "--client", "10.1.2.3")
    assert "  chain inside takes it\n    echo\n" in said and "  chain a: inside is more specific\n" in said


def test_without_a_port_all_listeners_of_streams_are_told_of(explain):
    said = explain(CHAINS, "GET https://c.test/")
    assert said == """\
listener edge
  chain a: sni is not a.test, *.b.test
  chain b: sni is not *.b.test
  chain inside: sni is not x.b.test
  chain plain: transport is not plain
  no chain takes it: it is closed
listener other
  chain other takes it
    echo
"""
    assert explain(CHAINS, "GET https://c.test:99/") == said  # a port that is mapped on the way
    assert explain(CHAINS, "GET http://c.test:82/") == "listener other\n  chain other takes it\n    echo\n"
    assert "  chain plain takes it\n" in explain(CHAINS, "CONNECT c.test:8443")


def test_nothing_takes_it(explain):
    assert "no chain takes it" in explain(CHAINS, "GET https://c.test:8443/", code=1)


def test_a_wrong_config_is_told(explain):
    assert 'unknown filter "ech"' in explain("listeners: [{bind: 127.0.0.1:1, filters: [ech]}]\n", "GET http://h/", code=1)
