"""Signatures and traces as pandas data frames and xarray datasets."""

from typing import TYPE_CHECKING, Any

import numpy as np

from moexray.errors import SignaturesError
from moexray.extras import import_extra
from moexray.signatures_file import Parts

if TYPE_CHECKING:
    import pandas
    import xarray

_COLUMNS = ("id", "category", "group", "phase", "kind", "layer", "expert", "count", "mass")


def signatures_frame(signatures: Parts) -> "pandas.DataFrame":
    """Return a row for each prompt, segment, layer and expert; see `Signatures.to_frame`."""
    pd = import_extra("pandas", extra="frames", purpose="a data frame")
    shape = signatures.counts.shape
    there = np.broadcast_to(np.arange(shape[3]) < signatures.experts[:, None], shape)
    prompt, segment, layer, expert = np.nonzero(there)
    columns: dict[str, Any] = {
        name: pd.Categorical(np.asarray(strings, dtype=object)[prompt])
        for name, strings in signatures.prompts.all_columns().items()
        if name not in ("texts", "outputs")
    }
    renamed = {"ids": "id", "categories": "category", "groups": "group"}
    columns = {renamed.get(name, name): column for name, column in columns.items()}
    for name in signatures.prompts.columns:
        if name in _COLUMNS:
            message = f"the frame has a column {name} of its own: rename that of the prompts"
            raise SignaturesError(message)
    columns["phase"] = pd.Categorical(np.array([one.phase for one in signatures.segments])[segment])
    columns["kind"] = pd.Categorical(np.array([one.kind for one in signatures.segments])[segment])
    columns["layer"] = signatures.layers[layer]
    columns["expert"] = expert.astype(np.int16)
    columns["count"] = signatures.counts[there].astype(np.int64)  # the file's own type would overflow in sums
    if signatures.mass is not None:
        columns["mass"] = signatures.mass[there]
    return pd.DataFrame(columns)


def signatures_dataset(signatures: Parts) -> "xarray.Dataset":
    """Return counts, tokens and gate mass with named dimensions; see `Signatures.to_xarray`."""
    xr = import_extra("xarray", extra="frames", purpose="an xarray dataset")
    dimensions = ("prompt", "segment", "layer", "expert")
    arrays: dict[str, Any] = {
        "counts": (dimensions, signatures.counts.astype(np.int64)),
        "tokens": (dimensions[:2], signatures.tokens),
        "top_k": ("layer", signatures.top_k),
        "experts": ("layer", signatures.experts),
    }
    if signatures.mass is not None:
        arrays["mass"] = (dimensions, signatures.mass)
    coordinates: dict[str, Any] = {
        "prompt": list(signatures.prompts.ids),
        "segment": [str(one) for one in signatures.segments],
        "layer": signatures.layers,
        "expert": np.arange(signatures.counts.shape[3]),
        "category": ("prompt", list(signatures.prompts.categories)),
    }
    if signatures.prompts.groups is not None:
        coordinates["group"] = ("prompt", list(signatures.prompts.groups))
    dataset: xarray.Dataset = xr.Dataset(arrays, coordinates, attrs={"model": str(signatures.meta.get("model"))})
    return dataset
