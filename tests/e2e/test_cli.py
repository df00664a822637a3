"""The commands that end by themselves: help, version, check, filters; and the runnable examples."""
import os
import re

import pytest

from lib.nuncio import ROOT, run_nuncio

COMMANDS = ["run", "check", "filters", "explain", "ctl", "top"]
EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))
GOOD = 'listeners: [{name: a, bind: "127.0.0.1:8080", filters: [echo]}]\nclusters: [{name: web, endpoints: "10.0.0.1:80"}]\n'


@pytest.fixture
def file(tmp_path):
    """file(text) writes a config and gives its path."""
    def write(text, name="some.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name
    return write


# --- help and usage

def test_help_names_every_command():
    done = run_nuncio("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines() if re.match(r"  [a-z]+  ", line)] == COMMANDS
    assert run_nuncio("-h").stdout == run_nuncio("help").stdout == done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name):
    done = run_nuncio(name, "--help")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith(f"usage: nuncio {name}")
    assert "--help" in done.stdout and max(map(len, done.stdout.splitlines())) <= 120
    assert run_nuncio("help", name).stdout == run_nuncio(name, "-h").stdout == done.stdout


def test_version_names_the_libraries():
    done = run_nuncio("--version")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and re.fullmatch(r"nuncio \d+\.\d+\.\d+\S*", lines[0])
    assert all(any(re.fullmatch(rf"{lib} \d+\.\d\S*", line) for line in lines) for lib in ["libevent", "libyaml", "c-ares"])


@pytest.mark.parametrize("words, said", [
    ([], "usage: nuncio COMMAND"),
    (["chek"], 'unknown command "chek": did you mean "check"?'),
    (["explain"], "which file? -c FILE"),
    (["explain", "-c", "a.yaml"], "which request?"),
    (["explain", "-c", "a.yaml", "GET h/p"], "is no request like"),
    (["explain", "-c", "a.yaml", "GET http://h/p", "GET"], "one request at a time"),
    (["explain", "-c", "a.yaml", "http://h/p", "--client", "x"], "is no address"),
    (["check"], "which file? -c FILE"),
    (["check", "-c"], 'option "-c" wants a value'),
    (["check", "a.yaml"], 'what is "a.yaml"?'),
    (["check", "-c", "a.yaml", "--prnt"], 'unknown option "--prnt": did you mean "--print"?'),
    (["check", "-c", "a.yaml", "-x"], 'unknown option "-x"'),
    (["check", "-c", "a.yaml", "--print=yes"], 'option "--print=yes" takes no value'),
    (["run"], "which config? -c FILE, or --from ADDRESS --to ADDRESS"),
    (["run", "-c", "a.yaml", "--from", ":1", "--to", "a:1"], "either -c FILE, or --from, --to"),
    (["run", "-c", "a.yaml", "--emit"], "either -c FILE, or --from, --to"),
    (["run", "--tls-cert", "a.pem"], "which config? -c FILE, or --from ADDRESS --to ADDRESS"),
    (["run", "-c", "a.yaml", "--tls-cert", "a.pem"], "either -c FILE, or --from, --to"),
    (["filters", "echo", "echo"], "one name at a time"),
    (["ctl", "-c", "a.yaml"], "which command?"),
    (["ctl", "stats"], "whom to ask?"),
    (["ctl", "-c", "a.yaml", "-s", "unix:x", "stats"], "whom to ask?"),
    (["ctl", "-c", "a.yaml", "stats", "x" * 5000], "too long"),
    (["ctl", "-c", "a.yaml", "ready\ndrain"], 'unknown command "ready?drain"'),
    (["docs", "nothing"], 'no page "nothing"'),
])
def test_wrong_usage_is_told_and_exits_2(words, said):
    done = run_nuncio(*words)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


def test_output_that_nobody_takes_is_a_failure(file):
    with open("/dev/full", "w") as full:
        from lib.nuncio import BINARY
        import subprocess
        done = subprocess.run([BINARY, "check", "-c", file(GOOD), "--print"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


# --- check

def test_check_says_ok(file):
    done = run_nuncio("check", "-c", file(GOOD))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok: 1 listeners, 1 clusters\n", "")


def test_check_takes_json(file):
    done = run_nuncio("check", "-c", file('{"listeners": [{"bind": "[::1]:8080", "filters": ["echo"]}]}', "some.json"))
    assert (done.returncode, done.stdout) == (0, "ok: 1 listeners, 0 clusters\n")


def test_check_warns_of_a_config_that_serves_nothing(file):
    done = run_nuncio("check", "-c", file("workers: 1\n"))
    assert done.returncode == 0 and "some.yaml: warning: no listeners" in done.stderr


def test_check_leaves_no_trace(file, tmp_path):
    path = file("admin: on\n" + GOOD.replace("filters:", "access_log: {path: log}, filters:").replace("127.0.0.1:8080", "unix:sock"))
    assert run_nuncio("check", "-c", path).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["some.yaml"]


RICH = """
workers: 2
admin: on
drain_timeout: 90s
listeners:
  - bind: [127.0.0.1:8080, "[::1]:8080"]
    access_log: [{path: tcp.log}, {path: tcp.json, format: json}]
    proxy_protocol: optional
    chains:
      - match: {sni: [a.test, "*.b.test"], alpn: h2, source: 10.0.0.0/8, source_port: [1, 2]}
        filters:
          - ip_filter: {deny: "2001:db8::/32"}
          - throttle: {rate: 2048KiB/s, burst: 1MiB}
          - connection_limit: {max: 10}
          - tcp_proxy: web
      - name: rest
        filters: echo
clusters:
  name: web
  connect_timeout: 0.5s
  endpoints: [10.0.0.1:80, {address: "${NUNCIO_NO_SUCH:-a.test}:80", weight: 3, priority: 1}]
  proxy_protocol: v2
"""


def test_print_normalizes_and_checks_to_itself(file):
    first = run_nuncio("check", "-c", file(RICH), "--print")
    assert (first.returncode, first.stderr) == (0, "")
    again = run_nuncio("check", "-c", file(first.stdout, "again.yaml"), "--print")
    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_print_writes_defaults_and_canonical_values(file, tmp_path):
    text = run_nuncio("check", "-c", file(RICH), "--print").stdout
    for line in [f"admin: unix:{tmp_path}/admin.sock", "drain_timeout: 90s", "sniff_timeout: 15s", "rate: 2MiB", "connect_timeout: 500ms",
                 f"path: {tmp_path}/tcp.log", "cluster: web", "idle_timeout: 1h", "balance: round_robin"]:
        assert re.search(rf"^ *(- )?{re.escape(line)}$", text, re.M), f"{line!r} is not in\n{text}"
    assert "a.test:80" in text and "NUNCIO" not in text


def test_print_of_a_wrong_config_prints_none(file):
    done = run_nuncio("check", "-c", file("wrkers: 1\n"), "--print")
    assert (done.returncode, done.stdout) == (1, "") and "unknown key" in done.stderr


# --- filters and pages

def test_filters_lists_all_and_shows_each():
    listed = run_nuncio("filters")
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert listed.returncode == 0 and names == sorted(names)
    assert {"echo", "tcp_proxy", "ip_filter", "throttle", "connection_limit"} <= set(names)
    for name in names:
        shown = run_nuncio("filters", name)
        assert shown.returncode == 0 and shown.stdout.startswith(f"{name}: ") and "faces: " in shown.stdout


def test_filters_shows_types_and_defaults():
    shown = run_nuncio("filters", "tcp_proxy").stdout
    assert re.search(r"^  idle_timeout +duration; default 1h$", shown, re.M)


@pytest.mark.parametrize("name, said", [("ech", 'did you mean "echo"?'), ("tap", "not in this version"), ("sock", "no filter")])
def test_filters_of_an_unknown_name(name, said):
    done = run_nuncio("filters", name)
    assert (done.returncode, done.stdout) == (1, "") and said in done.stderr


def test_reference_has_every_filter_and_key():
    page = run_nuncio("docs", "reference").stdout
    for name in (line.split()[0] for line in run_nuncio("filters").stdout.splitlines()):
        assert f"### {name}\n" in page
    for key in ["workers", "drain_timeout", "sniff_timeout", "connect_timeout", "idle_timeout", "sni"]:
        assert f"| `{key}` |" in page


# --- examples

@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_checks_and_says_how_to_try_it(path, example_certs):
    done = run_nuncio("check", "-c", path, env={**os.environ, "CERTS": str(example_certs)})
    if path.stem == "demo":  # its traffic is meant to be read
        warnings = re.findall(r"warning: (.*)", done.stderr)
        assert done.returncode == 0 and warnings and all("keylog: whoever reads" in words for words in warnings), done.stderr
    else:
        assert done.returncode == 0 and done.stderr == "", done.stderr
    head = re.match(r"(#.*\n)+", path.read_text())
    assert head and "run -c" in head[0]


def test_there_are_examples():
    assert {"demo", "sni", "proxy-protocol", "tcp-balance", "throttle-and-limits"} <= {path.stem for path in EXAMPLES}


def test_the_readme_s_config_is_right(file):
    config = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    done = run_nuncio("check", "-c", file(config))
    assert done.returncode == 0 and done.stderr == "", done.stderr
