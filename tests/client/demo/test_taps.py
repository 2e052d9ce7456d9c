"""The tap reader must find rows wherever a careless node would put them; else "0 rows" would mean nothing."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from skerry.client.demo.hospitals import NAMES, load
from skerry.client.demo.taps import read_tap, rows_found

ROWS = np.concatenate([load(name).rows for name in NAMES])
RECORDED = np.concatenate([load(name).recorded for name in NAMES])
NOISE = random.Random(1).randbytes(5000)


def found(tmp_path: Path, data: bytes, rows: np.ndarray = ROWS) -> set[int]:
    path = tmp_path / "sent.tap"
    path.write_bytes(data)
    return rows_found([read_tap(path)], rows)


def same(rows: np.ndarray, number: int) -> set[int]:
    """Return the rows with the same values as one: patients can be alike."""
    return {i for i, row in enumerate(rows) if row.tobytes() == rows[number].tobytes()}


def test_nothing_is_found_in_noise(tmp_path: Path) -> None:
    assert found(tmp_path, NOISE) == set()


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4"])
@pytest.mark.parametrize("offset", [0, 1, 7])
def test_a_binary_row_is_found_at_any_offset(tmp_path: Path, dtype: str, offset: int) -> None:
    data = NOISE[:offset] + ROWS[700].astype(dtype).tobytes() + NOISE
    assert found(tmp_path, data) >= {700}
    assert len(found(tmp_path, data)) <= 2


@pytest.mark.parametrize("separator", [",", ", ", ";", "\t", " "])
@pytest.mark.parametrize("whole", ["{:g}", "{!r}"])
def test_a_row_as_text_is_found(tmp_path: Path, separator: str, whole: str) -> None:
    text = separator.join("" if np.isnan(value) else whole.format(float(value)) for value in ROWS[350])
    assert found(tmp_path, NOISE + b"\x00" + text.encode() + b"\x00" + NOISE) == same(ROWS, 350)


def test_a_line_of_the_file_is_found(tmp_path: Path) -> None:
    line = (Path(__file__).parents[3] / "client/demo/switzerland.csv").read_text().splitlines()[5]
    assert found(tmp_path, line.encode(), RECORDED) == {303 + 294 + 4}


def test_a_row_in_a_json_list_is_found(tmp_path: Path) -> None:
    assert 5 in found(tmp_path, json.dumps({"row": ROWS[5].tolist()}).encode())


def test_a_row_in_a_compressed_package_is_found(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("learnware.yaml", "x: 1\n" * 100)
        archive.writestr("model.pkl", np.ascontiguousarray(ROWS[:50]).tobytes())
    assert found(tmp_path, NOISE + file.getvalue() + NOISE) >= set(range(50))


@pytest.mark.parametrize("size", [10, 1000, 70_000])
def test_a_row_in_a_masked_frame_is_found(tmp_path: Path, size: int) -> None:
    message = msgspec.msgpack.encode({"type": "cards", "cards": [ROWS[9].tobytes(), bytes(size)]})
    mask = b"\x37\xfa\x21\x3d"
    head = b"\x82" + (
        bytes([0x80 | len(message)]) if len(message) < 126
        else b"\xfe" + len(message).to_bytes(2, "big") if len(message) < 65536
        else b"\xff" + len(message).to_bytes(8, "big")
    )  # fmt: skip
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(message))
    assert found(tmp_path, NOISE + head + mask + masked + NOISE) == same(ROWS, 9)


def test_blob_answers_are_counted_by_name(tmp_path: Path) -> None:
    name = "ab" * 32
    head = f'HTTP/1.1 206 Partial Content\r\nContent-Length: 500\r\nETag: "{name}"\r\n\r\n'.encode()
    other = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"
    (tmp_path / "tap").write_bytes(NOISE + head + bytes(500) + other + head + bytes(500))
    sent = read_tap(tmp_path / "tap")
    assert sent.blobs == {name: 1000}
    assert sent.size == len(NOISE) + 2 * (len(head) + 500) + len(other)
