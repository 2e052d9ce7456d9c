"""Messages survive the trip whole, and nothing else gets through."""

import io
import json
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skerry.package.frames import Array, FrameError, Message, MessageReader, encode

TYPES = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    arrays.unicode_string_dtypes(endianness="?", max_len=5),
)
ARRAYS = TYPES.flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0))
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def joined(buffers: list[bytes | memoryview]) -> bytes:
    return b"".join(bytes(buffer) for buffer in buffers)


def read(data: bytes, *, bytes_max: int = 2**20) -> Message | None:
    """Read `data` at once and byte by byte; both ways must end alike."""
    once = outcome(data, len(data) or 1, bytes_max)
    slowly = outcome(data, 1, bytes_max)
    assert type(once) is type(slowly)
    if isinstance(once, FrameError):
        raise once
    return once


def outcome(data: bytes, step: int, bytes_max: int) -> Message | FrameError | None:
    reader = MessageReader(bytes_max)
    message = None
    try:
        for at in range(0, len(data), step):
            message = reader.feed(data[at : at + step])
    except FrameError as error:
        return error
    return message


@settings(deadline=None)
@given(st.dictionaries(TEXT.filter(lambda key: key != "arrays"), st.integers()), st.lists(ARRAYS, max_size=3))
def test_a_message_arrives_as_it_was_sent(header: dict[str, int], sent: list[Array]) -> None:
    message = read(joined(encode(header, sent)))
    assert message is not None
    assert {key: value for key, value in message.header.items() if key != "arrays"} == header
    assert len(message.arrays) == len(sent)
    for arrived, original in zip(message.arrays, sent, strict=True):
        assert arrived.dtype == original.dtype.newbyteorder("=")
        np.testing.assert_array_equal(arrived, original)


def frame(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">4sQ", tag, len(data)) + data


def npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def one_array(data: bytes) -> bytes:
    return frame(b"HEAD", b'{"arrays": 1}') + frame(b"ARRY", data)


def header_for(descr: object, shape: object) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('executed')",))


FALSE = {
    "no frame": b"what is this about",
    "array first": frame(b"ARRY", npy(np.zeros(2))),
    "pickled object array": one_array(npy(np.array([Payload()], object))),
    "a bare pickle": one_array(pickle.dumps([1, 2])),
    "header no JSON": frame(b"HEAD", b"{"),
    "header a list": frame(b"HEAD", b"[]"),
    "header without a count": frame(b"HEAD", b"{}"),
    "negative count": frame(b"HEAD", b'{"arrays": -1}'),
    "too many arrays": frame(b"HEAD", b'{"arrays": 100}'),
    "count no number": frame(b"HEAD", b'{"arrays": "1"}'),
    "deep JSON": frame(b"HEAD", b"[" * 100_000),
    "huge length": struct.pack(">4sQ", b"HEAD", 2**63),
    "huge array length": frame(b"HEAD", b'{"arrays": 1}') + struct.pack(">4sQ", b"ARRY", 2**21),
    "record type": one_array(header_for([("a", "<f8")], (1,)) + bytes(8)),
    "object type": one_array(header_for("|O", (1,)) + bytes(8)),
    "complex type": one_array(header_for("<c16", (1,)) + bytes(16)),
    "unknown type": one_array(header_for("<z9", (1,)) + bytes(9)),
    "shape too large": one_array(header_for("<f8", (2**40, 2**40)) + bytes(8)),
    "shape too small": one_array(header_for("<f8", (1,)) + bytes(16)),
    "negative shape": one_array(header_for("<f8", (-1,)) + bytes(8)),
    "too many dimensions": one_array(header_for("<f8", (1,) * 20) + bytes(8)),
    "shape no numbers": one_array(header_for("<f8", ("x",)) + bytes(8)),
    "header of code": one_array(b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"__import__('os')    \n"),
    "long npy header": one_array(header_for("<f8", (0,)) + b" " * 10 + header_for("x" * 9000, ())),
    "later npy version": one_array(b"\x93NUMPY\x03\x00" + bytes(20)),
    "text beyond Unicode": one_array(header_for("<U1", (1,)) + struct.pack("<I", 0x110000)),
    "lone surrogate": one_array(header_for("<U1", (1,)) + struct.pack("<I", 0xD800)),
    "a shape to think about for long": one_array(header_for("<f8", (*range(300), "x"))),
    "bytes after the end": joined(encode({}, [])) + b"more",
}


@pytest.mark.parametrize("fault", FALSE)
def test_what_is_no_message_is_refused(fault: str) -> None:
    data = FALSE[fault]
    with pytest.raises(FrameError):
        outcome_or_raise(data)


def outcome_or_raise(data: bytes) -> Message | None:
    result = outcome(data, len(data), 2**20)
    if isinstance(result, FrameError):
        raise result
    return result


def test_booleans_that_are_none_become_true() -> None:
    message = read(one_array(header_for("|b1", (3,)) + b"\x00\x01\x07"))
    assert message is not None
    assert message.arrays[0].view(np.uint8).tolist() == [0, 1, 1]


@given(st.binary(max_size=300))
def test_random_bytes_never_do_more_than_raise(data: bytes) -> None:
    outcome(data, len(data) or 1, 1000)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_never_does_more_than_raise(position: int, value: int) -> None:
    data = bytearray(joined(encode({"ok": True}, [np.arange(6.0).reshape(2, 3), np.array(["a", "b"])])))
    data[position % len(data)] = value
    outcome(bytes(data), len(data), 1000)


def test_objects_are_not_sent() -> None:
    with pytest.raises(FrameError):
        encode({}, [np.array([object()])])
    with pytest.raises(FrameError):
        encode({"text": "x" * 2**23})
    assert json.loads(joined(encode({"a": 1}))[12:]) == {"a": 1, "arrays": 0}
