"""A domain proves an owner by a file, over a certificate that the web's authorities vouch for."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from skerry.node.domains import WELL_KNOWN, ask_domain
from skerry.node.network.listening import bind, serving

OWNER = "ab" * 32


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that vouches for itself."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hospital.example")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    paths = folder / "site.crt", folder / "site.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return paths


async def test_a_file_on_the_site_proves_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crt, key = certificate(tmp_path)
    listed = [f"# our owners\n{'cd' * 32}\n{OWNER}\n"]

    async def file(_: web.Request) -> web.Response:
        return web.Response(text=listed[0])

    site = web.Application()
    site.router.add_get(WELL_KNOWN, file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(crt, key)
    listening = bind("127.0.0.1", 0)
    url = f"https://127.0.0.1:{listening.getsockname()[1]}/about"
    async with serving(site, listening, context):
        strange = await ask_domain(OWNER, url)
        assert not strange.proved
        assert "certificate" in strange.why
        monkeypatch.setenv("SSL_CERT_FILE", str(crt))
        proof = await ask_domain(OWNER, url)
        assert (proof.proved, proof.why) == (True, "")
        assert proof.url.endswith(WELL_KNOWN)
        listed[0] = f"x{OWNER}"
        assert (await ask_domain(OWNER, url)).why == "the file does not list its id"
    assert not (await ask_domain(OWNER, url)).proved
    for nothing in ("", "http://hospital.example", "hospital.example"):
        assert (await ask_domain(OWNER, nothing)).why == "its charter names no https address"
