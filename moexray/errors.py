"""Everything that a user can get wrong, as one family of exceptions.

The message of each says what is wrong, where, which value was found, and what to do. The command
line prints it as one line and exits with status 1; any other exception is a bug and keeps its traceback.
"""


class MoexrayError(Exception):
    """Base of all errors that a user can cause and cure."""


class MissingExtra(MoexrayError):
    """A package of an optional extra that is needed and not installed."""


class PromptsError(MoexrayError):
    """Prompts that cannot be read or do not fit together."""


class SignaturesError(MoexrayError):
    """Signatures, or a file of them, that are damaged, foreign or inconsistent."""


class CountsError(MoexrayError):
    """A table of counts that is damaged, foreign or does not add up."""


class TraceError(MoexrayError):
    """A trace that is damaged, foreign, or does not go with its signatures."""


class ImportingError(MoexrayError):
    """Routing that others recorded and that cannot be read, is not whole, or leaves something open."""


class ModelError(MoexrayError):
    """A model that cannot be loaded, or whose routing cannot be recorded."""


class CaptureError(MoexrayError):
    """A capture that cannot start or go on."""


class OutOfMemory(CaptureError):
    """A batch that does not fit into memory; a smaller one may."""


class AnalysisError(MoexrayError):
    """An analysis that cannot be made of these signatures, or a file of one that cannot be read."""


class FigureError(MoexrayError):
    """A figure that cannot be drawn or written."""


class NotComputable(MoexrayError):
    """A statistic that these data cannot give (one category, one prompt in each); says why."""
