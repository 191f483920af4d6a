"""Settings of the text that a model writes after each prompt."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import index
from typing import Any

from moexray.errors import CaptureError


@dataclass(frozen=True)
class Generation:
    """What is generated after each prompt.

    Attributes
    ----------
    max_new_tokens
        The most tokens to generate; 0 runs the prompt alone.
    stop_at_eos
        End at the model's end token. Otherwise that is a token like any other.
    temperature
        0 takes the most probable token; above 0, tokens are drawn from softmax(logits / temperature).
    top_p
        Draw from the smallest set of most probable tokens whose probabilities add up to `top_p`.
    seed
        Seed of the draws. Every prompt has a random stream of its own.

    Raises
    ------
    CaptureError
        If a value is not a number, or out of range.
    """

    max_new_tokens: int = 32
    stop_at_eos: bool = True
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("max_new_tokens", index), ("temperature", float), ("top_p", float), ("seed", index)):
            object.__setattr__(self, name, number(name, getattr(self, name), kind))
        problem = None
        if self.max_new_tokens < 0:
            problem = f"`max_new_tokens` is {self.max_new_tokens}: it must be at least 0"
        elif not 0 <= self.temperature < float("inf"):
            problem = f"`temperature` is {self.temperature}: it must be a number of at least 0"
        elif not 0 < self.top_p <= 1:
            problem = f"`top_p` is {self.top_p}: it must be above 0 and at most 1"
        elif self.seed < 0:
            problem = f"`seed` is {self.seed}: it must be at least 0"
        if problem:
            raise CaptureError(problem)


def number(name: str, value: Any, kind: Callable[[Any], Any]) -> Any:
    """Return a parameter as a plain number, NumPy's as well; `CaptureError` if it is none of that kind."""
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        message = f"`{name}` is {value!r}: it must be a {'whole ' if kind is index else ''}number"
        raise CaptureError(message) from error
