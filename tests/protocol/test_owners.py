"""Charters of owners of whom nothing else is held: so many are kept, in memory and on the disk alike."""

from __future__ import annotations

import random

import pytest

from skerry.protocol import owners
from skerry.protocol.context import Context, StateConfig
from skerry.protocol.effects import DropCharters, Store
from skerry.protocol.owners import Owners
from skerry.protocol.snapshot import Snapshot
from tests.protocol.world import NOW, WORK_BITS, Lab


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "OWNERS_SPARE_MAX", 3)
    monkeypatch.setattr(owners, "OWNERS_CHANGED_MAX", 2)


class Memory:
    """What is known of owners, and a disk that follows."""

    def __init__(self) -> None:
        self.context = Context(StateConfig(work_bits=WORK_BITS), Lab().node_signer, random.Random(1))
        self.context.set_wall(NOW)
        self.owners = Owners(self.context)
        self.disk = Snapshot()

    def learn(self, *labs: Lab) -> None:
        for lab in labs:
            self.owners.learn(lab.chain)
        self.sync()

    def make_room(self, needed: set[bytes]) -> list[bytes]:
        self.owners.make_room(needed)
        return self.sync()

    def sync(self) -> list[bytes]:
        """Write what is to be written; return the owners forgotten."""
        operations = [effect.operation for effect in self.context.take_effects() if isinstance(effect, Store)]
        for operation in operations:
            self.disk.apply(operation)
        return [operation.owner for operation in operations if isinstance(operation, DropCharters)]


def test_the_disk_forgets_the_owners_that_the_memory_forgets() -> None:
    memory = Memory()
    labs = [Lab(f"owner {number}") for number in range(8)]
    memory.learn(*labs)
    gone = memory.make_room({labs[0].id, labs[4].id})
    assert gone == [labs[place].id for place in (1, 2, 3)], "the oldest of whom nothing is held"
    kept = [lab.id for lab in labs if lab.id not in gone]
    assert list(memory.disk.chains) == kept
    assert [lab.id for lab in labs if memory.owners.get(lab.id)] == kept


def test_who_changed_its_charters_is_kept_longer() -> None:
    memory = Memory()
    changed = [Lab(f"changed {number}").amended(name="other") for number in range(3)]
    memory.learn(*changed, *(Lab(f"owner {number}") for number in range(5)))
    gone = memory.make_room(set())
    assert changed[0].id in gone
    assert {changed[1].id, changed[2].id} <= memory.disk.chains.keys()
    assert len(memory.disk.chains) == 5


def test_who_was_forgotten_is_learned_again() -> None:
    memory = Memory()
    labs = [Lab(f"owner {number}") for number in range(5)]
    memory.learn(*labs)
    memory.make_room(set())
    assert labs[0].id not in memory.disk.chains
    memory.learn(labs[0])
    assert labs[0].id in memory.disk.chains
    assert not memory.make_room({lab.id for lab in labs})
