"""Results that are saved, read again and shown: the base of `Analysis` and of every other study's result."""

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from moexray import strict_json
from moexray.errors import AnalysisError
from moexray.extras import import_extra
from moexray.files import LFS_CURE, check_ordinary, is_lfs_pointer, whole_file
from moexray.formats import visible
from moexray.studies.codec import from_values, key_of, to_values

if TYPE_CHECKING:
    import pandas

    from moexray.signatures import Signatures


class Result:
    """A frozen dataclass whose fields are the keys of its JSON file, in their order.

    Attributes
    ----------
    SCHEMA
        The number that its file starts with.
    WHAT, MADE_BY
        What it is called in a sentence, and the command that makes it.
    MARK
        A key that no other kind of result has.
    """

    SCHEMA: ClassVar[int] = 1
    WHAT: ClassVar[str]
    MADE_BY: ClassVar[str]
    MARK: ClassVar[str]

    @property
    def document(self) -> dict[str, Any]:
        """The values of the JSON file."""
        return {"schema": self.SCHEMA, **to_values(self)}

    def to_json(self) -> str:
        """Return the file as text; equal results give the same text."""
        return json.dumps(self.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all."""
        with whole_file(Path(path)) as partial:
            partial.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote.

        Raises
        ------
        AnalysisError
            If the file is missing, damaged, of another kind or of a newer schema.
        """
        otherwise = f"is not {cls.WHAT}: not JSON, or with a key twice or a number that is not finite"
        document = read_values(path, f"{otherwise} ({{}})", parse_float=_finite, finite=True)
        if not isinstance(document, dict) or cls.MARK not in document or "schema" not in document:
            message = f"{path} is not {cls.WHAT}: `{cls.MADE_BY}` makes one"
            raise AnalysisError(message)
        if document["schema"] in range(1, cls.SCHEMA):
            message = (
                f"{path} has schema {document['schema']}, of an earlier moexray, whose values meant something else: "
                f"make it anew with `{cls.MADE_BY}`"
            )
            raise AnalysisError(message)
        if document["schema"] != cls.SCHEMA:
            message = (
                f"{path} has schema {document['schema']!r}; this moexray reads schema {cls.SCHEMA}: update moexray"
            )
            raise AnalysisError(message)
        try:
            found = from_values(document, cls)
        except ValueError as error:
            message = f"{path} is damaged: {error}; `{cls.MADE_BY}` makes another"
            raise AnalysisError(message) from error
        part = found.disagreement()
        if part is not None:
            message = f"{path} is damaged: {part} does not agree with the other parts; `{cls.MADE_BY}` makes another"
            raise AnalysisError(message)
        return found

    def disagreement(self) -> str | None:
        """Return the name of a part that does not go with the others, as in an edited file; None if all agree."""
        return None

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of each of the signatures that were studied; None where that is not known."""
        raise NotImplementedError

    def belongs_to(self, *signatures: "Signatures") -> bool:
        """Whether this is a result of these signatures; never of a file that does not say what it studied."""
        return self.studied() == tuple(one.fingerprint for one in signatures)

    def to_frame(self, section: str | None = None) -> "pandas.DataFrame":
        """Return a part of the result as a pandas data frame; see `rows_of`.

        Parameters
        ----------
        section
            The name of a field, such as ``layers``, or of one inside of it: ``similarity.by_category``. By default
            the result's main table.

        Raises
        ------
        AnalysisError
            If there is no such part, or it was not computed.
        MissingExtra
            If pandas is not installed.
        """
        pd = import_extra("pandas", extra="frames", purpose="a data frame")
        return pd.DataFrame(self.rows(section))

    def rows(self, section: str | None = None) -> list[dict[str, Any]]:
        """Return what `to_frame` has, as rows by the names of the columns."""
        return self._main_rows() if section is None else rows_of(self.part(section))

    def part(self, name: str) -> Any:
        """Return the part under a name with dots; AnalysisError if there is none."""
        value: Any = self
        for key in name.split("."):
            if isinstance(value, Mapping) and key in value:
                value = value[key]
            elif is_dataclass(value) and key in (names := {key_of(one): one.name for one in fields(value)}):
                value = getattr(value, names[key])
            else:
                message = f"there is no {name!r}: {self._sections()}"
                raise AnalysisError(message)
        if value is None:
            message = f"{name} was not computed: {self.reason(name) or 'it was not asked for'}"
            raise AnalysisError(message)
        return value

    def reason(self, name: str) -> str | None:
        """Return what the notes say of a part, or of the part that it belongs to."""
        notes: Mapping[str, str] = getattr(self, "notes", {})
        keys = name.split(".")
        names = (".".join(keys[:depth]) for depth in range(len(keys), 0, -1))
        return next((notes[one] for one in names if one in notes), None)

    def _sections(self) -> str:
        return f"there are {', '.join(key_of(one) for one in fields(self))}"  # type: ignore[arg-type]

    def _main_rows(self) -> list[dict[str, Any]]:
        """Rows of the main table: the sections that were computed, where there is no other."""
        parts = ((key_of(one), getattr(self, one.name)) for one in fields(self))  # type: ignore[arg-type]
        return [
            {"section": name, "computed": value is not None, "note": self.reason(name)}
            for name, value in parts
            if name != "notes"
        ]

    def headline(self) -> list[str]:
        """Return a few lines: what this is, and what was found."""
        raise NotImplementedError

    def __repr__(self) -> str:
        first, *more = map(visible, self.headline())
        return "\n".join([f"{type(self).__name__}: {first}", *(f"  {line}" for line in more)])

    def _repr_html_(self) -> str:
        first, *more = (html.escape(visible(line)) for line in self.headline())
        items = "".join(f"<li>{line}</li>" for line in more)
        return f"<div><strong>{type(self).__name__}</strong>: {first}<ul>{items}</ul></div>"


def read_values(path: str | Path, otherwise: str, **options: Any) -> Any:
    """Return the values of a JSON file.

    Parameters
    ----------
    path
        The file.
    otherwise
        What is said of a file that is no JSON, with ``{}`` where the reason stands.
    options
        Of `moexray.strict_json.loads`.

    Raises
    ------
    AnalysisError
        If the file is missing, no ordinary file, or no JSON.
    """
    check_ordinary(Path(path), error=AnalysisError)
    try:
        return strict_json.loads(Path(path).read_bytes(), **options)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror}"
        raise AnalysisError(message) from error
    except ValueError as error:
        problem = LFS_CURE if is_lfs_pointer(Path(path)) else otherwise.format(error)
        message = f"{path} {problem}"
        raise AnalysisError(message) from error


def rows_of(part: Any) -> list[dict[str, Any]]:
    """Return a part of a result as rows of a table.

    A sequence has a row for each item, a mapping for each key, anything else is one row. Of a dataclass the columns
    are its fields; fields of a dataclass inside of it are joined by a dot, an interval has two columns. What is a
    table by itself is left out: it has a name of its own.
    """
    if isinstance(part, Mapping):
        return [{**_key(key), **_columns(value)} for key, value in part.items()]
    if isinstance(part, list | tuple):
        return [_columns(value) for value in part]
    return [_columns(part)]


def _key(key: Any) -> dict[str, Any]:
    return {"first": key[0], "second": key[1]} if isinstance(key, tuple) else {"name": key}


def _columns(value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        items = value if isinstance(value, tuple) else (value,)
        return {"value": value} if len(items) == 1 else {str(i): item for i, item in enumerate(items)}
    return dict(_flat(value, ""))


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for one in fields(value):
        name, part = prefix + one.name, getattr(value, one.name)
        if is_dataclass(part):
            yield from _flat(part, f"{name}.")
        elif one.name == "ci" or one.name.endswith("_ci"):
            yield from zip((f"{name}.low", f"{name}.high"), part or (None, None), strict=True)
        elif not isinstance(part, Mapping | list | tuple) and not hasattr(part, "shape"):
            yield name, part


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        message = f"{text} is not a finite number"
        raise ValueError(message)
    return value
