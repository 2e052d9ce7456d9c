"""Invites: issued here, redeemed here over the public listener, or redeemed at the node that issued them.

Theory of operation. A newcomer posts the secret and the proof of who it is to ``/group/redeem``. The invite
is used in one transaction (see :mod:`.book`), then the newcomer is admitted: by an admission that counts at
once, and, for a role that only a roster gives, by a roster as well. The answer holds all that makes a member:
rosters, admission, charters. Everything in it is verified like what came from a stranger.

Rules of this file:

1. Without the secret nothing can be learned: an unknown secret and a route that does not exist look alike.
2. The secret is looked up before anything else of a request costs time.
3. Whom a roster removed comes back only by an invite that was made after that.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
import structlog
from aiohttp import web

from skerry.errors import NotFound, Refused, SkerryError, Unavailable
from skerry.node.api.problems import BadRequest
from skerry.node.config import WEB
from skerry.node.limits import DIAL_SECONDS_MAX, REDEEM_SECONDS_MAX
from skerry.node.network.tls import node_client, reason
from skerry.node.network.ways import Way
from skerry.protocol.addresses import host_of
from skerry.protocol.admission import make_admission
from skerry.protocol.api import Problem
from skerry.protocol.envelope import RECORD_HEADER, open_envelope
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.invite import (
    REDEEM_ANSWER,
    REDEEM_REQUEST,
    Invite,
    RedeemAnswer,
    RedeemRequest,
    make_redemption,
    read_invite,
    secret_hash,
    verify_redemption,
)
from skerry.protocol.limits import (
    GROUP_MEMBERS_MAX,
    INVITE_ADDRESSES_MAX,
    INVITE_LEASE_SECONDS_MAX,
    INVITE_USES_MAX,
    REDEEM_ANSWER_BYTES_MAX,
    REDEEM_REQUEST_BYTES_MAX,
)
from skerry.protocol.roster import ROSTER_TYPE, GroupRole, Member
from skerry.protocol.signing import Signer
from skerry.protocol.trust import verify_chain

from .book import IssuedInvite
from .rosters import removal_version, standing_members

if TYPE_CHECKING:
    from skerry.node.driver import Driver
    from skerry.node.keys import Keyring
    from skerry.node.network.front import Front
    from skerry.node.network.ways import Proxies
    from skerry.protocol.groups import Group
    from skerry.protocol.invite import Redemption
    from skerry.protocol.state import State
    from skerry.protocol.trust import OwnerTrust

    from .book import GroupBook
    from .signing import RosterWriter

log: Final = structlog.get_logger()

REDEEM_PATH: Final = "/group/redeem"
BINARY: Final = "application/octet-stream"
ADMISSION_ATTEMPTS_MAX: Final = 5
"""A roster that comes in between makes an admission void; so many in a row do not come."""


class Invites:
    """Issues invites and redeems them.

    Parameters
    ----------
    keyring
        Who this node is.
    front, proxies
        How others reach this node, and through what it reaches them.
    state, driver
        What is known of groups, and how it changes.
    book, writer
        The invites that were issued, and who signs rosters.
    """

    def __init__(
        self,
        keyring: Keyring,
        front: Front,
        proxies: Proxies,
        state: State,
        driver: Driver,
        book: GroupBook,
        writer: RosterWriter,
    ) -> None:
        self._keyring = keyring
        self._front = front
        self._proxies = proxies
        self._state = state
        self._driver = driver
        self._book = book
        self._writer = writer

    def add_to(self, application: web.Application) -> None:
        """Add the route of the public listener."""
        application.router.add_post(REDEEM_PATH, self._redeem_route)

    async def issue(self, group: Group, role: GroupRole, uses: int, seconds: int) -> tuple[str, IssuedInvite]:
        """Make an invite, and return it as the string to hand out and as it is kept.

        Raises
        ------
        Refused
            ``E-GROUP-ROLE``: this node's owner may not admit anybody, or not to that role.
        BadRequest
            ``E-GROUP-INVITE-TERMS``: uses or time are out of range.
        """
        now = int(time.time())
        self._require_admits(group, role, now)
        if not 1 <= uses <= INVITE_USES_MAX or not 0 < seconds <= INVITE_LEASE_SECONDS_MAX:
            raise BadRequest(
                "An invite cannot be like this",
                where=f"{uses} uses, {seconds} s",
                why=f"1 to {INVITE_USES_MAX} uses and at most {INVITE_LEASE_SECONDS_MAX // 86400} days",
                todo="Change --uses or --expires.",
                code="E-GROUP-INVITE-TERMS",
            )
        invite = Invite(
            addresses=self._front.addresses[:INVITE_ADDRESSES_MAX],
            certificate=self._front.certificate,
            issuer=self._keyring.signer.public_key,
            group=group.id,
            name=group.rosters.tips[0].value.name,
            role=role,
            secret=secrets.token_bytes(32),
            expires=now + seconds,
            uses=uses,
        )
        kept = IssuedInvite(
            invite.secret_hash,
            group.id,
            role,
            uses,
            0,
            invite.expires,
            now,
            group.rosters.version,
            void=False,
        )
        await self._book.issue(kept)
        return invite.to_text(), kept

    def _require_admits(self, group: Group, role: GroupRole, now: int) -> None:
        standing = group.standing(self._keyring.owner, now)
        least = GroupRole.REGISTRAR if role.rank < GroupRole.REGISTRAR.rank else GroupRole.ADMIN
        if standing is None or standing.role.rank < least.rank:
            raise Refused(
                f"Only {'an admin' if least is GroupRole.ADMIN else 'a registrar or admin'} invites a {role}",
                where=group.rosters.tips[0].value.name,
                todo="Ask one: `skerry group members` shows who they are.",
                code="E-GROUP-ROLE",
            )

    # At the node that issued an invite.

    async def _redeem_route(self, request: web.Request) -> web.StreamResponse:
        body = await _bounded(request, REDEEM_REQUEST_BYTES_MAX)
        try:
            asked = REDEEM_REQUEST.decode(body)
            answer = await self.redeem(asked)
        except RemoteProtocolError as error:
            raise BadRequest(
                "The request to join cannot be used",
                where="invite",
                why=str(error),
                code="E-GROUP-REDEMPTION",
            ) from error
        return web.Response(body=REDEEM_ANSWER.encode(answer), content_type=BINARY)

    async def redeem(self, asked: RedeemRequest) -> RedeemAnswer:
        """Let somebody in who holds an invite of this node.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-INVITE``: no invite of this node has the secret.
        Refused
            ``E-GROUP-INVITE``: it is used up, expired or void. ``E-GROUP-REMOVED``: a roster removed the
            owner after the invite was made.
        RemoteProtocolError
            The proof of who asks does not hold.
        """
        now = time.time()
        known = await self._book.find(secret_hash(asked.secret))
        group = None if known is None else self._state.groups().groups.get(known.group)
        if known is None or group is None:
            raise _unknown_invite()
        trust = verify_chain(asked.charters, int(now))
        proof = verify_redemption(asked.redemption, trust, int(now)).value
        if (proof.scope, proof.issuer, proof.secret_hash) != (
            group.id,
            self._keyring.signer.public_key,
            known.id,
        ):
            raise BadRequest("The proof is for another invite", where="invite", code="E-GROUP-REDEMPTION")
        await self._require_open(known, group, trust.owner)
        used, version = await self._book.redeem(known.id, trust.owner, group.rosters.version, now)
        if used is None or version is None:
            raise _used_up((used or known).refusal(now))
        await self._let_in(group, GroupRole(known.role), proof, trust)
        log.info("invite redeemed", group=group.id.hex(), owner=trust.owner.hex(), role=known.role)
        return self._answer(group)

    async def _require_open(self, invite: IssuedInvite, group: Group, owner: bytes) -> None:
        self._require_admits(group, GroupRole(invite.role), int(time.time()))
        removed = removal_version(group, owner)
        if await self._book.came_before(group.id, owner, group.rosters.version):
            # It was admitted here, and no roster took it up.
            removed = group.rosters.version
        if group.standing(owner, int(time.time())) is None and removed > invite.version:
            raise Refused(
                "The group removed this institution",
                where=group.rosters.tips[0].value.name,
                why="the invite is older than the removal",
                todo="Ask an admin of the group for a new invite.",
                code="E-GROUP-REMOVED",
            )

    async def _let_in(self, group: Group, role: GroupRole, proof: Redemption, trust: OwnerTrust) -> None:
        member = standing_members(group, int(time.time())).get(proof.owner)
        if member is None:
            at_most = role if role.rank < GroupRole.REGISTRAR.rank else GroupRole.PUBLISHER
            await self._admit(group, proof.owner, at_most, trust)
        admitted = member is None and role.rank < GroupRole.REGISTRAR.rank
        if not admitted and not _has_all(member, role, proof):
            await self._promote(group, role, proof)

    async def _admit(self, group: Group, owner: bytes, role: GroupRole, trust: OwnerTrust) -> None:
        """Admit an owner until the next roster folds it in."""
        if len(group.members(int(time.time()))) >= GROUP_MEMBERS_MAX:
            raise Refused(
                "The group is full",
                where=f"{GROUP_MEMBERS_MAX} members",
                todo="Ask its admins.",
                code="E-GROUP-FULL",
            )
        chains = tuple(tuple(chain) for chain in trust.chains)
        why: tuple[str, ...] = ()
        for _ in range(ADMISSION_ATTEMPTS_MAX):
            admission = make_admission(
                self._keyring.signer,
                owner=self._keyring.owner,
                group=group.id,
                version=group.rosters.version,
                member=owner,
                role=role,
                issued=int(time.time()),
            )
            taken = await self._driver.take_records((admission.to_bytes(),), chains)
            if not taken.refused and group.standing(owner, int(time.time())) is not None:
                return
            why = taken.refused
        raise Unavailable(
            "The institution could not be admitted",
            why="; ".join(why) or "rosters keep coming in between",
            todo="Try again in a moment.",
            code="E-UNAVAILABLE-ISSUER",
        )

    async def _promote(self, group: Group, role: GroupRole, proof: Redemption) -> None:
        if role is GroupRole.ADMIN and not proof.admin_key:
            raise BadRequest("An admin needs a key", where="admin_key", code="E-GROUP-REDEMPTION")
        key = proof.admin_key if role is GroupRole.ADMIN else b""

        def promoted(members: dict[bytes, Member]) -> None:
            member = members.get(proof.owner)
            inviter = self._keyring.owner if member is None else member.invited_by
            members[proof.owner] = Member(proof.owner, role, key, inviter)

        await self._writer.change(group, promoted)

    def _answer(self, group: Group) -> RedeemAnswer:
        members = group.members(int(time.time()))
        owners = dict.fromkeys([self._keyring.owner, *members])
        known = [self._state.owners().get(owner) for owner in owners]
        chains = tuple(tuple(trust.chains[0]) for trust in known if trust is not None)
        rosters = sorted(group.rosters.known.values(), key=lambda item: (item.value.version, item.hash))
        admissions = [record.raw for record in group.admissions.records.values()]
        return RedeemAnswer(chains[:GROUP_MEMBERS_MAX], (*(item.raw for item in rosters), *admissions))

    # At the newcomer's node.

    async def join(self, text: str) -> Invite:
        """Join a group by an invite; returns when this node is a member.

        Raises
        ------
        BadRequest
            ``E-GROUP-INVITE-TEXT``: it is no invite, or not all of one.
        NotFound, Refused
            What the issuing node answers.
        Unavailable
            ``E-UNAVAILABLE-ISSUER``: it cannot be reached.
        """
        invite = _read(text)
        admin_key = b""
        if invite.role is GroupRole.ADMIN:
            admin_key = await self._admin_key(invite.group)
        answer = await self._ask(invite, admin_key)
        envelopes = tuple(raw for raw in answer.envelopes if _belongs(raw, invite.group))
        taken = await self._driver.take_records(envelopes, answer.charters)
        group = self._state.groups().groups.get(invite.group)
        if group is None or group.standing(self._keyring.owner, int(time.time())) is None:
            raise Refused(
                "The issuing node did not make this node a member",
                where=invite.addresses[0],
                why="; ".join(taken.refused) or "its rosters do not name this owner",
                todo="Ask who sent the invite.",
                code="E-GROUP-INVITE",
            )
        return invite

    async def _admin_key(self, group: bytes) -> bytes:
        kept = await self._book.admin_keys(group)
        signer = kept[0] if kept else Signer.generate()
        if not kept:
            await self._book.add_admin_key(group, signer)
        return signer.public_key

    async def _ask(self, invite: Invite, admin_key: bytes) -> RedeemAnswer:
        proof = make_redemption(
            self._keyring.signer,
            invite,
            owner=self._keyring.owner,
            admin_key=admin_key,
            issued=int(time.time()),
        )
        charters = tuple(self._state.identity().charters)
        body = REDEEM_REQUEST.encode(RedeemRequest(invite.secret, charters, proof.to_bytes()))
        reasons = []
        for address in invite.addresses:
            try:
                return REDEEM_ANSWER.decode(await self._post(way_of(invite, address), body))
            except (aiohttp.ClientError, OSError, TimeoutError, RemoteProtocolError) as error:
                reasons.append(f"{address}: {reason(error)}")
        raise Unavailable(
            "The node that issued the invite cannot be reached",
            where=", ".join(invite.addresses),
            why="; ".join(reasons),
            todo="Try again when it is up: the invite stays as it is.",
            code="E-UNAVAILABLE-ISSUER",
        )

    async def _post(self, way: Way, body: bytes) -> bytes:
        timeout = aiohttp.ClientTimeout(total=REDEEM_SECONDS_MAX, sock_connect=DIAL_SECONDS_MAX)
        async with (
            aclosing(node_client(way, timeout, self._proxies)) as client,
            client.post(f"https://{way.addresses[0]}{REDEEM_PATH}", body) as response,
        ):
            answer = await response.content.read(REDEEM_ANSWER_BYTES_MAX + 1)
            while chunk := await response.content.read(REDEEM_ANSWER_BYTES_MAX + 1 - len(answer)):
                answer += chunk
            if response.status != 200:
                raise _refusal(response.status, answer)
            return answer


def way_of(invite: Invite, address: str) -> Way:
    """Return how the issuing node is reached at one of its addresses."""
    if invite.certificate:
        return Way((address,), invite.certificate)
    return Way((address,), host=host_of(address))


def bootstrap_of(invite: Invite) -> str:
    """Return what is dialled to stay connected to the issuing node."""
    return f"{invite.addresses[0]}#{invite.certificate.hex() or WEB}"


def _refusal(status: int, answer: bytes) -> SkerryError:
    """Return what the issuing node said as an error; its texts are shown, and escaped where they are."""
    try:
        problem = msgspec.json.decode(answer, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = Problem("", "The issuing node refuses the invite", status, "E-GROUP-INVITE")
    if status == 404:
        return _unknown_invite()
    kind = Unavailable if status >= 500 else Refused
    code = problem.code if problem.code.startswith("E-") else "E-GROUP-INVITE"
    return kind(problem.title, where=problem.where, why=problem.why, todo=problem.todo, code=code)


def _read(text: str) -> Invite:
    try:
        invite = read_invite(text)
    except RemoteProtocolError as error:
        raise BadRequest(
            "That is no invite",
            where=f"{text[:24]}...",
            why=error.why,
            todo="Copy the whole line that `skerry group invite` printed.",
            code="E-GROUP-INVITE-TEXT",
        ) from error
    if invite.expires <= time.time():
        raise _used_up("it has expired")
    return invite


def _belongs(raw: bytes, group: bytes) -> bool:
    """Return whether a record is of the group that the invite names."""
    try:
        envelope = open_envelope(raw)
        scope = RECORD_HEADER.decode(envelope.body).scope
    except RemoteProtocolError:
        return False
    return scope == group or (envelope.type == ROSTER_TYPE and not scope and envelope.hash == group)


async def _bounded(request: web.Request, bytes_max: int) -> bytes:
    body = bytearray()
    async with asyncio.timeout(REDEEM_SECONDS_MAX):
        while chunk := await request.content.read(bytes_max + 1 - len(body)):
            body += chunk
            if len(body) > bytes_max:
                raise _unknown_invite()
    return bytes(body)


def _has_all(member: Member | None, role: GroupRole, proof: Redemption) -> bool:
    """Return whether an invite gives a member nothing new: it came before, or has a higher role by now."""
    if member is None or member.role.rank < role.rank:
        return False
    return role is not GroupRole.ADMIN or member.key == proof.admin_key


def _unknown_invite() -> NotFound:
    return NotFound(
        "The node knows no such invite",
        why="it never issued it, or is in the group no more",
        todo="Ask who sent it for a new one.",
        code="E-NOTFOUND-INVITE",
    )


def _used_up(why: str) -> Refused:
    return Refused(
        "The invite cannot be used",
        why=why or "all of its uses are taken",
        todo="Ask who sent it for a new one.",
        code="E-GROUP-INVITE",
    )
