"""Every bound of the package component, with its unit and its reason.

An archive, a blob, a frame and a worker all come from strangers, so each quantity that they could
choose is capped here. Units and qualifiers stand last in a name.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# --- archives -----------------------------------------------------------------------------------
ARCHIVE_BYTES_MAX: Final = 1 * GIB
"""Size of a package zip; what the reference's own upload page allows."""
ARCHIVE_COMMENT_BYTES_MAX: Final = 1 * KIB
"""The zip comment: nobody reads it, and 64 KiB of it slow every search for the end record."""
CENTRAL_DIRECTORY_BYTES_MAX: Final = 4 * MIB
"""Central directory: 4,096 members with long names and extra fields fit in it."""
MEMBERS_MAX: Final = 4096
"""Files and folders in one package; a model with its vocabulary needs tens."""
MEMBER_BYTES_MAX: Final = 2 * GIB
"""One unpacked member; the ONNX format itself ends at 2 GiB."""
UNPACKED_BYTES_MAX: Final = 4 * GIB
"""All unpacked members together: the disk that one package may take."""
MEMBER_RATIO_MAX: Final = 200
"""Unpacked over packed bytes of a member. Deflate reaches 1,032; models and JSON stay below 50."""
MEMBER_RATIO_FREE_BYTES: Final = 8 * MIB
"""Members up to this size may have any ratio: an empty table compresses well and harms nobody."""
NAME_BYTES_MAX: Final = 240
"""A member's name in UTF-8; leaves room for a prefix under the 255 bytes of most file systems."""
NAME_DEPTH_MAX: Final = 16
"""Folders in a member's name."""
CHUNK_BYTES: Final = 256 * KIB
"""Step of every streamed copy: the memory that reading a member of any size takes."""
TEXT_MEMBER_BYTES_MAX: Final = 1 * MIB
"""A member that is parsed as text: learnware.yaml, skerry.json, requirements."""
SEMANTIC_MEMBER_BYTES_MAX: Final = 8 * MIB
"""The semantic specification; a description of thousands of columns stays below it."""
STATISTICAL_MEMBER_BYTES_MAX: Final = 64 * MIB
"""A statistical file: the reference allows 1,310,720 numbers, some 25 bytes each in its JSON."""
STATISTICAL_FILES_MAX: Final = 8
"""Statistical files that one learnware.yaml may name."""
YAML_DEPTH_MAX: Final = 32
"""Nesting of learnware.yaml; deeper input exhausts the parser's stack."""
CLASSES_MAX: Final = 65_536
"""Class names of one model."""
CLASS_NAME_CHARACTERS_MAX: Final = 1024
"""Length of one class name."""
COLUMNS_MAX: Final = 65_536
"""Column names of one model."""

# --- blobs --------------------------------------------------------------------------------------
LEAF_BYTES: Final = 256 * KIB
"""A leaf of the hash tree: what a peer may send before it is verified. A small fraction of a
second on a slow line, and 4,096 hashes (128 KiB) for the largest package."""
BLOB_BYTES_MAX: Final = 4 * GIB
"""The largest blob; 16,384 leaves, so a leaf list is at most 512 KiB."""
BLOB_STALE_SECONDS: Final = 7 * 24 * 3600
"""Temporary files and partial downloads untouched for so long are swept."""

# --- workers ------------------------------------------------------------------------------------
HEADER_FRAME_BYTES_MAX: Final = 4 * MIB
"""The JSON header of a call or an answer; 65,536 class names fit in it."""
ARRAY_FRAME_BYTES_MAX: Final = 1 * GIB
"""One array on its way into a worker."""
ARRAYS_PER_CALL_MAX: Final = 4
"""Arrays in one call or answer: X and y are two."""
OUTPUT_BYTES_PER_ROW_MAX: Final = 1 * MIB
"""One row of an answer; 65,536 class probabilities in float64 are half of it."""
OUTPUT_BYTES_MIN: Final = 64 * KIB
"""What an answer may always have, however few its rows: room for the array's own header."""
NPY_HEADER_BYTES_MAX: Final = 4 * KIB
"""The header of a .npy frame."""
STDERR_BYTES_MAX: Final = 16 * KIB
"""The tail of a worker's standard error that is kept for the error message."""
ERROR_CHARACTERS_MAX: Final = 2000
"""Text of a worker's own error that is shown; it comes from a stranger."""
START_SECONDS_MAX: Final = 120.0
"""Start of a worker, imports included: TensorFlow on a cold disk takes most of a minute."""
CALL_SECONDS_MAX: Final = 60.0
"""One call, unless the caller says otherwise."""
STOP_SECONDS_MAX: Final = 5.0
"""Waiting for a killed process tree to be gone."""
IDLE_SECONDS_MAX: Final = 60.0
"""A warm worker without a call for so long is stopped."""
WORKERS_MAX: Final = 8
"""Warm workers of one pool; the least recently used one makes room."""
WORKER_MEMORY_BYTES_MAX: Final = 4 * GIB
"""Address space of a confined worker."""
WORKER_FILE_BYTES_MAX: Final = 256 * MIB
"""The largest file a confined worker may write."""
WORKER_SCRATCH_BYTES_MAX: Final = 256 * MIB
"""The private temporary folder of a confined worker (level A; a level B worker has none)."""
WORKER_PROCESSES_MAX: Final = 256
"""Processes and threads of a confined worker."""
WORKER_OPEN_FILES_MAX: Final = 256
"""Open files of a confined worker."""
WORKER_CPU_SECONDS_MAX: Final = 24 * 3600
"""Processor time of one confined worker over its whole life: a backstop behind the deadlines."""

NUMBERED_CLASSES_MAX: Final = 50
"""Distinct whole numbers in a target that still count as classes. An ONNX file does not say whether it is a
classifier, and a target with more values is nearly always a quantity that was rounded."""

# --- environments -------------------------------------------------------------------------------
REQUIREMENTS_MAX: Final = 500
"""Lines of a requirements file; a full conda export has about 400."""
REQUIREMENT_CHARACTERS_MAX: Final = 300
"""One requirement with its extras and version bounds."""
ENVIRONMENT_SECONDS_MAX: Final = 1800.0
"""Resolving or installing one environment; PyTorch over a slow line takes a quarter of an hour."""
