"""Values of a configuration, in whatever shape an architecture keeps them: one, a list, one for each layer, or none."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What a configuration may call the number of experts that a token is sent to.
TOP_K = ("num_experts_per_tok", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
# What transformers raises, beside AttributeError, where a value is only to be read layer by layer.
_UNREADABLE = (AttributeError, RuntimeError, ValueError, TypeError, KeyError, IndexError)


def text_config(config: Any) -> Any:
    """Return the part of a configuration that describes its text decoder; itself where it has no parts."""
    try:
        return config.get_text_config()
    except _UNREADABLE:
        return config


def value(config: Any, *names: str) -> Any:
    """Return the value of the first of these names that a configuration has; None where it has none that is one."""
    return next((found for name in names if (found := _read(config, name)) is not None), None)


def greatest(config: Any, *names: str) -> int | None:
    """Return the greatest number, over layers and lists, under the first of these names that a configuration has."""
    for name in names:
        numbers = list(_numbers(_read(config, name)))
        if not numbers:
            numbers = [number for layer in _layers(config) for number in _numbers(_read(layer, name))]
        if numbers:
            return max(numbers)
    return None


def rope_types(config: Any) -> list[Mapping[str, Any]]:
    """Return the settings of each kind of rotary positions that a decoder has: one, or one for each kind of layer."""
    found = value(config, "rope_parameters", "rope_scaling")
    return list(_settings(found))


def layer_kinds(config: Any) -> set[str]:
    """Return the kinds of layers that a decoder lists by name; empty where it does not."""
    kinds: set[str] = set()
    for name in ("layer_types", "layers_block_type"):
        found = _read(config, name)
        if isinstance(found, Sequence) and not isinstance(found, str):
            kinds.update(map(str, found))
    return kinds


def _read(config: Any, name: str) -> Any:
    try:
        return getattr(config, name, None)
    except _UNREADABLE:
        return None


def _layers(config: Any) -> list[Any]:
    found = _read(config, "per_layer_config")
    try:
        return [] if found is None else list(found)
    except _UNREADABLE:
        return []


def _numbers(found: Any) -> Iterator[int]:
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, (list, tuple)):
        for one in found:
            yield from _numbers(one)
    elif isinstance(found, (int, float)) and not isinstance(found, bool) and found == found // 1:
        yield int(found)


def _settings(found: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(found, Mapping):
        if "rope_type" in found or "type" in found:
            yield found
        for one in found.values():
            yield from _settings(one)
