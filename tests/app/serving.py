"""Starts the server of the page on a free port, with a worker that is a stub."""

import asyncio
import contextlib
import http.client
import json
import pathlib
import re
import threading
import time

import uvicorn

from jaxhdr.app import running
from jaxhdr.app.downloads import DOWNLOADS
from jaxhdr.app.limits import Limits
from jaxhdr.app.photographs import Shelf
from jaxhdr.app.server import make_app
from jaxhdr.app.worker import Computed
from jaxhdr.errors import UserError

TOKEN = "X-Jaxhdr-Token"
PHOTOGRAPH = b"a photograph"
HOSTILE_PAGE = "<!DOCTYPE html><script>alert(1)</script>"


class StubWorker:
    """Computes at once, or when the test lets it; fails for what is no photograph."""

    def __init__(self):
        self.is_held = False
        self.is_broken = False
        self.computed = []
        self.interrupted = 0
        self.result_bytes = 10
        self.view = HOSTILE_PAGE
        self.thumbnail = b""
        self._interrupt = asyncio.Event()

    async def compute(self, folder, name, enter):
        if self.thumbnail:
            (folder / "thumbnail.png").write_bytes(self.thumbnail)
        enter("computing")
        self._interrupt.clear()
        while self.is_held and not self._interrupt.is_set():
            await asyncio.sleep(0.005)
        if self._interrupt.is_set():
            raise UserError("the computation was interrupted; try again")
        if self.is_broken:
            raise RuntimeError("a bug")
        if (folder / "source").read_bytes() != PHOTOGRAPH:
            raise UserError(f"cannot read {name}: its format is unknown")
        self.computed.append(name)
        (folder / "view.html").write_text(self.view)
        (folder / "hdr.npy").write_bytes(bytes(self.result_bytes))
        return Computed({"width": 4, "height": 3, "brightest": 2.0}, ["a warning"])

    async def write(self, folder, name, key):
        if key == "avif-pq":
            raise UserError("the extra avif is missing; pip install 'jaxhdr[avif]'")
        written = f"{key}{DOWNLOADS[key].suffix}"
        (folder / written).write_bytes(f"{name} as {key}".encode())
        return Computed(written, [])

    async def interrupt(self):
        self.interrupted += 1
        self._interrupt.set()


class Client:
    """Talks to a server as its page does, or otherwise."""

    def __init__(self, port):
        self.port = port
        settings = re.search(r'id="settings">(.*?)</script>', self.page(), re.S)
        self.settings = json.loads(settings[1])

    def page(self):
        return self.raw("GET", "/")[2].decode()

    def raw(self, method, path, body=None, headers=()):
        """Returns status, headers and content of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def api(self, method, path, body=None, headers=()):
        """Returns status and content of an answer of the interface."""
        headers = {TOKEN: self.settings["token"], **dict(headers)}
        status, _, content = self.raw(method, f"/api{path}", body, headers)
        return status, json.loads(content)

    def upload(self, body=PHOTOGRAPH, name="a.jpg"):
        return self.api("POST", f"/photographs?name={name}", body)

    def photographs(self):
        return self.api("GET", "/photographs")[1]["photographs"]

    def wait(self, condition, seconds=10):
        """Returns the list as soon as the condition holds for it."""
        end = time.monotonic() + seconds
        while not condition(listed := self.photographs()):
            assert time.monotonic() < end, listed
            time.sleep(0.01)
        return listed

    def wait_until_finished(self, seconds=10):
        return self.wait(
            lambda listed: all(one["state"] in ("done", "failed") for one in listed),
            seconds,
        )


class Running:
    """A server, its worker and its folder."""

    def __init__(self, port, worker, folder):
        self.client = Client(port)
        self.worker = worker
        self.folder = folder


@contextlib.contextmanager
def served(folder: pathlib.Path, *, host="127.0.0.1", **limits):
    """Yields a running server with a stub, in a thread of its own."""
    opened = running.listening("127.0.0.1", 0)
    worker = StubWorker()
    started = []

    async def serve():
        shelf = Shelf(folder, Limits(**limits))
        app = make_app(shelf, worker, host=host, missing={"jxl-pq": "no encoder"})
        server = uvicorn.Server(running._config(app))
        started.append(server)
        await server.serve(sockets=[opened])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield Running(opened.getsockname()[1], worker, folder)
    finally:
        worker.is_held = False
        started[0].should_exit = True
        thread.join()
        opened.close()
