"""From an engine and prompts to signatures, by way of a journal that a killed capture goes on from."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moexray.errors import CaptureError
from moexray.files import remove_partials
from moexray.generation import Generation
from moexray.merging import merge
from moexray.prompts import Prompt
from moexray.recording.batches import begin, run_batches
from moexray.recording.counting import signatures_in_blocks
from moexray.recording.journal import Journal, journal_of
from moexray.recording.recorders import RECORDERS, files_of
from moexray.recording.resume import check_same, inputs_of
from moexray.signatures import Signatures, save_blocks
from moexray.version import __version__

if TYPE_CHECKING:
    from moexray.engines.transformers.engine import TransformersEngine


def record(
    engine: "TransformersEngine",
    prompts: Sequence[Prompt],
    generation: Generation | None = None,
    *,
    batch_tokens: int | None = None,
    weights: bool = False,
    verify: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Signatures:
    """Count the routing of `prompts` through an engine that is already there; see `moexray.recording.capture`."""
    check_prompts(prompts)
    generation = generation or Generation()
    with journal_of(None) as journal:
        _verify(engine, journal, wanted=verify)
        begin(journal, engine, prompts, generation, batch_tokens=batch_tokens)
        run_batches(journal, engine, prompts, generation, mass=weights, recorders=(), on_progress=on_progress)
        return merge(list(_signatures(journal, engine, prompts, generation)))


def record_to(
    out: Path,
    engine: "TransformersEngine",
    prompts: Sequence[Prompt],
    generation: Generation | None = None,
    *,
    recorders: Sequence[str] = (),
    batch_tokens: int | None = None,
    weights: bool = False,
    verify: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Likewise into files; see `moexray.recording.capture_to`."""
    check_prompts(prompts)
    generation = generation or Generation()
    files = files_of(out, recorders)
    with journal_of(out) as journal:
        inputs = inputs_of(engine, prompts, generation, batch_tokens, weights=weights, recorders=recorders)
        if not journal.is_new:
            check_same(journal.fact("inputs"), inputs)
        _verify(engine, journal, wanted=verify)
        if journal.is_new:
            begin(journal, engine, prompts, generation, batch_tokens=batch_tokens, inputs=inputs)
        run_batches(journal, engine, prompts, generation, mass=weights, recorders=recorders, on_progress=on_progress)
        for file in (out, *files.values()):
            remove_partials(file)
        for name, file in files.items():
            RECORDERS[name].write(file, journal.tokens(), prompts, engine)
        blocks = partial(_signatures, journal, engine, prompts, generation)
        save_blocks(blocks, out, prompts=len(prompts), largest=journal.fact("done")["largest"])
        journal.is_over = True
    return [out, *files.values()]


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Raise CaptureError if there are none, two have one id, or one is not Unicode text."""
    if not prompts:
        message = "there are no prompts to run"
        raise CaptureError(message)
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            message = f"two prompts have the id {prompt.id!r}: ids must be unique"
            raise CaptureError(message)
        seen.add(prompt.id)
        try:
            f"{prompt.id}{prompt.category}{prompt.group}{prompt.text}".encode()
        except UnicodeEncodeError as error:
            message = f"prompt {prompt.id!r} holds {error.object[error.start]!r}, half of a character: take it out"
            raise CaptureError(message) from error


def _verify(engine: "TransformersEngine", journal: Journal, *, wanted: bool) -> None:
    if wanted and journal.fact("verified") is None:
        journal.set(verified=engine.verify())


def _signatures(
    journal: Journal, engine: "TransformersEngine", prompts: Sequence[Prompt], generation: Generation
) -> Iterator[Signatures]:
    return signatures_in_blocks(journal.totals(), prompts, engine.layout, _meta(journal, engine, generation))


def _meta(journal: Journal, engine: "TransformersEngine", generation: Generation) -> dict[str, Any]:
    drawn = generation.temperature > 0
    verified = journal.fact("verified")
    return {
        **engine.description,
        "experts_implementation": journal.fact("done")["implementations"],
        "moexray": __version__,
        "max_new_tokens": generation.max_new_tokens,
        "stop_at_eos": generation.stop_at_eos,
        "batch_tokens": journal.fact("batch_tokens"),
        "do_sample": drawn,
        "temperature": generation.temperature if drawn else None,
        "top_p": generation.top_p if drawn else None,
        "seed": generation.seed if drawn else None,
        "created": journal.fact("created"),
        **({} if verified is None else {"verified": verified}),
    }
