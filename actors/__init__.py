"""Actors on asyncio: one task owns one resource and handles one command at a time. See docs/actors.md.

Nothing here knows what the actors do, and nothing outside the standard library is needed. `actors.testing` has what
tests of actors need.
"""

from actors.actor import Actor, ActorRef, ExitReason
from actors.clock import Clock, LoopClock, Timer
from actors.errors import (
    ActorError,
    ActorStopped,
    AskTimeout,
    Draining,
    MailboxFull,
    StartTimeout,
    TooManyActors,
)
from actors.mailbox import Abandoned, Envelope, Phase
from actors.supervisor import Limits, Supervisor
from actors.tombstones import Tombstone

__all__ = [
    "Abandoned",
    "Actor",
    "ActorError",
    "ActorRef",
    "ActorStopped",
    "AskTimeout",
    "Clock",
    "Draining",
    "Envelope",
    "ExitReason",
    "Limits",
    "LoopClock",
    "MailboxFull",
    "Phase",
    "StartTimeout",
    "Supervisor",
    "Timer",
    "Tombstone",
    "TooManyActors",
]
