"""Write the effects of all traces anew: ``python -m tests.machines``; the difference is then for a reviewer
to read."""

from __future__ import annotations

from pathlib import Path

from tests.machines.interpreter import replay

for path in sorted(Path(__file__).parent.glob("*.txt")):
    path.write_text(replay(path.read_text()))
    print(path.name)
