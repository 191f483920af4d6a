"""Recorders: each writes a file beside the signatures. A new one is a module, and one line of `RECORDERS`."""

from collections.abc import Mapping

from moexray.recording.recorders.coselection import COSELECTION
from moexray.recording.recorders.recorder import Recorder
from moexray.recording.recorders.trace import TRACE

RECORDERS: Mapping[str, Recorder] = {
    "trace": TRACE,
    "coselection": COSELECTION,
}
