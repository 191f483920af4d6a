"""An event loop in a thread of its own, so that a capture may run inside of another loop, as in a notebook."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

Found = TypeVar("Found")


class Background:
    """Runs coroutines; `close` cancels those that are left."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="moexray-server", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, Found]) -> Future[Found]:
        """Begin a coroutine; to cancel its future cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, Found]) -> Found:
        """Run a coroutine to its end, or to an interruption, which cancels it."""
        future = self.submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether nothing can run any more."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Cancel what runs, and end the thread; a second call does nothing."""
        if self.is_closed:
            return
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
