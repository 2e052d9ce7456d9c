"""A reuser for learnwares whose columns are not the searcher's: each behind a bridge of its own.

A learned bridge is a guess. With labels it is held against three baselines that need none of it:

- the searcher's *own model*: boosted trees on the labelled rows;
- *ridge*: a linear model on the searcher's columns;
- the *untrained map*: a random linear map into the owner's columns, as the reference engine's map between
  feature spaces is before anybody trained it.

The bridged learnwares answer only where none of the three does better; otherwise the best baseline does.
Without labels the bridged learnwares answer, since nothing speaks against them, and their confidence is all
that is known.

Rules of this file:

1. Bridged learnwares saw no label, so their loss is measured on all labelled rows; baselines that train are
   cross-validated.
2. The loss of a row is its Brier score or its squared error, as everywhere in this component.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skerry.spec.bridging import Bridge, fit_bridge
from skerry.spec.fit import fit_table
from skerry.spec.rkme import Rkme
from skerry.spec.table import marginals_of

from .base import Reuser, is_classifying, misfit, positions
from .inputs import Array, column_names
from .learnware import Floats, Learnware, one_hot
from .limits import FOLDS_MAX, FOLDS_MIN
from .stacking import linear_model

BRIDGED = "bridged"


@dataclass(frozen=True)
class BridgeTrial:
    """What the labels said of the bridged learnwares, or of a baseline.

    Parameters
    ----------
    name
        ``"bridged"``, ``"own model"``, ``"ridge"`` or ``"untrained map"``.
    loss
        Mean Brier score or squared error over the labelled rows; None where it could not be measured.
    """

    name: str
    loss: float | None


class Bridged(Reuser):
    """The plain average of learnwares whose columns differ from the searcher's, each behind a bridge.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    bridges
        A bridge for each learnware, such as a published one; by default learned from the rows given to
        ``fit`` (:func:`skerry.spec.fit_bridge`).
    random_state
        Seed of the untrained map.

    Attributes
    ----------
    bridges_
        The bridges, one a learnware.
    confidence_
        The mean of their confidences.
    trials_
        What the labels said of the bridges and of each baseline; empty without labels.
    chosen_
        Who answers: ``"bridged"``, or the baseline that did better.
    """

    def __init__(
        self,
        learnwares: Sequence[Any] = (),
        *,
        bridges: Sequence[Bridge] | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(learnwares)
        self.bridges = bridges
        self.random_state = random_state

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Learn the bridges from rows, and with labels whether they are worth crossing.

        Raises
        ------
        SpecificationError
            ``E-SPEC-BRIDGE`` when no column of a learnware can be matched, ``E-REUSE-LEARNWARES`` when a
            learnware has no specification or the rows are missing.
        """
        if X is None:
            raise misfit("bridges are learned from rows")
        rows, labels = self._start(X, y)
        rkmes = [_specification(member) for member in self.learnwares_]
        names = list(getattr(self, "feature_names_in_", ())) or None
        requirement = fit_table(rows, columns=names)
        given = self.bridges
        self.bridges_: list[Bridge] = (
            [fit_bridge(rkme, requirement) for rkme in rkmes] if given is None else list(given)
        )
        if len(self.bridges_) != len(rkmes):
            raise misfit(f"there are {len(self.bridges_)} bridges for {len(rkmes)} learnwares")
        self.confidence_: float = float(np.mean([bridge.confidence for bridge in self.bridges_]))
        self._maps = UntrainedMaps(rows, rkmes, self.random_state)
        self.trials_: list[BridgeTrial] = []
        self.chosen_: str = BRIDGED
        self._own: Any = None
        if labels is not None:
            self._try(rows, labels)
        return self

    def _set_columns(self, X: Any) -> None:
        """Keep the searcher's columns: the learnwares' own are across the bridges."""
        names = column_names(X)
        if names is not None:
            self.feature_names_in_: npt.NDArray[Any] = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _answers(self, X: Any) -> Floats:
        rows = self._rows(X)
        if self._own is not None:
            return self._trained_answer(self._own, rows)
        return self._pooled(rows, self._across if self.chosen_ == BRIDGED else self._maps)

    def _across(self, rows: Array, place: int) -> Floats:
        return np.asarray(self.bridges_[place].transform(rows), np.float64)

    def _pooled(self, rows: Array, turned: Callable[[Array, int], Floats]) -> Floats:
        """Return the mean answer of the learnwares to rows that were turned into their columns."""
        answers = [
            self._member_answer(member, turned(rows, place)) for place, member in enumerate(self.learnwares_)
        ]
        mean: Floats = np.mean(answers, axis=0)
        return mean

    def _for_member(self, rows: Array, member: Learnware) -> Array:  # noqa: ARG002 - one signature
        """Return the rows, which stand in the member's columns already."""
        return rows

    def _try(self, rows: Array, labels: Array) -> None:
        """Measure the bridges and the baselines, and let the best answer."""
        truth = one_hot(labels, self.classes_) if is_classifying(self) else labels
        self.trials_ = [
            BridgeTrial(BRIDGED, _loss(self._pooled(rows, self._across), truth)),
            *(
                BridgeTrial(name, self._cross_validated(model, rows, labels, truth))
                for name, model in baselines(labels, classify=is_classifying(self)).items()
            ),
            BridgeTrial("untrained map", _loss(self._pooled(rows, self._maps), truth)),
        ]
        measured = {trial.name: trial.loss for trial in self.trials_ if trial.loss is not None}
        self.chosen_ = min(measured, key=lambda name: (measured[name], name != BRIDGED))
        if self.chosen_ in baselines(labels, classify=is_classifying(self)):
            self._own = baselines(labels, classify=is_classifying(self))[self.chosen_].fit(rows, labels)

    def _cross_validated(self, model: Any, rows: Array, labels: Array, truth: Array) -> float | None:
        folds = folds_of(labels, classify=is_classifying(self))
        if folds is None:
            return None
        answers = np.zeros(truth.shape)
        for learn, test in folds.split(rows, labels):
            fitted = clone(model).fit(rows[learn], labels[learn])
            answers[test] = self._trained_answer(fitted, rows[test])
        return _loss(answers, truth)

    def _trained_answer(self, model: Any, rows: Array) -> Floats:
        if not is_classifying(self):
            return np.asarray(model.predict(rows), dtype=np.float64)
        answers = np.zeros((len(rows), len(self.classes_)))
        known = np.isin(model.classes_, self.classes_)
        places = positions(model.classes_[known], self.classes_)
        answers[:, places] = model.predict_proba(rows)[:, known]
        return answers


