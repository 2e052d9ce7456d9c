"""The demo's result, as an object for programs and as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from skerry.client.cli.output import byte_size, table

if TYPE_CHECKING:
    from rich.console import RenderableType


class HospitalResult(msgspec.Struct, frozen=True):
    """One hospital as a searcher, and as an owner.

    Attributes
    ----------
    self_auc
        ROC AUC of its own pipeline on few labels of its own.
    top1_auc, mix_auc, average_auc
        ROC AUC of the nearest learnware, of the recommended mix, and of the average of
        all found; no label used.
    spec_bytes, package_bytes
        Bytes of its own specification and package that its node sent to the others, all sendings together.
    """

    self_auc: float
    top1_auc: float
    mix_auc: float
    average_auc: float
    spec_bytes: int
    package_bytes: int


class DemoResult(msgspec.Struct, frozen=True):
    """What ``skerry demo --json`` prints.

    Attributes
    ----------
    nodes
        Node processes that took part.
    rows_shared
        Rows of a hospital's data that were found in what the nodes sent.
    seconds
        Duration.
    hospitals
        Results by name.
    """

    nodes: int
    rows_shared: int
    seconds: float
    hospitals: dict[str, HospitalResult]


class Demo(NamedTuple):
    """The whole demo.

    Attributes
    ----------
    result
        What programs get.
    sent_bytes
        Bytes that all nodes sent in all.
    rows
        Rows that were looked for.
    """

    result: DemoResult
    sent_bytes: int
    rows: int


def as_text(demo: Demo) -> RenderableType:
    """Return the result as a table with two sentences."""
    from rich.console import Group

    result = demo.result
    columns = ("hospital", "#self", "#best hit", "#mix", "#average", "#spec sent", "#package sent")
    rows = [_row(name, one) for name, one in result.hospitals.items()]
    return Group(
        "ROC AUC on each hospital's own rows. `self`: its own model on 20 of its labels;",
        "the others come from the other three hospitals and use none of its labels.",
        "",
        table(columns, rows),
        "",
        f"{result.nodes} nodes sent {byte_size(demo.sent_bytes)} in all. "
        f"Of {demo.rows} rows, {result.rows_shared} were found in them. {result.seconds:.1f} s.",
    )


def _row(name: str, one: HospitalResult) -> tuple[str, ...]:
    scores = (one.self_auc, one.top1_auc, one.mix_auc, one.average_auc)
    sizes = (one.spec_bytes, one.package_bytes)
    return name, *(f"{score:.3f}" for score in scores), *(byte_size(size) for size in sizes)
