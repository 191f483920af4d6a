"""A capture of prompts with images keeps what it saw of them, however it was run."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.merging import merge_files
from moexray.prompts import Prompt
from moexray.recorded_images import images_of_text
from moexray.recording.capture import capture_with
from moexray.recording.progress import Progress
from moexray.recording.resume import check_same
from moexray.recording.trial import trial_batches
from moexray.segments import WITH_IMAGES
from moexray.signatures import Signatures
from moexray.trace import Trace
from tests.engines.transformers.pictured import image, mixed_prompts, reader

NAME = "qwen3_vl_moe"
# Several batches of prompts of unequal length.
PROMPTS = [
    replace(prompt, id=f"{prompt.id} {seed}") for seed in (0, 10, 20) for prompt in mixed_prompts(NAME, seed=seed)
]
FILES = ["out.coselection.npz", "out.npz", "out.trace.parquet"]
RECORD = ("trace", "coselection", "weights")


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with reader(NAME) as found:
        yield found
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.recording.batches.now", lambda: "2026-11-27T00:00:00+00:00")


def captured(
    engine: TransformersEngine, folder: Path, prompts: list[Prompt] = PROMPTS, **options: object
) -> Signatures:
    folder.mkdir(exist_ok=True)
    settings = {"record": RECORD, "batch_tokens": 150, **options}
    return capture_with(engine, prompts, Generation(4), out=folder / "out.npz", **settings)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.slow
def test_a_capture_with_images_that_is_stopped_goes_on_to_the_same_files(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    whole = captured(engine, tmp_path / "whole")
    assert list(contents(tmp_path / "whole")) == FILES

    def stop(progress: Progress) -> None:
        if 0 < progress.prompts < len(PROMPTS):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        captured(engine, tmp_path / "stopped", on_progress=stop)
    assert list(contents(tmp_path / "stopped")) == ["out.npz.journal"]
    captured(engine, tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    other = [replace(PROMPTS[0], images=(image(99),)), *PROMPTS[1:]]
    with pytest.raises(KeyboardInterrupt):
        captured(engine, tmp_path / "other", on_progress=stop)
    with pytest.raises(CaptureError, match="other prompts"):
        captured(engine, tmp_path / "other", other)
    assert whole.segments == WITH_IMAGES
    for prompt, text in zip(PROMPTS, whole.prompts.columns["images"], strict=True):
        assert [one.sha256 for one in images_of_text(text)] == [one.sha256 for one in prompt.images]
    np.testing.assert_array_equal(whole.tokens[:4, 1], [6, 0, 10, 0])
    Trace.open(tmp_path / "whole" / "out.trace.parquet", whole).tokens(np.arange(len(whole)), "image")


@pytest.mark.slow
def test_shards_with_images_merge_to_the_whole_and_alone_gives_the_same(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    prompts = PROMPTS[:4]
    whole = captured(engine, tmp_path / "whole", prompts, record=(), reproducible=True, batch_tokens=None)
    again = captured(engine, tmp_path / "again", prompts[::-1], record=(), reproducible=True, batch_tokens=None)
    np.testing.assert_array_equal(again.counts[::-1], whole.counts)
    parts = tmp_path / "parts"
    shards = [captured(engine, parts, prompts, record=(), shard=(i, 3)) for i in range(3)]
    merge_files([parts / f"out.shard-{i}-of-3.npz" for i in range(len(shards))], parts / "merged.npz")
    merged = Signatures.open(parts / "merged.npz")
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert list(merged.prompts.columns["images"]) == list(whole.prompts.columns["images"])


def test_another_setting_of_the_processor_is_refused_by_its_name() -> None:
    begun, now = ({"image_settings": {"resample": one, "size": {"height": 64, "width": 64}}} for one in (3, 2))
    with pytest.raises(CaptureError, match=r"another setting of the processor of images \(resample changed\): finish"):
        check_same(begun, now)


def test_a_check_before_a_capture_tries_a_prompt_with_an_image() -> None:
    lengths, batches = np.array([100, 99, 50, 2, 10, 9]), [[0, 1], [2, 3], [4, 5]]
    assert trial_batches(batches, lengths, np.arange(6) >= 4) == [[0, 1], [2, 3], [5]]
    assert trial_batches(batches, lengths, np.arange(6) == 3) == [[0, 1], [2, 3]]
