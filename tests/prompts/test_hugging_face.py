"""Hugging Face data sets, by name and from folders, with the names of their classes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from moexray.errors import MissingExtra, PromptsError
from moexray.prompts import Prompt, read_prompts

Write = Callable[[str, str | bytes], Path]
FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["negative", "positive"])})


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def reviews(*labels: int, split: str | None = None) -> Dataset:
    rows: dict[str, Any] = {"text": [f"review {i}" for i in range(len(labels))], "label": list(labels)}
    return Dataset.from_dict(rows, features=FEATURES, split=split)


def categories(prompts: list[Prompt]) -> list[str]:
    return [prompt.category for prompt in prompts]


def test_a_saved_data_set_is_read_with_the_names_of_its_classes() -> None:
    reviews(1, 0).save_to_disk("reviews")
    assert read_prompts("reviews") == [
        Prompt("review 0", "positive", "reviews-01"),
        Prompt("review 1", "negative", "reviews-02"),
    ]


def test_one_column_may_hold_two_things() -> None:
    reviews(1, 0).save_to_disk("reviews")
    found = read_prompts("reviews", id_column="text")
    assert [(prompt.text, prompt.id) for prompt in found] == [("review 0", "review 0"), ("review 1", "review 1")]


def test_one_of_several_saved_splits_is_named() -> None:
    DatasetDict(train=reviews(1, 1, 0), test=reviews(0)).save_to_disk("reviews")
    assert categories(read_prompts("reviews", split="test")) == ["negative"]
    assert len(read_prompts("reviews", split="train")) == 3
    assert len(read_prompts("reviews/train")) == 3
    with pytest.raises(PromptsError, match=r"reviews has the splits train, test: name one with --split"):
        read_prompts("reviews")
    with pytest.raises(PromptsError, match=r'reviews has no split "dev": it has train, test'):
        read_prompts("reviews", split="dev")


def test_a_split_that_is_the_only_one_need_not_be_named() -> None:
    DatasetDict(train=reviews(1)).save_to_disk("several")
    reviews(0, split="test").save_to_disk("one")
    assert categories(read_prompts("several", "one")) == ["positive", "negative"]
    assert len(read_prompts("one", split="test")) == 1
    with pytest.raises(PromptsError, match=r'one has no split "train": it holds test'):
        read_prompts("one", split="train")


def test_rows_that_were_filtered_away_are_not_read() -> None:
    reviews(0, 1, 0).filter(lambda row: row["label"] == 0).save_to_disk("reviews")
    assert [prompt.text for prompt in read_prompts("reviews")] == ["review 0", "review 2"]


def test_parquet_that_datasets_wrote_keeps_the_names_of_its_classes() -> None:
    reviews(1, 0).to_parquet("reviews.parquet")
    assert categories(read_prompts("reviews.parquet")) == ["positive", "negative"]


@pytest.mark.parametrize("label", [-1, None])
def test_a_number_that_is_no_class_is_refused_with_its_row(label: Any) -> None:
    """A data set's hidden labels are written as −1."""
    reviews(0, label).save_to_disk("reviews")
    with pytest.raises(PromptsError, match=rf'reviews row 2: "label" is {label}, which is none of the 2 classes'):
        read_prompts("reviews")


def test_chats_of_a_data_set_are_read() -> None:
    chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    Dataset.from_dict({"messages": [chat], "id": [3]}).save_to_disk("talks")
    (prompt,) = read_prompts("talks")
    assert (list(prompt.messages or ()), prompt.id) == (chat, "3")


def test_a_data_set_is_loaded_by_name_configuration_and_split(tmp_path: Path, write: Write) -> None:
    """Offline a name is that of a folder here, which `datasets` loads as it would a repository of the hub."""
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    for name in ("main-train", "main-test", "other-train"):
        write(f"org/name/{name}.csv", f"text,label\n{name} 1,x\n{name} 2,y\n")
    write(
        "org/name/README.md",
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: main-train.csv\n"
        "  - split: test\n    path: main-test.csv\n"
        "- config_name: other\n  data_files:\n  - split: train\n    path: other-train.csv\n---\n",
    )
    assert read_prompts("hf:org/name:main", split="test") == [
        Prompt("main-test 1", "x", "name-01"),
        Prompt("main-test 2", "y", "name-02"),
    ]
    assert [p.text for p in read_prompts("hf:org/name:main", split="train[1:]")] == ["main-train 2"]
    assert [p.text for p in read_prompts("hf:org/name:other")] == ["other-train 1", "other-train 2"]
    for spelled, split, problem in (
        ("hf:org/name:main", None, "has the splits train, test: name one with --split"),
        ("hf:org/name:main", "dev", 'could not be loaded: Unknown split "dev"'),
        ("hf:org/name:none", None, "could not be loaded: BuilderConfig 'none' not found. Available: "),
        ("hf:org/name", None, "could not be loaded: Config name is missing"),
    ):
        with pytest.raises(PromptsError, match=f"^{spelled} {problem}"):
            read_prompts(spelled, split=split)


@pytest.mark.parametrize(
    ("spelled", "problem"),
    [
        ("hf:", "hf: names no data set: write hf:NAME"),
        ("hf:no/such-data", "hf:no/such-data could not be loaded: "),
        ("hf:empty", "hf:empty could not be loaded: .* doesn't contain any data files"),
        ("hf:broken", r"hf:broken could not be loaded: .*utf-8"),
    ],
)
def test_a_data_set_that_cannot_be_loaded_is_refused(tmp_path: Path, write: Write, spelled: str, problem: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    write("broken/train.csv", b"text\ncaf\xe9\n")
    with pytest.raises(PromptsError, match=problem):
        read_prompts(spelled)


def test_a_saved_folder_that_is_damaged_is_refused(tmp_path: Path, write: Write) -> None:
    reviews(1).save_to_disk("reviews")
    (arrow,) = (tmp_path / "reviews").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:100])
    with pytest.raises(PromptsError, match="reviews is damaged or is not a saved data set"):
        read_prompts("reviews")
    write("reviews/state.json", "{}")
    with pytest.raises(PromptsError, match="reviews is damaged or is not a saved data set"):
        read_prompts("reviews")


def test_a_split_of_something_else_is_refused(write: Write) -> None:
    with pytest.raises(PromptsError, match='there is no data set to take the split "test" of'):
        read_prompts(write("a.txt", "x"), split="test")


def test_without_datasets_the_error_gives_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"reading hf:org/name needs datasets: pip install 'moexray\[datasets\]'"):
        read_prompts("hf:org/name")
