"""Adapting one learnware to the searcher's labels, where its package offers that.

A predictor that can be adapted has ``finetune(X, y)``, as the reference engine's model interface has, or
``partial_fit(X, y)``, as scikit-learn's incremental estimators have. Which learnware is adapted is decided
before labels are looked at: the nearest of those that can be, or the first where distances are not known.

Rules of this file:

1. The learnware itself is never changed: a worker starts another one of its package, an estimator is copied.
2. Every ``fit`` begins from the model as its owner published it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

from sklearn.utils import Tags

from skerry.errors import SpecificationError
from skerry.spec.ranking import rank
from skerry.spec.rkme import Rkme

from .base import Reuser, labels_needed, requirement_of
from .inputs import Array
from .learnware import (
    Floats,
    Learnware,
    LearnwareClassifier,
    LearnwareRegressor,
    Predictor,
    as_estimator,
    offers,
)


class FineTune(Reuser):
    """The nearest learnware that can be adapted, adapted to the labelled rows.

    Fine-tuning a pretrained model on few target labels: Yosinski, Clune, Bengio and Lipson, "How transferable
    are features in deep neural networks?", NIPS 2014.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    requirement
        The specification of the searcher's data; by default made of the rows given to ``fit``.

    Attributes
    ----------
    tuned_
        The adapted learnware.
    """

    def __init__(self, learnwares: Sequence[Any] = (), *, requirement: Rkme | None = None) -> None:
        super().__init__(learnwares)
        self.requirement = requirement

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Adapt a learnware to the labelled rows; see :class:`Reuser`.

        Raises
        ------
        SpecificationError
            E-REUSE-FINETUNE when no learnware can be adapted, E-REUSE-LABELS without labels.
        """
        rows, labels = self._start(X, y)
        if rows is None or labels is None:
            raise labels_needed(self)
        member = self._nearest([member for member in self.learnwares_ if tunable(member)], rows)
        own = another(member.predictor)
        method = "finetune" if offers(own, "finetune") else "partial_fit"
        getattr(own, method)(self._for_member(rows, member), labels)
        classes = list(member.classes_) if isinstance(member, LearnwareClassifier) else None
        task = "regression" if classes is None else "classification"
        self.tuned_: LearnwareClassifier | LearnwareRegressor = as_estimator(
            own, member.rkme, columns=member.columns, classes=classes, task=task
        )
        return self

    def _nearest(self, able: list[Learnware], rows: Array) -> Learnware:
        if not able:
            raise SpecificationError(
                "No learnware can be fine-tuned",
                why="none of the packages offers finetune",
                todo="Use Stacking or FeatureAugment, which leave the models as they are",
                code="E-REUSE-FINETUNE",
            )
        rkmes = [member.rkme for member in able if member.rkme is not None]
        if len(rkmes) < len(able) or len(able) == 1:
            return able[0]
        return able[int(rank(requirement_of(self, self.requirement, rows), rkmes, k=1).indices[0])]

    def _answers(self, X: Any) -> Floats:
        rows = self._rows(X)
        return self._member_answer(self.tuned_, rows)


def tunable(member: Learnware) -> bool:
    """Return whether a learnware's model can be adapted."""
    return any(offers(member.predictor, method) for method in ("finetune", "partial_fit"))


def another(predictor: Predictor) -> Any:
    """Return a predictor of its own with the model as it was published."""
    return predictor.another() if hasattr(predictor, "another") else deepcopy(predictor)
