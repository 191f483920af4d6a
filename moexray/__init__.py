"""Record what the routers of a Mixture-of-Experts language model do, and test whether it means anything.

Importing `moexray` itself loads nothing heavy.
"""

from moexray.version import __version__

__all__ = ["__version__"]
