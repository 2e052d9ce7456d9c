"""Every reuser passes scikit-learn's checks, as classifier and as regressor, over real learnwares."""

from __future__ import annotations

import pytest

from skerry.reuse import stacking
from tests.reuse.conventions import EXCUSED, OwnAutoReuse, OwnJobSelector, OwnLearnwares, example, run_checks

# The checks look at form, and make hundreds of fits: what only makes answers better is kept small.
HURRY: dict[type[OwnLearnwares], dict[str, float]] = {
    OwnAutoReuse: {"budget_seconds": 0.0},
    OwnJobSelector: {"herded": 10, "trees": 5},
}


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("reuser", OwnLearnwares.__subclasses__(), ids=lambda reuser: reuser.__name__[3:])
def test_scikit_learns_checks_pass(
    reuser: type[OwnLearnwares], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacking, "LOGISTIC_CS", stacking.LOGISTIC_CS[-2:])
    run_checks(reuser([example(task)], **HURRY.get(reuser, {})), EXCUSED)
