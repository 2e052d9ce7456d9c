"""The gate refuses what it must, with the member's name, and passes what honest programs write."""

import io
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.errors import PackageError
from skerry.package.gate import Archive

from .archives import Member, archive, bomb, hostile

CORPUS = hostile()
SECONDS_MAX = 2.0
MEMORY_BYTES_MAX = 16 * 2**20


def read_all(path: Path) -> None:
    with Archive(path) as opened:
        for name in opened.names:
            for _ in opened.stream_member(name):
                pass


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 25


@pytest.mark.parametrize("fault", CORPUS)
def test_a_hostile_archive_is_refused_by_name_and_within_bounds(fault: str, tmp_path: Path) -> None:
    data, named = CORPUS[fault]
    path = tmp_path / "archive.zip"
    path.write_bytes(data)
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(PackageError) as caught:
            read_all(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == "E-PACKAGE-ARCHIVE"
    assert named in caught.value.where
    assert caught.value.why
    assert caught.value.where.isprintable()
    assert time.monotonic() - started < SECONDS_MAX
    assert peak < MEMORY_BYTES_MAX


@pytest.mark.parametrize("fault", CORPUS)
def test_unpacking_a_hostile_archive_leaves_nothing_outside(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(CORPUS[fault][0])
    with pytest.raises(PackageError), Archive(path) as opened:
        opened.unpack(tmp_path / "deep" / "folder")
    assert sorted(item.name for item in tmp_path.iterdir()) in (["archive.zip"], ["archive.zip", "deep"])
    assert not (tmp_path / "deep").exists() or [item.name for item in (tmp_path / "deep").iterdir()] == [
        "folder"
    ]


def test_an_honest_archive_is_read_and_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "honest.zip"
    contents = {"a.txt": b"one", "folder/b.bin": bytes(range(256)) * 5000, "folder/empty": b""}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        target.mkdir("folder")
        for name, data in contents.items():
            target.writestr(name, data)
    with Archive(path) as opened:
        assert {name: opened.read_member(name) for name in opened.names} == contents
        opened.unpack(tmp_path / "out")
    for name, data in contents.items():
        assert (tmp_path / "out" / name).read_bytes() == data
        assert (tmp_path / "out" / name).stat().st_mode & 0o777 == 0o644


def test_an_archive_written_to_a_pipe_has_its_sizes_behind_the_data(tmp_path: Path) -> None:
    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override] # bytes are all that zipfile writes
            self.data += data
            return len(data)

    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:  # type: ignore[arg-type] # as above
        target.writestr("a.txt", b"one" * 1000)
    path = tmp_path / "piped.zip"
    path.write_bytes(stream.data)
    with Archive(path) as opened:
        assert opened.read_member("a.txt") == b"one" * 1000


def test_a_member_over_the_asked_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(archive(bomb(2**20)))
    with Archive(path) as opened, pytest.raises(PackageError, match="at most 10 are read"):
        opened.read_member("zeros.bin", bytes_max=10)


def test_an_unknown_member_is_named(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(archive(Member()))
    with Archive(path) as opened, pytest.raises(PackageError, match="absent") as caught:
        opened.read_member("absent")
    assert caught.value.code == "E-PACKAGE-MEMBER"


def test_unpacking_into_a_used_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(archive(Member()))
    with Archive(path) as opened, pytest.raises(PackageError, match="not empty"):
        opened.unpack(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_changes_nothing_that_is_read(
    position: int, value: int, tmp_path: Path
) -> None:
    original = bytearray(archive(Member(data=b"content " * 50), Member(name=b"b.txt", data=b"more " * 50)))
    original[position % len(original)] = value
    path = tmp_path / "changed.zip"
    path.write_bytes(original)
    try:
        with Archive(path) as opened:
            read = {name: opened.read_member(name) for name in opened.names}
    except PackageError:
        return
    assert sorted(read.values()) == sorted([b"content " * 50, b"more " * 50])
