"""A Ray cluster: where it is, what a worker takes of it, and whether there is room."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moexray.errors import CaptureError

LOCAL = "local"


@dataclass(frozen=True)
class Cluster:
    """Where workers run, and what each takes.

    Attributes
    ----------
    address
        Address of a Ray cluster, ``auto`` for the one of this machine, or ``local`` to start one that ends with the
        program.
    workers
        How many there are at most; None for one on each machine.
    cpus, gpus
        What the cluster keeps for each worker; fractions let several share one.

    Raises
    ------
    CaptureError
        If there cannot be such workers.
    """

    address: str
    workers: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not self.address.strip():
            message = "`ray` is empty: name the address of a Ray cluster, or local"
            raise CaptureError(message)
        if self.workers is not None and self.workers < 1:
            message = f"`workers` is {self.workers}: there must be at least 1"
            raise CaptureError(message)
        for name, value in (("worker_cpus", self.cpus), ("worker_gpus", self.gpus)):
            if not 0 <= value < float("inf"):
                message = f"`{name}` is {value}: it must be zero or more"
                raise CaptureError(message)
        if self.gpus > 1 and self.gpus != int(self.gpus):
            message = f"`worker_gpus` is {self.gpus}: above 1 it must be a whole number"
            raise CaptureError(message)


def join(ray: Any, cluster: Cluster) -> None:
    """Join a cluster, or start one; `CaptureError` if none answers."""
    started = {"include_dashboard": False} if cluster.address == LOCAL else {}
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR, **started)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        message = (
            f"no Ray cluster answers at {cluster.address} ({first_line(error)}): start one with `ray start`, or name "
            "local"
        )
        raise CaptureError(message) from error


def room_for(ray: Any, cluster: Cluster, on_event: Callable[[str], None]) -> int:
    """Return how many workers to start; say so where that is less than was asked for."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needs = {"CPU": cluster.cpus, "GPU": cluster.gpus}
    fitting = [_fitting(there, needs) for there in machines]
    if not any(fitting):
        largest = ", ".join(f"{max((one.get(kind, 0) for one in machines), default=0):g} {kind}s" for kind in needs)
        message = (
            f"a worker needs {cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs, and no machine of the cluster has that "
            f"(the most: {largest}): lower `worker_cpus` or `worker_gpus`, or add a machine"
        )
        raise CaptureError(message)
    if cluster.workers is None:
        return sum(one > 0 for one in fitting)
    if sum(fitting) < cluster.workers:
        on_event(f"only {int(sum(fitting))} of {cluster.workers} workers fit the cluster at once: they run all shards")
    return cluster.workers


def _fitting(there: Mapping[str, float], needs: Mapping[str, float]) -> float:
    """Return how many workers a machine with these resources has room for."""
    return min((there.get(kind, 0) // need for kind, need in needs.items() if need), default=float("inf"))


def first_line(error: BaseException) -> str:
    """Return what an error of Ray says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # What a package that is missing there raises stands last.
    return lines[-1 if "creation task" in lines[0] else 0].removesuffix(".")
