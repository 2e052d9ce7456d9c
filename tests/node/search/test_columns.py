"""Rows are found by their codes however they came and went: alone, many at once, into places once freed."""

from __future__ import annotations

from collections import defaultdict
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.node.search.columns import FACTS_DTYPE, Columns, newest_rows

CODES = 6


def facts(code: int, version: int = 1) -> bytes:
    row = np.zeros(1, FACTS_DTYPE)
    row["hash"] = np.void(code.to_bytes(8, "little") * 4)
    row["id"], row["version"] = code, version
    return row.tobytes()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, CODES)),
        st.tuples(st.just("many"), st.lists(st.integers(1, CODES), min_size=1, max_size=6)),
        st.tuples(st.just("remove"), st.integers(0, 30)),
    ),
    max_size=25,
)


@given(steps)
@settings(max_examples=150, deadline=None)
def test_rows_are_found_as_in_a_plain_model(done: list[tuple[str, int | list[int]]]) -> None:
    columns = Columns()
    live: dict[int, int] = {}
    with mock.patch("skerry.node.search.columns.FINDER_UNSORTED_MAX", 3):
        for step, what in done:
            if isinstance(what, list):
                rows = columns.add_many(b"".join(map(facts, what)))
                live.update(zip(rows.tolist(), what, strict=True))
            elif step == "add":
                live[columns.add(facts(what))] = what
            elif live:
                row = sorted(live)[what % len(live)]
                columns.remove(row)
                del live[row]
            by_code = defaultdict(list)
            for row, code in sorted(live.items()):
                by_code[code].append(row)
            wanted = np.arange(1, CODES + 2, dtype=np.uint64)
            for finder in (columns.by_id, columns.by_hash):
                assert {code: finder.rows(code) for code in by_code} == by_code
            first = columns.by_id.first(wanted).tolist()
            assert all((row in by_code[code]) if code in by_code else row == -1
                       for code, row in zip(wanted.tolist(), first, strict=True))  # fmt: skip
            assert columns.by_id.all_rows(wanted[::2]).tolist() == sorted(
                row for row, code in live.items() if code % 2
            )


def test_of_each_id_the_highest_version_is_the_newest() -> None:
    columns = Columns()
    versions = [(1, 1), (2, 5), (1, 3), (2, 4), (3, 1)]
    columns.add_many(b"".join(facts(code, version) for code, version in versions))
    assert sorted(newest_rows(columns, np.arange(5)).tolist()) == [1, 2, 4]
    assert sorted(newest_rows(columns, np.array([0, 3])).tolist()) == [0, 3]
