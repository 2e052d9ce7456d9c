"""``python offset_clock.py FILE serve ...``: a node whose wall clock is ahead by the seconds in a file."""

from __future__ import annotations

import sys
import time
from pathlib import Path

_offset = Path(sys.argv[1])
_real_time = time.time


def _ahead() -> float:
    return _real_time() + float(_offset.read_text("ascii"))


if __name__ == "__main__":
    time.time = _ahead
    from skerry.node.__main__ import main

    sys.exit(main(sys.argv[2:]))
