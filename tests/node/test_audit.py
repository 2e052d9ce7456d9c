"""The audit log is appended to, chained, and whole after a crash in the middle of a line."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import msgspec
import pytest

from skerry.errors import StorageError
from skerry.node.api.problems import BadRequest
from skerry.node.audit import FIRST, AuditLog
from skerry.node.limits import AUDIT_FETCH_SECONDS


async def test_every_line_names_the_one_before(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    await log.note("console", "published", "ward-model", "version 1")
    await log.note("console", "withdrawn", "ward-model")
    log.close()
    log = AuditLog(tmp_path / "audit.jsonl")
    await log.note("script", "published", "another\nline")
    log.close()
    lines = (tmp_path / "audit.jsonl").read_bytes().splitlines()
    hashes = [FIRST, *(hashlib.sha256(line).hexdigest() for line in lines)]
    entries = [msgspec.json.decode(line) for line in lines]
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert [entry["previous"] for entry in entries] == hashes[:3]
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600


async def test_pages_hold_every_entry_once(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(7):
        await log.note("console", "published", f"model-{number}")
    cursor: int | None = 0
    seen = []
    while cursor is not None:
        page = log.read(cursor, 3)
        seen += [entry.subject for entry in page.entries]
        cursor = page.next
    assert seen == [f"model-{number}" for number in range(7)]
    for wrong in (1, 10**9, 2**53):
        with pytest.raises(BadRequest, match="E-API-CURSOR"):
            log.read(wrong, 3)
    log.close()


async def test_a_torn_line_is_cut_off_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    await log.note("console", "published", "ward-model")
    whole = path.read_bytes()
    log.close()
    for torn in (b'{"seq":2,', b'{"seq":2,"at":1}'):
        path.write_bytes(whole + torn)
        AuditLog(path).close()
        assert path.read_bytes() == whole
    path.write_bytes(b"never ended")
    AuditLog(path).close()
    assert path.read_bytes() == b""


def test_a_strange_file_is_refused_rather_than_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"hello\n")
    with pytest.raises(StorageError, match="E-STORAGE-AUDIT"):
        AuditLog(path)
    assert path.read_bytes() == b"hello\n"


async def test_a_fetch_is_one_act_for_an_hour(tmp_path: Path) -> None:
    now = 1_000_000.0
    log = AuditLog(tmp_path / "audit.jsonl", lambda: now)
    for _ in range(5):
        log.fetched("ab", "cd")
    log.fetched("ab", "ef")
    now += AUDIT_FETCH_SECONDS
    log.fetched("ab", "cd")
    assert [entry.subject for entry in log.read(0, 10).entries] == ["cd", "ef", "cd"]
    log.close()
