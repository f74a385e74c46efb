"""Serve the page of a run on this machine, and the changes of what it shows."""

import hashlib
import time
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nas.core import strict_json
from nas.core.errors import NasError
from nas.core.storage import is_url
from nas.pipeline.pages import page_of
from nas.report.page import Page, contents, rendered
from nas.searching.runs.watch import SILENT_SECONDS

HOST = "127.0.0.1"
_SECONDS = 10
"""How often what lies at a URL, or a table, is read again."""
_HTML, _JSON = "text/html; charset=utf-8", "application/json"


def server(run: str, port: int) -> ThreadingHTTPServer:
    """Return a server of the page of `run` on 127.0.0.1, at any free port where `port` is 0.

    Raises:
        NasError: if there is no page of it, or the port is taken.
    """
    live = _Live(run)
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, live))
    except OSError as error:
        raise NasError(
            f"port {port} of {HOST} cannot be served: {error.strerror}; give another"
        ) from None


class _Live:
    """The page of a run as it is now; one that cannot be read for a moment stays as it was."""

    def __init__(self, run: str) -> None:
        """Read the page, and raise what is wrong with the run."""
        self.run, self._lock = run, Lock()
        self._signature = _signature(run)
        self._page = page_of(run)

    def now(self) -> Page:
        """Return the page of what is there now, read again where that has changed."""
        with self._lock:
            signature = _signature(self.run)
            if signature != self._signature:
                with suppress(NasError):  # a file that is being replaced; the next time tells
                    self._page = page_of(self.run)
                    self._signature = signature
            return self._page


def _signature(run: str) -> tuple[object, ...]:
    """Return what changes when the page may: sizes and times of files, and now and then the time.

    A search that died is told by the time alone, and so is everything at a URL.
    """
    folder = Path(run)
    if is_url(run) or not folder.is_dir():
        return (int(time.time() / _SECONDS),)
    files = [*folder.glob("*"), *folder.glob("*/*.*")]
    found = []
    for path in sorted(files):
        with suppress(OSError):
            stat = path.stat()
            found.append((str(path), stat.st_size, stat.st_mtime_ns))
    return (*found, int(time.time() / SILENT_SECONDS))


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page at `/`, and with its changes at `/data.json?after=STAMP`."""

    def __init__(self, live: _Live, *args: Any) -> None:
        self.live = live
        super().__init__(*args)

    def do_GET(self) -> None:  # the name that http.server calls
        """Answer a request; other hosts' names are refused, so that no other page can ask."""
        address = urlsplit(self.path)
        _, port = self.request.getsockname()
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(403)
            return
        if address.path == "/":
            page = self.live.now()
            self._send(_HTML, rendered(page, live=_stamp(page)))
        elif address.path == "/data.json":
            self._changes(parse_qs(address.query).get("after", [""])[0])
        else:
            self.send_error(404)

    def _changes(self, after: str) -> None:
        page = self.live.now()
        stamp = _stamp(page)
        if stamp == after:
            self.send_response(204)
            self.end_headers()
            return
        inside, data = contents(page)
        found = {"stamp": stamp, "html": inside, "data": {**data, "live": stamp}}
        self._send(_JSON, strict_json.dumps(found))

    def _send(self, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # http.server's name
        """Say nothing of each request."""


def _stamp(page: Page) -> str:
    """Return a digest of what a page shows."""
    inside, data = contents(page)
    text = f"{inside}{strict_json.dumps(data)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
