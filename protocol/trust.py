"""What an owner's charters say: which keys may do what, and when.

Theory of operation. A chain of charters is verified from the first to the newest. Chains of one owner form a
tree; :func:`resolve` joins two into one verdict:

- a chain that continues another replaces it;
- where two chains part, the one whose newest charter by the recovery key (after the parting) has the higher
  version counts: the recovery key settles every earlier fork;
- where neither settles it, the owner is *frozen*: both chains are kept and passed on as evidence, and no key
  of it may do anything until the recovery key signs a further charter.

Rules of this file:

1. An :class:`OwnerTrust` is made by :func:`verify_chain` and :func:`resolve` alone.
2. The verdict on two chains does not depend on the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass

from .charter import (
    CHARTER,
    CHARTER_TYPE,
    Charter,
    check_charter,
    check_succession,
    check_work,
    owner_id,
)
from .envelope import SEAL, Envelope, Verified, open_envelope, verify_signatures
from .errors import LocalProtocolError, RemoteProtocolError
from .limits import CHAIN_BYTES_MAX, CHAIN_CHARTERS_MAX, CHARTER_BYTES_MAX, CLOCK_TOLERANCE_SECONDS, WORK_BITS
from .signing import SignatureScheme, Signer
from .violations import Violation


@dataclass(frozen=True, slots=True)
class Link:
    """One verified charter of a chain."""

    verified: Verified[Charter]
    recovered: bool
    """Whether the recovery key signed it."""


Chain = tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class OwnerTrust:
    """The verdict on an owner's charters.

    Parameters
    ----------
    owner
        The owner's id, 32 bytes.
    links
        The charters that count, first to newest; up to the parting when frozen.
    rivals
        Two whole chains that nothing settles; empty unless frozen.
    scheme
        How the owner's records are verified.
    """

    owner: bytes
    links: Chain
    rivals: tuple[Chain, ...]
    scheme: type[SignatureScheme]
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        """Refuse to exist without the seal."""
        if seal is not SEAL:
            raise LocalProtocolError("only verify_chain makes an OwnerTrust", todo="call verify_chain")

    @property
    def charter(self) -> Charter:
        """The newest charter that counts; the last one before the rivals when frozen."""
        return self.links[-1].verified.value

    @property
    def envelope(self) -> Envelope:
        """The newest charter's envelope, for :func:`~skerry.protocol.charter.next_charter`."""
        return open_envelope(self.links[-1].verified.raw, CHARTER_TYPE)

    @property
    def frozen(self) -> bool:
        """Whether two rival charters exist that nothing has settled."""
        return bool(self.rivals)

    @property
    def chains(self) -> list[list[bytes]]:
        """The envelopes to pass on, a list a chain: one, or both rivals when frozen."""
        return [[link.verified.raw for link in chain] for chain in self.rivals or (self.links,)]

    def may(self, key: bytes, role: str, at: int) -> bool:
        """Return whether a node key has a role at a time (wall clock), the clock tolerance included."""
        return self.refusal(key, role, at) is None

    def refusal(self, key: bytes, role: str | None, at: int) -> Violation | None:
        """Return why a node key has no such role at a time; None when it has. Any role when None."""
        entry = self.charter.node_key(key)
        if self.frozen:
            return Violation.OWNER_FROZEN
        if entry is None:
            return Violation.KEY_UNKNOWN
        if role is not None and role not in entry.roles:
            return Violation.ROLE_MISSING
        early = at < entry.not_before - CLOCK_TOLERANCE_SECONDS
        late = at > entry.not_after + CLOCK_TOLERANCE_SECONDS
        return Violation.KEY_NOT_VALID if early or late else None


def verify_chain(
    chain: Sequence[bytes],
    now: int,
    *,
    scheme: type[SignatureScheme] = Signer,
    work_bits: int = WORK_BITS,
) -> OwnerTrust:
    """Verify an owner's charters from the first to the newest.

    Parameters
    ----------
    chain
        The envelopes as received.
    now
        The reader's wall clock, seconds since 1970 UTC.
    scheme
        How signatures are verified.
    work_bits
        Zero bits that the first charter's proof of work must have.

    Returns
    -------
    OwnerTrust
        Never frozen: one chain has no rival. :func:`resolve` joins it with what was known.

    Raises
    ------
    RemoteProtocolError
        The chain is too long, or a charter does not follow from the one before.
    """
    if not 1 <= len(chain) <= CHAIN_CHARTERS_MAX or sum(map(len, chain)) > CHAIN_BYTES_MAX:
        raise RemoteProtocolError(Violation.TOO_LARGE, f"{len(chain)} charters", where="charter chain")
    envelope, charter = _open_charter(chain[0])
    if charter.version != 1:
        raise RemoteProtocolError(
            Violation.CHAIN_BROKEN, "does not begin at version 1", where="charter chain"
        )
    check_work(envelope.body, work_bits)
    verify_signatures(envelope, charter.owner_keys, charter.threshold, scheme)
    owner = owner_id(envelope.body)
    links = [Link(Verified(charter, chain[0], envelope.hash, SEAL), recovered=False)]
    for raw in chain[1:]:
        before_envelope, before = envelope, charter
        envelope, charter = _open_charter(raw)
        keys = check_succession(before_envelope, before, envelope, charter)
        verify_signatures(envelope, keys, len(keys), scheme)
        recovered = keys == [before.recovery_key]
        links.append(Link(Verified(charter, raw, envelope.hash, SEAL), recovered=recovered))
    if charter.issued > now + CLOCK_TOLERANCE_SECONDS:
        raise RemoteProtocolError(Violation.ISSUED_AHEAD, f"by {charter.issued - now} s", where="charter")
    return OwnerTrust(owner, tuple(links), (), scheme, SEAL)


