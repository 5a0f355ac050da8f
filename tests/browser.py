"""A headless Chromium, driven over a pipe: what a page asks for, says and measures. Nothing is put into the page."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

START = "import os, sys; r, w, *words = sys.argv[1:]; os.dup2(int(r), 3); os.dup2(int(w), 4); os.execv(words[0], words)"


class Browser:
    """A browser with one page. The protocol is Chromium's own: JSON between zero bytes, on descriptors 3 and 4."""

    def __init__(self) -> None:
        assert CHROMIUM is not None
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (read, self._write), (self._read, write) = os.pipe(), os.pipe()
        words = [
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
            *("--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"),
            *("--remote-debugging-pipe", f"--user-data-dir={self.folder.name}"),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(read), str(write), *words], pass_fds=(read, write),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self.events: list[dict[str, Any]] = []
        self._rest, self._number, self.session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(10)
        os.close(self._write)
        os.close(self._read)
        self.folder.cleanup()

    def call(self, method: str, **given: object) -> dict[str, Any]:
        """A command of the protocol, and its result; events that come meanwhile are kept."""
        self._number += 1
        about = {"id": self._number, "method": method, "params": given}
        os.write(
            self._write, json.dumps(about | ({"sessionId": self.session} if self.session else {})).encode() + b"\0"
        )
        while (message := self._next()).get("id") != self._number:
            self.events.append(message)
        assert "error" not in message, (method, message)
        return dict(message["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has gone"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def open(self, path: Path, *, width: int = 1000, dark: bool = False, media: str = "") -> None:
        """Load a page, and wait until it is there. What it asks for and says is in `events` from here on."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        self.call("Page.navigate", url=path.absolute().as_uri())
        while not any(each.get("method") == "Page.loadEventFired" for each in self.events):
            self.events.append(self._next())

    def of(self, *methods: str) -> list[dict[str, Any]]:
        """What has happened of some kinds."""
        return [each["params"] for each in self.events if each.get("method") in methods]

    def value(self, expression: str) -> Any:
        """What an expression gives, in the page as it is."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, path: Path) -> None:
        """The whole page as a PNG, for whoever looks at it."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        size = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True, "printBackground": True}
        return base64.b64decode(self.call("Page.printToPDF", **size)["data"])
