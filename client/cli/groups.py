"""Verbs of groups: ``skerry group create|list|members|invite|join|leave|remove|rotate|policy|...``."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from .session import Session

if TYPE_CHECKING:
    from skerry.client.groups import Groups
    from skerry.protocol.api import GroupView, InviteView, RosterChange

GroupArgument = Annotated[str, typer.Argument(help="Name of the group, or the beginning of its id.")]
AdminsOption = Annotated[str, typer.Option(help="How many admins sign a change, such as 2-of-3.")]
DURATION = re.compile(r"(\d+)([hdw])")
HOURS = {"h": 1, "d": 24, "w": 168}


def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What the group calls itself.")],
    *,
    admins: AdminsOption = "1-of-1",
) -> None:
    """Found a group. You become its first admin."""
    group = _groups(session).create(name, admins=_admins(admins))
    _show_group(session, group)


def list_groups(session: Session) -> None:
    """List the groups that this node is in."""
    from skerry.protocol.api import Groups

    from .output import table

    groups = _groups(session).all()
    rows = [(g.id[:8], g.name, g.role or "removed", g.members, f"v{g.version}", _state(g)) for g in groups]
    columns = ("#id", "name", "you are", "#members", "#roster", "state")
    session.show(Groups(groups), table(columns, rows), "\n".join(group.id for group in groups))


def members(session: Session, group: GroupArgument) -> None:
    """Show who is in a group, who invited them, and when they were last seen."""
    from .output import table

    view = _groups(session).view(group)
    found = view.members
    rows = [
        (
            member.owner[:8],
            (member.owner_name or "unnamed") + (" (you)" if member.own else ""),
            member.role + ("*" if member.admitted_until else ""),
            _inviter(member.invited_by, member.invited_by_name),
            "now" if member.own else _ago(member.last_seen),
        )
        for member in found
    ]
    columns = ("#id", "name", "#role", "invited by", "#last seen")
    session.show(view, table(columns, rows), "\n".join(member.owner for member in found))
    if any(member.admitted_until for member in found):
        session.note("* admitted by a registrar; the next roster takes it up")


def invite(
    session: Session,
    group: GroupArgument,
    *,
    role: Annotated[str, typer.Option(help="reader, publisher, registrar or admin.")] = "reader",
    uses: Annotated[int, typer.Option(help="How many institutions may come in by it.")] = 1,
    expires: Annotated[
        str, typer.Option(help="How long it can be used: hours, days or weeks, as 7d.")
    ] = "7d",
) -> None:
    """Make an invite: one line to hand to the newcomer over a channel you trust."""
    receipt = _groups(session).invite(group, role=role, uses=uses, days=_days(expires))
    kept = receipt.invite
    session.note(f"invites {kept.uses} as {kept.role} until {_date(kept.expires)}; id {kept.id}")
    session.note("who has this line can join: hand it over as you would a password")
    session.show(receipt, receipt.text, receipt.text)


def invites(
    session: Session,
    group: GroupArgument,
    *,
    revoke: Annotated[str, typer.Option(help="Make the invite with this id void first.")] = "",
) -> None:
    """List the invites that this node issued."""
    from skerry.protocol.api import Invites

    from .output import table

    groups = _groups(session)
    found = groups.revoke(group, revoke) if revoke else groups.invites(group)
    rows = [(i.id, i.role, f"{i.used} of {i.uses}", _date(i.expires), _invite_state(i)) for i in found]
    columns = ("#id", "role", "#used", "#expires", "state")
    session.show(Invites(found), table(columns, rows), "\n".join(item.id for item in found))


def join(
    session: Session,
    invite: Annotated[str, typer.Argument(help="The line that `skerry group invite` printed.")],
) -> None:
    """Join a group by an invite."""
    _show_group(session, _groups(session).join(invite))


def leave(session: Session, group: GroupArgument) -> None:
    """Leave a group: this node forgets all of it. What others fetched cannot be recalled."""
    from skerry.protocol.api import Left

    groups = _groups(session)
    view = groups.view(group).group
    groups.leave(view.id)
    session.show(Left(view.id), f"left {view.id[:8]}", view.id)


def remove(
    session: Session,
    group: GroupArgument,
    member: Annotated[str, typer.Argument(help="The member's name, or the beginning of its id.")],
) -> None:
    """Remove a member. What it has fetched stays with it: that cannot be recalled."""
    _show_change(session, _groups(session).remove(group, member))
    session.note("what it fetched before stays with it: that cannot be recalled")


def rotate(session: Session, group: GroupArgument) -> None:
    """Change your key for the group's rosters, and make all open invites void."""
    _show_change(session, _groups(session).rotate(group))


