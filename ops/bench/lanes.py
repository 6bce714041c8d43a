"""The client: callers that have one request under way each.

A server must not be measured by a client that is slower than it. So nothing is parsed that need not be, requests are
made beforehand, and the next one is sent from the very callback that brought the last answer: no task, no future, no
stream. How fast it is by itself is measured by ceiling.py.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

# Yields the requests of one unit of work, each when the answer before is there; raises if an answer is wrong.
type Script = Generator[bytes, bytes, None]


class BenchError(Exception):
    """The run can't go on; the message says why."""


class Lane:
    """A caller that does one script after the other, until the time is up."""

    def __init__(self, number: int, send: Callable[[bytes], object]) -> None:
        self.number = number
        self._send = send
        self._times: list[float] = []
        self._script: Script | None = None
        self._scripts: Callable[[], Script] | None = None
        self._until = 0.0
        self._started = time.perf_counter()
        self._done: asyncio.Future[list[float]] | None = None
        self._broken: BenchError | None = None

    def run(self, scripts: Callable[[], Script], until: float) -> "asyncio.Future[list[float]]":
        """How long each script took, in seconds. At least one is run."""
        self._scripts, self._until, self._times = scripts, until, []
        self._done = asyncio.get_running_loop().create_future()
        # Where one has failed, nobody asks for the others.
        self._done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._started = time.perf_counter()
        if self._broken is not None:
            self._end(self._broken)
        else:
            self._begin()
        return self._done

    def idle_s(self) -> float:
        """How long ago its last script ended, or it was made."""
        return time.perf_counter() - self._started

    def answered(self, body: bytes) -> None:
        if self._script is None:  # an answer that came after a failure
            return
        try:
            self._send(self._script.send(body))
        except StopIteration:
            now = time.perf_counter()
            self._times.append(now - self._started)
            self._started = now
            if now < self._until:
                self._begin()
            else:
                self._end(None)
        except BenchError as error:
            self._end(error)

    def failed(self, why: str) -> None:
        """No more answers will come."""
        self._broken = BenchError(why)
        self._end(self._broken)

    def _begin(self) -> None:
        assert self._scripts is not None
        self._script = self._scripts()
        self._send(next(self._script))

    def _end(self, error: BenchError | None) -> None:
        self._script = None
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(self._times)
        else:
            self._done.set_exception(error)


async def gather(
    lanes: Sequence[Lane], scripts: Callable[[Lane], Callable[[], Script]], seconds: float, patience_s: float = 60
) -> list[float]:
    """Let all lanes work for so long; how long each script took.

    Raises:
        BenchError: an answer was wrong, or one did not come.
    """
    makers = [scripts(lane) for lane in lanes]
    until = time.perf_counter() + seconds
    futures = [lane.run(maker, until) for lane, maker in zip(lanes, makers, strict=True)]
    done, late = await asyncio.wait(futures, timeout=seconds + patience_s, return_when=asyncio.FIRST_EXCEPTION)
    for lane, future in zip(lanes, futures, strict=True):
        if future in late:
            future.cancel()
            lane.failed("an answer did not come")
    for error in [future.exception() for future in done]:
        if error is not None:
            raise error
    if late:
        raise BenchError(f"{len(late)} of {len(futures)} callers got no answer for {patience_s:g} s")
    return [each for future in futures for each in future.result()]


def ask(request: bytes, answers: list[bytes]) -> Any:
    """Scripts that ask once and keep the answer."""

    def script() -> Script:
        answers.append((yield request))

    return script
