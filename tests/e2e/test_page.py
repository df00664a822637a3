"""The admin's page in Chromium: at phone and desktop width, with a thousand clusters and hostile names."""
import pytest

from lib.browser import Browser
from lib.config import cluster, config, listener
from lib.http import Client, Origin
from lib.nuncio import run_nuncio
from lib.ports import RefusingPort, free_port

MARKUP = "<img src=x onerror=document.title='owned'>"
ROUTES = [{"match": {"path": "/sick"}, "cluster": MARKUP}, {"cluster": "c"}]
TEXT = "document.body.innerText"


def many(origin, refusing, port):
    sick = {"name": MARKUP, "endpoints": refusing.address, "health_check": {"tcp": {}, "interval": "1s", "timeout": "500ms", "unhealthy": 1}}
    others = [cluster("127.0.0.1:1", name=f"other-{n:04}") for n in range(998)]
    return config(listeners=[listener({"http": {"routes": ROUTES, "name": "in"}}, access_log=[])], clusters=[cluster(origin.address), sick, *others],
                  admin=f"127.0.0.1:{port}")


@pytest.mark.once
def test_the_page(nuncio, peer, closing, tmp_path):
    port, refusing = free_port(), closing(RefusingPort())
    proxy = nuncio(many(peer(Origin), refusing, port), workers=2)
    proxy.path.write_text(proxy.path.read_text() + "<b>bogus</b>: 1\n")
    assert run_nuncio("ctl", "-s", f"127.0.0.1:{port}", "reload").returncode == 1
    page = closing(Browser(tmp_path))
    page.resize(1280, 900)
    page.open(f"http://127.0.0.1:{port}/")
    page.until("document.body && document.body.dataset.drawn > 0")
    with Client(proxy) as client:
        for _ in range(5):
            client.get("/")
            client.get("/sick<script>document.title='owned'</script>?secret")
            client.get("/sick")
        page.run("look()")
        seen = page.until(f"{TEXT}.includes('10 since the start') || {TEXT}.includes('15 since the start') ? {TEXT} : ''")
    # Figures, what is sick first, errors and their reasons, the load that failed; markup is text.
    for part in "1000, 1 with unhealthy endpoints", MARKUP, "0 of 1 healthy", "connection failure", "GET a.test/sick", "unknown key", "in\n":
        assert part in seen, (part, seen)
    assert "secret" not in seen and "/reload" not in seen and page.run("document.title") == "nuncio"
    assert page.run("document.querySelectorAll('img, script:not(body > script)').length") == 0

    # A thousand clusters are pages of rows; a box finds one, a click shows its endpoints.
    assert page.run("document.querySelectorAll('#clusters tr').length") == 25
    page.run("document.querySelector('#next').click()")
    assert page.run("document.querySelector('#where').textContent") == "26–50 of 1000"
    page.run("const find = document.querySelector('#find'); find.value = 'OTHER-0777'; find.dispatchEvent(new Event('input'))")
    page.run("document.querySelector('#clusters button').click()")
    assert "other-0777" in page.run("document.querySelector('#clusters').innerText") and "127.0.0.1:1" in page.run("document.querySelector('#clusters').innerText")
    assert page.run("document.querySelector('#clusters button').getAttribute('aria-expanded')") == "true"

    # On a phone nothing is wider than the screen; each control has a name, each chart says what it shows.
    for dark in False, True:
        page.resize(390, 844, dark=dark, phone=True)
        assert page.run("document.documentElement.scrollWidth") == 390
        page.screenshot(tmp_path / f"phone-{dark}.png")
    unnamed = "[...document.querySelectorAll('button, input, select')].filter(e => !e.textContent.trim() && !e.labels.length).length"
    assert page.run(unnamed) == 0 and page.run("[...document.querySelectorAll('svg[role=img]')].every(e => e.getAttribute('aria-label'))")
    assert page.said == []

    # When nuncio is gone, the page says so.
    proxy.stop()
    page.run("look()")
    page.until(f"{TEXT}.includes('No answer from nuncio')")
