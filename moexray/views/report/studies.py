"""Studies as pages of a report: the text and the tables of a result, its figure, and the command that made it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moexray.errors import AnalysisError, FigureError
from moexray.formats import count, visible
from moexray.studies.analysis import Analysis
from moexray.studies.result_files import foreign
from moexray.studies.results import Result
from moexray.views.report.drawings import drawing
from moexray.views.report.encoding import Block
from moexray.views.report.study_commands import Setting, command_line, settings_of
from moexray.views.report.tables import StillTable, later_block, still_table
from moexray.views.studies import STUDIES, page_of, read_result

# Bytes that the unrounded numbers of one study take at most.
MOST_NUMBERS = 1_000_000
# Results whose settings do not tell what they are of.
_OF_SEVERAL = ("compare", "pool")


@dataclass(frozen=True)
class Given:
    """A result that was given for a report, the command that made it, and where it was read from."""

    command: str
    result: Result
    path: Path


@dataclass(frozen=True)
class StudyPage:
    """A study as a page of a report.

    Attributes
    ----------
    name, title
        Its anchor, and what it is called.
    subject
        What was studied: the title of the result's own page.
    reading, limits
        How it is read, and what it cannot show.
    blocks
        Lines and tables, in the order of the result's own page.
    picture
        Its figure as SVG; None where it has none.
    command
        What made it.
    numbers
        The rows of its main table, not rounded; None where they would take too much room.
    remarks
        What is not on the page, and why.
    """

    name: str
    title: str
    subject: str
    reading: str
    limits: str
    blocks: tuple[str | StillTable, ...]
    picture: str | None
    command: str
    numbers: Block | None
    remarks: tuple[str, ...] = ()

    @property
    def data(self) -> list[Block]:
        """The blocks of data that the page must hold."""
        tables = [one.block for one in self.blocks if isinstance(one, StillTable) and one.block is not None]
        return [*tables, *([] if self.numbers is None else [self.numbers])]


def read_studies(
    paths: Sequence[Path],
    *,
    fingerprint: str | None,
    model: str | None,
    weights: str | None = None,
    first: Sequence[Given] = (),
) -> list[Given]:
    """Return results for a report, read from files.

    Parameters
    ----------
    paths
        What commands printed with ``--json``.
    fingerprint, model, weights
        Of the signatures that the report is of, their model, and the fingerprint of its weights where it is known.
    first
        Results that the report has before these.

    Raises
    ------
    AnalysisError
        If a file is no result, one of other signatures or of another model, or a second one of the same settings.
    """
    found = list(first)
    for path in paths:
        command, result = read_result(path)
        problem = None
        if not _is_of_nothing(command, result):
            problem = foreign(result, fingerprint=fingerprint, model=model, weights=weights)
        if problem is not None:
            message = f"{path} {problem}"
            raise AnalysisError(message)
        same = next((one for one in found if _key(one.command, one.result) == _key(command, result)), None)
        if same is not None:
            message = f"{path} is a second result of `moexray {command}` with the settings of {same.path}: give one"
            raise AnalysisError(message)
        found.append(Given(command, result, path))
    return found


def study_pages(given: Sequence[Given], *, file: str, fingerprint: str | None) -> list[StudyPage]:
    """Return the pages of studies, in the order of their kinds and then as given.

    Parameters
    ----------
    given
        What `read_studies` returned.
    file, fingerprint
        The name of the signatures in commands, and their fingerprint.
    """
    order = list(STUDIES)
    sorted_ = sorted(given, key=lambda one: order.index(one.command))
    pages: list[StudyPage] = []
    for one in sorted_:
        alike = [other for other in sorted_ if other.command == one.command]
        number = next(place for place, other in enumerate(alike, start=1) if other is one)
        name = f"study-{one.command}" + (f"-{number}" if len(alike) > 1 else "")
        pages.append(_page(one, name, _apart(one, alike), command_line(one.command, one.result, file, fingerprint)))
    return pages


def _page(given: Given, name: str, apart: str, command: str) -> StudyPage:
    about, own = STUDIES[given.command], page_of(given.command, given.result)
    title = f"{about.title}{apart}"
    blocks: list[str | StillTable] = []
    tables = 0
    for block in own.blocks:
        if not isinstance(block, str):
            tables += 1
            blocks.append(still_table(block, f"{name}-table-{tables}", f"{title}, table {tables}"))
        elif block:
            blocks.append(block)
    numbers, too_many = _numbers(given.result, f"{name}-numbers")
    picture, no_figure = _picture(given, name, title)
    return StudyPage(
        name=name,
        title=visible(title),
        subject=own.title,
        reading=about.reading,
        limits=about.limits,
        blocks=tuple(blocks),
        picture=picture,
        command=command,
        numbers=numbers,
        remarks=tuple(visible(one) for one in (no_figure, too_many) if one is not None),
    )


def _picture(given: Given, name: str, title: str) -> tuple[str | None, str | None]:
    """Return the figure of a result, or why it has none that others have."""
    from moexray.views.figures import ANALYSIS, figure, figures_of

    names = figures_of(ANALYSIS if given.command == "analyze" else given.command)
    if not names:
        return None, None
    try:
        axes = figure(names[0])(given.result)
    except FigureError as error:
        said = str(error)
        return None, f"{said[:1].upper()}{said[1:]}."
    return drawing(axes, name, title), None


def _numbers(result: Result, name: str) -> tuple[Block | None, str | None]:
    """Return the main table of a result, not rounded, or why it is left out."""
    rows = result.rows("layers" if isinstance(result, Analysis) else None)
    if not rows:
        return None, None
    names = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_value(row.get(key)) for key in names] for row in rows]
    block = later_block(name, {"names": [visible(one) for one in names], "rows": cells})
    if len(block.text) <= MOST_NUMBERS:
        return block, None
    return None, (
        f"The numbers that are not rounded, {count(len(rows), 'row')}, would take {len(block.text) / 1e6:.1f} MB, and "
        f"are left out: they are in the file that `{result.MADE_BY}` makes."
    )


def _value(value: Any) -> str | float | int | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return str(value).lower() if isinstance(value, bool) else visible(str(value))


def _apart(one: Given, alike: Sequence[Given]) -> str:
    """Return what tells a study from others of its kind, to follow its title: settings, or else its file."""
    if len(alike) == 1:
        return ""
    every = [_said(settings_of(other.command, other.result)) for other in alike]
    own = every[next(place for place, other in enumerate(alike) if other is one)]
    differing = [name for name, value in own.items() if any(other.get(name) != value for other in every)]
    shown = [f"{name} {own[name]}".strip() for name in differing]
    if one.command in _OF_SEVERAL or every.count(own) > 1 or not shown:
        shown.append(one.path.name)
    return f": {', '.join(shown)}"


def _said(settings: Sequence[Setting]) -> Mapping[str, str]:
    return {one.option.replace("-", " "): one.value for one in settings}


def _key(command: str, result: Result) -> tuple[Any, ...]:
    """Return what two results of one kind must differ in: settings, what they are of, and what else they name."""
    settings = tuple(replace(one, default=False) for one in settings_of(command, result))
    own = getattr(result, "models", None), getattr(result, "source", None), getattr(result, "study", None)
    return command, settings, result.studied(), own


def _is_of_nothing(command: str, result: Any) -> bool:
    """Whether a result is of no signatures and no model: the power to find a difference that was stated."""
    return command == "power" and result.pilot is None
