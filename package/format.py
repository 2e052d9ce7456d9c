"""The package format: the reference's zip, with a manifest of our own beside its files.

Theory of operation. ``learnware.yaml`` names the model's class, the module it lies in, and the
statistical files; ``semantic_specification.json`` says in words what the model is for; a requirements
or environment file names its libraries. Ours adds ``skerry.json``: the SHA-256 of every other file, the
lane, classes, columns, outputs and library versions, with a detached signature in
``skerry.json.sig``. The reference ignores both.

Rules:

1. Reading imports nothing and executes nothing. A specification's ``class_name`` selects from a fixed
   list; its ``module_path`` is a label.
2. What the reference tolerates is tolerated: one top folder, missing keys with their defaults, the
   legacy name of the statistical file's class.
3. A manifest that is present must be true: every file is listed, and every hash fits.
4. Statistical files are kept as bytes; ``skerry.spec`` gives them meaning.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, get_args

import msgspec
import yaml

from skerry.errors import PackageError

from . import limits
from .gate import Archive

Label = str | int | float | bool
Lane = Literal["onnx", "skops", "lightgbm", "python"]
LANES: Final[tuple[Lane, ...]] = get_args(Lane)

YAML_NAME: Final = "learnware.yaml"
SEMANTIC_NAME: Final = "semantic_specification.json"
STATISTICAL_NAME: Final = "stat_spec.json"
MANIFEST_NAME: Final = "skerry.json"
SIGNATURE_NAME: Final = "skerry.json.sig"
REQUIREMENT_NAMES: Final = ("requirements.txt", "environment.yaml")
MANIFEST_FORMAT: Final = 1
_SIGNATURE_BYTES_MAX: Final = 4096
_SPECIFICATION_MODULE: Final = "learnware.specification"
_STATISTICAL_KINDS: Final = {
    "RKMETableSpecification": "table",
    "RKMEStatSpecification": "table",
    "RKMEImageSpecification": "image",
    "RKMETextSpecification": "text",
}
_ZIP_DATE: Final = (1980, 1, 1, 0, 0, 0)
_ZIP_FILE_ATTRIBUTES: Final = 0o100644 << 16


@dataclass(frozen=True)
class ModelEntry:
    """Where the model's class lies and what its constructor is called with."""

    class_name: str = "Model"
    module_path: str = "__init__.py"
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StatisticalFile:
    """One statistical specification, unread.

    Attributes
    ----------
    kind
        ``table``, ``image`` or ``text``.
    class_name
        The reference's name of it.
    data
        The file's bytes: JSON.
    """

    file_name: str
    class_name: str
    data: bytes

    @property
    def kind(self) -> str:
        """Return ``table``, ``image`` or ``text``."""
        return _STATISTICAL_KINDS[self.class_name]


