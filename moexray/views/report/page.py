"""A report: one page of HTML that needs nothing but itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moexray.errors import FigureError
from moexray.formats import count, listed, tokens_text, visible
from moexray.segments import ALL
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.studies.category_selections import CategorySelections
from moexray.studies.segment_selections import SegmentSelections
from moexray.views.report.drawings import drawing
from moexray.views.report.encoding import Block
from moexray.views.report.facts import facts
from moexray.views.report.forest import control_forests
from moexray.views.report.rendering import rendered, trusted
from moexray.views.report.sections import SECTIONS, Needs, Section
from moexray.views.report.still import TABLES
from moexray.views.report.studies import StudyPage
from moexray.views.report.tables import StillTable, still_table
from moexray.views.sentences import CAVEATS, summarize
from moexray.views.tables.analysis import layer_table, similarity_table
from moexray.views.tables.headline import headline
from moexray.views.tables.table import Table
from moexray.views.wording import note_lines

# Rows of a table that is shown whole: it has one for each layer or category.
_ALL = 10**6


@dataclass(frozen=True)
class Contents:
    """What a page is made of.

    Attributes
    ----------
    analysis
        What it is of.
    signatures, selections
        Of the analysis; None where it is shown alone: then there are no live views.
    file
        How the signatures are named in commands.
    figures
        Results by what figures are of: the analysis, and the similarity matrix.
    made
        Where the analysis comes from.
    segments
        What was recorded of each segment; None leaves it out.
    blocks
        The data of single prompts and tokens.
    tokens
        What the page must know of the tokens; None where there are none.
    remarks
        What was left out for want of room.
    studies
        Other results, each a page of its own.
    """

    analysis: Analysis
    signatures: Signatures | None
    selections: CategorySelections | None
    file: str
    figures: Mapping[str, Any]
    made: str
    segments: SegmentSelections | None = None
    blocks: Sequence[Block] = ()
    tokens: Mapping[str, Any] | None = None
    remarks: Sequence[str] = ()
    studies: Sequence[StudyPage] = ()


@dataclass(frozen=True)
class _Drawn:
    """A section, with the text of its still picture, if it has one, its still tables, and its command."""

    section: Section
    picture: str | None
    tables: Sequence[Table]
    command: str


def still_sections(contents: Contents) -> list[_Drawn]:
    """Return the sections that the data has something for, with their still pictures."""
    there = _there(contents)
    drawn = (_drawn(section, contents) for section in SECTIONS if there[section.needs])
    return [one for one in drawn if one is not None]


def page(contents: Contents, sections: Sequence[_Drawn]) -> str:
    """Return the HTML of a report; the same contents give the same text.

    Parameters
    ----------
    contents
        What it shows.
    sections
        What `still_sections` returned, which takes longer than the rest.
    """
    analysis = contents.analysis
    verdict, *findings = summarize(analysis)
    findings = [sentence for sentence in findings if sentence not in CAVEATS]
    return rendered(
        title=visible(analysis.signatures.model or "unknown model"),
        about=_about(analysis),
        alone=contents.signatures is None,
        verdict=verdict,
        findings=findings,
        caveats=CAVEATS,
        headline=still_table(headline(analysis), "headline", "Headline table"),
        tables=_tables(analysis),
        notes=note_lines(analysis.notes),
        sections=[
            {
                "about": one.section,
                "picture": None if one.picture is None else trusted(one.picture),
                "tables": [
                    still_table(table, f"{one.section.name}-table-{place}", one.section.title, most=_ALL)
                    for place, table in enumerate(one.tables, start=1)
                ],
                "command": one.command,
            }
            for one in sections
        ],
        nav=_nav(sections, contents.studies),
        studies=[_markup(study) for study in contents.studies],
        remarks=[visible(remark) for remark in contents.remarks],
        made=visible(contents.made),
        fingerprint=analysis.signatures.fingerprint or "",
        facts=_facts(contents, sections),
        blocks=contents.blocks,
    )


def page_of_studies(studies: Sequence[StudyPage], *, model: str, made: str, fingerprint: str) -> str:
    """Return the HTML of a report that has studies and no analysis.

    Parameters
    ----------
    studies
        Its pages.
    model, made, fingerprint
        The model, where the studies come from, and the signatures that they are of.
    """
    blocks = [block for study in studies for block in study.data]
    return rendered(
        title=visible(model),
        about=[],
        alone=True,
        verdict=None,
        headline=None,
        sections=[],
        nav=[{"name": one.name, "title": one.title} for one in studies],
        studies=[_markup(study) for study in studies],
        remarks=[],
        made=visible(made),
        fingerprint=fingerprint,
        facts=_facts_alone(blocks),
        blocks=blocks,
    )


def _facts_alone(blocks: Sequence[Block]) -> Mapping[str, Any]:
    """Return what the script must know of a page without views: nothing but what can be saved."""
    return {"alone": True, "blocks": {block.name: block.form for block in blocks}}


def _facts(contents: Contents, sections: Sequence[_Drawn]) -> Mapping[str, Any]:
    """Return what the script must know."""
    if contents.signatures is None or contents.selections is None:
        return _facts_alone(contents.blocks)
    return facts(
        contents.analysis,
        contents.signatures,
        contents.selections,
        segments=contents.segments,
        blocks=contents.blocks,
        tokens=contents.tokens,
        commands={one.section.name: one.command for one in sections},
    )


def _there(contents: Contents) -> Mapping[Needs, bool]:
    """Return whether the data has what sections need."""
    analysis, alone = contents.analysis, contents.signatures is None
    return {
        "layers": bool(analysis.layers),
        "pairs": analysis.signatures.prompts > 1 and not alone,
        "pca": analysis.pca is not None,
        "prompts": not alone,
        "loads": analysis.loads is not None,
        "specifications": bool(analysis.specifications),
        "token_identity": analysis.controls.token_identity is not None,
        "categories": contents.selections is not None and len(contents.selections.categories) > 0,
        "controls": bool(control_forests(analysis)),
        "phases": analysis.phases is not None,
        "distributions": analysis.similarity.histogram is not None,
        "segments": contents.segments is not None and len(contents.segments.segments) > 1,
    }


def _drawn(section: Section, contents: Contents) -> _Drawn | None:
    """Return a section with its picture; None where its figure cannot be drawn."""
    picture = None
    if section.figure is not None:
        from moexray.views.figures import FIGURES, figure

        try:
            axes = figure(section.figure)(contents.figures[FIGURES[section.figure].of])
        except FigureError:
            return None
        picture = drawing(axes, section.name, section.title)
    tables: Sequence[Table] = ()
    if picture is None and section.name in TABLES:
        tables = TABLES[section.name](contents.analysis, contents.segments)
    if contents.signatures is None:
        section = replace(section, live=False)
    return _Drawn(section, picture, tables, _command(section, contents))


def _nav(sections: Sequence[_Drawn], studies: Sequence[StudyPage]) -> list[dict[str, str]]:
    """Return the anchor and the title of every section of the page."""
    first = [{"name": "verdict", "title": "Verdict"}, {"name": "numbers", "title": "The numbers"}]
    last = [{"name": one.name, "title": one.title} for one in studies]
    return first + [{"name": one.section.name, "title": one.section.title} for one in sections] + last


def _command(section: Section, contents: Contents) -> str:
    """Return the command that gives what a section shows, of the same tokens and by the same weighting."""
    about = contents.analysis.signatures
    words = ["moexray", section.command.format(file=_quoted(contents.file))]
    if about.phase != ALL and not section.command.startswith("info"):  # which is of all tokens
        words += ["--tokens", _quoted(about.phase)]
    if about.by != "counts" and section.command.startswith(("plot", "analyze")):  # the others are of selections
        words += ["--by", about.by]
    return " ".join(words)


def _about(analysis: Analysis) -> list[str]:
    """Say what was analyzed: prompts, tokens and routers."""
    about = analysis.signatures
    sizes = sorted(set(about.experts_by_layer or (about.experts,)))
    experts = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    ks = listed([str(k) for k in sorted(set(about.top_k))])
    categories = ", ".join(f"{visible(name)} {size:,}" for name, size in about.categories.items())
    shares = "gate weights" if about.by == "mass" else "selections"
    return [
        f"{count(about.prompts, 'prompt')}: {categories}",
        f"{count(len(about.layers), 'MoE layer')} of {experts} experts, of which a token selects {ks}",
        f"{tokens_text(about.phase)}; signatures are shares of {shares}",
    ]


def _tables(analysis: Analysis) -> list[StillTable]:
    found = (
        ("similarity-table", "Similarity of categories", similarity_table(analysis)),
        ("layers-table", "Layer by layer", layer_table(analysis)),
    )
    return [still_table(table, name, title, most=_ALL) for name, title, table in found if table is not None]


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(visible(word))


def _markup(study: StudyPage) -> StudyPage:
    """Return a study whose picture is markup."""
    return study if study.picture is None else replace(study, picture=trusted(study.picture))
