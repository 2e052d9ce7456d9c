"""Verbs of whoever runs a node: init, serve, status, peers, why, doctor."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .session import Session

if TYPE_CHECKING:
    from typing import NoReturn

    from skerry.protocol.api import PeerView, Status


CLEAR: Final = "\x1b[H\x1b[J"
"""What empties a terminal."""


def init(
    session: Session,
    *,
    name: Annotated[str, typer.Option(help="Name of the institution, shown with its id.")] = "",
) -> None:
    """Make a node: keys, charter and folder."""
    become_node(session, "init", ["--name", name] if name else [])


def serve(
    session: Session,
    *,
    listen: Annotated[str, typer.Option(help="Public address, host:port; port 0 takes a free one.")] = "",
    api_listen: Annotated[str, typer.Option(help="Address of the local API, host:port.")] = "",
    bootstrap: Annotated[
        list[str] | None, typer.Option(help="Node to connect to first, host:port#hash; may be repeated.")
    ] = None,
    lan: Annotated[
        bool, typer.Option("--lan", help="Announce the node on the LAN, and look for others there.")
    ] = False,
    tap: Annotated[Path | None, typer.Option(help="Record every byte that leaves in this file.")] = None,
) -> None:
    """Run the node until it is stopped."""
    values = {"--listen": listen, "--api-listen": api_listen, "--tap": tap}
    options = [text for flag, value in values.items() if value for text in (flag, str(value))]
    options += ["--lan"] if lan else []
    for address in bootstrap or ():
        options += ["--bootstrap", address]
    become_node(session, "serve", options)


def status(session: Session) -> None:
    """Show the node at a glance."""
    from .output import facts

    status = session.network().status()
    session.show(status, facts(_status_lines(status)), status.owner)


def peers(
    session: Session,
    address: Annotated[
        str | None, typer.Argument(help="Connect to this node first: host:port#certificate-hash.")
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show them again and again, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks with --watch.")] = 2.0,
) -> None:
    """Show the nodes that this one knows."""
    network = session.network()
    _show_peers(session, network.peers() if address is None else network.dial(address))
    while watch:
        sys.stdout.flush()
        time.sleep(interval)
        if sys.stdout.isatty() and not session.json:
            sys.stdout.write(CLEAR)
        _show_peers(session, network.peers())


def why(
    session: Session,
    subject: Annotated[str, typer.Argument(help="Id of a learnware or an owner, or a node key.")],
    owner: Annotated[str, typer.Option(help="Of a learnware: its owner's id, to ask its catalogues.")] = "",
) -> None:
    """Say why a learnware, an owner or a node is not here."""
    from skerry.client.escape import visible

    answer = session.operator().why(subject, owner)
    lines = []
    for reason in answer.reasons:
        when = "now" if reason.at is None else f"{_age(time.time() - reason.at)} ago"
        lines.append(f"{when}: {reason.sentence}")
        lines += [f"    {text}" for text in (visible(reason.detail), reason.todo) if text]
    session.show(answer, "\n".join(lines), "\n".join(reason.because for reason in answer.reasons))


def doctor(session: Session) -> None:
    """Look at this machine and its node and say what to do: clock, disk, sandbox, versions, ports, peers."""
    from .findings import findings
    from .output import table
    from .results import Findings

    found = findings(session)
    rows = [("ok" if one.passed else "NO", one.check, one.found) for one in found]
    session.show(Findings(found), table(("", "check", "found"), rows))
    for one in found:
        if one.todo:
            session.note(f"{one.check}: {one.todo}")


def _show_peers(session: Session, known: list[PeerView]) -> None:
    from skerry.protocol.api import Peers

    from .output import table

    known.sort(key=lambda peer: (not peer.connected, peer.owner_name, peer.node_key))
    rows = [_peer_row(peer) for peer in known]
    columns = ("node", "owner", "address", "link", "#RTT", "#cards", "#seen")
    session.show(Peers(known), table(columns, rows), "\n".join(peer.node_key for peer in known))


def become_node(session: Session, verb: str, options: list[str]) -> NoReturn:
    """Replace this process by the daemon, so that signals reach it and nothing stays behind."""
    from skerry.client.folders import node_folder

    command = [
        sys.executable,
        "-m",
        "skerry.node",
        verb,
        "--folder",
        str(node_folder(session.folder)),
        *options,
    ]
    if session.json:
        command.append("--json")
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter and module, without a shell


def _status_lines(status: Status) -> list[tuple[str, object]]:
    return [
        ("name", status.name),
        ("owner", status.owner),
        ("node key", status.node_key),
        ("version", status.version),
        ("reach it at", status.bootstrap or "through the peers that its record names"),
        ("up for", _age(time.time() - status.started)),
        ("learnwares", f"{status.learnwares} own, {status.cards} of {status.owners} owners in the index"),
        ("peers", f"{status.peers_connected} connected, {status.peers_known} known"),
        ("head", f"seq {status.seq}, lease ends in {_age(status.lease_ends - time.time())}"),
        ("digest", status.digest),
        *(("alarm", alarm) for alarm in status.alarms),
    ]


def _peer_row(peer: PeerView) -> tuple[object, ...]:
    trip = "" if peer.round_trip_seconds is None else f"{1000 * peer.round_trip_seconds:.0f} ms"
    seen = _age(time.time() - peer.seen) if peer.seen else "never"
    link = peer.direction if peer.connected else "none"
    name = f"{peer.owner_name or 'unnamed'} ({peer.owner[:8]})"
    return peer.node_key[:8], name, ", ".join(peer.addresses), link, trip, peer.cards, seen


def _age(seconds: float) -> str:
    """Return a duration in its two largest units or less."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
