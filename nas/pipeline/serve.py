"""Serve the page of a run on this machine, and the changes of what it shows."""

import hashlib
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nas.core import strict_json
from nas.core.errors import NasError
from nas.pipeline.pages import page_of
from nas.report.page import Page, contents, rendered

HOST = "127.0.0.1"
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
        self._page = page_of(run)

    def now(self) -> Page:
        """Return the page of what is there now."""
        with self._lock:
            with suppress(NasError):  # a file that is just being replaced; the next time tells
                self._page = page_of(self.run)
            return self._page


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
