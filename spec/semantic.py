"""The semantic specification: what a learnware says about itself in words.

The vocabulary is the reference engine's, whole and verbatim (``learnware`` 0.3.2, ``semantic_config``), so
its packages pass unchanged; what we add stands beside it and is left out of the reference's JSON.

Two sets of rules are checked: the engine's own (``problems``), which construction enforces, and the
lengths that the dock system adds when a learnware is uploaded there (``dock_problems``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from skerry.errors import SpecificationError

from .island import Column, clean_text
from .limits import (
    CLASSES_MAX,
    COLUMNS_MAX,
    DESCRIPTION_CHARS_MAX,
    FIELD_CHARS_MAX,
    NAME_CHARS_MAX,
    TAG_CHARS_MAX,
    TAGS_MAX,
)

DATA: Final = ("Table", "Image", "Text")
TASKS: Final = (
    "Classification",
    "Regression",
    "Feature Extraction",
    "Segmentation",
    "Object Detection",
    "Others",
)
LIBRARIES: Final = ("Scikit-learn", "PyTorch", "TensorFlow", "Others")
SCENARIOS: Final = (
    "Business",
    "Financial",
    "Health",
    "Politics",
    "Computer",
    "Internet",
    "Traffic",
    "Nature",
    "Fashion",
    "Industry",
    "Agriculture",
    "Education",
    "Entertainment",
    "Architecture",
    "Others",
)
LICENSES: Final = (
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "GPL-2.0",
    "GPL-3.0",
    "LGPL-2.1",
    "LGPL-3.0",
    "AGPL-3.0",
    "ECL-2.0",
    "AFL-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "Others",
)
OUTPUT_TASKS: Final = ("Classification", "Regression")
DOCK_NAME_CHARS: Final = (5, 50)
DOCK_DESCRIPTION_CHARS: Final = (10, 10_000)
COLUMN_TYPES: Final = ("number", "integer", "boolean", "category", "text", "time")
SEMANTIC_VERSION: Final = 1


@dataclass(frozen=True)
class Features:
    """The inputs of a table model, or the outputs of a classifier or regressor.

    Parameters
    ----------
    dimension
        Number of columns, of classes, or of regression outputs.
    description
        What some of them mean, by index from 0.
    """

    dimension: int
    description: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        described = {int(index): text for index, text in self.description.items()}
        object.__setattr__(self, "description", dict(sorted(described.items())))


@dataclass(frozen=True)
class TypedColumn(Column):
    """A named input column with its type; one of ``COLUMN_TYPES``."""

    type: str = "number"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.type not in COLUMN_TYPES:
            raise _refusal([f"columns.{self.name}: {self.type!r} is not one of {', '.join(COLUMN_TYPES)}"])


@dataclass(frozen=True)
class SemanticSpec:
    """What a learnware says about itself in words.

    Parameters
    ----------
    data, task, library, license
        One value each of ``DATA``, ``TASKS``, ``LIBRARIES``, ``LICENSES``; upper and lower case are alike.
    scenario
        One or more of ``SCENARIOS``.
    name, description
        Free text; the description may hold Markdown and several lines.
    input
        Needed for tables.
    output
        Needed for classification and regression.
    columns, classes, intended_use, language, tags
        Our additions: typed input columns, class names in label order, what the model is meant for, the
        language of text data as a BCP 47 tag, free tags.

    Raises
    ------
    SpecificationError
        With every rule that is broken.
    """

    data: str
    task: str
    library: str
    scenario: tuple[str, ...]
    license: str
    name: str
    description: str
    input: Features | None = None
    output: Features | None = None
    columns: tuple[TypedColumn, ...] = ()
    classes: tuple[str, ...] = ()
    intended_use: str = ""
    language: str = ""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, allowed in _CLASS_FIELDS.items():
            object.__setattr__(self, name, _canonical(getattr(self, name), allowed))
        object.__setattr__(self, "scenario", tuple(_canonical(value, SCENARIOS) for value in self.scenario))
        broken = problems(self.to_reference()) + self._problems_of_additions()
        if broken:
            raise _refusal(broken)
        self._clean_texts()

    def _clean_texts(self) -> None:
        for name, chars_max in _TEXT_FIELDS.items():
            text = clean_text(getattr(self, name), name, chars_max, empty=True, lines=name != "name")
            object.__setattr__(self, name, text)

    def _problems_of_additions(self) -> list[str]:
        """Return what is wrong with the fields that the reference does not know."""
        found = []
        if self.columns and (self.input is None or len(self.columns) != self.input.dimension):
            found.append("columns: their number differs from input.dimension")
        if self.classes and (self.output is None or len(self.classes) != self.output.dimension):
            found.append("classes: their number differs from output.dimension")
        if len(self.tags) > TAGS_MAX or any(not 1 <= len(tag) <= TAG_CHARS_MAX for tag in self.tags):
            found.append(f"tags: at most {TAGS_MAX}, each of 1 to {TAG_CHARS_MAX} characters")
        if len(self.classes) > CLASSES_MAX or any(len(name) > FIELD_CHARS_MAX for name in self.classes):
            found.append(f"classes: at most {CLASSES_MAX}, each of at most {FIELD_CHARS_MAX} characters")
        return found

    def to_reference(self) -> dict[str, Any]:
        """Return the reference engine's JSON document; our additions have no place in it."""
        document: dict[str, Any] = {
            "Data": _entry([self.data], "Class"),
            "Task": _entry([self.task], "Class"),
            "Library": _entry([self.library], "Class"),
            "License": _entry([self.license], "Class"),
            "Scenario": _entry(list(self.scenario), "Tag"),
            "Name": _entry(self.name, "String"),
            "Description": _entry(self.description, "String"),
        }
        for key, features in (("Input", self.input), ("Output", self.output)):
            if features is not None:
                described = {str(index): text for index, text in features.description.items()}
                document[key] = {"Dimension": features.dimension, "Description": described}
        return document

    @classmethod
    def from_reference(cls, document: Mapping[str, Any]) -> SemanticSpec:
        """Return the specification in the reference engine's JSON document.

        Files older than the license key get Apache-2.0, as the engine does; empty ``Input`` and ``Output``
        count as absent.
        """
        document = {"License": _entry(["Apache-2.0"], "Class"), **document}
        broken = problems(document)
        if broken:
            raise _refusal(broken)
        values = {key: document[key]["Values"] for key in _REFERENCE_FIELDS}
        return cls(
            data=values["Data"][0],
            task=values["Task"][0],
            library=values["Library"][0],
            scenario=tuple(values["Scenario"]),
            license=values["License"][0],
            name=values["Name"],
            description=values["Description"],
            input=_features(document.get("Input")),
            output=_features(document.get("Output")),
        )

    def to_bytes(self) -> bytes:
        """Return the deterministic encoding."""
        record = _SemanticRecord(
            version=SEMANTIC_VERSION,
            columns=[(column.name, column.unit, column.type) for column in self.columns],
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
        )
        return msgspec.msgpack.encode(record)

    @classmethod
    def from_bytes(cls, blob: bytes) -> SemanticSpec:
        """Return what ``to_bytes`` wrote; refuses anything else with a SpecificationError."""
        from .codec import decode_record

        record = decode_record(blob, _SemanticRecord)
        if record.version != SEMANTIC_VERSION:
            raise _refusal([f"version: {record.version} is unknown, {SEMANTIC_VERSION} is known"])
        columns = tuple(TypedColumn(name, unit, type_) for name, unit, type_ in record.columns)
        return cls(columns=columns, **{name: getattr(record, name) for name in _PLAIN_FIELDS})


