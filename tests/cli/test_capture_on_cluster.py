"""`moexray capture --ray`: options that go with it, and what is said where there is no cluster."""

import sys
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize("option", ["--shards", "--workers", "--worker-cpus", "--worker-gpus"])
def test_options_of_a_cluster_need_one(run: Run, option: str) -> None:
    finished = run("capture", "--model", "scale", option, "1")
    assert finished.returncode == 2
    assert f"{option} needs --ray" in finished.stderr


def test_a_cluster_cuts_the_prompts_into_shards_by_itself(run: Run) -> None:
    finished = run("capture", "--model", "scale", "--ray", "local", "--shard", "0/2")
    assert finished.returncode == 2
    assert "--shard is for captures without --ray" in finished.stderr


def test_where_ray_is_missing_the_error_says_how_to_install_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    finished = run("capture", "--model", "scale", "--ray", "local")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == "error: a capture on a cluster needs ray: pip install 'moexray[ray]'\n"


@pytest.mark.parametrize("workers", ["0.5", "-1"])
def test_there_is_no_part_of_a_worker(run: Run, workers: str) -> None:
    finished = run("capture", "--model", "scale", "--ray", "local", "--workers", workers)
    assert finished.returncode == 2


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told_in_a_sentence(run: Run) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install -e '.[test,ray]' and pytest -m ray")
    if ray.is_initialized():
        pytest.skip("a cluster of another test runs in this process")
    finished = run("capture", "--model", "scale", "--ray", "auto")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("error: no Ray cluster answers at auto")
    assert "start one with `ray start`, or name local" in finished.stderr
