"""Verbs of an owner's identity: ``skerry owner show|rotate|add-node|revoke-node|recover|...``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .session import Session

if TYPE_CHECKING:
    from skerry.client.network import Network
    from skerry.protocol.api import OwnerView
    from skerry.protocol.signing import Signer

OwnerArgument = Annotated[
    str, typer.Argument(help="Id of an owner, the beginning of it, its name or nickname.")
]
KeyOption = Annotated[
    list[Path] | None, typer.Option(help="File of an owner key; may be repeated. By default the folder's.")
]
OutOption = Annotated[
    Path | None, typer.Option(help="Write the signed charter here instead of giving it to the node.")
]
UndoOption = Annotated[bool, typer.Option("--undo", help="Take it back.")]


def show(
    session: Session,
    owner: Annotated[str, typer.Argument(help="An owner's id or name; your own without one.")] = "",
    *,
    export: Annotated[Path | None, typer.Option(help="Write its charters into this file.")] = None,
) -> None:
    """Show who an owner is: keys, machines, and what you think of it."""
    from .output import facts

    view = session.network().owner(owner)
    if export is not None:
        import msgspec

        export.write_bytes(msgspec.msgpack.encode(view.charters))
    session.show(view, facts(_lines(view)), view.owner)


def rotate(session: Session, *, key: KeyOption = None, out: OutOption = None) -> None:
    """Replace an owner key by a new one. The owner's id stays."""
    from skerry.client.charters import changed, new_key, put_in_place

    network = session.network()
    view, path = network.owner(), (key or [_keys(session) / "owner.key"])[0]
    signers = _signers(session, key)
    fresh = path.with_name(f"{path.stem}.new{path.suffix}")
    old, new = signers[0].public_key, new_key(fresh).public_key
    keys = tuple(new if held == old.hex() else bytes.fromhex(held) for held in view.owner_keys)
    raw = changed(view, signers, now=int(time.time()), owner_keys=keys)
    _hand_over(session, network, raw, out)
    put_in_place(fresh, path, view.version)
    session.note(f"the new key is in {path}: keep a copy elsewhere")


def add_node(
    session: Session,
    node_key: Annotated[
        str, typer.Argument(help="The node key that `skerry status` prints on that machine.")
    ],
    *,
    key: KeyOption = None,
    out: OutOption = None,
) -> None:
    """Let a further machine act for you."""
    from skerry.client.charters import changed, with_node_key

    network, now = session.network(), int(time.time())
    view = network.owner()
    raw = changed(view, _signers(session, key), now=now, node_keys=with_node_key(view, node_key, now))
    _hand_over(session, network, raw, out)


def revoke_node(
    session: Session,
    node_key: Annotated[
        str, typer.Argument(help="The node key, or the beginning of it; see `skerry owner show`.")
    ],
    *,
    key: KeyOption = None,
    out: OutOption = None,
) -> None:
    """End a machine's key: lost, stolen or retired. What it signed counts no more."""
    from skerry.client.charters import changed, without_node_key

    network = session.network()
    view = network.owner()
    kept = without_node_key(view, node_key)
    raw = changed(view, _signers(session, key), now=int(time.time()), node_keys=kept)
    _hand_over(session, network, raw, out)


def recover(
    session: Session,
    *,
    recovery_key: Annotated[
        Path | None, typer.Option(help="File of the recovery key; by default the folder's.")
    ] = None,
    out: OutOption = None,
) -> None:
    """Replace lost or stolen owner keys by a new one, signed with the recovery key."""
    from skerry.client.charters import changed, new_key, put_in_place, read_signer

    network = session.network()
    view, path = network.owner(), _keys(session) / "owner.key"
    signer = read_signer(recovery_key or _keys(session) / "recovery.key")
    fresh = path.with_name("owner.new.key")
    keys = (new_key(fresh).public_key,)
    raw = changed(view, [signer], now=int(time.time()), owner_keys=keys, threshold=1)
    _hand_over(session, network, raw, out)
    put_in_place(fresh, path, view.version)
    session.note(f"the new owner key is in {path}: keep a copy elsewhere")


def profile(
    session: Session,
    *,
    name: Annotated[str | None, typer.Option(help="What you call yourself.")] = None,
    about: Annotated[str | None, typer.Option(help="Who you are, in a sentence or two.")] = None,
    contact: Annotated[str | None, typer.Option(help="How people reach you.")] = None,
    url: Annotated[str | None, typer.Option(help="Your site; https for a domain proof.")] = None,
    key: KeyOption = None,
    out: OutOption = None,
) -> None:
    """Change what your charter says about you."""
    from skerry.client.charters import changed

    network = session.network()
    said = {"name": name, "about": about, "contact": contact, "url": url}
    changes = {field: value for field, value in said.items() if value is not None}
    if not changes:
        raise typer.BadParameter("name what is to change: --name, --about, --contact or --url")
    view = network.owner()
    raw = changed(view, _signers(session, key), now=int(time.time()), **changes)
    _hand_over(session, network, raw, out)


