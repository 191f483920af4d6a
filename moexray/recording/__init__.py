"""Record the routing of prompts: drive an engine, feed what it hears to recorders."""

from moexray.recording.options import DEFAULT_MODEL
from moexray.recording.run import capture, capture_to

__all__ = ["DEFAULT_MODEL", "capture", "capture_to"]
