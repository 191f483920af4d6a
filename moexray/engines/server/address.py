"""The address of a server, and the key that it may want: neither may leave a secret in a message or a file."""

import ipaddress
import os
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from moexray.errors import CaptureError
from moexray.formats import visible

# The only place a key is read from: an option would stand in shell histories and lists of processes.
KEY_VARIABLE = "MOEXRAY_API_KEY"
_ROUTE = "/v1"
_SHOWN = 200


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes
    ----------
    origin
        Scheme, host and port, which messages show.
    path
        What stands before the routes of the API, such as a gateway's prefix; it may be a secret, and is not shown.
    key
        Sent as a bearer token; None for a server without one.
    """

    origin: str
    path: str = field(default="", repr=False)
    key: str | None = field(default=None, repr=False)

    def url(self, route: str) -> str:
        """Return the URL of a route, which begins with a slash."""
        return f"{self.origin}{self.path}{route}"

    def shown(self, text: str) -> str:
        """Return text of the server as a message may show it: without the key, in one line, visible and short."""
        if self.key:
            text = text.replace(self.key, "[key]")
        line = visible(" ".join(text.split()))
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def address_of(url: str | None) -> Address:
    """Read the address of a server, and its key from the environment.

    Raises
    ------
    CaptureError
        If it is no address of a server, holds a secret, or the key would cross a network in the clear.
    """
    parts = _parts(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = "`url` is no address of a server: write http://HOST:PORT"
        raise CaptureError(message)
    if "@" in parts.netloc:
        message = f"`url` holds a name or a password: take them out, and put the server's key into {KEY_VARIABLE}"
        raise CaptureError(message)
    if parts.query or parts.fragment:
        message = f"`url` goes on after its path with ? or #: take that out, and put a key into {KEY_VARIABLE}"
        raise CaptureError(message)
    key = _key()
    if key is not None and parts.scheme == "http" and not _is_here(parts.hostname):
        message = (
            f"the key in {KEY_VARIABLE} would cross the network in the clear: use https, or reach the server through "
            "a tunnel to 127.0.0.1, or unset the variable if the server needs no key"
        )
        raise CaptureError(message)
    path = parts.path.rstrip("/").removesuffix(_ROUTE).rstrip("/")
    return Address(f"{parts.scheme}://{parts.netloc}", path, key)


def _parts(url: str | None) -> SplitResult:
    """Split an address; its text, which may hold a secret, is in no message."""
    if url is None:
        message = "engine server asks a server that is running: say with `url` where, such as http://127.0.0.1:8000"
        raise CaptureError(message)
    try:
        parts = urlsplit(url)
        is_usable = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        is_usable = False
    if not is_usable:
        message = "`url` is no address of a server: write http://HOST:PORT, in ASCII characters"
        raise CaptureError(message)
    return parts


def _key() -> str | None:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        message = f"the key in {KEY_VARIABLE} holds a character that no header can: give the key alone"
        raise CaptureError(message)
    return key


def _is_here(host: str) -> bool:
    """Whether a host is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
