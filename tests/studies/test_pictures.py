"""The experts of a picture's tokens are those of the rows of its trace."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.errors import AnalysisError
from moexray.recorded_images import RecordedImage
from moexray.studies.pictures import study_picture
from moexray.trace import Trace

from ..pictured import one_row, pictured


def image_rows(path: Path, prompt: str, layer: int) -> list[dict[str, Any]]:
    rows = parquet.read_table(path).to_pylist()
    return [row for row in rows if (row["prompt"], row["layer"], row["kind"]) == (prompt, layer, "image")]


def reweighted(path: Path, seed: int) -> None:
    """Give each selection a gate weight of its own."""
    table, rng = parquet.read_table(path), np.random.default_rng(seed)
    weights = [rng.permutation([0.75, 0.25]).tolist() for _ in range(len(table))]
    rewrite(path, "gate_weights", weights)


def rewrite(path: Path, name: str, values: list[Any]) -> None:
    """Write the trace again with other values in a column."""
    table = parquet.read_table(path)
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    parquet.write_table(table.set_column(place, field, pa.array(values, field.type)), path)


def test_each_token_stands_in_its_place_with_the_expert_of_its_greatest_gate_weight(tmp_path: Path) -> None:
    trace = pictured(tmp_path / "a.trace.parquet")
    reweighted(trace.path, seed=1)
    found = study_picture(trace, "p1")
    assert found.weighted
    assert [one.layer for one in found.layers] == [0, 4, 7]  # the first, the middle one, the last
    for one in found.layers:
        rows = image_rows(trace.path, "p1", one.layer)
        strongest = [max(zip(row["gate_weights"], row["experts"], strict=True))[1] for row in rows]
        assert one.strongest.ravel().tolist() == strongest
        assert one.strongest.shape == (found.image.rows, found.image.columns)
        used = Counter(expert for row in rows for expert in row["experts"])
        assert [used[expert] / len(rows) for expert in one.leading] == list(one.shares)
        assert sorted(used.values(), reverse=True)[: len(one.leading)] == [used[expert] for expert in one.leading]
        assert len(one.leading) + one.others == len(used)
        assert len(one.leading) <= 7
        assert one.even == 2 / 12


def test_without_gate_weights_it_is_the_expert_that_most_of_its_tokens_select(tmp_path: Path) -> None:
    trace = pictured(tmp_path / "a.trace.parquet")
    parquet.write_table(parquet.read_table(trace.path).drop_columns(["gate_weights"]), trace.path)
    found = study_picture(trace, "p0", layers=[3])
    rows = image_rows(trace.path, "p0", 3)
    used = Counter(expert for row in rows for expert in row["experts"])
    assert not found.weighted
    for expert, row in zip(found.layers[0].strongest.ravel().tolist(), rows, strict=True):
        assert expert in row["experts"]
        assert used[expert] == max(used[one] for one in row["experts"])


def test_of_several_pictures_each_has_its_own_tokens(tmp_path: Path) -> None:
    def two(prompt: int, tokens: int) -> list[RecordedImage]:
        first = RecordedImage("a.png", "0" * 64, 16, 8, 2, 1, 2)
        return [first, replace(one_row(prompt, tokens - 2)[0], name="b.png")]

    trace = pictured(tmp_path / "a.trace.parquet", two)
    (whole,) = study_picture(pictured(tmp_path / "b.trace.parquet"), "p0", layers=[0]).layers
    parts = [study_picture(trace, "p0", image=n, layers=[0]).layers[0].strongest.ravel() for n in (1, 2)]
    assert np.concatenate(parts).tolist() == whole.strongest.ravel().tolist()
    with pytest.raises(AnalysisError, match="prompt 'p0' has no image 3: it has 2"):
        study_picture(trace, "p0", image=3)


def test_markers_among_the_image_tokens_are_no_places_of_the_grid(tmp_path: Path) -> None:
    """A router may take the marker after a picture for a part of it; its id is another."""

    def marked(prompt: int, tokens: int) -> list[RecordedImage]:
        return one_row(prompt, tokens - 1)

    trace = pictured(tmp_path / "a.trace.parquet", marked)
    table = parquet.read_table(trace.path)
    last = max(row["position"] for row in image_rows(trace.path, "p0", 0))
    ids = [
        5 if (row["prompt"], row["position"]) == ("p0", last) else row["token_id"]
        for row in table.select(["prompt", "position", "token_id"]).to_pylist()
    ]
    rewrite(trace.path, "token_id", ids)
    found = study_picture(trace, "p0", layers=[0]).layers[0].strongest.ravel()
    whole = study_picture(pictured(tmp_path / "b.trace.parquet"), "p0", layers=[0]).layers[0].strongest.ravel()
    assert found.tolist() == whole[:-1].tolist()


def no_grid(prompt: int, tokens: int) -> list[RecordedImage]:
    return [replace(one_row(prompt, tokens)[0], rows=None, columns=None)]


def too_few(prompt: int, tokens: int) -> list[RecordedImage]:
    return one_row(prompt, tokens - 1)


@pytest.mark.parametrize(
    ("pictures", "prompt", "options", "message"),
    [
        (one_row, "p3", {}, "prompt 'p3' has no image: name a prompt that was captured with one"),
        (one_row, "p77", {}, "there is no prompt 'p77': there are such as 'p7'"),
        (one_row, "p0", {"layers": [1]}, "layer 1 has no experts: the MoE layers are 0, 3, 4, 7"),
        (no_grid, "p0", {}, "image 'pictures/0.png' of prompt 'p0' cannot be drawn: the model's processor"),
        (too_few, "p0", {}, r"the \d+ image tokens of prompt 'p0' cannot be told apart, since its images are recorded"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    tmp_path: Path, pictures: Any, prompt: str, options: dict[str, Any], message: str
) -> None:
    trace = pictured(tmp_path / "a.trace.parquet", pictures)
    with pytest.raises(AnalysisError, match=message):
        study_picture(trace, prompt, **options)


def test_a_capture_of_texts_has_no_pictures(tmp_path: Path) -> None:
    trace = pictured(tmp_path / "a.trace.parquet")
    plain = trace.signatures.replace(prompts=replace(trace.signatures.prompts, columns={}))
    with pytest.raises(AnalysisError, match="prompt 'p0' has no image"):
        study_picture(Trace.open(trace.path, plain), "p0")