class UntrainedMaps:
    """Random linear maps from the searcher's standardised columns into each owner's: ``maps(rows, place)``.

    Parameters
    ----------
    rows
        (n, d) the searcher's rows, which are standardised by their own mean and spread.
    rkmes
        The owners' specifications.
    seed
        Seed of the maps.
    """

    def __init__(self, rows: Array, rkmes: Sequence[Rkme], seed: int) -> None:
        known = marginals_of(np.asarray(rows, np.float64))
        self._location = known.location
        self._spread = np.where(known.spread > 0, known.spread, 1.0)
        rng = np.random.default_rng(seed)
        width = rows.shape[1]
        self._turns = [rng.normal(size=(width, rkme.dimension)) / np.sqrt(width) for rkme in rkmes]
        self._owners = [rkme.marginals for rkme in rkmes]

    def __call__(self, rows: Array, place: int) -> Floats:
        """Return rows (n, d) in the columns of the owner at a place, (n, its columns)."""
        owner = self._owners[place]
        scaled = np.nan_to_num((rows - self._location) / self._spread)
        mapped: Floats = scaled @ self._turns[place] * owner.spread + owner.location
        return mapped


def _specification(member: Learnware) -> Rkme:
    if member.rkme is None:
        raise misfit("one has no statistical specification")
    return member.rkme


def baselines(labels: Array, *, classify: bool) -> dict[str, Any]:
    """Return the models that need no bridge, to be trained on labelled rows: boosted trees, and ridge."""
    boosting = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    ridge = make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        linear_model(labels, classify=classify),
    )
    return {"own model": boosting(random_state=0), "ridge": ridge}


def folds_of(labels: Array, *, classify: bool) -> Any:
    """Return folds, stratified or of neighbouring rows; None where the labels are too few."""
    least = int(np.unique(labels, return_counts=True)[1].min()) if classify else len(labels)
    if least < FOLDS_MIN or (classify and len(np.unique(labels)) < 2):
        return None
    count = min(FOLDS_MAX, least)
    return StratifiedKFold(count, shuffle=True, random_state=0) if classify else KFold(count)


def _loss(answers: Floats, truth: Array) -> float:
    return float(np.mean(np.square(answers - truth).reshape(len(truth), -1).sum(axis=1)))
