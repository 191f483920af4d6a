"""Asking again where a server did not answer: a server that was started again loses nothing."""

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from moexray.engines.server.exchange import UnansweredError
from moexray.errors import CaptureError
from moexray.extras import import_extra

Answer = TypeVar("Answer")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0
# A server may ask for a longer wait than ours, but not for ever.
_LONGEST_ASKED = 60.0


async def asked_until_answered(ask: Callable[[int], Awaitable[Answer]], *, seconds: float, where: str) -> Answer:
    """Return what `ask` answers; where it raises UnansweredError, ask again until the time is over.

    Parameters
    ----------
    ask
        Gets the number of the attempt, from 1.
    seconds
        From the first attempt, how long to begin new ones.
    where
        The server, for the error.

    Raises
    ------
    CaptureError
        If no attempt was answered.
    """
    tenacity = import_extra("tenacity", extra="server", purpose="asking a server")
    own = tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, min=_FIRST_WAIT / 5, max=_LONGEST_WAIT)

    def wait(state: Any) -> float:
        error = state.outcome.exception()
        return max(float(own(state)), seconds_asked(getattr(error, "after", None)))

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(UnansweredError),
        stop=tenacity.stop_before_delay(seconds),
        wait=wait,
        reraise=True,
    )
    try:
        async for attempt in retrying:
            with attempt:
                return await ask(attempt.retry_state.attempt_number)
    except UnansweredError as error:
        message = (
            f"the server at {where} has not answered for {seconds:g} s ({error}): start it again, and the same command "
            "goes on from what is kept beside `out`"
        )
        raise CaptureError(message) from error
    raise AssertionError  # the loop returns or raises


def seconds_asked(header: str | None) -> float:
    """Return the seconds that a Retry-After header asks for, at most a minute; 0 where it says nothing of use.

    Examples
    --------
    >>> seconds_asked("7"), seconds_asked("86400"), seconds_asked("soon")
    (7.0, 60.0, 0.0)
    """
    if header is None:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return 0.0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_ASKED) if math.isfinite(seconds) else 0.0
