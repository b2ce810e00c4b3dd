# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway keeps: its published generation, and the transaction that is open, if any.

The generation is ``state.json`` in the configuration folder (0600, replaced by one rename), sealed with a
checksum; ``state.previous.json`` is the one before it, which is used while that one is damaged. A transaction
and what it staged live in the runtime folder: a reboot ends it, and what is left is the last generation. That of a run
which waits to be confirmed is the last but one, ``state.confirmed.json``, until it is.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, TypeVar

from . import unconfirmed as unconfirmed_file
from .kept import Kept
from .sealed import Parts, part, parts_of, sealed, state_of, unsealed
from .staging import Staging
from .state import SECTIONS, State, section_from_data
from .system import System
from .unconfirmed import UNKNOWN, Unconfirmed

DEADLINE = 120  # seconds; each step of a transaction renews it
T = TypeVar("T")
_AGAIN = 0.02  # seconds between attempts to get the lock


class StoreError(Exception):
    """The stored state or transaction does not allow what was asked; the message says what to do."""


class Held(StoreError):
    """Somebody else holds the gateway."""


@dataclass(frozen=True)
class Transaction:
    """An open transaction."""

    id: str
    deadline: float  # seconds, by System.uptime
    who: str = "ansible"  # for the audit
    patience: float = DEADLINE  # seconds from one step to the next

    def expired(self, now: float) -> bool:
        return now >= self.deadline


def _take(descriptor: int, patience: Optional[float]) -> None:
    if patience is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    give_up = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= give_up:
                raise Held("somebody else is changing this gateway: try again in a moment") from error
            time.sleep(_AGAIN)
        else:
            return


