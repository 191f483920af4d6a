"""The version of moexray."""

__version__ = "0.1.0"
