"""Messages between a caller and a worker: a JSON header and arrays, framed by their lengths.

Theory of operation. A message is one header frame, then as many array frames as the header's
``arrays`` says. A frame is a 4-byte tag, its length as 8 bytes big-endian, and that many bytes:
``HEAD`` holds a JSON object, ``ARRY`` one array in the ``.npy`` format. Both ends use this module, the
far one inside the sandbox, so it imports nothing but the standard library, numpy and the limits.

Rules:

1. What is read was written by a stranger. Lengths are checked before bytes are collected, shape and
   type before an array is made, and nothing that is read can execute: no pickles, no objects.
2. Only booleans, integers, floats and fixed-width text travel.
3. :class:`MessageReader` does no I/O: bytes in, messages out, ``FrameError`` on anything wrong.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import limits

Array = npt.NDArray[Any]

_FRAME: Final = struct.Struct(">4sQ")
_HEADER_TAG: Final = b"HEAD"
_ARRAY_TAG: Final = b"ARRY"
_KINDS: Final = "biufU"
_DIMENSIONS_MAX: Final = 8
_NPY_HEADER: Final = re.compile(
    rb"\x93NUMPY\x01\x00[\x00-\xff]{2}\{'descr': '(?P<descr>[<|][biufU]\d{1,8})', "
    rb"'fortran_order': False, 'shape': \((?P<shape>(?:\d{1,15}(?:, \d{1,15})*,?)?)\), \} *\n"
)
_CODE_POINT_MAX: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xDFFF)


class FrameError(ValueError):
    """The other end sent something that is no message."""


@dataclass(frozen=True)
class Message:
    """One call or answer."""

    header: dict[str, Any]
    arrays: tuple[Array, ...]


def encode(header: dict[str, Any], arrays: Sequence[Array] = ()) -> list[bytes | memoryview]:
    """Return a message as buffers to be written one after the other; array data is not copied.

    Raises
    ------
    FrameError
        An array has a type that does not travel, or the message is too large to be read.
    """
    text = json.dumps({**header, "arrays": len(arrays)}).encode()
    if len(text) > limits.HEADER_FRAME_BYTES_MAX or len(arrays) > limits.ARRAYS_PER_CALL_MAX:
        raise FrameError("the message is too large")
    buffers: list[bytes | memoryview] = [_FRAME.pack(_HEADER_TAG, len(text)) + text]
    for array in arrays:
        buffers.extend(_encode_array(array))
    return buffers


class MessageReader:
    """Collects bytes until a message is whole.

    Parameters
    ----------
    array_bytes_max
        The longest array frame that is accepted.
    """

    def __init__(self, array_bytes_max: int) -> None:
        self._array_bytes_max = array_bytes_max
        self._buffer = bytearray()
        self._header: dict[str, Any] | None = None
        self._arrays: list[Array] = []

    def feed(self, data: bytes) -> Message | None:
        """Take more bytes; return the message they complete, if they do.

        Raises
        ------
        FrameError
            The bytes are no message, or more follow its end.
        """
        self._buffer += data
        while (frame := self._next_frame()) is not None:
            if self._header is None:
                self._header = _decode_header(frame)
            else:
                self._arrays.append(_decode_array(frame))
            if len(self._arrays) == self._header["arrays"]:
                return self._complete(self._header)
        return None

    def _complete(self, header: dict[str, Any]) -> Message:
        if self._buffer:
            raise FrameError("bytes follow the end of the message")
        message = Message(header, tuple(self._arrays))
        self._header, self._arrays = None, []
        return message

    def _next_frame(self) -> bytes | None:
        if len(self._buffer) < _FRAME.size:
            return None
        tag, size = _FRAME.unpack_from(self._buffer)
        expected = _HEADER_TAG if self._header is None else _ARRAY_TAG
        bytes_max = limits.HEADER_FRAME_BYTES_MAX if self._header is None else self._array_bytes_max
        if tag != expected:
            raise FrameError("the bytes are no frame")
        if size > bytes_max:
            raise FrameError(f"a frame of {size} bytes where at most {bytes_max} are accepted")
        end = _FRAME.size + size
        if len(self._buffer) < end:
            return None
        frame = bytes(memoryview(self._buffer)[_FRAME.size : end])
        del self._buffer[:end]
        return frame


def _decode_header(frame: bytes) -> dict[str, Any]:
    try:
        header = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise FrameError("the header is no JSON") from error
    if not isinstance(header, dict):
        raise FrameError("the header is no object")
    count = header.get("arrays")
    if not isinstance(count, int) or not 0 <= count <= limits.ARRAYS_PER_CALL_MAX:
        raise FrameError("the header names no number of arrays")
    return header


def _encode_array(array: Array) -> list[bytes | memoryview]:
    if array.dtype.kind not in _KINDS:
        raise FrameError(f"an array of type {array.dtype} does not travel")
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    )
    size = len(header.getvalue()) + array.nbytes
    if size > limits.ARRAY_FRAME_BYTES_MAX:
        raise FrameError(f"an array of {size} bytes; at most {limits.ARRAY_FRAME_BYTES_MAX} travel at once")
    frame: list[bytes | memoryview] = [_FRAME.pack(_ARRAY_TAG, size) + header.getvalue()]
    if array.nbytes:
        frame.append(array.reshape(-1).view(np.uint8).data)
    return frame


def _decode_array(frame: bytes) -> Array:
    """Read a ``.npy``; its header is matched as text, since numpy's own reader evaluates it as Python."""
    match = _NPY_HEADER.match(frame[: limits.NPY_HEADER_BYTES_MAX])
    if match is None:
        raise FrameError("the array has no .npy header, or a type that does not travel")
    shape = tuple(int(size) for size in re.findall(rb"\d+", match["shape"]))
    data = memoryview(frame)[match.end() :]
    try:
        dtype = np.dtype(match["descr"].decode())
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError("the array has an unknown type") from error
    if len(shape) > _DIMENSIONS_MAX or math.prod(shape) * dtype.itemsize != len(data):
        raise FrameError("the array's shape and its bytes disagree")
    if not len(data):
        return _empty(shape, dtype)
    return _clean(np.frombuffer(data, dtype).reshape(shape))


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if (
        math.prod(shape) > limits.ARRAY_FRAME_BYTES_MAX
        or max(shape, default=0) > limits.ARRAY_FRAME_BYTES_MAX
    ):
        raise FrameError("the array has an impossible shape")
    return np.zeros(shape, dtype.newbyteorder("="))


def _clean(array: Array) -> Array:
    """Return a native array whose every value is one that numpy itself could have made."""
    if array.dtype.kind == "b":
        return np.asarray(array.view(np.uint8) != 0)
    array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "U":
        points = np.ascontiguousarray(array).view(np.uint32)
        low, high = _SURROGATES
        if points.size and (points.max() > _CODE_POINT_MAX or ((points >= low) & (points <= high)).any()):
            raise FrameError("the text in the array is not Unicode")
    return array
