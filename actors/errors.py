"""What the runtime itself can answer instead of a reply. Each error carries its facts as attributes."""

from collections.abc import Hashable


class ActorError(Exception):
    """The base of all errors that the runtime raises. An actor's own errors pass through unchanged."""


class MailboxFull(ActorError):  # noqa: N818 - a refusal, named for the fact
    """As many commands wait as the mailbox holds. This one was not accepted and never runs: ask again later."""

    def __init__(self, capacity: int) -> None:
        super().__init__(
            f"{capacity} commands wait for this actor already. This one was not accepted and did not run: "
            f"ask again when one of them has been answered."
        )
        self.capacity = capacity


class AskTimeout(ActorError, TimeoutError):  # noqa: N818 - as above
    """The ask's deadline passed first.

    Not `started`, the command never runs and can be repeated. `started`, it runs to its end without a caller, and the
    actor keeps what it did for its next reply (`Actor.last_abandoned`).
    """

    def __init__(self, timeout_s: float, *, started: bool) -> None:
        fate = "had begun and may still take effect" if started else "had not begun and never runs"
        super().__init__(f"No answer within {timeout_s:g} s. The command {fate}.")
        self.timeout_s = timeout_s
        self.started = started


class StartTimeout(ActorError, TimeoutError):  # noqa: N818 - as above
    """The actor was not set up in time. It is being torn down; its slot is freed when that is done."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The actor was not set up within {timeout_s:g} s and was stopped.")
        self.timeout_s = timeout_s


class ActorStopped(ActorError):  # noqa: N818 - as above
    """The actor ended, for `reason`, before it answered.

    Not `started`, the command did not run. `started`, the actor ended in the middle of it: what it did is for the
    reason and the actor's tombstone to tell.
    """

    def __init__(self, reason: str, *, started: bool) -> None:
        fate = "while this command ran" if started else "and this command did not run"
        super().__init__(f"The actor ended ({reason}) {fate}.")
        self.reason = reason
        self.started = started


class Draining(ActorError):  # noqa: N818 - as above
    """The supervisor is shutting down and admits nobody. Nothing was started."""

    def __init__(self) -> None:
        super().__init__("Shutting down: no new actor is admitted.")


class TooManyActors(ActorError):  # noqa: N818 - as above
    """Every slot is taken: of all (`key` is None), or of those that one key may hold. Nothing was started.

    `next_expiry_s` is how soon a slot can be freed by expiry, in seconds; None when no actor here ever expires.
    """

    def __init__(self, limit: int, *, key: Hashable | None, next_expiry_s: float | None) -> None:
        whose = "in all" if key is None else "for this owner"
        when = "" if next_expiry_s is None else f" The next one can expire in {next_expiry_s:.0f} s."
        super().__init__(f"The limit of {limit} actors {whose} is reached.{when}")
        self.limit = limit
        self.key = key
        self.next_expiry_s = next_expiry_s
