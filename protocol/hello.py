"""The handshake inside a fresh TLS connection: who the other side is, and which version both speak.

TLS authenticates the server's certificate only. Both sides therefore send a ``Hello`` with a nonce and then a
``HelloProof``: charters, node record, and a record of type ``hello`` in which the node key signs both
greetings as they crossed the wire, its role, and what the server is known by (certificate or host name). So a
proof holds for one connection, one direction and one server, and covers the versions that were offered.

:class:`Handshake` does no I/O: it is told what arrived and says what to send. Rules of this file:

1. What may come when stands in ``_EXPECTED``; anything else is a violation.
2. Nothing of a peer is used before its whole proof holds. After an error the handshake is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from .charter import ROLE_SERVE
from .encoding import Format, Hash, HashOrNone, Key, Natural
from .envelope import Verified, check_times, open_envelope, sign_record, verify_signatures
from .errors import LocalProtocolError, RemoteProtocolError
from .hashing import tagged_hash
from .limits import ENVELOPE_BYTES_MAX, HELLO_BYTES_MAX, HELLO_LEASE_SECONDS, WORD_CHARACTERS_MAX, WORK_BITS
from .messages import MESSAGE, Hello, HelloProof
from .node_record import NODE_RECORD, SUPPORTED_VERSIONS, NodeRecord, verify_node_record
from .signing import SignatureScheme, Signer
from .trust import OwnerTrust, check_key, resolve, verify_chain
from .violations import Violation

HELLO_TYPE = "hello"


class Role(StrEnum):
    """Who dialled."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> Role:
        """The other side's role."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class HelloBody(Struct, frozen=True):
    """What a node key signs about a connection."""

    owner: Hash
    scope: HashOrNone
    issued: Natural
    lease: Natural
    node_key: Key
    role: Annotated[str, Meta(max_length=WORD_CHARACTERS_MAX)]
    binding: Hash
    own: Annotated[bytes, Meta(max_length=HELLO_BYTES_MAX)]
    peer: Annotated[bytes, Meta(max_length=HELLO_BYTES_MAX)]


HELLO_BODY = Format(HelloBody, HELLO_TYPE, ENVELOPE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node shows of itself.

    Parameters
    ----------
    signer
        The node key, with the role ``serve``.
    charters
        The owner's charter chain.
    node
        The envelope of the node record.
    """

    signer: SignatureScheme
    charters: tuple[bytes, ...]
    node: bytes


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who the other side proved to be.

    Parameters
    ----------
    trust
        The verdict on its owner, joined with what was known.
    node
        Its node record.
    charters
        The chain that it showed.
    version
        The protocol version to speak.
    session
        What names this connection at both ends, from both nonces; 32 bytes.
    """

    trust: OwnerTrust
    node: Verified[NodeRecord]
    charters: tuple[bytes, ...]
    version: int
    session: bytes

    @property
    def node_key(self) -> bytes:
        """The key that it proved to hold."""
        return self.node.value.node_key


class _Phase(StrEnum):
    """How far a handshake has come."""

    NEW = "new"
    GREETED = "greeted"
    PROVING = "proving"
    OVER = "over"


_EXPECTED: dict[_Phase, type[Struct]] = {_Phase.GREETED: Hello, _Phase.PROVING: HelloProof}
"""What may arrive in a phase; nothing in the others."""


def _nobody(owner: bytes) -> OwnerTrust | None:
    """Know no owner yet."""
    del owner
    return None


class Handshake:
    """One side of one handshake.

    Parameters
    ----------
    role
        Whether this side dialled.
    identity
        What this side shows.
    network
        The network's name; both sides must have the same.
    binding
        What the server is known by: the SHA-256 of its certificate in DER (pinned), or
        :func:`~skerry.protocol.node_record.host_binding` (web). The client passes what it dialled.
    nonce
        32 random bytes, never used before.
    now
        Wall clock, seconds since 1970 UTC.
    known
        Returns what is known about an owner's charters, so that an old chain cannot bring back a removed key.
    scheme, work_bits
        As in :func:`~skerry.protocol.trust.verify_chain`.
    """

    def __init__(
        self,
        role: Role,
        identity: Identity,
        *,
        network: str,
        binding: bytes,
        nonce: bytes,
        now: int,
        known: Callable[[bytes], OwnerTrust | None] = _nobody,
        scheme: type[SignatureScheme] = Signer,
        work_bits: int = WORK_BITS,
    ) -> None:
        self._role = role
        self._identity = identity
        self._binding = binding
        self._now = now
        self._known = known
        self._scheme = scheme
        self._work_bits = work_bits
        self._hello = Hello(SUPPORTED_VERSIONS, network, nonce)
        self._own = MESSAGE.encode(self._hello)
        self._peer = b""
        self._peer_nonce = b""
        self._version = 0
        self._phase = _Phase.NEW

    def start(self) -> bytes:
        """Return the first frame to send; both sides send theirs without waiting.

        Raises
        ------
        LocalProtocolError
            Called twice.
        """
        if self._phase is not _Phase.NEW:
            raise LocalProtocolError("a handshake starts once", todo="make a new Handshake")
        self._phase = _Phase.GREETED
        return self._own

    def receive(self, frame: bytes) -> bytes | PeerIdentity:
        """Take the next frame from the peer.

        Returns
        -------
        bytes or PeerIdentity
            After the peer's first frame the frame to send; after its second who it is, which ends the
            handshake.

        Raises
        ------
        RemoteProtocolError
            The peer did not prove who it is; the connection must be closed.
        """
        phase, self._phase = self._phase, _Phase.OVER
        message = MESSAGE.decode(frame)
        expected = _EXPECTED.get(phase)
        if expected is None or type(message) is not expected:
            raise RemoteProtocolError(
                Violation.UNEXPECTED, f"{type(message).__name__} when {phase}", where="hello"
            )
        if isinstance(message, Hello):
            answer = self._greet(message, frame)
            self._phase = _Phase.PROVING
            return answer
        assert isinstance(message, HelloProof)
        return self._identify(message)

    def _greet(self, hello: Hello, frame: bytes) -> bytes:
        """Agree on a version and return our proof."""
        if hello.network != self._hello.network:
            raise RemoteProtocolError(Violation.NETWORK_WRONG, hello.network, where="hello")
        self._version = min(hello.versions[1], SUPPORTED_VERSIONS[1])
        if self._version < max(hello.versions[0], SUPPORTED_VERSIONS[0]):
            raise RemoteProtocolError(Violation.VERSION_UNSUPPORTED, f"{hello.versions}", where="hello")
        if len(frame) > HELLO_BYTES_MAX:
            raise RemoteProtocolError(Violation.TOO_LARGE, f"{len(frame)} bytes", where="hello")
        self._peer = frame
        self._peer_nonce = hello.nonce
        signer = self._identity.signer
        body = HelloBody(
            owner=_owner_of(self._identity.node),
            scope=b"",
            issued=self._now,
            lease=self._now + HELLO_LEASE_SECONDS,
            node_key=signer.public_key,
            role=self._role,
            binding=self._binding,
            own=self._own,
            peer=frame,
        )
        proof = sign_record(HELLO_TYPE, HELLO_BODY.encode(body), [signer])
        return MESSAGE.encode(HelloProof(self._identity.charters, self._identity.node, proof.to_bytes()))

    def _identify(self, message: HelloProof) -> PeerIdentity:
        """Verify the peer's charters, node record and proof."""
        trust = verify_chain(message.charters, self._now, scheme=self._scheme, work_bits=self._work_bits)
        known = self._known(trust.owner)
        if known is not None:
            trust = resolve(known, trust)
        node = verify_node_record(message.node, trust, self._now)
        self._verify_proof(message.proof, trust, node.value)
        return PeerIdentity(trust, node, message.charters, self._version, self._session())

    def _session(self) -> bytes:
        nonces = (self._hello.nonce, self._peer_nonce)
        return tagged_hash("skerry/session/1", *(nonces if self._role is Role.CLIENT else nonces[::-1]))

    def _verify_proof(self, raw: bytes, trust: OwnerTrust, node: NodeRecord) -> None:
        envelope = open_envelope(raw, HELLO_TYPE)
        body = HELLO_BODY.decode(envelope.body)
        check_times(body.issued, body.lease, HELLO_LEASE_SECONDS, self._now, where="hello")
        if body.owner != trust.owner or body.node_key != node.node_key or body.scope:
            raise RemoteProtocolError(Violation.OWNER_WRONG, "another owner, key or scope", where="hello")
        if body.role != self._role.other or (body.own, body.peer) != (self._peer, self._own):
            raise RemoteProtocolError(Violation.HELLO_WRONG, where="hello")
        if body.binding != self._binding:
            raise RemoteProtocolError(Violation.BINDING_WRONG, where="hello")
        if self._role is Role.CLIENT and node.binding != self._binding:
            raise RemoteProtocolError(Violation.BINDING_WRONG, "the node record names another", where="hello")
        check_key(trust, body.node_key, ROLE_SERVE, (body.issued,), where="hello")
        verify_signatures(envelope, (body.node_key,), 1, trust.scheme)
        if body.node_key == self._identity.signer.public_key:
            raise RemoteProtocolError(Violation.SELF_CONNECTION, where="hello")


def _owner_of(node: bytes) -> bytes:
    """Return the owner that our own node record names."""
    return NODE_RECORD.decode(open_envelope(node).body).owner
