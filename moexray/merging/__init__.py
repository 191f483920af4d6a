"""Joining captures: of different prompts by the same model, or the shards of one."""

from moexray.merging.files import Merged, merge_files
from moexray.merging.signatures import joined, merge
from moexray.merging.trace_view import trace_of
from moexray.merging.view import files_open_for, view_of

__all__ = ["Merged", "files_open_for", "joined", "merge", "merge_files", "trace_of", "view_of"]
