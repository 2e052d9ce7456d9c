"""Archives that no honest program writes: a zip put together by hand, header by header."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Member:
    """One member, with everything that a liar could choose; None means the truth."""

    name: bytes = b"file.txt"
    data: bytes = b"content"
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    packed: bytes | None = None
    size: int | None = None
    packed_size: int | None = None
    checksum: int | None = None
    extra: bytes = b""
    local_name: bytes | None = None
    local_method: int | None = None
    local_size: int | None = None
    offset: int | None = None

    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if self.method != 8:
            return self.data
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush()


def archive(
    *members: Member,
    comment: bytes = b"",
    count: int | None = None,
    directory_shift: int = 0,
    prefix: bytes = b"",
    suffix: bytes = b"",
) -> bytes:
    """Return a zip of `members`, with the end record's fields as asked for."""
    data = prefix
    entries = b""
    for member in members:
        body = member.body()
        size = len(member.data) if member.size is None else member.size
        packed_size = len(body) if member.packed_size is None else member.packed_size
        checksum = zlib.crc32(member.data) if member.checksum is None else member.checksum
        offset = len(data) if member.offset is None else member.offset
        local_name = member.name if member.local_name is None else member.local_name
        local_method = member.method if member.local_method is None else member.local_method
        local_size = size if member.local_size is None else member.local_size
        data += struct.pack(
            "<4s5H3L2H",
            b"PK\x03\x04",
            *(20, member.flags, local_method, 0, 0x21),
            *(checksum, packed_size, local_size),
            *(len(local_name), 0),
        )
        data += local_name + body
        entries += struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            *(0x0314, 20, member.flags, member.method, 0, 0x21),
            *(checksum, packed_size, size),
            *(len(member.name), len(member.extra), 0, 0, 0),
            *(member.mode << 16, offset),
        )
        entries += member.name + member.extra
    total = len(members) if count is None else count
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, total, total, len(entries), len(data) + directory_shift, len(comment)
    )
    return data + entries + end + comment + suffix


def bomb(size: int, name: bytes = b"zeros.bin") -> Member:
    """Return a member of `size` zeros, packed as tightly as deflate can."""
    return Member(name=name, data=bytes(size))


