"""A vLLM that runs: started without a word on the screen, its errors one sentence each, its processes ended."""

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from moexray.engines.vllm.failures import cause_of
from moexray.engines.vllm.forms import check_form
from moexray.errors import CaptureError, ModelError
from moexray.extras import import_extra

# What a user has not set otherwise. A forked process would share the journal and the progress of this one.
_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
# Ends vLLM's processes when this one is gone: killed, it cannot do so itself, and they would keep the accelerator.
_WATCH = """
import os, signal, sys
sys.stdin.buffer.read()
for process in map(int, sys.argv[1:]):
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        pass
"""


class RunningVllm:
    """vLLM's engine with a model in it.

    Parameters
    ----------
    name
        The model's name, for messages.
    options
        Arguments of ``vllm.LLM``.

    Raises
    ------
    MissingExtra
        If vLLM is not installed.
    CaptureError
        If it does not know an option.
    ModelError
        If it returns no usable routing, or does not start with this model.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name = name
        self._vllm = import_vllm()
        self.version = str(self._vllm.__version__)
        descriptor, path = tempfile.mkstemp(prefix="moexray-vllm-", suffix=".log")
        self._log = Path(path)
        before = set(multiprocessing.active_children())
        self._llm: Any = None
        self._keep_log = False
        try:
            with _processes_write_to(descriptor):
                self._llm = self._vllm.LLM(**options)
        except TypeError as error:
            self._log.unlink()
            message = f"vLLM {self.version} does not take these `engine_options`: {error}"
            raise CaptureError(message) from error
        except Exception as error:  # vLLM raises whatever its many parts raise
            message = f"model {name} could not be started in vLLM {self.version}: {self._cause(error)}"
            raise ModelError(message) from error
        except BaseException:  # the user interrupts
            self._log.unlink()
            raise
        finally:
            os.close(descriptor)
            started = [one.pid for one in set(multiprocessing.active_children()) - before if one.pid is not None]
            self._watch = None if self._llm is None else _watch(started)

    @property
    def configuration(self) -> Any:
        """What vLLM made of the model's configuration."""
        return self._llm.llm_engine.model_config

    @property
    def device(self) -> str:
        """The kind of device that it runs on."""
        from vllm.platforms import current_platform

        return str(current_platform.device_type)

    def add(self, name: str, token_ids: Sequence[int], sampling: Mapping[str, Any]) -> None:
        """Queue a request."""
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind

        parameters = self._vllm.SamplingParams(**sampling, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
        with self._explained():
            self._llm.llm_engine.add_request(name, tokens_input(list(token_ids)), parameters)

    def step(self) -> list[Any]:
        """Run until something is new, and return the requests that are done."""
        with self._explained():
            return [output for output in self._llm.llm_engine.step() if output.finished]

    def abort(self, names: Sequence[str]) -> None:
        """Drop requests; if vLLM is dead, they are dropped already."""
        with suppress(Exception):  # whatever ended the run is what the user should hear of
            self._llm.llm_engine.abort_request(list(names))

    def close(self) -> None:
        """End vLLM's processes, and wait for that. A second call does nothing."""
        if self._llm is None:
            return
        core = self._llm.llm_engine.engine_core
        self._llm = None
        try:
            core.shutdown()
        finally:
            if self._watch is not None:
                self._watch.kill()
                self._watch.communicate()
            if not self._keep_log:
                self._log.unlink(missing_ok=True)
            del core
            gc.collect()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (CaptureError, ModelError):
            raise
        except Exception as error:  # as above
            message = f"vLLM {self.version} failed with model {self._name}: {self._cause(error)}"
            raise ModelError(message) from error

    def _cause(self, error: Exception) -> str:
        self._keep_log = True
        return f"{cause_of(error, self._log)} (its log is {self._log})"


def import_vllm() -> Any:
    """Import vLLM, and refuse one that returns no usable routing.

    Raises
    ------
    MissingExtra
        If it is not installed.
    ModelError
        If it returns no usable routing.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    vllm = import_extra("vllm", extra="vllm", purpose="engine vllm")
    outputs = import_extra("vllm.outputs", extra="vllm", purpose="engine vllm")
    check_form(outputs, vllm.SamplingParams, version=str(vllm.__version__))
    return vllm


@contextmanager
def _processes_write_to(log: int) -> Iterator[None]:
    """Let processes that start meanwhile write to a log, now and later, as well as what is printed here meanwhile."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            stream.flush()
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    stderr = sys.stderr
    text: dict[str, Any] = {"mode": "w", "buffering": 1, "encoding": "utf-8", "errors": "replace", "closefd": False}
    with os.fdopen(kept[2], **text) as shown, os.fdopen(log, **text) as logged, redirect_stdout(logged):
        with suppress(AttributeError, ValueError, OSError):
            if stderr.fileno() == 2:
                sys.stderr = shown
        for descriptor in kept:
            os.dup2(log, descriptor)
        try:
            yield
        finally:
            for descriptor, original in kept.items():
                os.dup2(original, descriptor)
            sys.stderr = stderr
    for original in kept.values():
        os.close(original)


def _watch(processes: Sequence[int]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", _WATCH, *map(str, processes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C ends this process group, and vLLM is ended then
    )
