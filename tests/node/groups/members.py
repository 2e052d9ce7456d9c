"""What tests of groups ask of real nodes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from skerry.protocol.api import (
    CreateGroupRequest,
    Groups,
    GroupView,
    InviteReceipt,
    InviteRequest,
    Invites,
    JoinRequest,
    Members,
    PolicyRequest,
    Proposals,
    RosterChange,
)
from tests.node.processes import NodeProcess


def create(node: NodeProcess, name: str = "North Sea", *, signers: int = 1, admins: int = 1) -> GroupView:
    """Found a group and return it."""
    return _call(node, "POST", "/groups", CreateGroupRequest(name, signers, admins), Members).group


def invite(node: NodeProcess, group: str, role: str = "reader", *, uses: int = 1, seconds: int = 3600) -> str:
    """Make an invite and return its string."""
    request = InviteRequest(role, uses, seconds)
    return _call(node, "POST", f"/groups/{group}/invites", request, InviteReceipt).text


def invites(node: NodeProcess, group: str) -> Invites:
    return _call(node, "GET", f"/groups/{group}/invites", None, Invites)


def join(node: NodeProcess, text: str) -> Members:
    return _call(node, "POST", "/groups/join", JoinRequest(text), Members)


def groups(node: NodeProcess) -> list[GroupView]:
    return _call(node, "GET", "/groups", None, Groups).groups


def members(node: NodeProcess, group: str) -> dict[str, str]:
    """Return the members' roles by their owner's name."""
    found = _call(node, "GET", f"/groups/{group}/members", None, Members).members
    return {member.owner_name: member.role for member in found}


def roster(node: NodeProcess, group: str) -> Members:
    return _call(node, "GET", f"/groups/{group}/members", None, Members)


def remove(node: NodeProcess, group: str, member: str) -> RosterChange:
    return _call(node, "DELETE", f"/groups/{group}/members/{member}", None, RosterChange)


def rotate(node: NodeProcess, group: str) -> RosterChange:
    return _call(node, "POST", f"/groups/{group}/rotate", None, RosterChange)


def policy(node: NodeProcess, group: str, **fields: Any) -> RosterChange:
    return _call(node, "PUT", f"/groups/{group}/policy", PolicyRequest(**fields), RosterChange)


def proposals(node: NodeProcess, group: str) -> Proposals:
    return _call(node, "GET", f"/groups/{group}/proposals", None, Proposals)


def agree(node: NodeProcess, group: str, proposal: str) -> RosterChange:
    return _call(node, "POST", f"/groups/{group}/proposals/{proposal}", None, RosterChange)


def leave(node: NodeProcess, group: str) -> None:
    node.request("DELETE", f"/groups/{group}")


def _call(node: NodeProcess, method: str, path: str, body: msgspec.Struct | None, kind: Any) -> Any:
    raw = node.request(method, quote(path), b"" if body is None else msgspec.json.encode(body))
    return msgspec.json.decode(raw, type=kind)
