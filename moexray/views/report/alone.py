"""A report without signatures: of an analysis, or of other studies alone; it has no views of prompts."""

from collections.abc import Sequence
from typing import Any

from moexray.errors import MoexrayError
from moexray.studies.analysis import Analysis
from moexray.views.report.page import Contents, page, page_of_studies, still_sections
from moexray.views.report.report import MEGABYTE, Report
from moexray.views.report.studies import Given, study_pages

REMARK = (
    "This page is of an analysis alone. The similarity of every two prompts, categories beside experts, segments, and "
    "single prompts with their tokens need the signatures: `moexray report signatures.npz` shows them."
)


def report_alone(
    analysis: Analysis,
    *,
    file: str = "signatures.npz",
    made: str = "",
    most_bytes: int = 25 * MEGABYTE,
    studies: Sequence[Given] = (),
) -> Report:
    """Return the page of an analysis alone; the same input gives the same page.

    Parameters
    ----------
    analysis
        What it shows.
    file
        How the signatures are named in the commands of the page.
    made
        Where the analysis comes from, in a few words.
    most_bytes
        How large the page may be.
    studies
        Other results of the same signatures, each of which is a page: see `moexray.views.report.studies.read_studies`.

    Raises
    ------
    MoexrayError
        If the page is too large: nothing of it can be left out.
    """
    pages = study_pages(studies, file=file, fingerprint=analysis.signatures.fingerprint)
    contents = Contents(
        analysis=analysis,
        signatures=None,
        selections=None,
        file=file,
        figures={"analysis": analysis},
        made=made or "Analysis alone",
        blocks=[block for study in pages for block in study.data],
        remarks=(REMARK,),
        studies=pages,
    )
    return _within(page(contents, still_sections(contents)), most_bytes)


def report_of_studies(studies: Sequence[Given], *, made: str = "", most_bytes: int = 25 * MEGABYTE) -> Report:
    """Return the page of studies without an analysis; the same input gives the same page.

    Parameters
    ----------
    studies
        At least one: see `moexray.views.report.studies.read_studies`.
    made
        Where they come from, in a few words.
    most_bytes
        How large the page may be.

    Raises
    ------
    MoexrayError
        If the page is too large.
    """
    fingerprint, model = of_what(studies[0].result)
    pages = study_pages(studies, file="signatures.npz", fingerprint=fingerprint)
    html = page_of_studies(pages, model=model or "unknown model", made=made or "Studies", fingerprint=fingerprint or "")
    return _within(html, most_bytes)


def of_what(result: Any) -> tuple[str | None, str | None]:
    """Return the fingerprint and the model of the signatures that a result is of, where it says them.

    Of several signatures, as in a comparison, those of the first.
    """
    parts = (result, getattr(result, "signatures", None), getattr(result, "pilot", None))
    models = [
        *(getattr(one, "model", None) for one in parts),
        *(getattr(result, "models", None) or ()),
        *(one.model for one in getattr(result, "captures", ())),
        getattr(result, "recorded", {}).get("model"),
    ]
    return next(iter(result.studied()), None), next((str(one) for one in models if one is not None), None)


def _within(html: str, most_bytes: int) -> Report:
    """Return a page of which nothing can be left out, if it is small enough."""
    size = len(html.encode("utf-8"))
    if size > most_bytes:
        message = f"the report takes {size / MEGABYTE:.1f} MB, all of it figures and tables: give --max-size more"
        raise MoexrayError(message)
    return Report(html, ())
