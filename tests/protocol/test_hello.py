"""The handshake: both sides learn who the other is, and every lie has a name."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from skerry.protocol import (
    MESSAGE,
    Handshake,
    Identity,
    LocalProtocolError,
    PeerIdentity,
    Role,
    Violation,
    host_binding,
    resolve,
)
from skerry.protocol.envelope import open_envelope, sign_record
from skerry.protocol.hello import HELLO_BODY
from skerry.protocol.limits import CHAIN_BYTES_MAX
from skerry.protocol.messages import Hello, HelloProof, Missing

from .world import DAY, NETWORK, NOW, WORK_BITS, Lab, flipped, node_key, outcome, refused

CERTIFICATE = sha256(b"certificate").digest()
CLIENT, SERVER = Lab("Client"), Lab("Server")


def identity(lab: Lab, **record: Any) -> Identity:
    return Identity(lab.node_signer, tuple(lab.chain), lab.node_record(**record).to_bytes())


def side(role: Role, lab: Lab | Identity, **changes: Any) -> Handshake:
    options: dict[str, Any] = {
        "network": NETWORK,
        "binding": CERTIFICATE,
        "nonce": sha256(role.encode()).digest(),
        "now": NOW,
        "work_bits": WORK_BITS,
    }
    return Handshake(role, identity(lab) if isinstance(lab, Lab) else lab, **{**options, **changes})


def shake(client: Handshake, server: Handshake) -> tuple[PeerIdentity, PeerIdentity]:
    """Run both sides; return what the client and the server learned."""
    to_server, to_client = client.start(), server.start()
    client_proof, server_proof = client.receive(to_client), server.receive(to_server)
    assert isinstance(client_proof, bytes)
    assert isinstance(server_proof, bytes)
    of_server, of_client = client.receive(server_proof), server.receive(client_proof)
    assert isinstance(of_server, PeerIdentity)
    assert isinstance(of_client, PeerIdentity)
    return of_server, of_client


def proof_of_server(client: Handshake, server: Handshake) -> bytes:
    """Run up to the server's proof and return that, for a client that waits for it."""
    hello = client.start()
    client.receive(server.start())
    proof = server.receive(hello)
    assert isinstance(proof, bytes)
    return proof


def test_each_side_learns_who_the_other_is() -> None:
    of_server, of_client = shake(side(Role.CLIENT, CLIENT), side(Role.SERVER, SERVER))
    assert (of_server.trust.owner, of_client.trust.owner) == (SERVER.id, CLIENT.id)
    assert of_server.node_key == SERVER.node_signer.public_key
    assert of_server.node.value.addresses == ("node.example:8443",)
    assert of_server.charters == tuple(SERVER.chain)
    assert of_server.version == of_client.version == 1


def test_a_server_behind_a_proxy_is_known_by_its_name() -> None:
    binding = host_binding("market.example")
    server = identity(SERVER, certificate=b"", host="market.example")
    of_server, _ = shake(
        side(Role.CLIENT, CLIENT, binding=binding), side(Role.SERVER, server, binding=binding)
    )
    assert of_server.node.value.host == "market.example"


def test_a_proof_for_another_server_is_refused() -> None:
    """Who relays a handshake between two connections has another certificate in the middle."""
    client, server = side(Role.CLIENT, CLIENT, binding=sha256(b"mallory").digest()), side(Role.SERVER, SERVER)
    hello = client.start()
    proof = client.receive(server.start())
    server.receive(hello)
    assert isinstance(proof, bytes)
    with refused(Violation.BINDING_WRONG):
        server.receive(proof)


def test_a_server_whose_record_names_another_certificate_is_refused() -> None:
    server = side(Role.SERVER, identity(SERVER, certificate=sha256(b"old").digest()))
    client = side(Role.CLIENT, CLIENT)
    proof = proof_of_server(client, server)
    with refused(Violation.BINDING_WRONG):
        client.receive(proof)


def test_a_proof_cannot_be_replayed_on_another_connection() -> None:
    first, again = side(Role.CLIENT, CLIENT), side(Role.CLIENT, CLIENT, nonce=sha256(b"again").digest())
    proof = proof_of_server(first, side(Role.SERVER, SERVER))
    again.start()
    again.receive(side(Role.SERVER, SERVER).start())
    with refused(Violation.HELLO_WRONG):
        again.receive(proof)


def test_a_peer_that_echoes_us_is_refused() -> None:
    client = side(Role.CLIENT, CLIENT)
    proof = client.receive(client.start())
    assert isinstance(proof, bytes)
    with refused(Violation.HELLO_WRONG):
        client.receive(proof)


def test_our_own_node_at_the_other_end_is_refused() -> None:
    client, server = side(Role.CLIENT, CLIENT), side(Role.SERVER, CLIENT)
    proof = proof_of_server(client, server)
    with refused(Violation.SELF_CONNECTION):
        client.receive(proof)


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"role": "client"}, Violation.HELLO_WRONG),
        ({"role": "observer"}, Violation.HELLO_WRONG),
        ({"own": b""}, Violation.HELLO_WRONG),
        ({"peer": b""}, Violation.HELLO_WRONG),
        ({"binding": bytes(32)}, Violation.BINDING_WRONG),
        ({"owner": bytes(32)}, Violation.OWNER_WRONG),
        ({"node_key": bytes(32)}, Violation.OWNER_WRONG),
        ({"scope": bytes(32)}, Violation.OWNER_WRONG),
        ({"lease": NOW + 601}, Violation.LEASE_INVALID),
        ({"issued": NOW - 3 * DAY, "lease": NOW - 3 * DAY + 600}, Violation.LEASE_ENDED),
    ],
    ids=str,
)
def test_each_lie_has_its_violation(changes: dict[str, object], violation: Violation) -> None:
    client = side(Role.CLIENT, CLIENT)
    message = MESSAGE.decode(proof_of_server(client, side(Role.SERVER, SERVER)))
    assert isinstance(message, HelloProof)
    body = HELLO_BODY.decode(open_envelope(message.proof).body)
    forged = HELLO_BODY.encode(msgspec.structs.replace(body, **changes))
    lie = sign_record("hello", forged, [SERVER.node_signer]).to_bytes()
    with refused(violation):
        client.receive(MESSAGE.encode(HelloProof(message.charters, message.node, lie)))


