"""The full specification of a learnware: what it says in words and what it says in numbers.

Its bytes are the blob that nodes transfer by hash: a MessagePack map of version, the semantic
specification and the RKME's own bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from skerry.errors import SpecificationError

from .codec import decode_record, decode_rkmes
from .rkme import Rkme
from .semantic import SemanticSpec

SPECIFICATION_VERSION: Final = 1


class _SpecificationRecord(msgspec.Struct, tag_field="type", tag="specification"):
    version: int
    semantic: bytes
    rkme: bytes


@dataclass(frozen=True)
class Specification:
    """A semantic specification and the RKME that belongs to it.

    Raises
    ------
    SpecificationError
        When the two contradict each other in kind or columns.
    """

    semantic: SemanticSpec
    rkme: Rkme

    def __post_init__(self) -> None:
        if self.semantic.data.lower() != self.rkme.kind:
            raise _refusal("semantic.data", f"{self.semantic.data} for an RKME of kind {self.rkme.kind}")
        declared = self.semantic.input
        if self.rkme.kind == "table" and declared is not None and declared.dimension != self.rkme.dimension:
            raise _refusal(
                "semantic.input.dimension",
                f"{declared.dimension} columns, the RKME has {self.rkme.dimension}",
            )

        named = tuple((column.name, column.unit) for column in self.rkme.columns or ())
        typed = tuple((column.name, column.unit) for column in self.semantic.columns)
        if named and typed and named != typed:
            raise _refusal("semantic.columns", "they are not the columns of the RKME")

    def to_bytes(self) -> bytes:
        """Return the deterministic encoding that is named by its hash."""
        record = _SpecificationRecord(SPECIFICATION_VERSION, self.semantic.to_bytes(), self.rkme.to_bytes())
        return msgspec.msgpack.encode(record)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Specification:
        """Return what ``to_bytes`` wrote; refuses anything else with a SpecificationError."""
        record = _record(blob)
        return cls(SemanticSpec.from_bytes(record.semantic), Rkme.from_bytes(record.rkme))

    @staticmethod
    def rkmes_in(blobs: Sequence[bytes]) -> list[Rkme | None]:
        """Return the RKMEs alone, None where a blob holds none: of hundreds that are compared, not shown."""
        raws: list[bytes] = []
        for blob in blobs:
            try:
                raws.append(_record(blob).rkme)
            except SpecificationError:
                raws.append(b"")
        return decode_rkmes(raws)


def _record(blob: bytes) -> _SpecificationRecord:
    record = decode_record(blob, _SpecificationRecord)
    if record.version != SPECIFICATION_VERSION:
        raise _refusal("version", f"{record.version} is unknown, {SPECIFICATION_VERSION} is known")
    return record


def _refusal(where: str, why: str) -> SpecificationError:
    return SpecificationError(
        "The specification contradicts itself", where=where, why=why, code="E-SPEC-CONTRADICTION"
    )
