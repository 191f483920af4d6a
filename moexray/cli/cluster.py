"""Options of a capture on a Ray cluster."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.options import refuse_idle
from moexray.cli.render import say
from moexray.files import companion
from moexray.recording import capture as library
from moexray.recording.journal import journal_path
from moexray.signatures import Signatures

_CLUSTER = "Cluster (--ray)"

RayOption = Annotated[
    str | None,
    typer.Option(
        help="Capture with workers of the Ray cluster at this address, `auto` for that of this machine, or `local` for "
        "one that is started here.",
        metavar="ADDRESS",
        rich_help_panel=_CLUSTER,
    ),
]
ShardsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Parts that the prompts are cut into; by default four for each worker.", rich_help_panel=_CLUSTER
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="The most workers at once; by default one a machine.", rich_help_panel=_CLUSTER),
]
WorkerCpusOption = Annotated[
    float | None,
    typer.Option(min=0, help="CPUs that Ray keeps for a worker; by default 1.", rich_help_panel=_CLUSTER),
]
WorkerGpusOption = Annotated[
    float | None,
    typer.Option(
        min=0, help="GPUs that Ray gives to a worker, or a share of one; by default none.", rich_help_panel=_CLUSTER
    ),
]


def capture_with_options(
    ray: str | None,
    *,
    shard: str | None,
    shards: int | None,
    workers: int | None,
    worker_cpus: float | None,
    worker_gpus: float | None,
) -> Callable[..., Signatures]:
    """Return the function that captures: in this process, or on the cluster that `ray` names."""
    if ray is None:
        needs = {"shards": shards, "workers": workers, "worker_cpus": worker_cpus, "worker_gpus": worker_gpus}
        refuse_idle("needs --ray", **needs)
        return library.capture
    refuse_idle("is for captures without --ray, which cuts the prompts into shards by itself", shard=shard)
    from moexray.recording.cluster import Cluster
    from moexray.recording.cluster_capture import capture_on_cluster

    needs = {"cpus": worker_cpus, "gpus": worker_gpus}
    cluster = Cluster(ray, workers, **{name: value for name, value in needs.items() if value is not None})
    on_cluster = partial(capture_on_cluster, cluster=cluster, shards=shards, on_event=partial(say, err=True))

    def run(*arguments: Any, shard: None, **options: Any) -> Signatures:
        del shard
        return on_cluster(*arguments, **options)

    return run


def kept_in(out: Path, ray: str | None) -> Path:
    """Return the file that keeps what is finished of a capture until all is."""
    return journal_path(out if ray is None else companion(out, "shards"))
