"""Refuses requests that the page of this server did not send.

A server on this machine can be reached by every web page that its user opens. Four
checks keep them out. The `Host` must be a name of this server, which stops names that
are pointed at this machine (DNS rebinding). `Origin` and `Sec-Fetch-Site`, which pages
cannot forge, must be those of this server. The interface under `/api/` wants a token
that only our page has. And no answer allows another origin to read it.
"""

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from jaxhdr.app.limits import Refused

TOKEN_HEADER: Final = "x-jaxhdr-token"
"""Header of a request to the interface."""

API: Final = "/api/"
"""What the paths of the interface begin with."""

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine that no other machine can take."""

_READING: Final = ("GET", "HEAD")

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of each answer that does not set them itself."""


class Guard:
    """Checks each request before the application sees it."""

    def __init__(self, app: Any, *, host: str, token: str):
        """Wraps an application.

        Args:
          app: the application (ASGI).
          host: the address or name that the server listens on.
          token: what requests to the interface must have.
        """
        self._app = app
        self._host = host
        self._token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope)
        except Refused as refused:
            answer = refusal(refused)
            await answer(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Any) -> None:
        headers = Headers(scope=scope)
        check_host(headers.get("host", ""), self._host)
        check_site(scope["method"], headers)
        if scope["path"].startswith(API):
            given = headers.get(TOKEN_HEADER, "")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                raise Refused(
                    403,
                    "the request does not have the token of this server; reload the "
                    "page, because the server was perhaps started anew",
                )


def refusal(refused: Refused) -> JSONResponse:
    """Returns the answer that says why a request is refused."""
    return JSONResponse({"error": refused.sentence}, status_code=refused.status)


def check_host(given: str, host: str) -> None:
    """Checks that a request means this server.

    Args:
      given: header `Host` of the request. The port is not looked at, because a tunnel
        may change it.
      host: what the server listens on.

    Raises:
      Refused: it means another one.
    """
    name = _without_port(given).lower()
    if name in LOOPBACK or name == host.lower():
        return
    # A number cannot be pointed elsewhere, so it is as good as the configured host.
    if not is_loopback(host) and (_is_address(name) or name == _machine_name()):
        return
    raise Refused(
        403, f"the request is for another host; open this page at http://{_url(host)}"
    )


def check_site(method: str, headers: Headers) -> None:
    """Checks that a request does not come from a page of another origin.

    Args:
      method: its method.
      headers: its headers.

    Raises:
      Refused: it does.
    """
    site = headers.get("sec-fetch-site", "none")
    is_visit = method in _READING and (
        headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    origin = headers.get("origin")
    # The viewer is sandboxed, so it has no origin, and it asks for nothing.
    own = f"http://{headers.get('host', '')}"
    if site not in ("same-origin", "none") and not is_visit:
        raise Refused(403, "requests from pages of other sites are refused")
    if origin is not None and origin != own:
        raise Refused(403, "requests from pages of other sites are refused")


def is_loopback(host: str) -> bool:
    """Returns whether only programs on this machine reach a host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(given: str) -> str:
    if given.startswith("["):
        return given[1:].partition("]")[0]
    return given.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _machine_name() -> str:
    return socket.gethostname().lower()


def _url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
