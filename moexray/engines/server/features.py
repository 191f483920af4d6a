"""What a server is: told by the routes that it has, since forks and nightly builds count versions as they like."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from moexray import strict_json
from moexray.engines.server.address import Address
from moexray.engines.server.exchange import Exchange, Reply
from moexray.errors import CaptureError

Kind = Literal["vllm", "sglang"]

NAMES: Mapping[str, str] = {"vllm": "vLLM", "sglang": "SGLang"}
# Both servers call it the same.
FLAG = "--enable-return-routed-experts"
_MODELS = "/v1/models"
_SECONDS = 30.0
_MOST_BYTES = 2**22
_FOUND, _FIRST_ERROR = 200, 400
# SGLang names its settings here; older releases have the second.
_SETTINGS = ("/server_info", "/get_server_info")
# Caches that bring keys and values from elsewhere: the rows beside them are of whoever had the place before.
_FOREIGN_CACHES = ("enable_hierarchical_cache", "enable_lmcache", "enable_flexkv")
_VERSION = re.compile(r"[0-9A-Za-z.+_-]{1,64}")
_MOST_CONTEXT = 2**31


@dataclass(frozen=True)
class Served:
    """A server and the model that it serves.

    Attributes
    ----------
    kind, version
        The program.
    model
        The model's name in requests.
    context
        The most tokens of a text; None where the server does not say.
    draws_alike
        Whether the same seed draws the same tokens again.
    weights
        The version of the weights, which training may change; None where the server does not say.
    """

    kind: Kind
    version: str
    model: str
    context: int | None
    draws_alike: bool
    weights: str | None = None

    @property
    def name(self) -> str:
        """Program and version, for messages."""
        return f"{NAMES[self.kind]} {self.version}"


async def find_server(
    exchange: Exchange, address: Address, *, names: Collection[str], served_model: str | None
) -> Served:
    """Ask a server what it is and what it serves.

    Parameters
    ----------
    names
        What the model may be called there: its name, and the folder it is read from.
    served_model
        What it is called there, where it is none of these.

    Raises
    ------
    UnansweredError
        If it does not answer.
    CaptureError
        If it is neither vLLM nor SGLang, serves another model, or runs with settings under which the
        routing that it returns may be of other tokens.
    """
    listing = await exchange.get(_MODELS, most_bytes=_MOST_BYTES, seconds=_SECONDS)
    settings = await _settings(exchange)
    version = await exchange.get("/version", most_bytes=_MOST_BYTES, seconds=_SECONDS)
    if listing.status >= _FIRST_ERROR:
        raise exchange.refused(_MODELS, listing)
    model, context = _model(_json(listing), address, names, served_model)
    if settings is not None:
        _check_settings(settings, address)
        draws_alike = settings.get("enable_deterministic_inference") is True
        weights = settings.get("weight_version")
        named = weights if isinstance(weights, str) and _VERSION.fullmatch(weights) else None
        return Served("sglang", _version(settings.get("version"), address), model, context, draws_alike, named)
    found = _json(version)
    if version.status != _FOUND or not isinstance(found, dict) or "version" not in found:
        message = (
            f"the server at {address.origin} is neither vLLM (no /version) nor SGLang (no /server_info): name the "
            "server itself with `url`, and not a gateway before it"
        )
        raise CaptureError(message)
    return Served("vllm", _version(found["version"], address), model, context, draws_alike=True)


async def _settings(exchange: Exchange) -> dict[str, Any] | None:
    """Return the settings of a server of SGLang; None for another."""
    for route in _SETTINGS:
        reply = await exchange.get(route, most_bytes=_MOST_BYTES, seconds=_SECONDS)
        found = _json(reply) if reply.status == _FOUND else None
        # vLLM has this route as well while it is debugged, with another content.
        if isinstance(found, dict) and "model_path" in found and "version" in found:
            return found
    return None


def _check_settings(settings: Mapping[str, Any], address: Address) -> None:
    where = f"the server at {address.origin}"
    if settings.get("enable_return_routed_experts") is False:
        message = f"{where}, SGLang, returns no routed experts: start it with {FLAG}"
        raise CaptureError(message)
    foreign = next((name for name in _FOREIGN_CACHES if settings.get(name)), None)
    if foreign is not None:
        message = (
            f"{where}, SGLang, runs with {foreign}, under which it returns routing of other requests: start it without"
        )
        raise CaptureError(message)
    mode = settings.get("disaggregation_mode")
    if mode not in (None, "null"):
        message = (
            f"{where}, SGLang, runs one half of a model (disaggregation_mode {address.shown(str(mode))}), and the "
            "other half has the rest of the routing: start one server without it"
        )
        raise CaptureError(message)


def _version(found: Any, address: Address) -> str:
    if not isinstance(found, str) or not _VERSION.fullmatch(found):
        message = f"the server at {address.origin} says no version that is one: {address.shown(repr(found))}"
        raise CaptureError(message)
    return found


def _model(listing: Any, address: Address, names: Collection[str], served_model: str | None) -> tuple[str, int | None]:
    """Return the name of the model in requests, and its context."""
    models = listing.get("data") if isinstance(listing, dict) else None
    entries = [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []
    served = {one["id"]: one for one in entries if isinstance(one.get("id"), str)}
    wanted = names if served_model is None else [served_model]
    fitting = [
        name
        for name, one in served.items()
        if name in wanted or (served_model is None and one.get("root") in wanted and one.get("parent") is None)
    ]
    if not fitting:
        there = address.shown(", ".join(map(repr, served))) or "no model"
        asked = next(iter(wanted))
        message = (
            f"the server at {address.origin} serves {there} and not {asked!r}: if that is the same model under another "
            'name, say so with `served_model="NAME"`'
        )
        raise CaptureError(message)
    context = served[fitting[0]].get("max_model_len")
    is_one = isinstance(context, int) and not isinstance(context, bool) and 0 < context < _MOST_CONTEXT
    return fitting[0], context if is_one else None


def _json(reply: Reply) -> Any:
    """Return what a reply says; None if it is no JSON."""
    try:
        return strict_json.loads(reply.body, finite=False)
    except ValueError:
        return None
