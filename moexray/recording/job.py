"""A job: everything that a capture is asked for, checked when it is made."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from operator import index
from pathlib import Path
from typing import Any

from moexray.errors import CaptureError
from moexray.files import check_writable, companion, owner_of_companions
from moexray.formats import count
from moexray.generation import Generation, number
from moexray.prompts import Prompt, PromptImage
from moexray.recording.recorders import RECORDERS
from moexray.shards import Shard

# Gate mass is part of the signatures, and router scores are a column of the trace; every other thing that can be
# recorded has a recorder and a file.
MASS, SCORES = "weights", "scores"


@dataclass(frozen=True)
class Job:
    """What to run and what to record of it.

    Attributes
    ----------
    prompts
        What to run; their ids must be unique.
    generation
        What is generated after each prompt.
    out
        The file of signatures; None keeps them in memory.
    record
        What to record beside the selections: ``weights``, ``scores`` and the names of `RECORDERS`. ``scores`` are in
        the trace, which comes with them.
    batch_tokens
        The most tokens that run together, padding included; None for what memory holds.
    shard
        Which of the prompts to run: `prompts` and `out` become those of the shard, `all_prompts` stay. None for all.

    Raises
    ------
    CaptureError
        If the prompts or an option cannot be used.
    MoexrayError
        If a file could not be written, or a package that its recorder needs is not installed.
    """

    prompts: Sequence[Prompt]
    generation: Generation
    out: Path | None = None
    record: Collection[str] = ()
    batch_tokens: int | None = None
    reproducible: bool = False
    shard: Shard | None = None
    all_prompts: Sequence[Prompt] = field(init=False)

    def __post_init__(self) -> None:
        _check_prompts(self.prompts)  # every shard checks all prompts, so that each meets what is wrong with them
        object.__setattr__(self, "all_prompts", self.prompts)
        if self.shard is not None:
            object.__setattr__(self, "prompts", [self.prompts[place] for place in self.places])
            object.__setattr__(self, "out", None if self.out is None else self.shard.file(self.out))
        _check_generation(self.generation, is_given=self.is_given)
        if self.batch_tokens is not None:
            object.__setattr__(self, "batch_tokens", number("batch_tokens", self.batch_tokens, index))
        if self.reproducible and self.batch_tokens is not None:
            message = "`reproducible` runs every prompt alone: leave out `batch_tokens`"
            raise CaptureError(message)
        if self.batch_tokens is not None and self.batch_tokens < 1:
            message = f"`batch_tokens` is {self.batch_tokens}: it must be at least 1"
            raise CaptureError(message)
        if self.out is not None:
            check_writable(self.out)
        for name in self.record:
            if name not in (MASS, SCORES, *RECORDERS):
                message = f"{name!r} cannot be recorded: `record` takes {', '.join([*RECORDERS, SCORES, MASS])}"
                raise CaptureError(message)
        object.__setattr__(self, "record", with_trace(self.record))
        for name in self.recorders:
            RECORDERS[name].check()
            if self.out is None:
                message = f"{name} is written to a file: say with `out` where"
                raise CaptureError(message)
            _check_companion(self.out, self.files[name])

    @property
    def is_given(self) -> bool:
        """Whether the outputs of the prompts are given, so that nothing is generated."""
        return self.all_prompts[0].output is not None

    @property
    def places(self) -> range:
        """The places of the prompts to run among all of them."""
        number = len(self.all_prompts)
        return range(number) if self.shard is None else self.shard.places(number)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all prompts, in order; their images by name and SHA-256."""
        digest = hashlib.sha256()
        for prompt in self.all_prompts:
            digest.update(json.dumps(_facts_of(prompt)).encode())
        return digest.hexdigest()

    @property
    def mass(self) -> bool:
        """Whether gate mass is recorded."""
        return MASS in self.record

    @property
    def recorders(self) -> list[str]:
        """The recorders that are asked for."""
        return [name for name in RECORDERS if name in self.record]

    @property
    def needs(self) -> frozenset[str]:
        """What sequences must hold beside the selected experts."""
        own = {name for name in (MASS, SCORES) if name in self.record}
        return frozenset(own).union(*(RECORDERS[name].wants for name in self.recorders))

    def want(self, offers: Collection[str]) -> frozenset[str]:
        """Return what is recorded beside the selected experts with an engine that offers this."""
        taken: frozenset[str] = frozenset().union(*(RECORDERS[name].takes for name in self.recorders))
        return self.needs | taken.intersection(offers)

    @property
    def files(self) -> dict[str, Path]:
        """The file of the signatures and of each recorder, by name; empty without `out`."""
        return {} if self.out is None else output_files(self.out, self.record)


