"""``python -m skerry.node``: make a node, run it, show its configuration.

People call it through the ``skerry`` command.

Exit codes: 0 ended as asked, 1 failed, 2 wrong use or wrong configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import platformdirs

from skerry.errors import ConfigError, SkerryError, StorageError

from .folder import Folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skerry.protocol.api import Ready, Setting

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _COMMANDS[options.command](options)
    except ConfigError as error:
        return _complain(error, USAGE)
    except SkerryError as error:
        return _complain(error, FAILURE)
    except KeyboardInterrupt:
        return FAILURE
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m skerry.node", description="A Skerry node.")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make keys, certificate and charter in a new folder")
    init.add_argument("--name", default=socket.gethostname(), help="what the institution calls itself")
    adopt = commands.add_parser("adopt", help="make a new node of an owner that exists already")
    adopt.add_argument("--charters", type=Path, required=True, help="the owner's charters, exported")
    adopt.add_argument("--key", type=Path, required=True, help="the owner's key, or its recovery key")
    adopt.add_argument("--replace", action="store_true", help="end the owner's other node keys")
    serve = commands.add_parser("serve", help="run the node until SIGTERM")
    serve.add_argument("--listen", metavar="HOST:PORT", help="public address; port 0 takes a free one")
    serve.add_argument("--api-listen", metavar="HOST:PORT", help="address of the local API")
    serve.add_argument(
        "--bootstrap",
        metavar="HOST:PORT#HASH",
        action="append",
        help="a node to connect to first; repeatable",
    )
    serve.add_argument("--lan", action="store_true", help="announce the node on the LAN, and look for others")
    serve.add_argument("--tap", type=Path, metavar="FILE", help="append every byte that is sent to FILE")
    config = commands.add_parser("config", help="show the configuration that a daemon would run with")
    config.add_argument("key", nargs="?", help="one key, such as node.listen; otherwise all")
    config.add_argument("--show-source", action="store_true", help="say where each value comes from")
    backup = commands.add_parser("backup", help="write keys, database and own blobs to one file")
    backup.add_argument("file", type=Path, help="a file that does not exist yet")
    restore = commands.add_parser("restore", help="make the node of a backup in an empty folder")
    restore.add_argument("file", type=Path, help="what `backup` wrote")
    verify = commands.add_parser("verify", help="check database, cards, blobs and sketches")
    for command in (init, adopt, serve, config, backup, restore, verify):
        command.add_argument("--folder", type=Path, default=_default_folder(), help="the node's folder")
        command.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    return parser


def _default_folder() -> Path:
    named = os.environ.get("SKERRY_HOME")
    return Path(named) if named else platformdirs.user_data_path("skerry")


def _init(options: argparse.Namespace) -> None:
    from skerry.protocol.api import Initialised

    from .keys import initialise

    folder = Folder(options.folder.absolute())
    keyring = initialise(folder, options.name)
    if options.json:
        made = Initialised(keyring.owner.hex(), keyring.signer.public_key.hex(), str(folder.root))
        _print_json(made)
        return
    _say(f"Made {options.name!r} in {folder.root}; its owner id is {keyring.owner.hex()}.")
    _say(f"Keep a copy of {folder.owner_key} and {folder.recovery_key} elsewhere.")


def _adopt(options: argparse.Namespace) -> None:
    from skerry.protocol.api import Initialised

    from .keys import adopt

    folder = Folder(options.folder.absolute())
    keyring = adopt(folder, options.charters, options.key, replace=options.replace)
    if options.json:
        _print_json(Initialised(keyring.owner.hex(), keyring.signer.public_key.hex(), str(folder.root)))
        return
    _say(f"Made a node of {keyring.owner.hex()} in {folder.root}.")


def _serve(options: argparse.Namespace) -> None:
    # Searches run beside each other. Threads of the linear algebra library would double what each costs and
    # help none of them, since its matrices are small. It reads this when numpy is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from . import logs
    from .config import load
    from .daemon import serve

    folder = Folder(options.folder.absolute())
    overrides = {
        "node.listen": options.listen,
        "node.bootstrap": options.bootstrap,
        "node.lan": options.lan or None,
        "api.listen": options.api_listen,
    }
    config = load(folder.root, os.environ, overrides)
    logs.configure(config.log)
    if options.tap is not None and (config.node.host or config.node.lan):
        raise ConfigError(
            "The tap cannot record this node",
            where="--tap",
            why="behind a reverse proxy both listeners look alike, and datagrams on the LAN are not recorded",
            todo="Record a node without node.host and without node.lan.",
            code="E-CONFIG-TAP",
        )

    def announce(ready: Ready) -> None:
        if options.json:
            _print_json(ready)
        _say(f"{ready.name!r} serves at {ready.bootstrap}, its API at {ready.api}")

    with asyncio.Runner(loop_factory=lambda: _new_loop(options.tap)) as runner:
        runner.run(serve(folder, config, announce))


def _config(options: argparse.Namespace) -> None:
    from skerry.protocol.api import Settings

    from .config import setting, settings

    root = options.folder.absolute()
    found = settings(root, os.environ)
    if options.key is not None:
        found = (setting(options.key, found, root),)
    if options.json:
        _print_json(Settings(found))
        return

    def line(one: Setting) -> str:
        value = msgspec.json.encode(one.value).decode()
        text = value if options.key is not None else f"{one.name} = {value}"
        return f"{text}  # {one.source}" if options.show_source else text

    _print("\n".join(line(one) for one in found))


def _backup(options: argparse.Namespace) -> None:
    from skerry.protocol.api import Backup

    from .storage.backup import back_up

    size = back_up(Folder(options.folder.absolute()), options.file.absolute())
    if options.json:
        _print_json(Backup(str(options.file), size))
        return
    _say(f"Wrote {options.file}, {size / 2**20:.1f} MiB. It holds the node's private keys: keep it safe.")


def _restore(options: argparse.Namespace) -> None:
    from skerry.protocol.api import Restored

    from .storage.backup import restore

    folder = Folder(options.folder.absolute())
    files = restore(options.file.absolute(), folder)
    if options.json:
        _print_json(Restored(str(folder.root), files))
        return
    _say(f"Restored {files} files into {folder.root}. Open invites are void; start it with `skerry serve`.")


def _verify(options: argparse.Namespace) -> None:
    from .storage.verifying import verify

    found = verify(Folder(options.folder.absolute()))
    if options.json:
        _print_json(found)
    else:
        for check in found.checks:
            state = "skipped" if check.skipped else "WRONG" if check.wrong else "ok"
            _print(f"{state:8} {check.sentence} {check.skipped or f'({check.looked_at} looked at)'}")
            for example in check.examples:
                _print(f"         {example}")
            if check.todo:
                _print(f"         {check.todo}")
    if not found.sound:
        raise StorageError(
            "The node's disk is not what it should be",
            where=str(options.folder),
            why=", ".join(f"{check.wrong} wrong in {check.name}" for check in found.checks if check.wrong),
            todo="Follow what stands below each check.",
            code="E-STORAGE-DAMAGED",
        )


_COMMANDS: Final = {
    "init": _init,
    "adopt": _adopt,
    "serve": _serve,
    "config": _config,
    "backup": _backup,
    "restore": _restore,
    "verify": _verify,
}


def _new_loop(tap: Path | None) -> asyncio.AbstractEventLoop:
    if tap is not None:
        from .network.tap import TappedLoop

        return TappedLoop(tap)
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _print_json(value: msgspec.Struct) -> None:
    _print(msgspec.json.encode(value).decode())


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _complain(error: SkerryError, status: int) -> int:
    _say(f"error {error.code}: {error.what}")
    for label, text in (("where", error.where), ("why", error.why), ("what to do", error.todo)):
        if text:
            _say(f"  {label}: {text}")
    return status


if __name__ == "__main__":
    sys.exit(main())
