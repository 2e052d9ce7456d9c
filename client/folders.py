"""Where the client looks for the node, and where it keeps what it fetched.

The node's folder is the first of: what the caller says, ``SKERRY_HOME``, the platform's folder for
application data. The cache is the first of: what the caller says, ``SKERRY_CACHE``, the platform's cache
folder; the cache can be deleted at any time and costs a download.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import platformdirs

NODE_FOLDER_VARIABLE: Final = "SKERRY_HOME"
CACHE_FOLDER_VARIABLE: Final = "SKERRY_CACHE"
APPLICATION: Final = "skerry"

_CACHE_TAG = "CACHEDIR.TAG"
_CACHE_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# Fetched learnwares; see `skerry --help`.\n"


def node_folder(given: Path | str | None = None) -> Path:
    """Return the folder of the node on this machine, which may not exist yet."""
    named = given or os.environ.get(NODE_FOLDER_VARIABLE)
    return Path(named) if named else platformdirs.user_data_path(APPLICATION)


def cache_folder(given: Path | str | None = None) -> Path:
    """Return the cache folder, made when missing and tagged so that backup programs leave it out.

    See https://bford.info/cachedir/ for the tag.
    """
    named = given or os.environ.get(CACHE_FOLDER_VARIABLE)
    folder = Path(named) if named else platformdirs.user_cache_path(APPLICATION)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tag = folder / _CACHE_TAG
    if not tag.exists():
        tag.write_text(_CACHE_SIGNATURE, encoding="ascii")
    return folder