def policy(
    session: Session,
    group: GroupArgument,
    *,
    lane: Annotated[
        list[str] | None, typer.Option(help="Admit this lane only; may be repeated; `any` admits all.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help="Card field that must be filled; may be repeated; `none` for none."),
    ] = None,
    cards: Annotated[
        int | None, typer.Option(help="Learnwares of one owner at most; 0 for no bound.")
    ] = None,
    package_bytes: Annotated[
        int | None, typer.Option(help="Bytes of one package at most; 0 for no bound.")
    ] = None,
    admins: Annotated[str, typer.Option(help="How many admins sign a change, such as 2-of-3.")] = "",
) -> None:
    """Show or change what a group asks of learnwares."""
    from .output import facts

    groups = _groups(session)
    if lane is None and require is None and cards is None and package_bytes is None and not admins:
        view = groups.view(group).group
        session.show(view.policy, facts(_policy_lines(view)), view.id)
        return
    change = groups.policy(
        group,
        lanes=None if lane is None else [item for item in lane if item != "any"],
        required=None if require is None else [item for item in require if item != "none"],
        cards_max=cards,
        package_bytes_max=package_bytes,
        admins=_admins(admins) if admins else None,
    )
    _show_change(session, change)


def proposals(session: Session, group: GroupArgument) -> None:
    """Show the changes that wait for other admins' signatures."""
    from skerry.protocol.api import Proposals

    from .output import table

    found = _groups(session).proposals(group)
    rows = [
        (
            item.roster[:8],
            "; ".join(item.changes),
            _inviter(item.proposed_by, item.proposed_by_name),
            f"{item.signatures} of {item.needed}",
            "yes" if item.signed else "no",
        )
        for item in found
    ]
    columns = ("#id", "change", "by", "#signed", "#you")
    session.show(Proposals(found), table(columns, rows), "\n".join(item.roster for item in found))


def agree(
    session: Session,
    group: GroupArgument,
    proposal: Annotated[
        str, typer.Argument(help="The beginning of the change's id; see `skerry group proposals`.")
    ],
) -> None:
    """Sign a change that another admin proposed."""
    _show_change(session, _groups(session).agree(group, proposal))


def _groups(session: Session) -> Groups:
    return session.network().groups


def _admins(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,3})-of-(\d{1,3})", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not m-of-n, such as 2-of-3", param_hint="--admins")
    return int(match[1]), int(match[2])


def _days(text: str) -> float:
    match = DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a number with h, d or w, such as 7d", param_hint="--expires"
        )
    return int(match[1]) * HOURS[match[2]] / 24


def _show_group(session: Session, group: GroupView) -> None:
    from .output import facts

    lines = [
        ("group", group.name),
        ("id", group.id),
        ("you are", group.role),
        ("members", group.members),
        ("roster", f"v{group.version}, {group.signers} to sign the next, ends {_date(group.lease_ends)}"),
        ("state", _state(group)),
    ]
    session.show(group, facts(lines), group.id)


def _show_change(session: Session, change: RosterChange) -> None:
    from .output import facts

    missing = change.needed - change.signatures
    outcome = (
        f"in force as v{change.group.version}" if change.in_force else f"waits for {missing} more to sign"
    )
    lines = [("group", change.group.name), ("roster", change.roster), ("state", outcome)]
    session.show(change, facts(lines), change.roster)
    if not change.in_force:
        session.note(f"other admins run: skerry group agree {change.group.id[:8]} {change.roster[:8]}")


def _policy_lines(view: GroupView) -> list[tuple[str, object]]:
    policy = view.policy
    return [
        ("lanes", ", ".join(policy.lanes) or "all"),
        ("required", ", ".join(policy.required) or "nothing"),
        ("learnwares", f"{policy.cards_max} of one owner" if policy.cards_max else "no bound"),
        ("package", f"{policy.package_bytes_max} bytes" if policy.package_bytes_max else "no bound"),
        ("admins", f"{policy.signers} of {policy.admins}" if policy.admins else "one signs"),
    ]


def _state(group: GroupView) -> str:
    if not group.role:
        return "removed"
    if group.forked:
        return "admins disagree"
    return "served" if group.serving else "not served: no word from an admin for a day"


def _invite_state(invite: InviteView) -> str:
    if invite.void:
        return "void"
    if invite.expires <= time.time():
        return "expired"
    return "used up" if invite.used >= invite.uses else "open"


def _inviter(owner: str, name: str) -> str:
    return f"{name or 'unnamed'} ({owner[:8]})" if owner else "founder"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _ago(seen: float) -> str:
    if not seen:
        return "never"
    seconds = max(0.0, time.time() - seen)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return "now" if seconds < 60 else "1 min"
