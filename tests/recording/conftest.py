"""A Ray cluster on this machine, for tests of captures on clusters."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def engines_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the engine `dying`, for the path of workers."""
    from .dying_engine import install

    folder = tmp_path_factory.mktemp("engines")
    install(folder)
    return folder


@pytest.fixture(scope="session")
def cluster(engines_folder: Path) -> Iterator[None]:
    """Start one cluster for all tests of a session; whoever asks for workers then gets those of this one."""
    from moexray.recording.cluster import Cluster
    from moexray.recording.workers import workers_of

    with pytest.MonkeyPatch.context() as patch:
        paths = [str(engines_folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        with workers_of(Cluster("local"), dict):
            yield
