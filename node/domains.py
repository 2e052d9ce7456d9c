"""Whether a domain names an owner: a file at a well-known address that holds the owner's id.

The name in a charter is a claim. Who controls a domain can show that an owner is its own by a file that lists
the owner's id; the web's authorities vouch for the domain. Nothing is sent but the request for the file.
"""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from skerry.protocol.api import DomainProof

from .limits import DOMAIN_FILE_BYTES_MAX, DOMAIN_SECONDS_MAX
from .network.tls import reason

WELL_KNOWN: Final = "/.well-known/skerry-owners"


async def ask_domain(owner: str, url: str) -> DomainProof:
    """Return whether the site in a charter lists an owner's id.

    Parameters
    ----------
    owner
        The owner's id in hexadecimal.
    url
        The address in its charter; only ``https`` proves anything.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return DomainProof(owner, "", proved=False, why="its charter names no https address")
    asked = f"https://{parts.netloc}{WELL_KNOWN}"
    timeout = aiohttp.ClientTimeout(total=DOMAIN_SECONDS_MAX)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(asked, ssl=ssl.create_default_context(), allow_redirects=False) as response,
        ):
            body = await response.content.read(DOMAIN_FILE_BYTES_MAX)
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return DomainProof(owner, asked, proved=False, why=reason(error))
    if status != 200:
        return DomainProof(owner, asked, proved=False, why=f"the site answers with status {status}")
    listed = owner in body.decode("utf-8", "replace").split()
    return DomainProof(owner, asked, proved=listed, why="" if listed else "the file does not list its id")
