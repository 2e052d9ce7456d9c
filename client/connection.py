"""The way to a node: its local HTTP API, and the same answers as Python objects and errors.

The types and routes are those of :mod:`skerry.protocol.api`. Requests are synchronous, one connection each:
the API is on loopback, and a thread-safe client without an event loop works in scripts, notebooks and tests
alike.

Rules of this file:

1. Whatever goes wrong ends in one of three errors: ``NotFound``, ``Refused``, ``Unavailable``; the node's
   own five parts are carried over, and an absent node says how to start one.
2. Every answer and every wait is bounded.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from skerry.errors import ClientError, NotFound, Refused, Unavailable
from skerry.protocol import api

from .folders import node_folder
from .limits import (
    ANSWER_BYTES_MAX,
    ENDPOINT_FILE_BYTES_MAX,
    PROBLEM_CHARACTERS_MAX,
    REQUEST_SECONDS_MAX,
)

Answer = TypeVar("Answer", bound=msgspec.Struct)
Page = TypeVar("Page", api.Peers, api.Learnwares)

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SCOPES: Final = ("admin", "publish", "search")
_START: Final = "Start one with `skerry init` and `skerry serve`, or name one by url and token."


class Readable(Protocol):
    """What can be sent piece by piece."""

    def read(self, size: int = ..., /) -> bytes:
        """Return the next bytes."""
        ...


class Connection:
    """One node's API.

    Parameters
    ----------
    url
        Address of the API, such as ``http://127.0.0.1:7741``.
    token
        A bearer token with the scope that the calls need.
    timeout_seconds
        Longest silence of the node within one call.
    """

    def __init__(self, url: str, token: str, *, timeout_seconds: float = REQUEST_SECONDS_MAX) -> None:
        parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Refused(
                "That is no address of a node's API",
                where=url,
                why="an http or https URL is needed",
                todo="Write for instance http://127.0.0.1:7741",
                code="E-NODE-URL",
            )
        self.url: str = f"{parts.scheme}://{parts.netloc}"
        self._parts = parts
        self._token = token
        self._timeout_seconds = timeout_seconds

    @property
    def is_local(self) -> bool:
        """Whether the node is on this machine, so that what it is told goes no further."""
        return self._parts.hostname in _LOOPBACK

    def get(self, path: str, answer: type[Answer]) -> Answer:
        """Return the decoded answer to a GET request."""
        return _decode(self._exchange("GET", path), answer, self.url)

    def pages(self, path: str, answer: type[Page]) -> Iterator[Page]:
        """Yield the pages of a list."""
        page = self.get(path, answer)
        yield page
        while page.next:
            page = self.get(f"{path}?cursor={segment(page.next)}", answer)
            yield page

    def get_bytes(self, path: str, *, seconds: float | None = None) -> bytes:
        """Return the raw answer to a GET request, within `seconds` of silence instead of the usual wait."""
        extra = 0.0 if seconds is None else min(0.0, seconds - self._timeout_seconds)
        return self._exchange("GET", path, extra_seconds=extra)

    def post(
        self, path: str, body: msgspec.Struct | None, answer: type[Answer], *, extra_seconds: float = 0.0
    ) -> Answer:
        """Return the decoded answer to a POST request with a JSON body, or with none.

        `extra_seconds` is added to the wait: a search may take as long as it was told to.
        """
        given = b"" if body is None else msgspec.json.encode(body)
        raw = self._exchange("POST", path, given, "application/json", extra_seconds)
        return _decode(raw, answer, self.url)

    def put(self, path: str, body: msgspec.Struct, answer: type[Answer]) -> Answer:
        """Return the decoded answer to a PUT request with a JSON body."""
        raw = self._exchange("PUT", path, msgspec.json.encode(body), "application/json")
        return _decode(raw, answer, self.url)

    def delete(self, path: str, answer: type[Answer]) -> Answer:
        """Return the decoded answer to a DELETE request."""
        return _decode(self._exchange("DELETE", path), answer, self.url)

    def upload(self, file: Readable | bytes, size: int) -> api.BlobReceipt:
        """Give the node a blob of `size` bytes, streamed, and return where it now lies."""
        raw = self._exchange("POST", "/blobs", file, "application/octet-stream", size=size)
        return _decode(raw, api.BlobReceipt, self.url)

    def _exchange(
        self,
        method: str,
        path: str,
        body: Readable | bytes | None = None,
        content_type: str = "",
        extra_seconds: float = 0.0,
        size: int | None = None,
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        if size is not None:
            headers["Content-Length"] = str(size)
        connection = self._open(self._timeout_seconds + extra_seconds)
        try:
            connection.request(method, api.API_PREFIX + path, body, headers)
            response = connection.getresponse()
            raw = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _silent(self.url, error) from error
        finally:
            connection.close()
        if len(raw) > ANSWER_BYTES_MAX:
            raise _senseless(self.url, f"it is longer than {ANSWER_BYTES_MAX} bytes")
        if response.status >= http.client.BAD_REQUEST:
            raise _problem(response.status, raw, self.url)
        return raw

    def _open(self, timeout_seconds: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout_seconds)
        return http.client.HTTPConnection(host, port, timeout=timeout_seconds)


class Absent(Connection):
    """Stands for the node where none runs: every call says so again, as the search for it did.

    Parameters
    ----------
    error
        Why there is no node.
    """

    def __init__(self, error: Unavailable) -> None:
        super().__init__("http://127.0.0.1", "")
        self._error = error

    def _exchange(self, *_: object, **__: object) -> bytes:
        raise self._error


def find(folder: Path | str | None = None, scope: str = "admin") -> Connection:
    """Return a connection to the running node of this machine.

    Parameters
    ----------
    folder
        The node's folder; see :mod:`skerry.client.folders` for the default.
    scope
        The scope wanted; the largest one found up to it is used.

    Raises
    ------
    Unavailable
        When no node runs there; says how to start one.
    """
    path = node_folder(folder) / api.ENDPOINT_FILE
    endpoint = read_endpoint(path)
    allowed = _SCOPES[_SCOPES.index(scope) :]
    token = next((endpoint.tokens[name] for name in allowed if name in endpoint.tokens), "")
    return Connection(endpoint.url, token)


def read_endpoint(path: Path) -> api.Endpoint:
    """Return what the running node wrote into its folder about itself.

    Raises
    ------
    Unavailable
        When there is no such file, or it cannot be read or understood.
    """
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(ENDPOINT_FILE_BYTES_MAX), type=api.Endpoint)
    except FileNotFoundError as error:
        raise Unavailable(
            "No node is running here",
            where=str(path.parent),
            why=f"there is no {path.name} in the folder",
            todo=_START,
            code="E-NODE-ABSENT",
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(
            "The node's address cannot be read",
            where=str(path),
            why=str(error),
            todo="Run as the user that runs the node, or restart the node with `skerry serve`",
            code="E-NODE-FILE",
        ) from error


def segment(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")


def _decode(raw: bytes, answer: type[Answer], url: str) -> Answer:
    try:
        return msgspec.json.decode(raw, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _senseless(url, str(error)) from error


def _problem(status: int, raw: bytes, url: str) -> ClientError:
    """Return the error that a problem+json stands for; anything else becomes the reason of a generic one."""
    try:
        problem = msgspec.json.decode(raw, type=api.Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        why = raw[:PROBLEM_CHARACTERS_MAX].decode("utf-8", "replace")
        problem = api.Problem("", f"The node answered {status}", status, "E-NODE-ANSWER", url, why)
    kind = _error_class(status)
    return kind(
        problem.title, where=problem.where, why=problem.why, todo=problem.todo, code=problem.code or None
    )


def _error_class(status: int) -> Callable[..., ClientError]:
    if status == http.client.NOT_FOUND:
        return NotFound
    return Unavailable if status >= http.client.INTERNAL_SERVER_ERROR else Refused


def _silent(url: str, error: Exception) -> Unavailable:
    return Unavailable(
        "The node does not answer",
        where=url,
        why=str(error) or type(error).__name__,
        todo=f"See whether it runs. {_START}",
        code="E-NODE-SILENT",
    )


def _senseless(url: str, why: str) -> Unavailable:
    return Unavailable(
        "The node's answer makes no sense",
        where=url,
        why=why,
        todo="Make sure that the address is that of a Skerry node of this version",
        code="E-NODE-ANSWER",
    )