def _open_charter(raw: bytes) -> tuple[Envelope, Charter]:
    if len(raw) > CHARTER_BYTES_MAX:
        raise RemoteProtocolError(Violation.TOO_LARGE, f"{len(raw)} bytes", where="charter")
    envelope = open_envelope(raw, CHARTER_TYPE)
    charter = CHARTER.decode(envelope.body)
    check_charter(charter)
    return envelope, charter


def resolve(known: OwnerTrust, news: OwnerTrust) -> OwnerTrust:
    """Join two verdicts on one owner into one; the order does not matter.

    Raises
    ------
    LocalProtocolError
        They are about two owners.
    """
    if known.owner != news.owner:
        raise LocalProtocolError("trust of two owners cannot be joined", where=news.owner.hex())
    chains = [*(known.rivals or (known.links,)), *(news.rivals or (news.links,))]
    chains = [_with_recovery_marks(chain, chains) for chain in chains]
    for chain in chains:
        if all(_outranks(chain, other) for other in chains):
            return OwnerTrust(known.owner, chain, (), known.scheme, SEAL)
    rivals = _unsettled_pair(chains)
    return OwnerTrust(known.owner, rivals[0][: _parting(*rivals)], rivals, known.scheme, SEAL)


def _with_recovery_marks(chain: Chain, others: Sequence[Chain]) -> Chain:
    """Return the chain with the envelopes that carry the recovery signature where there are any.

    Hashes leave signatures out, so that one charter may be known by two envelopes.
    """
    recovered = {link.verified.hash: link for other in others for link in other if link.recovered}
    return tuple(recovered.get(link.verified.hash, link) for link in chain)


def _parting(first: Chain, second: Chain) -> int:
    """Return how many charters two chains have in common."""
    pairs = zip(first, second, strict=False)
    differing = (index for index, (a, b) in enumerate(pairs) if a.verified.hash != b.verified.hash)
    return next(differing, min(len(first), len(second)))


def _newest_recovery(chain: Chain, start: int) -> int:
    """Return the version of the newest charter by the recovery key from ``start`` on, 0 without one."""
    return max((link.verified.value.version for link in chain[start:] if link.recovered), default=0)


def _outranks(chain: Chain, other: Chain) -> bool:
    """Return whether ``chain`` counts where both are known: it continues the other, or settles the fork."""
    start = _parting(chain, other)
    if start == len(other):
        return True
    return start < len(chain) and _newest_recovery(chain, start) > _newest_recovery(other, start)


def _unsettled_pair(chains: Sequence[Chain]) -> tuple[Chain, Chain]:
    """Return two chains of which neither outranks the other, chosen by hash so that all nodes agree."""
    ordered = sorted(chains, key=lambda chain: chain[-1].verified.hash)
    for index, first in enumerate(ordered):
        for second in ordered[index + 1 :]:
            if not _outranks(first, second) and not _outranks(second, first):
                return first, second
    raise LocalProtocolError("rivals were expected", where="charter chain")


def check_epoch(trust: OwnerTrust, epoch: int) -> None:
    """Check that a head is of the owner's current epoch; raise ``epoch-old`` or ``epoch-unknown``."""
    if epoch < trust.charter.epoch:
        raise RemoteProtocolError(Violation.EPOCH_OLD, f"{epoch}, now {trust.charter.epoch}", where="head")
    if epoch > trust.charter.epoch:
        raise RemoteProtocolError(Violation.EPOCH_UNKNOWN, f"{epoch} of {trust.charter.epoch}", where="head")


def check_key(trust: OwnerTrust, key: bytes, role: str | None, times: Sequence[int], *, where: str) -> None:
    """Check that a node key has a role at all of the times.

    Raises
    ------
    RemoteProtocolError
        ``owner-frozen``, ``key-unknown``, ``role-missing`` or ``key-not-valid``.
    """
    for at in times:
        violation = trust.refusal(key, role, at)
        if violation is not None:
            raise RemoteProtocolError(violation, f"key {key.hex()}", where=where)
