"""Images stand in a column: as paths beside the file, as bytes, or as Hugging Face data sets hold them."""

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Value
from pyarrow import parquet

from moexray.errors import MissingExtra, PromptsError
from moexray.prompts import PromptImage, image_in_bytes, image_in_file, read_prompts

from ..mutation import mutated, mutated_text
from .pictures import picture, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures beside the prompts, and one in a folder above."""
    for number in range(3):
        written(tmp_path / "data" / "pictures" / f"{number}.png", seed=number)
    written(tmp_path / "above.jpg", seed=3, format_="JPEG")
    return tmp_path / "data"


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps({"text": "x", **row}) + "\n" for row in rows))
    return path


def table(path: Path, values: list[Any], type_: Any = None, name: str = "image") -> Path:
    parquet.write_table(pa.table({"text": ["x"] * len(values), name: pa.array(values, type_)}), path)
    return path


def images(path: Path, **options: Any) -> list[tuple[PromptImage, ...]]:
    return [prompt.images for prompt in read_prompts(path, **options)]


def test_paths_are_relative_to_the_file_that_names_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    above = str(folder.parent / "above.jpg")
    paths = ["pictures/0.png", "../above.jpg", above, f"file://{above}"]
    file = lines(folder / "p.jsonl", *({"image": path} for path in paths), {"image": None}, {})
    monkeypatch.chdir("/")
    found = images(file)
    assert found[:4] == [(image_in_file(folder / path.removeprefix("file://"), name=path),) for path in paths]
    assert found[4:] == [(), ()]


def test_one_prompt_may_have_several_images_in_their_order(folder: Path) -> None:
    file = lines(folder / "p.jsonl", {"images": ["pictures/2.png", "pictures/0.png"]}, {"images": []})
    assert [[image.name for image in row] for row in images(file)] == [["pictures/2.png", "pictures/0.png"], []]


def test_a_table_of_comma_separated_values_holds_a_path_or_nothing(folder: Path) -> None:
    (folder / "p.csv").write_text("text,image\nx,pictures/1.png\ny,\n")
    assert images(folder / "p.csv") == [(image_in_file(folder / "pictures/1.png", name="pictures/1.png"),), ()]


def test_a_column_is_named_or_left_out(folder: Path) -> None:
    file = lines(folder / "p.jsonl", {"photo": "pictures/1.png", "image": "no/such.png"})
    assert [image.name for image in images(file, image_column="photo")[0]] == ["pictures/1.png"]
    assert images(file, image_column="") == [()]
    with pytest.raises(PromptsError, match=r'line 1 has no "view": it has "text", "photo" and "image"'):
        images(file, image_column="view")
    with pytest.raises(PromptsError, match=r'has "image" and "images": which holds the image\? Name it with --image'):
        images(lines(file, {"image": None, "images": None}))


def test_plain_text_has_no_images(folder: Path) -> None:
    (folder / "p.txt").write_text("x\n")
    assert images(folder / "p.txt", image_column="") == [()]
    with pytest.raises(PromptsError, match=r'is plain text and has no column "photo": leave --image-column out'):
        images(folder / "p.txt", image_column="photo")


def test_data_uris_are_decoded_where_they_stand(folder: Path) -> None:
    uri = "data:image/png;base64," + base64.b64encode(picture(1)).decode()
    assert images(lines(folder / "p.jsonl", {"image": uri})) == [(image_in_bytes(picture(1)),)]


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
BYTES: list[Any] = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())]


@pytest.mark.parametrize("type_", BYTES, ids=str)
def test_bytes_are_read_however_they_are_stored(folder: Path, type_: Any) -> None:
    file = table(folder / "p.parquet", [picture(), None, picture(1), picture()], type_)
    one, other = image_in_bytes(picture()), image_in_bytes(picture(1))
    assert images(file) == [(one,), (), (other,), (one,)]


def test_images_of_data_sets_hold_bytes_or_a_path_or_both(folder: Path) -> None:
    path = str(folder / "pictures/2.png")
    rows = [
        {"bytes": picture(), "path": None},
        {"bytes": picture(1), "path": "one.png"},
        {"bytes": None, "path": path},
        {"bytes": None, "path": "pictures/2.png"},
        {"bytes": None, "path": None},
        None,
    ]
    assert images(table(folder / "p.parquet", rows, STRUCT)) == [
        (image_in_bytes(picture()),),
        (image_in_bytes(picture(1), name="one.png"),),
        (image_in_file(path),),
        (image_in_file(path, name="pictures/2.png"),),
        (),
        (),
    ]


@pytest.mark.parametrize("list_", [pa.list_, pa.large_list])
def test_lists_of_images_are_read_in_order(folder: Path, list_: Any) -> None:
    rows = [[{"bytes": picture(1)}, {"path": "pictures/0.png"}], [], None]
    two = (image_in_bytes(picture(1)), image_in_file(folder / "pictures/0.png", name="pictures/0.png"))
    assert images(table(folder / "p.parquet", rows, list_(STRUCT), name="images")) == [two, (), ()]
    second = images(table(folder / "p.parquet", [[picture(), picture(1)]], list_(pa.binary())))[0][1]
    assert second == image_in_bytes(picture(1), name="image 2")


def test_a_column_of_nothing_gives_no_images(folder: Path) -> None:
    assert images(table(folder / "p.parquet", [None, None], pa.null())) == [(), ()]
    assert images(table(folder / "p.parquet", [None, []], pa.list_(pa.null()))) == [(), ()]


@pytest.mark.parametrize(
    "type_", [pa.int64(), pa.list_(pa.list_(pa.string())), pa.struct([("bytes", pa.binary()), ("width", pa.int8())])]
)
def test_a_column_of_something_else_is_refused_with_the_way_out(folder: Path, type_: Any) -> None:
    file = table(folder / "p.parquet", [None], type_)
    with pytest.raises(PromptsError, match=r'column "image" is of .*, or leave images out with --image-column \'\''):
        images(file)
    assert images(file, image_column="") == [()]


def test_a_saved_data_set_gives_its_images(folder: Path) -> None:
    features = Features({"text": Value("string"), "image": datasets.Image()})
    paths = [str(folder / "pictures/0.png"), None]
    Dataset.from_dict({"text": ["x", "y"], "image": paths}, features=features).save_to_disk(folder / "saved")
    ((image,), nothing) = images(folder / "saved")
    assert (image.name, image.data, nothing) == ("0.png", picture(), ())
    several = Features({"text": Value("string"), "images": datasets.List(datasets.Image())})
    rows = {"text": ["x"], "images": [[{"bytes": picture(1)}, {"bytes": picture(2)}]]}
    Dataset.from_dict(rows, features=several).save_to_disk(folder / "several")
    assert [one.data for one in images(folder / "several")[0]] == [picture(1), picture(2)]


def test_pictures_are_read_a_few_at_a_time(folder: Path) -> None:
    """What is kept is their bytes, once."""
    pictures = [picture(seed, "BMP") + bytes(20_000) for seed in range(100)]  # what comes after a picture is no part
    read_prompts(table(folder / "before.parquet", [picture(100, "BMP")]))  # imports
    file = table(folder / "p.parquet", pictures)
    tracemalloc.start()
    found = read_prompts(file)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [prompt.images[0].data for prompt in found] == pictures
    assert kept < sum(map(len, pictures)) + 2**18
    assert most < kept + 2**19


def test_one_picture_of_many_questions_is_in_memory_once(folder: Path) -> None:
    found = images(table(folder / "p.parquet", [picture()] * 40))
    assert len({id(row[0].data) for row in found}) == 1


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no.png", r'line 2: image "no\.png" does not exist: there is no .*/no\.png'),
        ("", r'line 2: "image" is \'\': it must be the path of an image, its bytes'),
        (7, r'line 2: "image" is 7: it must be'),
        (["pictures/0.png", None], r'line 2: "image" is None: it must be'),
        ([["pictures/0.png"]], r'line 2: "image" is \[\'pictures/0\.png\'\]: it must be'),
        ({"url": "pictures/0.png"}, r'line 2: "image" is {\'url\': .*}: it must be'),
        ({"bytes": "pictures/0.png", "path": 3}, r'line 2: "image" is {\'bytes\': .*}: it must be'),
        ("https://example.com/a.png", r'image "https://example\.com/a\.png" is an address: download the file'),
        ("\ud800.png", r'line 2: "image" is \'\\ud800\.png\', which holds half a character: rename'),
        ("hf://datasets/a.png", "is an address: download the file"),
        ("file://pictures/0.png", "with a host or with %: write its plain path"),
        ("file:///a%20b.png", "with a host or with %: write its plain path"),
        ("data:image/png,abc", r"line 2: image 1 is a data URI that is not in base64"),
        ("data:image/png;base64,a\xe9b", r"line 2: image 1 is a data URI that is not in base64"),
        ("data:image/png;base64,YWJj", r"line 2: image 1 is not an image"),
        ("p.jsonl", r'line 2: image "p\.jsonl" is not an image, or not of a format that is read'),
        ("pictures", r'line 2: image "pictures" is not a file'),
        ("/dev/zero", r'line 2: image "/dev/zero" is not a file'),
    ],
)
def test_what_is_no_image_is_refused_with_its_line(folder: Path, value: object, problem: str) -> None:
    file = lines(folder / "p.jsonl", {"image": "pictures/0.png"}, {"image": value})
    with pytest.raises(PromptsError, match=problem):
        images(file)


def test_a_refusal_shows_nothing_of_a_file_that_is_no_image(folder: Path) -> None:
    (folder / "secret.txt").write_text("hunter2")
    with pytest.raises(PromptsError) as caught:
        images(lines(folder / "p.jsonl", {"image": "secret.txt"}))
    assert "hunter2" not in str(caught.value)


def test_without_pillow_the_error_gives_the_pip_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    (folder / "new.png").write_bytes(picture(9))
    with pytest.raises(MissingExtra, match=r"p\.jsonl line 1: image \"new\.png\" needs PIL: pip install 'moexray\[im"):
        images(lines(folder / "p.jsonl", {"image": "new.png"}))


def attack(folder: Path, number: int, seed: int) -> int:
    """Mutate lines and tables with images, and return how many were refused; all others are read."""
    uri = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    parts = [{"type": "image"}, {"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": uri}}]
    chat = {"messages": [{"role": "user", "content": parts}], "image": "pictures/1.png"}
    rows = [{"text": "x", "image": "pictures/0.png"}, {"text": "x", "images": [uri, "pictures/2.png"]}, chat]
    texts = ["\n".join(map(json.dumps, rows)).encode(), *(json.dumps(row).encode() for row in rows)]
    held = [[{"bytes": picture(), "path": "a"}], [], [{"bytes": None, "path": "pictures/1.png"}]]
    tables = [
        table(folder / "p.parquet", *made).read_bytes() for made in ((held, pa.list_(STRUCT)), ([picture()] * 3,))
    ]
    refused, rng = 0, np.random.default_rng(seed)
    for trial in range(number):
        is_table = trial % 3 == 0
        content = mutated(tables[trial % 2], rng) if is_table else mutated_text(texts[trial % len(texts)], rng)
        path = folder / ("m.parquet" if is_table else "m.jsonl")
        path.write_bytes(content)
        try:
            read_prompts(path)
        except PromptsError:
            refused += 1
    return refused


def test_damaged_prompts_with_images_are_read_or_refused(folder: Path) -> None:
    assert 30 < attack(folder, 60, seed=0) < 60


@pytest.mark.nightly
def test_two_thousand_damaged_prompts_with_images_are_read_or_refused(folder: Path) -> None:
    attack(folder, 2000, seed=1)
