"""Joining captures: of different prompts by the same model, or the shards of one."""

from moexray.merging.files import Merged, merge_files
from moexray.merging.signatures import joined, merge

__all__ = ["Merged", "joined", "merge", "merge_files"]
