"""A running node keeps to its own description: schemathesis draws requests and judges every answer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.node.processes import NodeProcess, nodes

pytestmark = [pytest.mark.processes, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

EXAMPLES = 12
"""Drawn requests an operation and mode: seconds in all; the whole of them is for longer runs."""
STREAMS = "/api/v1/events"
"""Never ends by itself."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with nodes(tmp_path_factory.mktemp("contract"), "Cleveland") as (node,):
        node.start()
        yield node
        assert node.stop() == 0
        assert "Traceback" not in node.said()


@pytest.fixture(scope="module")
def schema(node: NodeProcess) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis

    assert node.endpoint is not None
    return schemathesis.openapi.from_url(f"{node.endpoint.url}/openapi.json")


def test_every_route_is_described(schema: Any) -> None:
    found = {(o.ok().method.upper(), o.ok().path) for o in schema.get_all_operations()}
    assert len(found) >= 18
    assert ("POST", "/api/v1/search") in found
    assert ("GET", "/metrics") in found


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_answers_are_as_described(node: NodeProcess, schema: Any, mode: str) -> None:
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks

    load_all_checks()
    wanted = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
    checks = CHECKS.get_by_names(wanted)
    assert node.endpoint is not None
    token = {"Authorization": f"Bearer {node.endpoint.tokens['admin']}"}
    chosen = GenerationMode.POSITIVE if mode == "positive" else GenerationMode.NEGATIVE
    operations = [one.ok() for one in schema.get_all_operations() if one.ok().path != STREAMS]
    for operation in operations:
        if mode == "negative" and not (operation.body or operation.query or operation.path_parameters):
            continue  # nothing is given, so nothing can be wrong with it

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=chosen))
        def hold(case: Any) -> None:
            answer = case.call(headers=token, timeout=30)
            case.validate_response(answer, checks=checks, headers=token)

        hold()