class Agreement(msgspec.Struct, frozen=True):
    """How far a converted model agrees with the original on the owner's own rows.

    Attributes
    ----------
    rows
        Rows that both were asked about.
    labels
        Share of rows with the same answer; for regression, within the tolerance of single precision.
    difference_max
        The largest difference of a probability, or of a prediction relative to its spread.
    """

    rows: int
    labels: float
    difference_max: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``skerry.json``.

    Attributes
    ----------
    files
        SHA-256 in hexadecimal of every other file, by name.
    task
        ``classification``, ``regression`` or another of the semantic vocabulary, in lower case.
    classes
        The labels that positions in an answer stand for; None when there are none.
    columns
        Names of the input columns, in order; None when they have none.
    outputs
        Numbers in one answer.
    methods
        What the model offers: ``predict``, ``predict_proba``, ``finetune``.
    libraries
        Versions the model was made with, by distribution name; ``python`` among them.
    agreement, lane_reason
        Of a converted model: how well it agrees, and why no safer lane was taken.
    """

    format: int = MANIFEST_FORMAT
    lane: Lane
    files: dict[str, str] = {}
    task: str = ""
    classes: list[Label] | None = None
    columns: list[str] | None = None
    inputs: int | None = None
    outputs: int = 1
    methods: tuple[str, ...] = ("predict",)
    libraries: dict[str, str] = {}
    agreement: Agreement | None = None
    lane_reason: str = ""


@dataclass(frozen=True)
class Package:
    """A package that was read.

    Attributes
    ----------
    path
        The zip it was read from.
    prefix
        The top folder that stands before every name in the zip; mostly empty.
    semantic
        The reference's semantic specification, or None when the zip does not carry one.
    statistics
        The statistical files.
    requirements
        Name and text of the requirements or environment file.
    classes
        Labels in the order of probability columns; where no manifest lists them, the numbers from 0 that
        the reference's format implies.
    outputs
        Numbers in one answer; None when nobody said.
    """

    path: Path
    prefix: str
    name: str
    model: ModelEntry
    semantic: dict[str, Any] | None
    statistics: tuple[StatisticalFile, ...]
    requirements: tuple[str, str] | None
    manifest: Manifest | None
    signature: bytes | None
    lane: Lane
    task: str
    classes: tuple[Label, ...] | None
    outputs: int | None


def read_package(path: Path) -> Package:
    """Read a package zip.

    Raises
    ------
    PackageError
        ``E-PACKAGE-ARCHIVE`` from the gate, ``E-PACKAGE-MEMBER`` for a file that is missing,
        ``E-PACKAGE-YAML`` for a learnware.yaml that is none, ``E-PACKAGE-SPECIFICATION`` for an unknown
        statistical type or a semantic file that is no JSON, ``E-PACKAGE-MANIFEST`` for a false manifest.
    """
    with Archive(path) as archive:
        prefix = _prefix(archive.names)
        entries = _read_yaml(archive, prefix)
        model = _model_entry(entries)
        manifest = _read_manifest(archive, prefix)
        semantic = _read_semantic(archive, prefix, entries)
        statistics = _read_statistics(archive, prefix, entries)
        requirements = _read_requirements(archive, prefix)
        signature = _read_optional(archive, prefix + SIGNATURE_NAME, _SIGNATURE_BYTES_MAX)
    task = manifest.task if manifest else _semantic_task(semantic)
    return Package(
        path=Path(path),
        prefix=prefix,
        name=_text(entries, "name") or _semantic_name(semantic) or Path(path).stem,
        model=model,
        semantic=semantic,
        statistics=statistics,
        requirements=requirements,
        manifest=manifest,
        signature=signature,
        lane=manifest.lane if manifest else "python",
        task=task,
        classes=_classes(manifest, semantic, task),
        outputs=manifest.outputs if manifest else _output_dimension(semantic),
    )


def write_package(
    path: Path,
    *,
    manifest: Manifest,
    files: Mapping[str, bytes],
    semantic: Mapping[str, Any] | None,
    statistics: Sequence[StatisticalFile],
    model: ModelEntry | None = None,
) -> Package:
    """Write a package that both we and the reference read, and return it as read back.

    Parameters
    ----------
    path
        The zip to write; replaced when it exists. The same contents give the same bytes.
    manifest
        All but its ``files``, which are filled in here.
    files
        The model's own files and the requirements, by name; ``__init__.py`` among them.
    """
    contents = dict(files)
    contents[YAML_NAME] = _yaml_bytes(model or ModelEntry(), statistics, with_semantic=semantic is not None)
    if semantic is not None:
        contents[SEMANTIC_NAME] = json.dumps(semantic, indent=4, ensure_ascii=False).encode()
    for statistical in statistics:
        contents[statistical.file_name] = statistical.data
    return pack(path, contents, manifest)


def pack(path: Path, contents: Mapping[str, bytes], manifest: Manifest) -> Package:
    """Write `contents` and the manifest that lists them, and return the package as read back."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())}
    listing = msgspec.json.encode(msgspec.structs.replace(manifest, files=hashes))
    _write_zip(path, {**contents, MANIFEST_NAME: msgspec.json.format(listing, indent=2)})
    return read_package(path)


def sign_package(source: Path, target: Path, signature: bytes) -> Package:
    """Copy a package with `signature`, made over the bytes of its ``skerry.json``, put beside them."""
    with Archive(source) as archive:
        contents = {name: archive.read_member(name) for name in archive.names}
        contents[_prefix(archive.names) + SIGNATURE_NAME] = signature
    _write_zip(target, contents)
    return read_package(target)


def manifest_bytes(path: Path) -> bytes:
    """Return the bytes of a package's ``skerry.json``: what its signature covers."""
    with Archive(path) as archive:
        return archive.read_member(
            _prefix(archive.names) + MANIFEST_NAME, bytes_max=limits.TEXT_MEMBER_BYTES_MAX
        )


# --- reading ---------------------------------------------------------------------------------------


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines with them can mean gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias; compose anything else as usual."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not accepted")
        return super().compose_node(parent, index)


