"""Words that tables, sentences and figures share."""

_CHOICES = {
    "measure": "similarity: {}",
    "layers": "layers: {}",
    "phase": "tokens: {}",
    "left_out": "left out: {}",
}


def choice_text(choice: str, value: str) -> str:
    """Return the name of one choice of a specification, such as ``layers: averaged``."""
    return _CHOICES.get(choice, f"{choice}: {{}}").format(value)


def name_of(key: str) -> str:
    """Return the name of a part of a result, from its key in the JSON.

    Examples
    --------
    >>> name_of("controls.token_identity")
    'controls, token identity'
    """
    return ", ".join(part.replace("_", " ") for part in key.split("."))