def hostile() -> dict[str, tuple[bytes, str]]:
    """Return the corpus: what is wrong with the archive -> (its bytes, what the refusal must name)."""
    honest = Member()
    link = Member(name=b"link", data=b"/etc/passwd", method=0, mode=0o120777)
    nested = archive(bomb(2**20))
    whole = archive(honest, Member(name=b"other.txt"))
    cut = whole.rfind(b"PK\x05\x06")
    deflated = honest.body()
    return {
        "parent folder": (archive(replace(honest, name=b"../evil")), "evil"),
        "parent folder inside": (archive(replace(honest, name=b"a/../../evil")), "evil"),
        "absolute path": (archive(replace(honest, name=b"/etc/evil")), "etc/evil"),
        "drive letter": (archive(replace(honest, name=b"C:/evil")), "C:/evil"),
        "backslashes": (archive(replace(honest, name=b"..\\evil")), "evil"),
        "NUL in the name": (archive(replace(honest, name=b"model.pkl\x00.txt")), "model.pkl"),
        "control character": (archive(replace(honest, name=b"a\x1b[2Jb")), "x1b"),
        "over-long name": (archive(replace(honest, name=b"n" * 300)), "nnn"),
        "too deep": (archive(replace(honest, name=b"d/" * 20 + b"f")), "d/d"),
        "empty part": (archive(replace(honest, name=b"a//b")), "a//b"),
        "reserved name": (archive(replace(honest, name=b"con.txt")), "con.txt"),
        "trailing dot": (archive(replace(honest, name=b"a./b")), "a./b"),
        "symbolic link": (archive(link), "link"),
        "hard link": (
            archive(replace(honest, extra=struct.pack("<HH", 0x0D, 12 + 11) + bytes(12) + b"/etc/passwd")),
            "file.txt",
        ),
        "symbolic link in an extra field": (
            archive(replace(honest, extra=struct.pack("<HH", 0x756E, 25) + bytes(14) + b"/etc/passwd")),
            "file.txt",
        ),
        "character device": (archive(replace(honest, mode=0o020666)), "file.txt"),
        "named pipe": (archive(replace(honest, mode=0o010666)), "file.txt"),
        "folder by mode only": (archive(replace(honest, mode=0o040755)), "file.txt"),
        "folder with content": (archive(replace(honest, name=b"folder/", mode=0o040755)), "folder"),
        "duplicate names": (archive(honest, honest), "file.txt"),
        "names that differ by case": (archive(honest, replace(honest, name=b"FILE.txt")), "FILE.txt"),
        "names that differ by Unicode form": (
            archive(
                replace(honest, name="caf\u00e9".encode(), flags=0x800),
                replace(honest, name="cafe\u0301".encode(), flags=0x800),
            ),
            "caf",
        ),
        "a file used as a folder": (
            archive(honest, replace(honest, name=b"file.txt/inner")),
            "file.txt/inner",
        ),
        "zip bomb": (archive(bomb(64 * 2**20)), "zeros.bin"),
        "bomb in many members": (
            archive(*(replace(bomb(2**10, b"z%d" % n), size=2**31 - 1, packed_size=2**24) for n in range(4))),
            "z",
        ),
        "nested bomb": (archive(Member(name=b"inner.zip", data=nested, method=0)), "inner.zip"),
        "nested bomb under another name": (
            archive(Member(name=b"weights.dat", data=nested, method=0)),
            "weights.dat",
        ),
        "more bytes than promised": (
            archive(replace(honest, data=b"x" * 900, size=10, local_size=10)),
            "file.txt",
        ),
        "fewer bytes than promised": (archive(replace(honest, size=500)), "file.txt"),
        "wrong checksum": (archive(replace(honest, checksum=1)), "file.txt"),
        "broken stream": (archive(replace(honest, packed=b"\xff" * 30)), "file.txt"),
        "stream without an end": (archive(replace(honest, packed=deflated[:-2])), "file.txt"),
        "bytes after the stream": (archive(replace(honest, packed=deflated + b"hidden")), "file.txt"),
        "encrypted": (archive(replace(honest, flags=1)), "file.txt"),
        "unsupported compression": (archive(replace(honest, method=12, packed=b"BZh")), "file.txt"),
        "stored with two sizes": (archive(replace(honest, method=0, size=99)), "file.txt"),
        "two names": (archive(replace(honest, local_name=b"shown.txt")), "file.txt"),
        "two methods": (archive(replace(honest, local_method=0)), "file.txt"),
        "two sizes": (archive(replace(honest, local_size=3)), "file.txt"),
        "overlapping members": (archive(honest, replace(honest, name=b"again.txt", offset=0)), "again.txt"),
        "header beyond the end": (archive(replace(honest, offset=2**20)), "file.txt"),
        "truncated central directory": (whole[: cut - 30] + whole[cut:], "archive"),
        "no end record": (whole[:cut], "archive"),
        "cut in the middle": (whole[: len(whole) // 2], "archive"),
        "bytes after the end": (archive(honest, suffix=b"PK"), "archive"),
        "bytes before the start": (b"#!/bin/sh\n" + archive(honest), "archive"),
        "huge comment": (archive(honest, comment=b"c" * 60_000), "archive"),
        "wrong member count": (archive(honest, count=2), "archive"),
        "too many members": (archive(honest, count=60_000), "archive"),
        "directory elsewhere": (archive(honest, directory_shift=8), "archive"),
        "empty file": (b"", "archive"),
        "no zip": (b"this is a text about zip files" * 10, "archive"),
    }
