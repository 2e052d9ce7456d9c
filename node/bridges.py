"""The bridges that institutions publish: which of their columns are which of others'.

The state machine carries their records without reading them; here those that are stored are read, and a
record that does not verify as a bridge is left alone. Nothing is decided by a bridge in this node: clients
try them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from skerry.errors import Refused
from skerry.protocol import effects
from skerry.protocol.api import Bridges, BridgeView, PlankView
from skerry.protocol.bridge import BRIDGE_TYPE, Plank, make_bridge, verify_bridge
from skerry.protocol.envelope import RECORD_HEADER, open_envelope
from skerry.protocol.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from skerry.protocol.api import BridgeQuery, BridgeRequest
    from skerry.protocol.bridge import BridgeRecord
    from skerry.protocol.state import State

    from .directory import Directory
    from .driver import Driver
    from .keys import Keyring

log: Final = structlog.get_logger()


class BridgeBook:
    """See the module's docstring.

    Parameters
    ----------
    keyring
        Signs the own bridges.
    state, directory
        Know the owners' charters and names.
    driver
        Spreads the own bridges.
    stored
        The records that the disk holds, by scope and hash.
    """

    def __init__(
        self,
        keyring: Keyring,
        state: State,
        directory: Directory,
        driver: Driver,
        stored: Mapping[tuple[bytes, bytes], bytes],
    ) -> None:
        self._keyring = keyring
        self._state = state
        self._directory = directory
        self._driver = driver
        self._raw = {place: raw for place, raw in stored.items() if _is_bridge(raw)}

    def stored(self, operation: effects.StoreOperation) -> None:
        """Take in what was stored."""
        match operation:
            case effects.PutRecord(scope, digest, raw) if _is_bridge(raw):
                self._raw[scope, digest] = raw
            case effects.DropRecord(scope, digest):
                self._raw.pop((scope, digest), None)
            case _:
                pass

    def find(self, query: BridgeQuery) -> Bridges:
        """Return the public bridges between two islands, the newest first."""
        found = [
            record
            for record in self._verified(raw for (scope, _), raw in self._raw.items() if not scope)
            if query.source in ("", record.source.hex()) and query.target in ("", record.target.hex())
        ]
        found.sort(key=lambda record: (-record.issued, record.owner))
        return Bridges([self._view(record) for record in found])

    async def publish(self, request: BridgeRequest) -> Bridges:
        """Sign a bridge and send it on; it is durable when this returns.

        Raises
        ------
        Refused
            ``E-BRIDGE`` when others would refuse it, or this owner published too many.
        """
        try:
            envelope = make_bridge(
                self._keyring.signer,
                owner=self._keyring.owner,
                scope=b"",
                source=bytes.fromhex(request.source),
                target=bytes.fromhex(request.target),
                planks=[Plank(p.source, p.target, p.factor, p.offset, p.confidence) for p in request.planks],
                issued=int(time.time()),
            )
        except LocalProtocolError as error:
            raise _refused(error.why) from error
        taken = await self._driver.take_records((envelope.to_bytes(),))
        if taken.refused:
            raise _refused("; ".join(str(reason) for reason in taken.refused))
        record = next(iter(self._verified((envelope.to_bytes(),))))
        return Bridges([self._view(record)])

    def _verified(self, raws: Iterable[bytes]) -> Iterator[BridgeRecord]:
        owners, now = self._state.owners(), int(time.time())
        for raw in raws:
            trust = owners.get(RECORD_HEADER.decode(open_envelope(raw).body).owner)
            try:
                if trust is not None:
                    yield verify_bridge(raw, trust, now).value
            except RemoteProtocolError as error:
                log.info("a bridge is none", violation=error.violation.value, why=error.why)

    def _view(self, record: BridgeRecord) -> BridgeView:
        planks = [PlankView(p.source, p.target, p.factor, p.offset, p.confidence) for p in record.planks]
        return BridgeView(
            record.owner.hex(),
            self._directory.name(record.owner),
            record.source.hex(),
            record.target.hex(),
            planks,
            record.issued,
            record.lease,
        )


def _is_bridge(raw: bytes) -> bool:
    return open_envelope(raw).type == BRIDGE_TYPE


def _refused(why: str) -> Refused:
    return Refused(
        "The bridge was not published",
        why=why,
        todo="Name each column once; an owner may have a few bridges at a time, and older ones end",
        code="E-BRIDGE",
    )
