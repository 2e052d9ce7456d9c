"""Which group a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from skerry.errors import NotFound
from skerry.node.api.problems import Conflict

if TYPE_CHECKING:
    from skerry.protocol.groups import Group
    from skerry.protocol.state import State

PREFIX_CHARACTERS_MIN: Final = 4
"""Beginning of an id that names a group or a member: shorter ones fit too many."""


def find_group(state: State, name: str) -> Group:
    """Return the group that a name, an id or the beginning of one stands for.

    Raises
    ------
    NotFound
        ``E-NOTFOUND-GROUP``.
    Conflict
        ``E-GROUP-AMBIGUOUS``: several groups fit.
    """
    groups = state.groups().groups
    exact = [group for group in groups.values() if group.id.hex() == name.lower()]
    named = [group for group in groups.values() if group.rosters.tips[0].value.name == name]
    begun = [
        group
        for group in groups.values()
        if len(name) >= PREFIX_CHARACTERS_MIN and group.id.hex().startswith(name.lower())
    ]
    fitting = exact or named or begun
    if not fitting:
        raise NotFound(
            "This node is in no such group",
            where=name,
            todo="Look at `skerry group list`, or join it by an invite.",
            code="E-NOTFOUND-GROUP",
        )
    if len(fitting) > 1:
        raise Conflict(
            "Several groups fit",
            where=name,
            why=", ".join(sorted(group.id.hex()[:8] for group in fitting)),
            todo="Name it by the beginning of its id.",
            code="E-GROUP-AMBIGUOUS",
        )
    return fitting[0]
