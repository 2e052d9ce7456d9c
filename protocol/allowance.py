"""What somebody may still make others do: units that refill with time, up to a bound (a token bucket)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Allowance:
    """Units that refill with time.

    Parameters
    ----------
    per_second
        How fast.
    saved_max
        How many are saved up at most, and there at first.
    """

    per_second: float
    saved_max: float
    left: float = field(init=False)
    _updated: float = 0.0

    def __post_init__(self) -> None:
        """Begin with all that can be saved."""
        self.left = self.saved_max

    def spend(self, units: float, now: float) -> bool:
        """Take units; False when fewer are left."""
        self.left = min(self.saved_max, self.left + (now - self._updated) * self.per_second)
        self._updated = now
        if self.left < units:
            return False
        self.left -= units
        return True

    def owe(self, units: float) -> None:
        """Take units that were used already: how many was not known before."""
        self.left -= units
