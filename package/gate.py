"""The archive gate: a stranger's zip, read as data within bounds.

Theory of operation. ``zipfile`` parses the central directory, after we have checked that there is
exactly one and that it is small. Every entry then has to pass the table of rules below, its local
header has to agree with it byte for byte, and no two members may share bytes of the file. Only then
is the archive open. Members are inflated in steps, against the size and checksum that the directory
promised; a stream that is longer, shorter or different is refused where that shows.

Rules:

1. Nothing is ever ``extractall``ed. A member is a regular file or a folder, its name is relative,
   portable and unique even where case and Unicode forms do not count.
2. An error names the member and the rule it broke, and comes in bounded time and memory.
3. Unpacked files get fixed modes, are created new, and never execute.
4. Archives inside the archive stay closed; those whose format is not a model's are refused.
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Final, Self

from skerry.errors import PackageError

from . import limits

_LOCAL_HEADER: Final = struct.Struct("<4s5H3L2H")
_END_RECORD: Final = struct.Struct("<4s4H2LH")
_END_SIGNATURE: Final = b"PK\x05\x06"
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES: Final = 20
_ARCHIVE_SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf", b"Rar!", b"\xfd7zX")
_MODEL_ARCHIVES: Final = frozenset({".pt", ".pth", ".npz", ".skops", ".keras", ".ckpt", ".bin", ".joblib"})
"""Model formats that are zips themselves; the libraries that read them do so inside the sandbox."""
_FLAG_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_FLAG_SIZES_FOLLOW: Final = 0x8
_FLAG_UTF8: Final = 0x800
_EXTRA_PKWARE_UNIX: Final = 0x000D
_EXTRA_ASI_UNIX: Final = 0x756E
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_FORBIDDEN_CHARACTERS: Final = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_FOLDER_MODE: Final = 0o755
_FILE_MODE: Final = 0o644


class Archive:
    """A package zip that passed the gate.

    Parameters
    ----------
    path
        The zip file.

    Attributes
    ----------
    names
        The files in it, in the archive's order; folders are left out.

    Raises
    ------
    PackageError
        With code ``E-PACKAGE-ARCHIVE``: the archive or the named member breaks a rule.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = Path(path)
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            why = f"it cannot be opened: {error}"
            raise _refusal(str(path), why, "Name a file that is there and that you may read") from error
        try:
            self._members = self._open()
        except BaseException:
            self._file.close()
            raise
        self.names: tuple[str, ...] = tuple(self._members)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def size_of(self, name: str) -> int:
        """Return the unpacked bytes of a member."""
        return self._member(name).file_size

    def read_member(self, name: str, *, bytes_max: int = limits.MEMBER_BYTES_MAX) -> bytes:
        """Return a whole member of at most `bytes_max` bytes."""
        if self.size_of(name) > bytes_max:
            raise _refusal(name, f"it has {self.size_of(name)} bytes, at most {bytes_max} are read")
        return b"".join(self.stream_member(name))

    def stream_member(self, name: str) -> Iterator[bytes]:
        """Yield a member in pieces of at most ``CHUNK_BYTES``, verified to its end."""
        info = self._member(name)
        yield from _checked(info, _inflated(self._packed(info), info))

    def unpack(self, folder: Path) -> None:
        """Write every member below `folder`, which must be new or empty."""
        folder = Path(folder)
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise _refusal(str(folder), "the folder to unpack into is not empty")
        for name in self.names:
            target = folder / name
            target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.writelines(self.stream_member(name))
            target.chmod(_FILE_MODE)

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._members[name]
        except KeyError:
            raise PackageError(
                "The package lacks a member",
                where=name,
                todo="Compare the name with the files in the package",
                code="E-PACKAGE-MEMBER",
            ) from None

    def _open(self) -> dict[str, zipfile.ZipInfo]:
        count = _check_directory(self._file)
        try:
            with zipfile.ZipFile(self._file) as parsed:
                infos = parsed.infolist()
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            struct.error,
            ValueError,
        ) as error:
            raise _refusal(str(self.path), f"its central directory cannot be read: {error}") from error
        if len(infos) != count:
            raise _refusal("archive", f"its end record counts {count} members where {len(infos)} are listed")
        for info in infos:
            for rule in _MEMBER_RULES:
                if reason := rule(info):
                    raise _refusal(info.orig_filename, reason)
        _check_names(infos)
        _check_totals(infos)
        self._check_extents(infos)
        return {info.filename: info for info in infos if not info.is_dir()}

    def _check_extents(self, infos: list[zipfile.ZipInfo]) -> None:
        end = 0
        for info in sorted(infos, key=lambda each: each.header_offset):
            if info.header_offset < end:
                raise _refusal(info.filename, "it shares bytes with another member")
            end = self._data_start(info) + info.compress_size

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        """Return where a member's packed bytes begin, after comparing its two headers."""
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise _refusal(info.filename, "its local header is missing")
        _, _, flags, method, _, _, *sizes, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        name = self._file.read(name_bytes)
        if name != info.orig_filename.encode("utf-8" if info.flag_bits & _FLAG_UTF8 else "cp437"):
            raise _refusal(info.filename, "its local header has another name")
        if (flags, method) != (info.flag_bits, info.compress_type):
            raise _refusal(info.filename, "its local header has another method or other flags")
        known = [info.CRC, info.compress_size, info.file_size]
        if sizes != known and not (flags & _FLAG_SIZES_FOLLOW and sizes == [0, 0, 0]):
            raise _refusal(info.filename, "its local header has another size or checksum")
        return info.header_offset + _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)

    def _packed(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        position = self._data_start(info)
        left = info.compress_size
        while left:
            self._file.seek(position)
            data = self._file.read(min(limits.CHUNK_BYTES, left))
            if not data:
                raise _refusal(info.filename, "the file ends inside it")
            position += len(data)
            left -= len(data)
            yield data


def _refusal(
    where: str, why: str, todo: str = "Ask its owner for a package that keeps the format's rules"
) -> PackageError:
    return PackageError(
        "The archive is refused",
        where=ascii(where)[1:-1],
        why=why,
        todo=todo,
        code="E-PACKAGE-ARCHIVE",
    )


def _check_directory(file: BinaryIO) -> int:
    """Return the promised number of members; refuse an end record that is missing, unclear or too large."""
    size = file.seek(0, 2)
    if size > limits.ARCHIVE_BYTES_MAX:
        raise _refusal("archive", f"it has {size} bytes, at most {limits.ARCHIVE_BYTES_MAX} are read")
    tail_bytes = min(size, _END_RECORD.size + 0xFFFF)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END_RECORD.size:
        raise _refusal("archive", "it is no zip file, or its end is cut off")
    _, *disks, here, total, directory_bytes, directory_at, comment_bytes = _END_RECORD.unpack_from(tail, at)
    if comment_bytes > limits.ARCHIVE_COMMENT_BYTES_MAX:
        raise _refusal("archive", f"its comment has {comment_bytes} bytes")
    if at + _END_RECORD.size + comment_bytes != len(tail):
        raise _refusal("archive", "bytes follow its end record")
    if any(disks) or here != total:
        raise _refusal("archive", "it is one part of several")
    if tail[max(0, at - _ZIP64_LOCATOR_BYTES) : at].startswith(_ZIP64_LOCATOR):
        raise _refusal("archive", "it is in the Zip64 form, which its permitted size does not need")
    if total > limits.MEMBERS_MAX or directory_bytes > limits.CENTRAL_DIRECTORY_BYTES_MAX:
        raise _refusal("archive", f"it has {total} members, at most {limits.MEMBERS_MAX} are read")
    if directory_at + directory_bytes != size - tail_bytes + at:
        raise _refusal("archive", "its central directory is not where the end record says")
    return int(total)


# --- the rules that one directory entry must keep: each returns why not, or nothing ----------------


def _refuse_name(info: zipfile.ZipInfo) -> str:
    name = info.orig_filename
    parts = name.removesuffix("/").split("/")
    checks = {
        "its name is too long": len(name.encode("utf-8", "surrogatepass")) > limits.NAME_BYTES_MAX,
        "its name has too many folders": len(parts) > limits.NAME_DEPTH_MAX,
        "its name is absolute": name.startswith("/"),
        "its name has a forbidden character": _FORBIDDEN_CHARACTERS.search(name) is not None,
        "its name leads out of the package": ".." in parts,
        "its name has an empty part": "" in parts or "." in parts,
        "its name is reserved on some systems": any(_RESERVED.fullmatch(part) for part in parts),
        "its name ends in a dot or space": any(part.endswith((".", " ")) for part in parts),
        "its name differs from what is shown": info.filename != name,
    }
    return next((reason for reason, broken in checks.items() if broken), "")


def _refuse_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        return "it is a symbolic link"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "it is a device, pipe or socket"
    if kind and info.is_dir() != (kind == stat.S_IFDIR):
        return "it is a folder by mode or by name, not by both"
    if info.is_dir() and (info.file_size or info.compress_size):
        return "it is a folder with content"
    return ""


def _refuse_link_fields(info: zipfile.ZipInfo) -> str:
    """Find links that older Unix archivers put into extra fields: PKWARE's 0x000d and ASi's 0x756e."""
    extra = info.extra
    while len(extra) >= 4:
        tag, size = struct.unpack_from("<HH", extra)
        if (tag == _EXTRA_PKWARE_UNIX and size > 12) or (tag == _EXTRA_ASI_UNIX and size > 14):
            return "it is a hard or symbolic link"
        extra = extra[4 + size :]
    return ""


def _refuse_method(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _FLAG_ENCRYPTED:
        return "it is encrypted"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return f"it is packed by method {info.compress_type}; stored and deflated are read"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return "it is stored, but its packed and unpacked sizes differ"
    return ""


def _refuse_size(info: zipfile.ZipInfo) -> str:
    if info.file_size > limits.MEMBER_BYTES_MAX:
        return f"it has {info.file_size} bytes, at most {limits.MEMBER_BYTES_MAX} are unpacked"
    allowed = max(limits.MEMBER_RATIO_FREE_BYTES, limits.MEMBER_RATIO_MAX * info.compress_size)
    if info.file_size > allowed:
        return f"it unpacks to over {limits.MEMBER_RATIO_MAX} times its size"
    return ""


_MEMBER_RULES: Final[tuple[Callable[[zipfile.ZipInfo], str], ...]] = (
    _refuse_name,
    _refuse_kind,
    _refuse_link_fields,
    _refuse_method,
    _refuse_size,
)


def _check_names(infos: list[zipfile.ZipInfo]) -> None:
    """Refuse two members that one file system would take for one, and files used as folders."""
    seen: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        key = _folded(info.filename.removesuffix("/"))
        if key in seen:
            raise _refusal(info.filename, f"its name clashes with {seen[key].filename!a}")
        seen[key] = info
    for info in infos:
        for parent in PurePosixPath(info.filename).parents:
            other = seen.get(_folded(str(parent)))
            if other is not None and not other.is_dir():
                raise _refusal(info.filename, f"it lies below {other.filename!a}, which is a file")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _check_totals(infos: list[zipfile.ZipInfo]) -> None:
    total = 0
    for info in infos:
        total += info.file_size
        if total > limits.UNPACKED_BYTES_MAX:
            raise _refusal(info.filename, "with it the package unpacks to more than is allowed")


# --- the bytes of one member ---------------------------------------------------------------------


def _inflated(packed: Iterator[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    if info.compress_type == zipfile.ZIP_STORED:
        yield from packed
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for data in packed:
            while data:
                if inflater.eof:
                    raise _refusal(info.filename, "bytes follow the end of its packed stream")
                yield inflater.decompress(data, limits.CHUNK_BYTES)
                data = inflater.unconsumed_tail or inflater.unused_data
        while chunk := inflater.decompress(b"", limits.CHUNK_BYTES):
            yield chunk
    except zlib.error as error:
        raise _refusal(info.filename, f"its packed stream is broken: {error}") from error
    if not inflater.eof:
        raise _refusal(info.filename, "its packed stream has no end")


def _checked(info: zipfile.ZipInfo, chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = checksum = 0
    for chunk in chunks:
        if size == 0 and chunk.startswith(_ARCHIVE_SIGNATURES) and not _is_model_archive(info.filename):
            raise _refusal(info.filename, "it is an archive inside the archive")
        size += len(chunk)
        if size > info.file_size:
            raise _refusal(info.filename, f"it is longer than the {info.file_size} bytes it promised")
        checksum = zlib.crc32(chunk, checksum)
        yield chunk
    if size != info.file_size:
        raise _refusal(info.filename, f"it has {size} bytes where it promised {info.file_size}")
    if checksum != info.CRC:
        raise _refusal(info.filename, "its checksum is wrong")


def _is_model_archive(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _MODEL_ARCHIVES
