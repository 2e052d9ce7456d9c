"""The one promise of every reader: any bytes are accepted, or refused with a RemoteProtocolError, and nothing
else.

``outcome`` lets every other error fly. Bytes are either anything at all, or valid ones with a few edits,
which reach deeper. The edits know MessagePack a little: they grow lengths, nest containers and swap types.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.protocol import (
    MESSAGE,
    Branch,
    Catalogue,
    Entry,
    Handshake,
    Identity,
    Role,
    Violation,
    verify_below,
    verify_card,
    verify_chain,
    verify_head,
    verify_inclusion,
    verify_node_record,
    verify_record,
    verify_top,
)
from skerry.protocol.catalogue import PROOF
from skerry.protocol.envelope import RECORD_HEADER, open_envelope
from skerry.protocol.limits import FRAME_BYTES_MAX
from skerry.protocol.messages import Tree, TreeRequest
from skerry.protocol.tree import TOP_LEVEL, height

from .world import NETWORK, NOW, WORK_BITS, Lab, outcome

LAB = Lab()
TRUST = LAB.trust
CHAIN = LAB.amended(name="two").chain
CARDS = [LAB.card(f"m{number}", number % 2).to_bytes() for number in range(60)]
VERIFIED = [verify_card(raw) for raw in CARDS]
CATALOGUE = Catalogue.build(Entry(item.value.id, item.value.island, item.hash) for item in VERIFIED)
HEAD_RAW = LAB.head(root=CATALOGUE.root, count=CATALOGUE.count).to_bytes()
HEAD = verify_head(HEAD_RAW, TRUST, NOW).value
NODE_RAW = LAB.node_record().to_bytes()
PROOF_RAW = CATALOGUE.prove(VERIFIED[0].value.id).to_bytes()
SERVER = Lab("Server")
BINDING = sha256(b"certificate").digest()


def handshake(role: Role) -> Handshake:
    lab = LAB if role is Role.CLIENT else SERVER
    return Handshake(
        role,
        Identity(lab.node_signer, tuple(lab.chain), lab.node_record().to_bytes()),
        network=NETWORK,
        binding=BINDING,
        nonce=sha256(role.encode()).digest(),
        now=NOW,
        work_bits=WORK_BITS,
    )


def part(island: bytes, level: int) -> bytes:
    answer = CATALOGUE.answer(TreeRequest(bytes(32), island, level, 0))
    assert answer is not None
    return MESSAGE.encode(answer)


SHELF = CATALOGUE.shelves[0]
SHELF_ROOT = Branch(SHELF.island, SHELF.k, height(SHELF.k), 0, SHELF.cards.to_bytes(8, "big") + SHELF.root)
TOP_RAW, BELOW_RAW = part(b"", TOP_LEVEL), part(SHELF.island, height(SHELF.k))


def read_top(raw: bytes) -> None:
    message = MESSAGE.decode(raw)
    if isinstance(message, Tree):
        verify_top(HEAD, message)


def read_below(raw: bytes) -> None:
    message = MESSAGE.decode(raw)
    if isinstance(message, Tree):
        verify_below(SHELF_ROOT, message)


def read_hello(raw: bytes) -> None:
    server = handshake(Role.SERVER)
    server.start()
    server.receive(raw)


def read_proof(raw: bytes) -> None:
    client = handshake(Role.CLIENT)
    client.start()
    client.receive(HELLO_RAW)
    client.receive(raw)


def proof_of_server() -> tuple[bytes, bytes]:
    server = handshake(Role.SERVER)
    hello = server.start()
    proof = server.receive(handshake(Role.CLIENT).start())
    assert isinstance(proof, bytes)
    return hello, proof


HELLO_RAW, HELLO_PROOF_RAW = proof_of_server()

READERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "chain of one": (lambda raw: verify_chain([raw], NOW, work_bits=WORK_BITS), CHAIN[0]),
    "second charter": (lambda raw: verify_chain([CHAIN[0], raw], NOW, work_bits=WORK_BITS), CHAIN[1]),
    "head": (lambda raw: verify_head(raw, TRUST, NOW), HEAD_RAW),
    "node record": (lambda raw: verify_node_record(raw, TRUST, NOW), NODE_RAW),
    "unknown record": (
        lambda raw: verify_record(raw, TRUST, NOW),
        NODE_RAW.replace(b"\xa4node", b"\xa4nodd", 1),
    ),
    "header": (RECORD_HEADER.decode, open_envelope(HEAD_RAW).body),
    "card": (verify_card, CARDS[0]),
    "proof": (lambda raw: verify_inclusion(CARDS[0], PROOF.decode(raw), HEAD), PROOF_RAW),
    "frame": (MESSAGE.decode, TOP_RAW),
    "top": (read_top, TOP_RAW),
    "below": (read_below, BELOW_RAW),
    "hello": (read_hello, handshake(Role.CLIENT).start()),
    "hello proof": (read_proof, HELLO_PROOF_RAW),
}
PIECES = st.sampled_from(
    [
        b"",
        b"\x00",
        b"\xff",
        b"\xc0",
        b"\xc1",
        b"\x91" * 20,
        b"\x81\xa0" * 20,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ]
) | st.binary(max_size=8)


@pytest.mark.parametrize("name", READERS)
def test_valid_bytes_reach_the_end(name: str) -> None:
    """Otherwise the edits below would test the first check alone."""
    read, raw = READERS[name]
    if name == "unknown record":
        assert outcome(read, raw) is Violation.SIGNATURE_INVALID
    else:
        assert outcome(read, raw) is None


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_edited_bytes_are_accepted_or_refused(name: str, data: st.DataObject) -> None:
    read, raw = READERS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.integers(0, 9))
        raw = raw[:start] + data.draw(PIECES) + raw[start + length :]
    outcome(read, raw)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=30, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_accepted_or_refused(name: str, raw: bytes) -> None:
    outcome(READERS[name][0], raw)


FILLINGS = [
    *(b"\x91", b"\x81\xa0", b"\xc0", b"\xd9", b"\xdf\xff\xff\xff\xff"),
    *(b"\x9f" + b"\x90" * 15, b"\x8f" + b"\xa0\xc0" * 15),
]


@pytest.mark.parametrize("filling", FILLINGS, ids=bytes.hex)
@pytest.mark.parametrize("name", READERS)
def test_the_worst_frames_take_little_time(name: str, filling: bytes) -> None:
    """A full frame of whatever costs a decoder most; a second is a hundred times what it takes."""
    read, raw = READERS[name]
    start = time.perf_counter()
    for opening in (b"", b"\x82\xa4type\xa4tree\xa1x", b"\x86" + raw[1:] + b"\xa1x"):
        outcome(read, (opening + filling * FRAME_BYTES_MAX)[:FRAME_BYTES_MAX])
    assert time.perf_counter() - start < 1
