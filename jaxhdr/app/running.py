"""Runs the server until it is told to end, and leaves nothing behind."""

import asyncio
import contextlib
import errno
import pathlib
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import uvicorn

from jaxhdr.app.limits import Limits
from jaxhdr.app.photographs import Shelf
from jaxhdr.app.server import make_app
from jaxhdr.app.worker import ProcessWorker
from jaxhdr.errors import UserError

_MOST_CONNECTIONS: Final = 200
_MOST_HEADER_BYTES: Final = 16_384
_LARGEST_PORT: Final = 65_535
_GRACE_SECONDS: Final = 2


def serve(
    model: Mapping[str, Any],
    *,
    host: str,
    port: int,
    limits: Limits,
    announce: Callable[[str], None],
) -> None:
    """Serves until SIGINT or SIGTERM; then all that was kept is removed.

    Args:
      model: arguments of `Reconstructor`.
      host: address or name to listen on.
      port: port to listen on; 0 for a free one.
      limits: what is accepted and kept.
      announce: called with the address of the page when it can be opened.

    Raises:
      UserError: the port cannot be used, or the model cannot be loaded.
    """
    with (
        contextlib.closing(listening(host, port)) as opened,
        _ended_by_signals(),
        tempfile.TemporaryDirectory(
            prefix="jaxhdr-serve-", ignore_cleanup_errors=True
        ) as folder,
        contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError),
    ):
        asyncio.run(
            _serve(opened, model, host=host, folder=folder, limits=limits, say=announce)
        )


def listening(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Args:
      host: address or name.
      port: port; 0 for a free one.

    Raises:
      UserError: the port is in use or reserved, or the host is not of this machine.
    """
    if port > _LARGEST_PORT:
        raise UserError(f"--port is {port}; expected at most {_LARGEST_PORT}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"--host is {host!r}, which is no address of this machine; leave it out"
        ) from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen()
    except OSError as error:
        opened.close()
        raise UserError(_reason(error, host, port)) from error
    return opened


async def _serve(
    opened: socket.socket,
    model: Mapping[str, Any],
    *,
    host: str,
    folder: str,
    limits: Limits,
    say: Callable[[str], None],
) -> None:
    private = pathlib.Path(folder)
    worker = ProcessWorker(model, folder=private, pixels=limits.pixels)
    try:
        greeting = await worker.start()
        shelf = Shelf(private, limits)
        app = make_app(shelf, worker, host=host, missing=greeting.missing)
        server = uvicorn.Server(_config(app))
        say(_address(opened))
        await server.serve(sockets=[opened])
    finally:
        await worker.close()


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        log_level="error",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Makes SIGTERM and a closed terminal (SIGHUP) end the block as Ctrl-C does."""
    handlers: dict[int, Any] = {signal.SIGTERM: signal.default_int_handler}
    if hasattr(signal, "SIGHUP"):
        # uvicorn knows SIGTERM, and ends in order.
        handlers[signal.SIGHUP] = lambda *_: signal.raise_signal(signal.SIGTERM)
    before = {number: signal.signal(number, one) for number, one in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _address(opened: socket.socket) -> str:
    host, port = opened.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another --port, or 0 for a free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} is reserved for the system; choose a --port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host is {host!r}, which is no address of this machine; leave it out"
    return f"cannot listen on {host}, port {port}: {error.strerror}"
