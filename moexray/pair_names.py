"""What a pair of categories is called in an analysis."""


def pair_name(first: str, second: str) -> str:
    r"""Join the names of two categories by ``|``, in the order of the alphabet, so that no two pairs share a name.

    In a name that holds ``|`` a backslash goes before each ``|`` and each backslash; every other name stays as it is.

    >>> pair_name("story", "code")
    'code|story'
    >>> print(pair_name("yes|no", "code"))
    code|yes\|no
    """
    return "|".join(_escaped(name) for name in sorted((first, second)))


def _escaped(name: str) -> str:
    return name.replace("\\", r"\\").replace("|", r"\|") if "|" in name else name