class Store:
    """The files of one gateway."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.kept = Kept(system)
        self.staging = Staging(system)
        self._generation = system.configuration / "state.json"
        self._previous = system.configuration / "state.previous.json"
        self._confirmed = system.configuration / "state.confirmed.json"
        self._unconfirmed = system.configuration / "unconfirmed.json"
        # Gone after a reboot, also that of a container, whose kernel stays.
        self._same_boot = system.runtime / "unconfirmed"
        self._transaction = system.runtime / "transaction.json"
        # While we have the lock nobody else publishes: a file is read once. None: we have not.
        self._known: Optional[dict[Path, Optional[Parts]]] = None

    @contextmanager
    def lock(self, patience: Optional[float] = None) -> Iterator[None]:
        """Hold the gateway for one step: nobody else changes it meanwhile.

        Raises Held when somebody else has it for longer than `patience` seconds (None: waits for as long as it takes).
        """
        self.system.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.system.runtime / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(descriptor, patience)
            self._known = {}
            yield
        finally:
            self._known = None
            os.close(descriptor)

    def generation(self, sections: Collection[str] = SECTIONS) -> State:
        """Return the published generation, of its sections these; the empty state on a host that has none.

        While it is damaged, the generation before it. Raises StoreError when that is damaged or missing, too.
        """
        return self.generation_or_previous(sections)[0]

    def generation_or_previous(self, sections: Collection[str] = SECTIONS) -> tuple[State, Optional[str]]:
        """Return the generation, and what is wrong with it when that is why it is the one before.

        A file that is gone while the one before it is there was taken away: publishing nothing removes both.
        """
        return self._either(lambda parts: state_of(parts, sections), State())

    def _either(self, read: Callable[[Parts], T], nothing: T) -> tuple[T, Optional[str]]:
        """Return what `read` makes of the generation or of the one before it, `nothing` when there is neither."""
        missing = False
        try:
            parts = self._read(self._generation)
            if parts is not None:
                return read(parts), None
            missing, damage = True, f"{self._generation} is gone"
        except ValueError as error:
            damage = f"{self._generation} is damaged ({error})"
        try:
            parts = self._read(self._previous)
            previous = None if parts is None else read(parts)
        except ValueError as error:
            raise StoreError(f"{damage}, and so is {self._previous}; remove both to start from nothing") from error
        if previous is None and missing:
            return nothing, None
        if previous is None:
            raise StoreError(f"{damage}; remove it to start from nothing")
        return previous, f"{damage}: the generation before it is used until site.yml is run"

    def _read(self, path: Path) -> Optional[Parts]:
        """Return the texts in a file, None when there is no file. Raises ValueError when it is damaged."""
        known = self._known
        if known is not None and path in known:
            return known[path]
        text = self.system.read_file(path)
        parts = None if text is None else unsealed(text)
        if known is not None:
            known[path] = parts
        return parts

    def stamp(self) -> Optional[tuple[int, ...]]:
        """Return what is another after each publication; None when nothing is published."""
        return self.system.stamp(self._generation)

    def publish(self, state: State) -> None:
        """Make a state the published generation, by one rename. The empty state leaves no file."""
        self._publish(parts_of(state))

    def publish_section(self, section: str, value: Any, backend: str) -> None:
        """Publish the generation with another section in place: what it was compiled from is no longer what it is."""
        self._publish({**self._parts(), section: part(value), "backend": part(backend), "source": part("")})

    def publish_staged(self, numbers: Mapping[str, int], source: str) -> None:
        """Publish the generation with the staged sections, these numbers and this source in place."""
        parts = {**self._parts(), "numbers": part(numbers), "source": part(source)}
        for section in SECTIONS:
            found = self.staging.section(section)
            if found is not None:
                parts[section] = found.text
                parts["backend"] = part(found.backend) if found.backend else parts["backend"]
        self._publish(parts)

    def keep_until_confirmed(self, run: Unconfirmed) -> None:
        """Keep the generation that there is, for the case that this run, which replaces it, is never confirmed."""
        try:
            self.system.link_file(self._confirmed, self._generation)
        except FileNotFoundError:
            self.system.write_file(self._confirmed, sealed(parts_of(State())))
        self.system.write_file(self._same_boot, run.id)
        self.system.write_file(self._unconfirmed, unconfirmed_file.to_json(run))

    def unconfirmed(self) -> Optional[Unconfirmed]:
        """Return the run that waits to be confirmed, or whose time to be is up."""
        text = self.system.read_file(self._unconfirmed)
        return None if text is None else unconfirmed_file.from_json(text)

    def overdue(self) -> Optional[Unconfirmed]:
        """Return the run that was not confirmed in time, and is to be rolled back."""
        run = self.unconfirmed()
        if run is None or (self._same_boot.exists() and self.system.uptime() < run.deadline):
            return None
        return run

    def has_run(self) -> bool:
        """Return whether a run is open, or is to be rolled back."""
        return self.transaction() is not None or self.overdue() is not None

    def confirmed(self) -> State:
        """Return the generation before the run that waits to be confirmed. Raises StoreError when it is damaged."""
        try:
            parts = self._read(self._confirmed)
            if parts is None:
                raise ValueError("it is gone")
            return state_of(parts)
        except ValueError as error:
            raise StoreError(f"the generation before this one cannot be read: {self._confirmed}: {error}") from error

    def confirm(self) -> None:
        """Forget that a run waits to be confirmed: the generation that there is stays."""
        for path in (self._unconfirmed, self._confirmed, self._same_boot):
            self.system.remove_file(path)

    def go_back(self) -> None:
        """Publish the generation before the run that waits to be confirmed. Raises StoreError when it is damaged."""
        if self.confirmed() == State():
            self.publish(State())
        else:
            text = self.system.read_file(self._confirmed) or ""
            self.system.link_file(self._generation, self._confirmed)  # which a full disk has room for
            with suppress(OSError):  # a file of its own, as it is one with the generation before now
                self.system.write_file(self._generation, text)
        self._known = self._known and {}

    def _parts(self) -> dict[str, str]:
        """Return the texts of the generation, as far as a State has such fields, the defaults of what it lacks."""
        nothing: Parts = {}
        found, _ = self._either(lambda parts: parts, nothing)
        return {name: found.get(name, text) for name, text in parts_of(State()).items()}

    def _publish(self, parts: Parts) -> None:
        if parts == parts_of(State()):
            self.kept.forget()
            self.system.remove_file(self._previous)
            self.system.remove_file(self._generation)
            self._known = self._known and {}
            return
        try:
            before = self._read(self._generation)
        except ValueError:
            before = None  # the generation before it stays the last good one
        if before == parts:
            return
        if before is not None:
            self.system.link_file(self._previous, self._generation)
        self.system.write_file(self._generation, sealed(parts))
        self._known = self._known and {}

    def transaction(self) -> Optional[Transaction]:
        """Return the open transaction, expired or not."""
        text = self.system.read_file(self._transaction)
        try:
            return None if text is None else Transaction(**json.loads(text))
        except (ValueError, TypeError):  # it is damaged: nobody can go on with it
            return Transaction(UNKNOWN, 0)

    def open(self, identifier: str, deadline: float = DEADLINE, who: str = Transaction.who) -> Transaction:
        """Record a transaction as open for `deadline` more seconds."""
        transaction = Transaction(identifier, self.system.uptime() + deadline, who, deadline)
        self.system.write_file(self._transaction, json.dumps(dataclasses.asdict(transaction)))
        return transaction

    def close(self) -> None:
        """Forget the transaction and what it staged."""
        self.staging.forget()
        if self.unconfirmed() is None:
            self.confirm()  # what was kept before a run was killed
        self.system.remove_file(self._transaction)

    def require(self, identifier: Optional[str]) -> None:
        """Raise StoreError unless a step of this transaction (None: of none) may change the gateway."""
        waiting = self.unconfirmed()
        if waiting is not None:
            left = max(0, waiting.deadline - self.system.uptime())
            raise StoreError(f"another run, {waiting.id}, waits to be confirmed; its time is up in {left:.0f} s")
        current = self.transaction()
        if current is None and identifier is None:
            return
        if current is None:
            raise StoreError(
                f"the transaction {identifier} is not open: it was committed, rolled back, or its host rebooted"
            )
        if current.id != identifier:
            left = max(0, current.deadline - self.system.uptime())
            raise StoreError(f"another run, {current.id}, is changing this gateway; its time is up in {left:.0f} s")
        self.open(current.id, current.patience, current.who)

    def stages(self, sections: Collection[str]) -> bool:
        """Return whether one of these sections is staged as another than the generation has, or for another backend."""
        parts = self._parts()
        found = {section: self.staging.section(section) for section in sections}
        return any(
            staged is not None
            and (staged.text != parts[section] or part(staged.backend) not in (part(None), parts["backend"]))
            for section, staged in found.items()
        )

    def staged(self, sections: Collection[str] = SECTIONS) -> State:
        """Return the generation with the staged sections in place, of all sections these."""
        found = {section: self.staging.section(section) for section in sections}
        state = self.generation([section for section, staged in found.items() if staged is None])
        for section, staged in found.items():
            if staged is not None:
                value = section_from_data(section, json.loads(staged.text))
                # Most sections have no backend of their own: they must not put back the last generation's.
                state = dataclasses.replace(state, backend=staged.backend or state.backend, **{section: value})
        return state
