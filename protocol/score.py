"""What a peer is worth: a score of four terms.

    score = useful - invalid - broken - abuse

``useful`` counts first deliveries and answers, ``invalid`` what did not verify, ``broken`` promises (a
request not answered in time, an announcement not kept) and ``abuse`` (too much, too often). Each term halves
every ``SCORE_HALF_LIFE_SECONDS``.

Rules of this file:

1. Neither the address nor who shares it enters: institutions sit behind one.
2. ``useful`` is capped, so that nobody saves up for an attack, and decays, so that a silent peer falls to 0
   and is the first to go when a link is needed (GossipSub's silent peers kept theirs: CVE-2022-47547).
3. ``broken`` is capped above the threshold at which a peer is cut off: slowness alone never cuts anybody off.
   :class:`ScoreConfig` refuses values for which that does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LocalProtocolError
from .limits import SCORE_HALF_LIFE_SECONDS


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Weights and thresholds, in points.

    Parameters
    ----------
    useful_max
        Most that usefulness can be worth.
    invalid_weight
        Cost of one invalid record or frame.
    broken_weight, broken_max
        Cost of one broken promise, and the most that all of them cost.
    abuse_weight
        Cost of one unit of abuse.
    cut_off_below
        A peer whose score falls below is disconnected, and not dialled again before it recovered.
    """

    useful_max: float = 10.0
    invalid_weight: float = 8.0
    broken_weight: float = 1.0
    broken_max: float = 10.0
    abuse_weight: float = 2.0
    cut_off_below: float = -20.0

    def __post_init__(self) -> None:
        """Refuse values that break a rule of this file."""
        weights = (self.useful_max, self.invalid_weight, self.broken_weight, self.abuse_weight)
        if min(weights) <= 0:
            raise LocalProtocolError("a weight of the peer score is not positive", where=repr(self))
        if -self.broken_max <= self.cut_off_below:
            raise LocalProtocolError("slowness alone could cut a peer off", where=repr(self))
        if self.invalid_weight * 3 + self.useful_max < -self.cut_off_below / 2:
            raise LocalProtocolError("invalid records would go unpunished", where=repr(self))


@dataclass(slots=True)
class Score:
    """The four terms of one peer, as of ``updated`` (monotonic seconds)."""

    config: ScoreConfig
    updated: float
    useful: float = 0.0
    invalid: float = 0.0
    broken: float = 0.0
    abuse: float = 0.0
    useful_at: float = float("-inf")
    """When it was useful last."""

    def value(self, now: float) -> float:
        """Return the score now."""
        self._decay(now)
        return self.useful - self.invalid - min(self.broken, self.config.broken_max) - self.abuse

    def cut_off(self, now: float) -> bool:
        """Return whether the peer has to go."""
        return self.value(now) < self.config.cut_off_below

    def was_useful(self, now: float) -> None:
        """Count something new that verified, or an answer."""
        self._decay(now)
        self.useful = min(self.useful + 1.0, self.config.useful_max)
        self.useful_at = now

    def was_invalid(self, now: float) -> None:
        """Count something that did not verify."""
        self._decay(now)
        self.invalid += self.config.invalid_weight

    def broke_promise(self, now: float) -> None:
        """Count a request without an answer in time, or an announcement not kept."""
        self._decay(now)
        self.broken = min(self.broken + self.config.broken_weight, self.config.broken_max)

    def was_abusive(self, now: float, amount: float = 1.0) -> None:
        """Count what exceeds a limit."""
        self._decay(now)
        self.abuse += self.config.abuse_weight * amount

    def _decay(self, now: float) -> None:
        factor = 0.5 ** (max(0.0, now - self.updated) / SCORE_HALF_LIFE_SECONDS)
        self.updated = max(self.updated, now)
        self.useful *= factor
        self.invalid *= factor
        self.broken *= factor
        self.abuse *= factor