def apply(
    session: Session, charter: Annotated[Path, typer.Argument(help="A charter that was signed with --out.")]
) -> None:
    """Give the node a charter that was signed elsewhere."""
    _hand_over(session, session.network(), charter.read_bytes(), None)


def adopt(
    session: Session,
    charters: Annotated[
        Path, typer.Argument(help="The owner's charters, from `skerry owner show --export`.")
    ],
    *,
    key: Annotated[Path, typer.Option(help="File of the owner's key, or of its recovery key.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="End the owner's other node keys: they were lost or stolen.")
    ] = False,
) -> None:
    """Make this machine a node of an owner that exists already."""
    import os

    from skerry.client.folders import node_folder

    folder = str(node_folder(session.folder))
    command = [sys.executable, "-m", "skerry.node", "adopt", "--folder", folder]
    command += ["--charters", str(charters), "--key", str(key)]
    command += (["--replace"] if replace else []) + (["--json"] if session.json else [])
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter and module, without a shell


def domain(
    session: Session,
    owner: Annotated[str, typer.Argument(help="An owner's id or name; your own without one.")] = "",
) -> None:
    """Ask the site in an owner's charter whether it names the owner."""
    from .output import facts

    network = session.network()
    view = network.owner(owner)
    proof = network.domain_proof(view.owner)
    lines = [("owner", view.owner), ("asked", proof.url or view.url or "nobody"), ("proved", proof.proved)]
    session.show(proof, facts([*lines, *([("why not", proof.why)] if proof.why else [])]), view.owner)
    if not owner and not proof.proved:
        session.note(f"write this line into /.well-known/skerry-owners of your site: {view.owner}")


def vouch(session: Session, owner: OwnerArgument, *, undo: UndoOption = False) -> None:
    """Let an owner's learnwares not count as those of somebody whom nobody knows."""
    _think(session, owner, vouched=not undo)


def block(
    session: Session,
    subject: Annotated[str, typer.Argument(help="An owner, or the id of one learnware.")],
    *,
    undo: UndoOption = False,
) -> None:
    """Do not show an owner's learnwares, or one learnware, on this node."""
    _think(session, subject, blocked=not undo)


def nickname(
    session: Session,
    owner: OwnerArgument,
    name: Annotated[str, typer.Argument(help="What you call it; empty to go by its own name again.")],
) -> None:
    """Call an owner by a name of your own, on this node."""
    _think(session, owner, nickname=name)


def opinions(session: Session) -> None:
    """List whom you vouch for, what you block, and your nicknames."""
    from skerry.protocol.api import Opinions

    from .output import table

    found = session.network().opinions()
    rows = [(o.subject[:8], o.nickname, _yes(on=o.vouched), _yes(on=o.blocked)) for o in found]
    columns = ("#id", "nickname", "#vouched", "#blocked")
    session.show(Opinions(found), table(columns, rows), "\n".join(item.subject for item in found))


def _think(
    session: Session,
    subject: str,
    *,
    vouched: bool | None = None,
    blocked: bool | None = None,
    nickname: str | None = None,
) -> None:
    from .output import facts

    opinion = session.network().think(subject, vouched=vouched, blocked=blocked, nickname=nickname)
    lines = [
        ("id", opinion.subject),
        ("nickname", opinion.nickname),
        ("vouched", _yes(on=opinion.vouched)),
        ("blocked", _yes(on=opinion.blocked)),
    ]
    session.show(opinion, facts(lines), opinion.subject)


def _hand_over(session: Session, network: Network, raw: bytes, out: Path | None) -> None:
    from .output import facts
    from .results import SignedCharter

    if out is not None:
        out.write_bytes(raw)
        session.show(SignedCharter(str(out)), str(out), str(out))
        session.note(f"signed; give it to the node with `skerry owner apply {out}`")
        return
    view = network.take_charter(raw)
    session.show(view, facts(_lines(view)), view.owner)


def _keys(session: Session) -> Path:
    from skerry.client.folders import node_folder

    return node_folder(session.folder) / "keys"


def _signers(session: Session, keys: list[Path] | None) -> list[Signer]:
    from skerry.client.charters import read_signer

    return [read_signer(path) for path in keys or [_keys(session) / "owner.key"]]


def _lines(view: OwnerView) -> list[tuple[str, object]]:
    machines = [f"{entry.key[:16]}{' (this node)' if entry.here else ''}" for entry in view.node_keys]
    state = (
        "frozen: two charters contradict each other; sign one with the recovery key" if view.frozen else ""
    )
    lines = [
        ("owner", view.owner),
        ("name", view.name),
        ("nickname", view.nickname),
        ("charter", f"v{view.version}, epoch {view.epoch}, of {_date(view.issued)}"),
        ("signed by", f"{view.threshold} of {len(view.owner_keys)} owner keys"),
        ("machines", ", ".join(machines) or "none"),
        ("about", view.about),
        ("contact", view.contact),
        ("site", view.url),
        ("vouched", "by you" if view.vouched else ""),
        ("blocked", "by you" if view.blocked else ""),
        ("state", state),
    ]
    return [(name, value) for name, value in lines if value]


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _yes(*, on: bool) -> str:
    return "yes" if on else "no"
