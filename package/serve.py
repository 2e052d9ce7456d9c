"""The far end of a worker: load the model, answer calls, over two pipes.

Theory of operation. A first message, unasked, says that the process is ready for the package, and so
confined if it was to be. From then on one answer follows one call: to ``load`` the description of the
model, to its methods ``{"ok": true}`` with one array; to any, ``{"ok": false, "error": ...}``. An
error of the model is an answer like any other; only the end of the calls ends the worker. The caller
believes nothing of what is said here: a package's code could say anything in its place.

Runs inside the sandbox, so it imports the standard library, numpy, :mod:`.frames` and :mod:`.lanes`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from . import limits
from .frames import Array, FrameError, Message, MessageReader, encode

METHODS: Final = ("predict", "predict_proba", "finetune", "convert")
_PACKAGE_MODULE: Final = "skerry_learnware"
_READ_BYTES: Final = 1024 * 1024


class Model(Protocol):
    """What every lane makes of a package."""

    def predict(self, X: Any) -> Any:
        """Return one answer a row."""
        ...


def serve(entry: Mapping[str, Any], calls: int, answers: int) -> None:
    """Load the model that `entry` describes and answer calls until there are no more.

    Parameters
    ----------
    entry
        ``lane``, ``folder`` (the unpacked package), ``classes`` (labels, or None) and, for the python
        lane, ``shim`` (a folder for the module path), ``class_name``, ``module_path`` and ``kwargs``.
    calls, answers
        Descriptors to read from and to write to.
    """
    _write(answers, encode({"ok": True}))
    reader = MessageReader(limits.ARRAY_FRAME_BYTES_MAX)
    model: Model | None = None
    while data := os.read(calls, _READ_BYTES):
        message = reader.feed(data)
        if message is None:
            continue
        try:
            if model is None:
                model = _load(entry)
                answer = encode(_description(model))
            else:
                answer = _answer(model, message)
        except Exception:  # noqa: BLE001 - supervision: the package's code may raise anything
            answer = encode({"ok": False, "error": _last_error()})
        _write(answers, answer)


def _load(entry: Mapping[str, Any]) -> Model:
    if entry["lane"] == "python":
        return _load_python(entry)
    from . import lanes

    file = Path(entry["folder"]) / lanes.FILE_NAMES[entry["lane"]]
    model: Model = lanes.load(entry["lane"], file.read_bytes(), entry["classes"])
    return model


def _load_python(entry: Mapping[str, Any]) -> Model:
    """Import the package's module as a package of its own, so that its relative imports work."""
    sys.path.insert(0, entry["shim"])
    folder = Path(entry["folder"])
    module_path = entry["module_path"]
    if module_path.endswith(".py"):
        module = _import_file(folder, module_path)
    else:
        _import_file(folder, "__init__.py")
        module = importlib.import_module(f"{_PACKAGE_MODULE}.{module_path}")
    model_class = getattr(module, entry["class_name"])
    # A pickle that was made in a script names its classes as members of __main__.
    setattr(sys.modules["__main__"], entry["class_name"], model_class)
    model: Model = model_class(**entry["kwargs"])
    return model


def _import_file(folder: Path, name: str) -> types.ModuleType:
    path = folder / name
    spec = importlib.util.spec_from_file_location(
        _PACKAGE_MODULE, path, submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE_MODULE] = module
    spec.loader.exec_module(module)
    return module


def _description(model: Model) -> dict[str, Any]:
    return {
        "ok": True,
        "methods": [name for name in METHODS if _offers(model, name)],
        "input_shape": _shape(getattr(model, "input_shape", None)),
        "output_shape": _shape(getattr(model, "output_shape", None)),
    }


def _offers(model: Model, name: str) -> bool:
    """Return whether the model has the method and does more with it than inherit the empty one."""
    if name != "finetune":
        return callable(getattr(model, name, None))
    method = getattr(type(model), name, None)
    return method is not None and not method.__module__.startswith("learnware.")


def _shape(shape: Any) -> list[int] | None:
    """Return a declared shape as a list; None when it is not declared, or varies."""
    sizes = list(np.atleast_1d(np.asarray(shape if shape is not None else (), dtype=object)))
    plain = all(isinstance(size, (int, np.integer)) for size in sizes)
    return [int(size) for size in sizes] if shape is not None and plain else None


def _answer(model: Model, message: Message) -> list[bytes | memoryview]:
    answer = _method(model, message.header.get("method"))(*message.arrays)
    return encode({"ok": True}, [] if answer is None else [plain(answer)])


def _method(model: Model, name: Any) -> Callable[..., Any]:
    if name not in METHODS:
        raise FrameError(f"no method {name!r}")
    method: Callable[..., Any] = getattr(model, name)
    return method


def plain(answer: Any) -> Array:
    """Return a model's answer as an array that can travel: tensors and lists become arrays, objects text."""
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu().numpy()
    array = np.asarray(answer)
    return np.asarray(array.tolist()) if array.dtype.kind == "O" else array


def _last_error() -> str:
    return traceback.format_exc()[-limits.ERROR_CHARACTERS_MAX :]


def _write(answers: int, buffers: list[bytes | memoryview]) -> None:
    for buffer in buffers:
        view = memoryview(buffer)
        while view:
            view = view[os.write(answers, view) :]