class _SemanticRecord(msgspec.Struct, tag_field="type", tag="semantic"):
    version: int
    data: str
    task: str
    library: str
    scenario: tuple[str, ...]
    license: str
    name: str
    description: str
    input: Features | None
    output: Features | None
    columns: list[tuple[str, str, str]]
    classes: tuple[str, ...]
    intended_use: str
    language: str
    tags: tuple[str, ...]


_CLASS_FIELDS: Final = {"data": DATA, "task": TASKS, "library": LIBRARIES, "license": LICENSES}
_TEXT_FIELDS: Final = {
    "name": NAME_CHARS_MAX,
    "description": DESCRIPTION_CHARS_MAX,
    "intended_use": FIELD_CHARS_MAX,
    "language": TAG_CHARS_MAX,
}
_PLAIN_FIELDS: Final = tuple(
    name for name in _SemanticRecord.__struct_fields__ if name not in {"version", "columns"}
)
_REFERENCE_FIELDS: Final[Mapping[str, tuple[str, tuple[str, ...] | None]]] = {
    "Data": ("Class", DATA),
    "Task": ("Class", TASKS),
    "Library": ("Class", LIBRARIES),
    "Scenario": ("Tag", SCENARIOS),
    "Description": ("String", None),
    "Name": ("String", None),
    "License": ("Class", LICENSES),
}


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return every rule of the reference's ``EasySemanticChecker`` that ``document`` breaks.

    The messages begin with the key that they are about; an empty list means that the engine accepts it.
    """
    found = []
    for key, (kind, allowed) in _REFERENCE_FIELDS.items():
        entry = document.get(key)
        if not isinstance(entry, Mapping) or entry.get("Type") != kind or "Values" not in entry:
            found.append(f"{key}: type mismatch, {{'Values': ..., 'Type': {kind!r}}} is needed")
        elif allowed is None:
            found += _text_problems(key, entry["Values"])
        else:
            found += _choice_problems(key, kind, entry["Values"], allowed)
    if found:
        return found
    if document["Data"]["Values"][0] == "Table":
        found += _feature_problems("Input", document.get("Input"), dimension_min=1)
    if document["Task"]["Values"][0] in OUTPUT_TASKS:
        classifies = document["Task"]["Values"][0] == "Classification"
        found += _feature_problems("Output", document.get("Output"), dimension_min=2 if classifies else 1)
    return found


def dock_problems(document: Mapping[str, Any]) -> list[str]:
    """Return what the dock system would refuse beyond ``problems``: lengths of name and description."""
    found = problems(document)
    for key, (low, high) in (("Name", DOCK_NAME_CHARS), ("Description", DOCK_DESCRIPTION_CHARS)):
        entry = document.get(key)
        length = (
            len(entry["Values"]) if isinstance(entry, Mapping) and isinstance(entry.get("Values"), str) else 0
        )
        if not low <= length <= high:
            found.append(f"{key}: {length} characters, the dock allows {low} to {high}")
    return found


def _text_problems(key: str, text: object) -> list[str]:
    if not isinstance(text, str):
        return [f"{key}: must be string"]
    return [] if text else [f"{key}: cannot be empty"]


def _choice_problems(key: str, kind: str, values: object, allowed: tuple[str, ...]) -> list[str]:
    if not isinstance(values, list | tuple) or not values:
        return [f"{key}: cannot be empty"]
    if kind == "Class" and len(values) != 1:
        return [f"{key}: must be unique"]
    return [f"{key}: {value!r} must be in {', '.join(allowed)}" for value in values if value not in allowed]


def _feature_problems(key: str, entry: object, *, dimension_min: int) -> list[str]:
    if not isinstance(entry, Mapping) or not entry:
        return [f"{key}: lack of {key.lower()} semantics"]
    dimension, described = entry.get("Dimension"), entry.get("Description")
    if type(dimension) is not int or not dimension_min <= dimension <= COLUMNS_MAX:
        return [f"{key}: Dimension must be a whole number from {dimension_min} to {COLUMNS_MAX}"]
    if not isinstance(described, Mapping):
        return [f"{key}: Description must be a map from index to text"]
    found = []
    for index, text in described.items():
        if not str(index).isdecimal() or int(index) >= dimension:
            found.append(f"{key}: Description index {index!r} is outside [0, {dimension})")
        if not isinstance(text, str) or len(text) > FIELD_CHARS_MAX:
            found.append(
                f"{key}: Description of {index!r} must be string of at most {FIELD_CHARS_MAX} characters"
            )
    return found


def _features(entry: Mapping[str, Any] | None) -> Features | None:
    return Features(entry["Dimension"], entry["Description"]) if entry else None


def _entry(values: object, kind: str) -> dict[str, object]:
    return {"Values": values, "Type": kind}


def _canonical(value: str, allowed: tuple[str, ...]) -> str:
    """Return the allowed spelling of ``value``, or ``value`` itself where there is none."""
    spellings = {choice.lower(): choice for choice in allowed}
    return spellings.get(str(value).lower(), value)


def _refusal(broken: list[str]) -> SpecificationError:
    return SpecificationError(
        "The semantic specification is not acceptable",
        where=broken[0].split(":")[0],
        why="; ".join(broken),
        code="E-SPEC-SEMANTIC",
    )
