"""A report of signatures and their analysis, that is as large as it may be at most."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moexray.errors import MoexrayError
from moexray.formats import count
from moexray.recorded_images import RecordedImage
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.studies.category_selections import category_selections
from moexray.studies.category_shares import category_shares
from moexray.studies.explored_prompts import ExploredPrompts, explore_prompts
from moexray.studies.explored_tokens import explore_tokens
from moexray.studies.segment_selections import segment_selections
from moexray.studies.similarity_matrix import SimilarityMatrix, similarity_matrix
from moexray.trace import Trace
from moexray.views.figures import ANALYSIS, MATRIX, SHARES
from moexray.views.report.encoding import Block, array_block
from moexray.views.report.facts import result_blocks
from moexray.views.report.page import Contents, page, still_sections
from moexray.views.report.prompts import LEADING, Shown, choices, prompt_blocks, traced
from moexray.views.report.studies import Given, study_pages
from moexray.views.report.tokens import image_blocks, token_blocks

MEGABYTE = 1_000_000
# Of the room that single prompts have, this share is kept for their tokens where there is a trace.
_FOR_TOKENS = 0.4
# Prompts of which the size of many is foretold, and how much more than the room it must be.
_PART, _CLEARLY = 200, 1.3
# Bytes of the remarks, and of what the page must know of tokens.
_REMARKS = 1000


@dataclass(frozen=True)
class Report:
    """A page, and what was left out of it.

    Attributes
    ----------
    html
        The page.
    remarks
        What was left out for want of room; the page says it, too.
    """

    html: str
    remarks: tuple[str, ...]


def report(
    analysis: Analysis,
    signatures: Signatures,
    *,
    trace: Trace | None = None,
    file: str = "signatures.npz",
    made: str = "",
    most_bytes: int = 25 * MEGABYTE,
    picture_of: Callable[[RecordedImage], str | None] | None = None,
    studies: Sequence[Given] = (),
) -> Report:
    """Return the page of an analysis; the same input gives the same page.

    Parameters
    ----------
    analysis, signatures
        An analysis and the signatures that it is of.
    trace
        Of these prompts; with it the page shows tokens.
    file
        How the signatures are named in the commands of the page.
    made
        Where the analysis comes from, in a few words; by default that it is of the file.
    most_bytes
        How large the page may be. What does not fit is left out, in this order: the less used experts of prompts that
        are not in the matrix, prompts drawn at random, tokens.
    picture_of
        Returns an image of a prompt as a ``data:`` address, or None; by default pictures are left out.
    studies
        Other results of these signatures, each of which is a page: see `moexray.views.report.studies.read_studies`.

    Raises
    ------
    MoexrayError
        If the analysis is of other signatures, or a page without a single prompt is too large.
    TraceError
        If the trace is not that of the signatures.
    """
    if not analysis.belongs_to(signatures):
        message = "the analysis belongs to other signatures: `moexray analyze` makes one of these"
        raise MoexrayError(message)
    about = analysis.signatures
    weighting: Any = about.by
    explored = explore_prompts(signatures, tokens=about.phase, weighting=weighting)
    selections = category_selections(signatures, about.phase)
    contents = Contents(
        analysis=analysis,
        signatures=signatures,
        selections=selections,
        segments=segment_selections(signatures),
        file=file,
        figures={
            ANALYSIS: analysis,
            MATRIX: _matrix(analysis, signatures, explored),
            SHARES: category_shares(signatures, tokens=about.phase),
        },
        made=made or f"Analysis of {file}",
        studies=study_pages(studies, file=file, fingerprint=about.fingerprint),
    )
    sections = still_sections(contents)
    fixed = result_blocks(analysis, selections, contents.segments)
    fixed += [block for study in contents.studies for block in study.data]
    bare = len(page(replace(contents, blocks=fixed), sections).encode("utf-8"))
    room = most_bytes - bare - _REMARKS
    shown, blocks = _prompts_that_fit(analysis, signatures, explored, room * (1 - _FOR_TOKENS) if trace else room)
    if shown is None:
        message = (
            f"the report would take more than {most_bytes / MEGABYTE:g} MB, of which {bare / MEGABYTE:.1f} MB are "
            "figures and tables: give --max-size more"
        )
        raise MoexrayError(message)
    room -= _size(blocks)
    more, about_tokens, tokens_shown = _tokens_that_fit(
        explored, signatures, shown, trace=trace, room=room, picture_of=picture_of
    )
    remarks = _remarks(explored, shown, tokens_shown, trace is not None)
    whole = replace(contents, blocks=[*fixed, *blocks, *more], tokens=about_tokens, remarks=remarks)
    return Report(page(whole, sections), tuple(remarks))


def _matrix(analysis: Analysis, signatures: Signatures, explored: ExploredPrompts) -> SimilarityMatrix:
    """Return the similarity of the prompts of the page's matrix."""
    about = analysis.signatures
    weighting: Any = about.by
    shown = next(choices(explored, signatures))
    some = signatures.take(explored.rows[shown.prompts[shown.matrix]])
    return replace(similarity_matrix(some, tokens=about.phase, weighting=weighting), signatures=about)


