"""What the server answers.

`/` is the page. What is under `/api/` needs its token. `/files/KEY` gives a file whose
random key the interface gave out. No address is ever turned into a path.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from jaxhdr.app import queue, uploads
from jaxhdr.app.downloads import DOWNLOADS
from jaxhdr.app.limits import Refused
from jaxhdr.app.names import content_disposition, shown_name
from jaxhdr.app.page import make_page
from jaxhdr.app.photographs import Photograph, Shelf
from jaxhdr.app.security import Guard, refusal
from jaxhdr.app.worker import Worker

# The viewer's page has a policy of its own, which allows its script and no request.
# Here it also loses its origin, so it could not ask this server for anything either.
_SHOWN_HEADERS: Final = {
    "Content-Security-Policy": "sandbox allow-scripts; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}
_SENTENCES: Final = {
    404: "there is nothing at this address; open / instead",
    405: "this address does not take such a request",
}


def make_app(
    shelf: Shelf, worker: Worker, *, host: str, missing: Mapping[str, str]
) -> Guard:
    """Returns the application (ASGI).

    Args:
      shelf: the list of photographs.
      worker: who computes them.
      host: the address or name that the server listens on.
      missing: why formats cannot be written, by their keys.
    """
    token = secrets.token_urlsafe(32)
    handlers = _Handlers(shelf, worker)
    page = make_page(_settings(shelf, token, missing))

    async def show_page(request: Request) -> Response:
        headers = {"Content-Security-Policy": page.policy}
        return HTMLResponse(page.content, headers=headers)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        computing = asyncio.create_task(queue.run(shelf, worker))
        yield
        computing.cancel()

    one = "/api/photographs/{id}"
    routes = [
        Route("/", show_page),
        Route("/api/photographs", handlers.summary),
        Route("/api/photographs", handlers.upload, methods=["POST"]),
        Route(one, handlers.remove, methods=["DELETE"]),
        Route(one + "/files/{format}", handlers.write, methods=["POST"]),
        Route("/files/{key}", handlers.send_file),
    ]
    errors: Mapping[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        Refused: _refuse,
        HTTPException: _explain,
        Exception: _apologise,
    }
    app = Starlette(routes=routes, exception_handlers=errors, lifespan=lifespan)
    # A redirect would send a browser to a host of the request's choice.
    app.router.redirect_slashes = False
    return Guard(app, host=host, token=token)


class _Handlers:
    """The interface of the page."""

    def __init__(self, shelf: Shelf, worker: Worker):
        self._shelf = shelf
        self._worker = worker

    async def summary(self, request: Request) -> Response:
        return JSONResponse(self._shelf.summary())

    async def upload(self, request: Request) -> Response:
        pieces = request.stream()
        try:
            uploads.check_announced(
                request.headers.get("content-length"), self._shelf.limits
            )
            name = shown_name(request.query_params.get("name", ""))
            photograph = self._shelf.reserve(name)
            await self._receive(photograph, pieces)
        except Refused:
            if "expect" not in request.headers:  # it waits to be asked for the body
                await uploads.discard(pieces)
            raise
        return JSONResponse({"id": photograph.id}, status_code=201)

    async def _receive(
        self, photograph: Photograph, pieces: AsyncIterator[bytes]
    ) -> None:
        shelf = self._shelf
        is_received = False
        try:
            await uploads.receive(pieces, photograph.source, shelf.limits)
            is_received = True
        finally:  # also if the browser went away
            if not is_received:
                shelf.remove(photograph)
        if photograph.id not in shelf.photographs:
            raise Refused(409, "the photograph was removed while it was sent")
        shelf.enqueue(photograph)

    async def remove(self, request: Request) -> Response:
        photograph = self._shelf.get(request.path_params["id"])
        await queue.remove(photograph, self._shelf, self._worker)
        return JSONResponse({})

    async def write(self, request: Request) -> Response:
        photograph = self._shelf.get(request.path_params["id"])
        chosen = request.path_params["format"]
        key = await queue.share(photograph, chosen, self._shelf, self._worker)
        return JSONResponse({"address": f"/files/{key}"})

    async def send_file(self, request: Request) -> Response:
        file = self._shelf.opened(request.path_params["key"])
        if file.name is not None:
            headers = {"Content-Disposition": content_disposition(file.name)}
        elif file.media_type.startswith("text/html"):
            headers = dict(_SHOWN_HEADERS)
        else:
            headers = {}
        return FileResponse(file.path, media_type=file.media_type, headers=headers)


def _settings(shelf: Shelf, token: str, missing: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the script of the page needs to know."""
    return {
        "token": token,
        "mostBytes": shelf.limits.upload_bytes,
        "mostPhotographs": shelf.limits.photographs,
        "downloads": [
            {
                "key": key,
                "label": download.label,
                "purpose": download.purpose,
                "missing": missing.get(key, ""),
            }
            for key, download in DOWNLOADS.items()
        ],
    }


async def _refuse(request: Request, error: Any) -> Response:
    return refusal(error)


async def _explain(request: Request, error: Any) -> Response:
    sentence = _SENTENCES.get(error.status_code, "the request is wrong")
    return refusal(Refused(error.status_code, sentence))


async def _apologise(request: Request, error: Any) -> Response:
    if isinstance(error, ClientDisconnect):  # nobody reads the answer
        return Response(status_code=400)
    return refusal(Refused(500, "the server made a mistake; this is a bug"))
