"""The tokens and images of a page are those of the trace and the signatures, and as many as there is room for."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moexray.cli.report_pictures import pictures_near
from moexray.recorded_images import RecordedImage, text_of_images
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze
from moexray.studies.explored_tokens import explore_tokens
from moexray.trace import Trace
from moexray.views.report.report import report

from ... import made
from ...prompts import pictures
from .conftest import Opened


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signatures, Trace]:
    """Sixteen prompts, twelve with an image; the column of images says of two how their tokens lie."""
    folder = tmp_path_factory.mktemp("traced")
    signatures = made.trace(folder / "trace.parquet", prompts=16, images=True)
    (folder / "found.png").write_bytes(pictures.picture(1, "PNG"))
    column = []
    for row, tokens in enumerate(signatures.tokens[:, 1].tolist()):
        grid = (1, tokens) if row < 2 else (None, None)
        digest = hashlib.sha256((folder / "found.png").read_bytes()).hexdigest() if row == 0 else "0" * 64
        image = RecordedImage("found.png", digest, 8, 8, tokens, *grid)
        column.append(text_of_images([image]) if tokens else "")
    signatures = signatures.replace(prompts=replace(signatures.prompts, columns={"images": tuple(column)}))
    signatures.save(folder / "signatures.npz")
    return signatures, Trace.open(folder / "trace.parquet", signatures)


@pytest.fixture(scope="module")
def page(traced: tuple[Signatures, Trace]) -> Opened:
    signatures, trace = traced
    analysis = analyze(signatures, permutations=19)
    near = pictures_near(trace.path.parent / "signatures.npz")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("moexray.views.report.report.still_sections", lambda _: [])
        return Opened(report(analysis, signatures, trace=trace, picture_of=near), analysis, signatures)


@pytest.mark.slow
def test_the_tokens_of_a_page_are_those_of_the_trace(page: Opened, traced: tuple[Signatures, Trace]) -> None:
    read = traced[1].tokens(np.arange(16))
    experts = page.array("token-experts")
    np.testing.assert_array_equal(experts, read.experts)
    texts = page.values("token-texts")
    found = [texts[i] for i in page.array("token-text").tolist()]
    assert found == [traced[1].texts()[one] for one in read.token_ids.tolist()]
    np.testing.assert_array_equal(page.array("token-segments"), read.segments)
    assert page.array("token-lengths").tolist() == traced[0].lengths().tolist()
    weights = page.array("token-weights") / page.facts["tokens"]["steps"] * page.facts["tokens"]["greatest_weight"]
    np.testing.assert_allclose(weights, 0.5, atol=1 / 510)
    assert page.facts["segments"][1] == {"phase": "prompt", "kind": "image"}


def test_a_picture_is_in_a_page_only_if_its_file_is_the_one_that_was_recorded(page: Opened) -> None:
    images = page.values("images")
    with_image = [str(row) for row in range(16) if page.signatures.tokens[row, 1]]
    assert sorted(images, key=int) == with_image
    assert images["0"][0]["data"].startswith("data:image/jpeg;base64,")
    assert [images[row][0]["data"] for row in with_image[1:]] == [None] * (len(with_image) - 1)
    assert (images["1"][0]["rows"], images["1"][0]["columns"]) == (1, page.signatures.tokens[1, 1])


def test_a_picture_that_is_no_picture_or_no_file_is_left_out(tmp_path: Path) -> None:
    near = pictures_near(tmp_path / "signatures.npz")
    (tmp_path / "text.png").write_bytes(b"not a picture")
    digest = hashlib.sha256(b"not a picture").hexdigest()
    (tmp_path / "empty.png").touch()
    assert near(RecordedImage("empty.png", hashlib.sha256(b"").hexdigest(), 8, 8)) is None
    for name in ("text.png", "gone.png", "image 2", ".", "a\0b", "x" * 5000):
        assert near(RecordedImage(name, digest, 8, 8)) is None


@pytest.mark.slow
def test_where_there_is_no_room_for_all_tokens_some_prompts_have_theirs(
    page: Opened, traced: tuple[Signatures, Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moexray.views.report.report.still_sections", lambda _: [])
    most = len(page.html.encode()) - 200
    near = pictures_near(traced[1].path.parent / "signatures.npz")
    found = report(page.analysis, traced[0], trace=traced[1], most_bytes=most, picture_of=near)
    assert len(found.html.encode()) <= most
    shown = Opened(found, page.analysis, traced[0])
    assert len(shown.array("token-rows")) in range(1, 16)
    assert f"Tokens of {len(shown.array('token-rows'))} prompts, drawn at random, are shown" in found.remarks[-1]
    experts = traced[1].tokens(shown.array("token-rows")).experts
    np.testing.assert_array_equal(shown.array("token-experts"), experts)


def test_experts_that_stand_in_no_order_are_not_taken_for_ranked(
    traced: tuple[Signatures, Trace], page: Opened
) -> None:
    signatures = traced[0].replace(meta={**traced[0].meta, "selection_order": "ascending"})
    assert page.facts["tokens"]["ranked"]
    assert not explore_tokens(Trace(traced[1].path, signatures), np.array([0])).ranked