def _facts_of(prompt: Prompt) -> dict[str, Any]:
    """Return what decides what is recorded of a prompt; without images, the same as before prompts had any."""
    facts = {one.name: getattr(prompt, one.name) for one in fields(Prompt) if one.name != "images"}
    images = [[image.name, image.sha256] for image in prompt.images]
    return {**facts, **({"images": images} if images else {})}


def output_files(out: Path, record: Collection[str]) -> dict[str, Path]:
    """Return the files that a capture writes: ``signatures``, and one for each recorder, beside it."""
    beside = {name: companion(out, one.suffix) for name, one in RECORDERS.items() if name in with_trace(record)}
    return {"signatures": out, **beside}


def with_trace(record: Collection[str]) -> list[str]:
    """Return the names of what to record, with the trace that scores are a column of."""
    return list(dict.fromkeys([*record, *(["trace"] if SCORES in record else [])]))


def _check_companion(out: Path, file: Path) -> None:
    """Raise MoexrayError if a file beside `out` cannot be written, CaptureError if it belongs to other signatures."""
    check_writable(file)
    owner = owner_of_companions(out)
    if owner is not None and file.exists():
        message = f"{file} may belong to {owner}, and would be replaced: name another `out`"
        raise CaptureError(message)


def _check_generation(generation: Generation, *, is_given: bool) -> None:
    """Raise CaptureError if settings were given that change nothing: whoever gave them expects something else."""
    plain = Generation()
    changed = [one.name for one in fields(Generation) if getattr(generation, one.name) != getattr(plain, one.name)]
    if is_given and changed:
        message = (
            f"the prompts come with their outputs, so nothing is generated: leave out `{changed[0]}`, or take the "
            "outputs out of the prompts"
        )
        raise CaptureError(message)
    idle = [name for name in changed if name in ("stop_at_eos", "temperature", "top_p")]
    if generation.max_new_tokens == 0 and idle:
        message = f"nothing is generated with `max_new_tokens=0`: leave out `{idle[0]}`, or ask for tokens"
        raise CaptureError(message)
    if generation.temperature == 0 and generation.top_p < 1:
        message = "`top_p` chooses among tokens that are drawn: give a `temperature` above 0, or leave `top_p` out"
        raise CaptureError(message)


def _check_prompts(prompts: Sequence[Prompt]) -> None:
    """Raise CaptureError if there are none, or one is something else, without a name, there twice, or no text."""
    if not prompts:
        message = "there are no prompts to run"
        raise CaptureError(message)
    seen: set[str] = set()
    for prompt in prompts:
        if not isinstance(prompt, Prompt):
            message = f"{prompt!r:.40} is no prompt: make a `Prompt(text, category, id)` of it, or use `read_prompts`"
            raise CaptureError(message)
        if prompt.id in seen:
            message = f"two prompts have the id {prompt.id!r}: ids must be unique"
            raise CaptureError(message)
        seen.add(prompt.id)
        for name in ("id", "category"):
            if not str(getattr(prompt, name)).strip():
                message = (
                    f"prompt {prompt.id!r} has the {name} {getattr(prompt, name)!r}: give it one that is not blank"
                )
                raise CaptureError(message)
        if (prompt.output is None) != (prompts[0].output is None):
            with_one, without = (prompts[0], prompt) if prompt.output is None else (prompt, prompts[0])
            message = (
                f"prompt {with_one.id!r} comes with its output and prompt {without.id!r} without: "
                "give the outputs of all prompts, or of none"
            )
            raise CaptureError(message)
        _check_images(prompt)
        try:
            f"{prompt.id}{prompt.category}{prompt.group}{prompt.text}{prompt.output}".encode()
        except UnicodeEncodeError as error:
            message = f"prompt {prompt.id!r} holds {error.object[error.start]!r}, half of a character: take it out"
            raise CaptureError(message) from error


def _check_images(prompt: Prompt) -> None:
    """Raise CaptureError if an image is something else, or a chat has another number of places for images."""
    for image in prompt.images:
        if not isinstance(image, PromptImage):
            message = f"prompt {prompt.id!r} has {image!r:.40} among its images: make one of it with `image_in_file`"
            raise CaptureError(message)
    contents = [] if prompt.messages is None else [message.get("content") for message in prompt.messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    places = sum(isinstance(part, dict) and part.get("type") == "image" for part in parts)
    if prompt.messages is not None and places != len(prompt.images):
        message = (
            f"prompt {prompt.id!r} has {count(len(prompt.images), 'image')}, but {places} of the parts of its messages "
            "are images: make such prompts with `chat_prompt`"
        )
        raise CaptureError(message)
