"""A report of an analysis without its signatures: what the analysis holds, and no views of prompts."""

from collections.abc import Sequence

from moexray.errors import MoexrayError
from moexray.studies.analysis import Analysis
from moexray.views.report.page import Contents, page, still_sections
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
    html = page(contents, still_sections(contents))
    size = len(html.encode("utf-8"))
    if size > most_bytes:
        message = f"the report takes {size / MEGABYTE:.1f} MB, all of it figures and tables: give --max-size more"
        raise MoexrayError(message)
    return Report(html, ())
