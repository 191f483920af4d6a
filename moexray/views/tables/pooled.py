"""The page of several captures in one summary."""

from moexray.formats import MISSING, categories_text, count, estimate, interval, number, p_text, p_value, tokens_text
from moexray.studies.pooling import Pooled
from moexray.views.tables.table import Column, Page, Table


def pooled_page(found: Pooled) -> Page:
    """Return what was pooled, each capture, and what they say together."""
    about = f"{count(found.prompts, 'prompt')} of {categories_text(list(found.categories))}"
    title = f"{count(len(found.captures), 'capture')} of {about}, {tokens_text(found.phase)}"
    notes = [f"note: {name}: {note}" for name, note in found.notes.items()]
    return Page(title, captures_table(found), *sentences(found), *notes)


def captures_table(found: Pooled) -> Table:
    """Return one row for each capture."""
    rows = [
        [
            str(place),
            one.model or "unknown model",
            one.fingerprint[:12],
            estimate(one.cohens_d, one.ci),
            p_value(one.location_p_value),
        ]
        for place, one in enumerate(found.captures, start=1)
    ]
    names = (Column("", numeric=True), Column("model"), Column("signatures"), Column("Cohen's d"))
    return Table("", [*names, Column("location p", numeric=True)], rows)


def sentences(found: Pooled) -> list[str]:
    """Return what the captures say together."""
    effect, lines = found.effect, []
    if effect is not None:
        lines += [
            f"On average over captures d is {estimate(effect.mean, effect.ci)}, the errors of prompts and captures "
            f"counted (standard errors {number(effect.prompt_error)} and {number(effect.capture_error)}).",
            f"Between captures the true d varies with a standard deviation of {number(effect.between_sd)}.",
            f"One more capture of these prompts is expected to show d in {interval(effect.new_capture_ci)}.",
        ]
    test = MISSING if found.p_value is None else p_text(found.p_value)
    lines.append(f"Categories differ in mean routing: {test}, with labels permuted once for all captures.")
    return lines
