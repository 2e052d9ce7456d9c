"""Verbs for a node that is always there: ``service`` prints a systemd unit, ``config get`` its configuration.

The unit is printed, not installed: where it goes and under which account it runs is for whoever administers
the machine. It takes from the process what a node never needs; each line works on systemd 247 and newer.

Rules of this file:

1. The daemon writes below its folder and nowhere else, so the unit makes everything else read-only.
2. A unit of a user's own manager has only what needs no privilege: the rest would keep it from starting.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .operator import become_node
from .session import Session

if TYPE_CHECKING:
    from pathlib import Path

STOP_SECONDS: Final = 10
"""A node drains within 5 s; systemd then waits as long again before it kills."""
MEMORY_MAX: Final = "4G"
"""A million cards need 2.5 GB; beyond this something leaks, and the machine has other work."""

_UNIT: Final = """\
[Unit]
Description=Skerry node in {folder}
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec=5
TimeoutStopSec={stop}
LimitNOFILE=65536
MemoryMax={memory}
Environment=PYTHONUNBUFFERED=1
{account}{privileged}UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy={target}
"""

_PRIVILEGED: Final = """\
ReadWritePaths="{folder}"
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
"""


def service(
    session: Session,
    *,
    user: Annotated[bool, typer.Option("--user", help="For the user's own systemd, without root.")] = False,
    account: Annotated[str, typer.Option(help="The account that runs the node.")] = "skerry",
) -> None:
    """Print a systemd unit that runs the node."""
    from skerry.client.folders import node_folder

    from .results import ServiceUnit

    folder = node_folder(session.folder).absolute()
    unit = unit_text(folder, account="" if user else account)
    place = "~/.config/systemd/user/skerry.service" if user else "/etc/systemd/system/skerry.service"
    manager = "systemctl --user" if user else "systemctl"
    session.show(ServiceUnit(unit, place), unit.rstrip("\n"), unit.rstrip("\n"))
    session.note(f"Save it as {place}, then: {manager} daemon-reload && {manager} enable --now skerry")


def unit_text(folder: Path, *, account: str) -> str:
    """Return the unit that runs the node in `folder`; with no `account` one for a user's own manager."""
    command = shlex.join([sys.executable, "-m", "skerry.node", "serve", "--folder", str(folder)])
    escaped = str(folder).replace("%", "%%")
    return _UNIT.format(
        folder=escaped,
        command=command.replace("%", "%%"),
        stop=STOP_SECONDS,
        memory=MEMORY_MAX,
        account=f"User={account}\n" if account else "",
        privileged=_PRIVILEGED.format(folder=escaped) if account else "",
        target="multi-user.target" if account else "default.target",
    )


def config_get(
    session: Session,
    key: Annotated[str | None, typer.Argument(help="One key, such as node.listen; otherwise all.")] = None,
    *,
    show_source: Annotated[
        bool, typer.Option("--show-source", help="Say where each value comes from.")
    ] = False,
) -> None:
    """Show what the node would run with, and where each value comes from."""
    options = [*([key] if key is not None else []), *(["--show-source"] if show_source else [])]
    become_node(session, "config", options)
