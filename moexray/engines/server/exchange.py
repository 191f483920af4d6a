"""One HTTP exchange with a server that is not trusted: bounded in bytes and in time, and never somewhere else.

- Redirects are not followed: the key, and the prompts, are for the server that was named.
- Proxies and `.netrc` of the environment are not used: a proxy would see the prompts, and could change what is
  recorded; `.netrc` would send a password that nobody asked for. Certificates are those of the system.
- No encoded reply is read: a small one could unpack to any size.
- No cookie is kept.
- The whole exchange has a deadline, headers included: a time-out of each read would let a slow drip go on for ever.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

from moexray.engines.server.address import Address
from moexray.errors import CaptureError
from moexray.extras import import_extra

_CONNECT_SECONDS = 10.0
# What the reply of an error may weigh: only its first words are shown.
_ERROR_BYTES = 2**16
# Statuses of a server that is busy, starting or going down.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_FIRST_ERROR = 400
_HINTS = {
    401: "put its key into MOEXRAY_API_KEY",
    403: "put its key into MOEXRAY_API_KEY",
}


class UnansweredError(Exception):
    """The server did not answer, or not now; the same request may succeed later.

    Attributes
    ----------
    after
        Seconds that the server asks to wait; None where it does not say.
    """

    def __init__(self, reason: str, after: str | None = None) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True)
class Reply:
    """What a server answered, not yet parsed."""

    status: int
    body: bytes


class Exchange:
    """A client of one server; use it inside of one event loop.

    Parameters
    ----------
    connections
        The most that are open at a time.
    """

    def __init__(self, address: Address, *, connections: int) -> None:
        self._address = address
        self._httpx = import_extra("httpx2", extra="server", purpose="asking a server")
        headers = {"Accept-Encoding": "identity", "Accept": "application/json", "User-Agent": "moexray"}
        if address.key is not None:
            headers["Authorization"] = f"Bearer {address.key}"
        self._client = self._httpx.AsyncClient(
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            verify=address.origin.startswith("https:"),  # without TLS there is no certificate, and reading them is slow
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=self._httpx.Timeout(None, connect=_CONNECT_SECONDS),
            limits=self._httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def get(self, route: str, *, most_bytes: int, seconds: float) -> Reply:
        """Ask for a route; a status such as 404 is a reply like any other."""
        return await self._within(seconds, "GET", route, None, most_bytes)

    async def post(self, route: str, body: Mapping[str, Any], *, most_bytes: int, seconds: float) -> bytes:
        """Send a request and return the body of its reply.

        Parameters
        ----------
        most_bytes
            The most that a right reply can weigh.
        seconds
            The time that the whole exchange may take.

        Raises
        ------
        UnansweredError
            If there was no answer, or one that says to come again.
        CaptureError
            If the server refuses the request, sends elsewhere, or its reply is encoded or too large.
        """
        reply = await self._within(seconds, "POST", route, json.dumps(body).encode(), most_bytes)
        if reply.status >= _FIRST_ERROR:
            raise self.refused(route, reply)
        return reply.body

    def refused(self, route: str, reply: Reply) -> CaptureError:
        """Return the error of a server that refuses a request, with what it says about it."""
        hint = _HINTS.get(reply.status)
        said = _said(reply.body)
        about = f": {self._address.shown(said)}" if said else ""
        message = f"the server at {self._address.origin} refuses {route} with status {reply.status}{about}"
        return CaptureError(f"{message}: {hint}" if hint else message)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _within(self, seconds: float, method: str, route: str, content: bytes | None, most: int) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(method, route, content, most)
        except TimeoutError as error:
            message = f"{route} took longer than {seconds:g} s"
            raise UnansweredError(message) from error
        except self._httpx.InvalidURL as error:
            message = "`url` is no address of a server: write http://HOST:PORT"
            raise CaptureError(message) from error
        except self._httpx.TransportError as error:
            cause = _cause(self._address.shown(str(error)), error)
            raise UnansweredError(cause) from None  # the error itself may quote the server, and so the key

    async def _exchange(self, method: str, route: str, content: bytes | None, most: int) -> Reply:
        headers = {} if content is None else {"Content-Type": "application/json"}
        url = self._address.url(route)
        async with self._client.stream(method, url, content=content, headers=headers) as response:
            status = int(response.status_code)
            where = f"the server at {self._address.origin}"
            if response.is_redirect or status // 100 == 3:
                message = f"{where} sends {route} elsewhere (status {status}): name the server itself with `url`"
                raise CaptureError(message)
            encoding = response.headers.get("content-encoding", "identity").strip().lower()
            if encoding not in ("", "identity"):
                message = (
                    f"{where} encodes its reply to {route} ({self._address.shown(encoding)}), though asked not to: "
                    "name the server itself with `url`, not a proxy that compresses"
                )
                raise CaptureError(message)
            is_error = status >= _FIRST_ERROR
            body = await self._body(response, route, min(most, _ERROR_BYTES) if is_error else most, cut=is_error)
            if status in _PASSING:
                said = self._address.shown(_said(body))
                message = f"status {status}{': ' if said else ''}{said}"
                raise UnansweredError(message, response.headers.get("retry-after"))
            return Reply(status, body)

    async def _body(self, response: Any, route: str, most: int, *, cut: bool) -> bytes:
        """Read a body of at most so many bytes; a longer one is cut, or refused."""
        body = bytearray()
        declared = response.headers.get("content-length", "")
        is_longer = declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > most
        if not is_longer or cut:
            async for chunk in response.aiter_raw():
                body += chunk
                is_longer = len(body) > most
                if is_longer:
                    break
        if is_longer and not cut:
            message = (
                f"the server at {self._address.origin} answers {route} with more than {most:,} bytes, which no right "
                "reply weighs: check that `url` is a server of vLLM or SGLang and runs this model"
            )
            raise CaptureError(message)
        return bytes(body[:most])


def _cause(text: str, error: Exception) -> str:
    kinds = {"ConnectError": "no connection", "ConnectTimeout": "no connection"}
    name = kinds.get(type(error).__name__, "the connection broke")
    return f"{name}: {text}" if text else name


def _said(body: bytes) -> str:
    """Return the message in the reply of an error, or its beginning as text."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    return found if isinstance(found, str) else body.decode("utf-8", "replace")