def _prefix(names: Sequence[str]) -> str:
    """Return the one top folder of a package that has no learnware.yaml at its root."""
    if YAML_NAME in names:
        return ""
    tops = {PurePosixPath(name).parts[0] for name in names if not is_litter(name)}
    top = tops.pop() if len(tops) == 1 else ""
    return f"{top}/" if f"{top}/{YAML_NAME}" in names else ""


def is_litter(name: str) -> bool:
    """Return whether a file is what editors and systems leave behind."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or "__pycache__" in parts or parts[-1] == ".DS_Store" or name.endswith("~")


def _read_optional(archive: Archive, name: str, bytes_max: int) -> bytes | None:
    return archive.read_member(name, bytes_max=bytes_max) if name in archive.names else None


def _read_yaml(archive: Archive, prefix: str) -> dict[str, Any]:
    data = archive.read_member(prefix + YAML_NAME, bytes_max=limits.TEXT_MEMBER_BYTES_MAX)
    try:
        entries = yaml.load(data, PlainLoader)  # noqa: S506 - a SafeLoader that refuses more
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _yaml_error(f"it is no plain YAML: {error}") from error
    if not isinstance(entries, dict):
        raise _yaml_error("it has no keys")
    return entries


def _yaml_error(why: str) -> PackageError:
    return PackageError(
        "learnware.yaml cannot be used",
        where=YAML_NAME,
        why=why,
        todo="Write it as `skerry package new` does",
        code="E-PACKAGE-YAML",
    )


def _text(entries: Mapping[str, Any], key: str) -> str:
    value = entries.get(key)
    return value if isinstance(value, str) else ""


def _model_entry(entries: dict[str, Any]) -> ModelEntry:
    given = entries.get("model")
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise _yaml_error("`model` has no keys")
    class_name = given.get("class_name", "Model")
    module_path = given.get("module_path", "__init__.py")
    kwargs = given.get("kwargs")
    kwargs = {} if kwargs is None else kwargs
    if not isinstance(class_name, str) or not class_name.isidentifier():
        raise _yaml_error("`model.class_name` is no name of a class")
    if not isinstance(module_path, str) or not isinstance(kwargs, dict):
        raise _yaml_error("`model.module_path` is a text and `model.kwargs` has keys")
    try:
        json.dumps(kwargs, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _yaml_error(f"`model.kwargs` holds more than plain values: {error}") from error
    return ModelEntry(class_name, module_path, kwargs)


def _read_semantic(archive: Archive, prefix: str, entries: dict[str, Any]) -> dict[str, Any] | None:
    given = entries.get("semantic_specification")
    name = _text(given, "file_name") if isinstance(given, dict) else ""
    data = _read_optional(archive, prefix + (name or SEMANTIC_NAME), limits.SEMANTIC_MEMBER_BYTES_MAX)
    if data is None:
        return None
    try:
        semantic = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _specification_error(name or SEMANTIC_NAME, f"it is no JSON: {error}") from error
    if not isinstance(semantic, dict):
        raise _specification_error(name or SEMANTIC_NAME, "it is no object")
    semantic.setdefault("License", {"Values": ["Apache-2.0"], "Type": "Class"})
    return semantic


def _specification_error(where: str, why: str) -> PackageError:
    return PackageError(
        "A specification in the package cannot be read",
        where=where,
        why=why,
        todo="Build the package again with its specification",
        code="E-PACKAGE-SPECIFICATION",
    )


def _read_statistics(archive: Archive, prefix: str, entries: dict[str, Any]) -> tuple[StatisticalFile, ...]:
    listed = entries.get("stat_specifications")
    if listed is None:
        listed = [{"class_name": "RKMETableSpecification", "file_name": STATISTICAL_NAME}]
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise _yaml_error("`stat_specifications` is no list of entries")
    if len(listed) > limits.STATISTICAL_FILES_MAX:
        raise _yaml_error(f"`stat_specifications` has over {limits.STATISTICAL_FILES_MAX} entries")
    return tuple(_read_statistical(archive, prefix, entry) for entry in listed)


def _read_statistical(archive: Archive, prefix: str, entry: dict[str, Any]) -> StatisticalFile:
    class_name, file_name = _text(entry, "class_name"), _text(entry, "file_name") or STATISTICAL_NAME
    if class_name not in _STATISTICAL_KINDS:
        known = ", ".join(_STATISTICAL_KINDS)
        raise _specification_error(file_name, f"its type {class_name!r} is none of {known}")
    data = archive.read_member(prefix + file_name, bytes_max=limits.STATISTICAL_MEMBER_BYTES_MAX)
    return StatisticalFile(file_name, class_name, data)


def _read_requirements(archive: Archive, prefix: str) -> tuple[str, str] | None:
    for name in REQUIREMENT_NAMES:
        data = _read_optional(archive, prefix + name, limits.TEXT_MEMBER_BYTES_MAX)
        if data is not None:
            return name, data.decode("utf-8", "replace")
    return None


def _read_manifest(archive: Archive, prefix: str) -> Manifest | None:
    data = _read_optional(archive, prefix + MANIFEST_NAME, limits.TEXT_MEMBER_BYTES_MAX)
    if data is None:
        return None
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _manifest_error(MANIFEST_NAME, f"it does not follow its form: {error}") from error
    if manifest.format != MANIFEST_FORMAT:
        raise _manifest_error(MANIFEST_NAME, f"its form {manifest.format} is newer than this Skerry")
    _check_sizes(manifest)
    _check_hashes(archive, prefix, manifest)
    return manifest


def _check_sizes(manifest: Manifest) -> None:
    classes, columns = manifest.classes or [], manifest.columns or []
    if len(classes) > limits.CLASSES_MAX or len(columns) > limits.COLUMNS_MAX:
        raise _manifest_error(MANIFEST_NAME, "it has too many classes or columns")
    if any(len(str(name)) > limits.CLASS_NAME_CHARACTERS_MAX for name in (*classes, *columns)):
        raise _manifest_error(MANIFEST_NAME, "a class or column has too long a name")


def _check_hashes(archive: Archive, prefix: str, manifest: Manifest) -> None:
    present = {name.removeprefix(prefix) for name in archive.names} - {MANIFEST_NAME, SIGNATURE_NAME}
    for name in sorted(present ^ set(manifest.files)):
        reason = (
            "it is not listed in skerry.json"
            if name in present
            else "skerry.json lists it, and it is not there"
        )
        raise _manifest_error(name, reason)
    for name, expected in manifest.files.items():
        digest = hashlib.sha256()
        for chunk in archive.stream_member(prefix + name):
            digest.update(chunk)
        if digest.hexdigest() != expected:
            raise _manifest_error(name, "its bytes are not those that skerry.json lists")


def _manifest_error(where: str, why: str) -> PackageError:
    return PackageError(
        "The package does not agree with its manifest",
        where=where,
        why=why,
        todo="Fetch it again; if it stays so, ask its owner",
        code="E-PACKAGE-MANIFEST",
    )


# --- what a semantic specification of the reference says about answers -----------------------------


def _semantic_values(semantic: Mapping[str, Any] | None, key: str) -> Any:
    entry = (semantic or {}).get(key)
    return entry.get("Values") if isinstance(entry, dict) else None


def _semantic_name(semantic: Mapping[str, Any] | None) -> str:
    value = _semantic_values(semantic, "Name")
    return value if isinstance(value, str) else ""


def _semantic_task(semantic: Mapping[str, Any] | None) -> str:
    values = _semantic_values(semantic, "Task")
    return str(values[0]).lower() if isinstance(values, list) and values else ""


def _output_dimension(semantic: Mapping[str, Any] | None) -> int | None:
    output = (semantic or {}).get("Output")
    dimension = output.get("Dimension") if isinstance(output, dict) else None
    return dimension if isinstance(dimension, int) and 0 < dimension <= limits.CLASSES_MAX else None


def _classes(
    manifest: Manifest | None, semantic: Mapping[str, Any] | None, task: str
) -> tuple[Label, ...] | None:
    if manifest and manifest.classes is not None:
        return tuple(manifest.classes)
    dimension = _output_dimension(semantic)
    return tuple(range(dimension)) if dimension and task == "classification" else None


# --- writing ---------------------------------------------------------------------------------------


def _yaml_bytes(model: ModelEntry, statistics: Sequence[StatisticalFile], *, with_semantic: bool) -> bytes:
    entries: dict[str, Any] = {
        "model": {
            "class_name": model.class_name,
            "module_path": model.module_path,
            "kwargs": dict(model.kwargs),
        },
        "stat_specifications": [
            {
                "module_path": _SPECIFICATION_MODULE,
                "class_name": statistical.class_name,
                "file_name": statistical.file_name,
                "kwargs": {},
            }
            for statistical in statistics
        ],
    }
    if with_semantic:
        entries["semantic_specification"] = {"file_name": SEMANTIC_NAME}
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True).encode()


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as target:
        for name, data in sorted(contents.items()):
            info = zipfile.ZipInfo(name, _ZIP_DATE)
            info.create_system = 3
            info.external_attr = _ZIP_FILE_ATTRIBUTES
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, data)
