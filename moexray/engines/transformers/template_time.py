"""Chat templates that ask for the time, and the one moment that they get in the whole of a capture."""

import json
import re
from datetime import datetime

# The function by which they ask, and the formats in which they do.
_FUNCTION = "strftime_now"
_FORMAT = re.compile(rf"""{_FUNCTION}\(\s*(?:"([^"]*)"|'([^']*)')""")
# What a format may hold: the standard's directives, some of other systems, and these without their leading zeros.
_DIRECTIVES = [f"%{letter}" for letter in "aAbBcCdDeFGgHhIjklmMnprRsStTuUVwWxXyYzZf"] + [
    f"%-{one}" for one in "dmHIMSjy"
]
_PERCENT = "\x00"


def asks_for_time(template: str) -> bool:
    """Whether a template asks for the time."""
    return _FUNCTION in template


def dates_in(template: str, moment: datetime) -> str:
    """Return what a template reads at this moment: a text for each format that it names, or all of the time."""
    formats = dict.fromkeys(first or second for first, second in _FORMAT.findall(template))
    return ", ".join(map(moment.strftime, formats)) if formats else moment.isoformat()


def with_time(template: str, moment: datetime) -> str:
    """Return a template that reads this moment where it would read the clock.

    transformers hands templates values alone, no functions. So the template gets one of its own, under the name of
    that which reads the clock.
    """
    given = [("%%", _PERCENT), *((one, moment.strftime(one)) for one in _DIRECTIVES), (_PERCENT, "%")]
    replaced = "".join(f".replace({json.dumps(old)}, {json.dumps(new)})" for old, new in given)
    # The line's end is dropped after a block, by transformers' own settings: what follows is left as it is.
    return f"{{% macro {_FUNCTION}(format) %}}{{{{ format{replaced} }}}}{{% endmacro %}}\n{template}"