def test_another_keys_signature_is_refused() -> None:
    client = side(Role.CLIENT, CLIENT)
    message = MESSAGE.decode(proof_of_server(client, side(Role.SERVER, SERVER)))
    assert isinstance(message, HelloProof)
    body = open_envelope(message.proof).body
    lie = sign_record("hello", body, [CLIENT.node_signer]).to_bytes()
    with refused(Violation.SIGNER_WRONG):
        client.receive(MESSAGE.encode(HelloProof(message.charters, message.node, lie)))


def test_an_old_chain_cannot_bring_back_a_removed_key() -> None:
    newer = SERVER.amended(node_keys=(node_key("Server/node 2"),)).trust
    client = side(Role.CLIENT, CLIENT, known={SERVER.id: newer}.get)
    proof = proof_of_server(client, side(Role.SERVER, SERVER))
    with refused(Violation.KEY_UNKNOWN):
        client.receive(proof)


def test_a_frozen_owner_cannot_connect_until_it_recovers() -> None:
    frozen = resolve(SERVER.amended(name="one").trust, SERVER.amended(name="other").trust)
    client = side(Role.CLIENT, CLIENT, known={SERVER.id: frozen}.get)
    proof = proof_of_server(client, side(Role.SERVER, SERVER))
    with refused(Violation.OWNER_FROZEN):
        client.receive(proof)
    recovered = SERVER.amended(SERVER.recovery_signer, name="recovered")
    client = side(Role.CLIENT, CLIENT, known={SERVER.id: frozen}.get)
    of_server, _ = shake(client, side(Role.SERVER, recovered))
    assert of_server.trust.charter.name == "recovered"


def test_networks_do_not_mix() -> None:
    client = side(Role.CLIENT, CLIENT)
    client.start()
    with refused(Violation.NETWORK_WRONG):
        client.receive(side(Role.SERVER, SERVER, network="another").start())


@pytest.mark.parametrize(
    ("versions", "agreed"), [((0, 1), 1), ((1, 1), 1), ((1, 9), 1), ((2, 9), 0), ((0, 0), 0)]
)
def test_the_highest_common_version_is_spoken(versions: tuple[int, int], agreed: int) -> None:
    client = side(Role.CLIENT, CLIENT)
    client.start()
    hello = MESSAGE.encode(Hello(versions, NETWORK, bytes(32)))
    if agreed:
        client.receive(hello)
    else:
        with refused(Violation.VERSION_UNSUPPORTED):
            client.receive(hello)


def test_nothing_else_may_come_and_nothing_comes_twice() -> None:
    missing = MESSAGE.encode(Missing(bytes(32)))
    hello = side(Role.SERVER, SERVER).start()
    client = side(Role.CLIENT, CLIENT)
    with refused(Violation.UNEXPECTED):
        client.receive(hello)  # before our own start
    client = side(Role.CLIENT, CLIENT)
    client.start()
    with refused(Violation.UNEXPECTED):
        client.receive(missing)
    with refused(Violation.UNEXPECTED):
        client.receive(hello)  # the handshake is over after an error
    client = side(Role.CLIENT, CLIENT)
    client.start()
    client.receive(hello)
    with refused(Violation.UNEXPECTED):
        client.receive(hello)
    with pytest.raises(LocalProtocolError):
        client.start()


def test_a_hello_too_long_to_be_repeated_is_refused() -> None:
    client = side(Role.CLIENT, CLIENT)
    client.start()
    long = MESSAGE.encode(Hello((1, 1), NETWORK, bytes(32)))
    padded = bytes([long[0] + 1]) + long[1:] + b"\xa1x\xc5\x08\x00" + bytes(2048)
    with refused(Violation.TOO_LARGE):
        client.receive(padded)


def test_one_flipped_byte_in_the_proof_is_refused() -> None:
    def read(raw: bytes) -> None:
        client = side(Role.CLIENT, CLIENT)
        client.start()
        client.receive(hello)
        client.receive(raw)

    client, server = side(Role.CLIENT, CLIENT), side(Role.SERVER, SERVER)
    hello, proof = server.start(), server.receive(client.start())
    assert isinstance(proof, bytes)
    assert outcome(read, proof) is None
    for position, raw in flipped(proof, step=3):
        assert outcome(read, raw) is not None, position


def test_the_longest_chain_fits_into_the_proof() -> None:
    lab = Lab("Long")
    while sum(map(len, lab.chain)) < CHAIN_BYTES_MAX - 2500:
        lab = lab.amended(about="x" * 400, contact="y" * 200, url=f"{len(lab.charters):0200d}")
    of_server, _ = shake(side(Role.CLIENT, CLIENT), side(Role.SERVER, lab))
    assert of_server.trust.charter.version == len(lab.charters)
