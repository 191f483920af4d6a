"""Record what the routers of a Mixture-of-Experts language model do, and test whether it means anything.

    from moexray.prompts import read_prompts
    from moexray.recording import capture
    from moexray.studies.analysis import analyze

Importing `moexray` itself loads nothing heavy.
"""

__version__ = "0.1.0"
