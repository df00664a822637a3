"""Chromium without a window, told what to do through the pipe of its DevTools protocol. Without its sandbox, which root and
containers cannot have: it sees our own pages only."""
import base64
import itertools
import json
import os
import threading

from lib.poll import PATIENCE, SLOW, eventually
from lib.process import Child

PIPE = 'exec "$@" 3<&{0} 4>&{1}'  # the descriptors that --remote-debugging-pipe wants


class Browser(Child):
    """One page of it. `said` has what the page's console and the browser complained of."""

    def __init__(self, folder):
        read_end, self._commands = os.pipe()
        self._answers, write_end = os.pipe()
        super().__init__("bash", "-c", PIPE.format(read_end, write_end), "bash", "chromium", "--headless=new", "--remote-debugging-pipe",
                         f"--user-data-dir={folder}/chromium", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
                         "--disable-background-networking", "--force-device-scale-factor=1",
                         "--no-sandbox", "about:blank", pass_fds=(read_end, write_end))
        os.close(read_end)
        os.close(write_end)
        self._numbers, self._done, self.said = itertools.count(1), {}, []
        self._reading = threading.Thread(target=self._listen, daemon=True)
        self._reading.start()
        self._session = None
        page = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log":
            self.tell(f"{domain}.enable")

    def _listen(self):
        buffer = b""
        while data := os.read(self._answers, 1 << 20):
            *whole, buffer = (buffer + data).split(b"\0")
            for text in whole:
                self._heard(json.loads(text))

    def _heard(self, message):
        if "id" in message:
            self._done[message["id"]] = message
        elif message["method"] in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"):
            self.said.append(message["params"])

    def tell(self, method, **params):
        """The command's result."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps({"id": number, "method": method, "params": params, **session}).encode() + b"\0")
        answer = eventually(lambda: self._done.pop(number, None) or not self.running() and {"error": self.output()}, what=method)
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, script):
        """The value of an expression in the page."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script, timeout=PATIENCE):
        """Until the expression is true; its value."""
        return eventually(lambda: self.run(script), timeout, script)

    def resize(self, width, height, dark=False, phone=False):
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url):
        self.tell("Page.navigate", url=url)

    def screenshot(self, path):
        data = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        try:
            self.tell("Browser.close")
            self.wait_end()
        except AssertionError:
            pass
        self.end()
        self._reading.join(10 * SLOW)
        os.close(self._commands)
        os.close(self._answers)

    def wait_end(self):
        eventually(lambda: not self.running())
