"""``/openapi.json``: the API's description, generated from the table of routes and the types.

Nothing is described by hand: a route's row says what it takes, gives and needs, and msgspec turns the types
into JSON Schema. ``tests/node/api/test_contract.py`` lets schemathesis hold a running node against it.
"""

from __future__ import annotations

import re
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

import skerry
from skerry.protocol.api import Problem

from .problems import JSON, PROBLEM
from .routes import BODILESS, NO_TOKEN, PATTERNS, ROOT, Route, raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REFERENCES: Final = "#/components/schemas/{name}"
ERRORS: Final = (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503)
PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Description:
    """The description of an API as one document.

    Parameters
    ----------
    rows
        All routes that are to be described.
    """

    def __init__(self, rows: Iterable[Route]) -> None:
        self._rows = (*rows, *self.routes())

    def routes(self) -> tuple[Route, ...]:
        """Return the rows of this topic."""
        return (raw("GET", "/openapi.json", NO_TOKEN, JSON, self._describe, prefix=ROOT),)

    @cached_property
    def _document(self) -> bytes:
        """The document, made for the first who asks: a start does not wait for it."""
        return msgspec.json.encode(_document(self._rows))

    async def _describe(self, _: web.Request) -> web.StreamResponse:
        """Describe this API."""
        return web.Response(body=self._document, content_type=JSON)


def _document(rows: tuple[Route, ...]) -> dict[str, Any]:
    kinds = {kind for row in rows for kind in (row.takes, row.gives) if isinstance(kind, type)}
    kinds.add(Problem)
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=REFERENCES)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.prefix + row.path, {})[row.method.lower()] = _operation(row, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Skerry's local API", "version": skerry.__version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(row: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": row.summary,
        "operationId": f"{row.method.lower()}{re.sub(r'[^a-z]+', '_', row.path)}".rstrip("_"),
        "parameters": [*_path_parameters(row), *_query_parameters(row, schemas)],
        "responses": _responses(row),
    }
    if row.scope != NO_TOKEN:
        operation["security"] = [{"token": []}]
        operation["description"] = f"Needs a token of scope {row.scope}."
    if row.takes is not None and row.method not in BODILESS:
        operation["requestBody"] = {"required": True, "content": _content(row.takes)}
    return operation


def _path_parameters(row: Route) -> Iterator[dict[str, Any]]:
    for name in PARAMETER.findall(row.path):
        pattern = {"pattern": PATTERNS[name]} if name in PATTERNS else {"minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", **pattern}}


def _query_parameters(row: Route, schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not isinstance(row.takes, type) or row.method not in BODILESS:
        return
    for name, schema in schemas[row.takes.__name__]["properties"].items():
        yield {"name": name, "in": "query", "required": False, "schema": schema}


def _responses(row: Route) -> dict[str, Any]:
    responses = {str(row.status): {"description": "Done", "content": _content(row.gives)}}
    if row.method == "GET":
        responses["304"] = {"description": "As If-None-Match has it"}
    problem = {PROBLEM: {"schema": {"$ref": REFERENCES.format(name=Problem.__name__)}}}
    for status in ERRORS:
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    return responses


def _content(kind: type[msgspec.Struct] | str) -> dict[str, Any]:
    if isinstance(kind, str):
        return {kind: {"schema": {}}}
    return {JSON: {"schema": {"$ref": REFERENCES.format(name=kind.__name__)}}}