def _prompts_that_fit(
    analysis: Analysis, signatures: Signatures, explored: ExploredPrompts, room: float
) -> tuple[Shown | None, list[Block]]:
    for shown in choices(explored, signatures):
        if _far_too_large(explored, signatures, shown, room):
            continue
        blocks = [*prompt_blocks(explored, signatures, shown), *_plane(analysis, signatures, explored, shown)]
        if _size(blocks) <= room:
            return shown, blocks
    return None, []


def _far_too_large(explored: ExploredPrompts, signatures: Signatures, shown: Shown, room: float) -> bool:
    """Whether so many prompts need not be tried, as a part of them shows: to compress all of them takes minutes."""
    step = len(shown.prompts) // _PART
    if step < 2:
        return False
    part = Shown(shown.prompts[::step], shown.whole[::step], shown.matrix[::step])
    size = sum(len(block.text) for block in prompt_blocks(explored, signatures, part))
    return size * len(shown.prompts) / len(part.prompts) > _CLEARLY * room


def _tokens_that_fit(
    explored: ExploredPrompts,
    signatures: Signatures,
    shown: Shown,
    *,
    trace: Trace | None,
    room: float,
    picture_of: Callable[[RecordedImage], str | None] | None,
) -> tuple[list[Block], Mapping[str, Any] | None, int | None]:
    """Return the blocks of tokens, what the page must know of them, and of how many prompts they are."""
    if trace is None:
        return [], None, None
    read = None
    for rows in traced(explored, signatures, shown):  # each is part of the one before
        # A selection takes at least a third of a byte however well it is compressed: no use in trying far more.
        selections = int(signatures.lengths()[rows].sum()) * int(signatures.top_k.astype(int).sum())
        if selections / 3 > room:
            continue
        read = explore_tokens(trace, rows) if read is None else read.only(rows)
        blocks, about = token_blocks(read)
        blocks += image_blocks(signatures, read, picture_of)
        if _size(blocks) <= room:
            return blocks, about, about["prompts"]
    return [], None, 0


def _plane(analysis: Analysis, signatures: Signatures, explored: ExploredPrompts, shown: Shown) -> list[Block]:
    """Return where the prompts of a page lie in the plane, NaN for those that the analysis did not place."""
    if analysis.pca is None:
        return []
    place = dict(zip(analysis.pca.prompt_ids, analysis.pca.coordinates, strict=True))
    ids = signatures.prompts.ids
    rows = explored.rows[shown.prompts].tolist()
    return [array_block("plane", np.array([place.get(ids[row], (np.nan, np.nan)) for row in rows], dtype=np.float64))]


def _size(blocks: list[Block]) -> int:
    """Return the bytes that blocks take in a page, with their tags."""
    return sum(len(block.text) + 160 for block in blocks)


def _remarks(explored: ExploredPrompts, shown: Shown, tokens: int | None, traced: bool) -> list[str]:  # noqa: FBT001
    """Say what the page leaves out."""
    every, kept, whole = len(explored.rows), len(shown.prompts), int(shown.whole.sum())
    of_all = count(every, "prompt")
    remarks = []
    if kept < every:
        remarks.append(f"{kept:,} of {of_all}, drawn at random, are shown one by one; every table is of all.")
    if whole < kept:
        remarks.append(
            f"Of {kept - whole:,} of these prompts the {LEADING} leading experts of each layer are shown, of "
            f"{whole:,} all experts."
        )
    if int(shown.matrix.sum()) < every:
        remarks.append(f"The similarity matrix is of {int(shown.matrix.sum()):,} of {of_all}, drawn at random.")
    if traced and tokens is not None and tokens < kept:
        few = f"tokens of {tokens:,} prompts, drawn at random, are shown" if tokens else "there is no room for tokens"
        remarks.append(f"{few[0].upper()}{few[1:]}: --max-size allows more.")
    return remarks
