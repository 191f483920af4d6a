"""`moexray models`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from moexray.cli.options import refuse_idle
from moexray.cli.render import print_json, print_table, say
from moexray.views.tables.table import Column, Table

if TYPE_CHECKING:
    from moexray.engines.transformers.architectures import Architecture
    from moexray.engines.transformers.profile import ModelProfile


def models(
    model: Annotated[
        str | None, typer.Argument(help="Hugging Face id, local folder, or `scale`; by default every architecture.")
    ] = None,
    *,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub model.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with a checkpoint.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the MoE architectures that can be recorded, or describe one model without reading its weights.

    Example: moexray models allenai/OLMoE-1B-7B-0125-Instruct
    """
    if model is None:
        refuse_idle("is about one model: name it", revision=revision, trust_remote_code=trust_remote_code)
        from moexray.engines.transformers.architectures import moe_architectures

        architectures = moe_architectures()
        if json:
            print_json([asdict(one) for one in architectures])
        else:
            print_table(_architectures_table(architectures))
            say(_summary(architectures))
        return
    from moexray.engines.transformers.loading import device_of
    from moexray.engines.transformers.memory import free_memory
    from moexray.engines.transformers.profile import profile_of
    from moexray.engines.transformers.resources import fastest_that_fits, measured_speeds

    profile = profile_of(model, revision=revision, trust_remote_code=trust_remote_code)
    device = device_of(None)
    speeds = measured_speeds(device, profile.gigabytes)
    fastest = fastest_that_fits(speeds, profile.gigabytes, free_memory(device))
    if json:
        print_json({"model": model, **asdict(profile), "gigaflops": speeds, "dtype_here": fastest})
    else:
        print_table(_profile_table(model, profile, speeds, fastest, str(device)))


def _architectures_table(architectures: Sequence["Architecture"]) -> Table:
    rows = [
        (one.model_type, one.tap, one.reason if one.tap == "refused" or not one.reason else _alone(one.reason))
        for one in architectures
    ]
    return Table("", [Column("architecture", whole=True), Column("tap", whole=True), Column()], rows)


def _summary(architectures: Sequence["Architecture"]) -> str:
    number = Counter(one.tap for one in architectures)
    return (
        f"transformers {version('transformers')} has {len(architectures)} MoE architectures: "
        f"{number['generic']} are recorded by the generic tap, {number['special']} by a special tap, "
        f"{number['refused']} are refused"
    )


def _alone(reason: str) -> str:
    return f"prompts run one by one: {reason}"


def _profile_table(
    model: str, profile: "ModelProfile", speeds: Mapping[str, float], fastest: str | None, device: str
) -> Table:
    rows = [("architecture", profile.model_type), ("tap", profile.tap)]
    if profile.reason:
        rows.append(("", profile.reason))
    if profile.layers:
        rows.append(("MoE layers", f"{len(profile.layers)}: {_ranges(profile.layers)}"))
        rows.append(("experts", _numbers(profile.experts)))
        rows.append(("k", "known when it runs" if 0 in profile.top_k else _numbers(profile.top_k)))
    if profile.parameters:
        billions = profile.parameters / 1e9, profile.active_parameters / 1e9
        rows.append(("parameters", f"{billions[0]:.3g} B, {billions[1]:.3g} B a token"))
        sizes = ", ".join(f"{size:.3g} GB as {dtype}" for dtype, size in profile.gigabytes.items())
        rows.append(("weights", f"{sizes} (the checkpoint's: {profile.dtype})"))
        speed = ", ".join(f"{dtype} {speed:.3g}" for dtype, speed in speeds.items())
        advice = f"--dtype {fastest} is the fastest that fits" if fastest else "neither fits into the free memory"
        rows.append((f"on {device}", f"10⁹ operations a second: {speed}; {advice}"))
    return Table(model, [Column(), Column()], rows)


def _numbers(values: Sequence[int]) -> str:
    """Return the number of all layers, or each number with how many layers have it."""
    counted = Counter(values)
    if len(counted) == 1:
        return str(values[0])
    return ", ".join(f"{value} in {number} layers" for value, number in sorted(counted.items()))


def _ranges(layers: Sequence[int]) -> str:
    runs = [[layer for _, layer in run] for _, run in groupby(enumerate(layers), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
