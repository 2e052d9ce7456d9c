"""Choosing the reuser: cross-validation on the searcher's labels, under a time budget, with a reason.

Without labels the answer is :class:`Routed` (or :class:`Average`, where a learnware has no specification),
the best or equal to the best in every scenario tried; of hundreds of texts it is :class:`SelfTrained`. With
labels each other reuser is cross-validated against it, and replaces it only where the labels show that it is
better: few labels cannot tell apart reusers that differ little, and the smallest of many noisy losses
flatters whoever had luck.

The loss of a row is its Brier score (Brier, Monthly Weather Review 78, 1950) or its squared error. Losses are
compared row by row with those of the default; a difference counts when it is ``MARGIN`` standard errors
below zero. Rows next to each other may be alike (hours of one day), so the folds of a regression are blocks
of neighbouring rows, and the standard error is that of the folds.

Where the searcher's data are known apart from the labelled rows, labels decide only if those rows could be a
sample of the data (see ``shift.py``): choosing by the labels of the weeks before raised the error on twelve
air stations by 18 to 65 percent.

Nor do they decide where the learnwares were trained on the labelled rows: every reuser that copies them would
look good. Learnwares are surer of what they were trained on, so that they are asked how sure they are of the
labelled rows and of the unlabelled ones. (On newsgroups half of the learnwares had seen the labelled texts:
their mean answer was right for 99 of 100 of those, and for 88 of 100 others.)

Rules of this file:

1. For the trials learnwares are asked about each row once; cross-validation looks their answers up, except
   that one that is fine-tuned gives new ones.
2. A candidate that fails, or for which no time is left, is reported and passed over; the default never is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from skerry.errors import SkerryError
from skerry.spec.kinds import rows_of
from skerry.spec.rkme import Rkme
from skerry.spec.shift import SHIFT_MAX, shift

from .base import Reuser, is_classifying
from .finetune import FineTune, tunable
from .inputs import Array, is_text
from .learnware import Floats, Learnware, LearnwareClassifier, LearnwareRegressor, one_hot
from .limits import FOLDS_MAX, FOLDS_MIN, SURENESS_ROWS_MAX, UNLABELLED_TEXTS_MIN
from .pooling import Average, Routed, Weighted
from .pruning import EnsemblePruning
from .selector import JobSelector
from .selftraining import SelfTrained
from .stacking import FeatureAugment, Stacking

Maker = Callable[[Sequence[Learnware]], Reuser]

SHIFT_A_ROW_MAX = 0.03
"""Shift, as a share of the number of labelled rows, that labels bear: a difference that is certain, since the
rows are many, may still be small. It was 0.02 to 0.03 on newsgroups by date, where labels are worth having,
and 0.4 to 1.3 (medians) on the hours before windows of air quality, where they mislead."""

MARGIN = 1.0
"""Standard errors by which a candidate must beat the default."""

SURER_MAX = 4.0
"""Standard errors by which learnwares may be surer of the labelled rows than of the others. By chance 4 come
once in 30,000 samples; on newsgroups 100 labelled texts of which learnwares had seen half gave 6."""


@dataclass(frozen=True)
class Trial:
    """What cross-validation said about one reuser.

    Parameters
    ----------
    name
        The reuser.
    loss
        Mean Brier score or squared error over the labelled rows; None when it was not measured.
    difference, standard_error
        Of its loss minus the default's; None for the default.
    seconds
        What the trial took.
    note
        Why it was not measured, or empty.
    """

    name: str
    loss: float | None = None
    difference: float | None = None
    standard_error: float | None = None
    seconds: float = 0.0
    note: str = ""

    @property
    def convinces(self) -> bool:
        """Return whether the labels show that it is better than the default."""
        if self.difference is None or self.standard_error is None:
            return False
        return self.difference < -MARGIN * self.standard_error


class AutoReuse(Reuser):
    """The reuser that the searcher's labels speak for; the default where they do not.

    Selection by cross-validation with a preference for the default: the one-standard-error rule of Breiman,
    Friedman, Olshen and Stone, "Classification and regression trees", 1984.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.
    requirement
        The specification of the searcher's data, best made of many unlabelled rows; by default what the hits
        were searched with, or made of the rows given to ``fit``.
    unlabelled
        Rows of the searcher's without labels, such as those that were searched with. They show whether the
        labelled rows are fit to judge by, and texts teach a student (:class:`SelfTrained`).
    budget_seconds
        Time for the cross-validation; no trial is begun after it.
    random_state
        Seed of everything that draws.

    Attributes
    ----------
    reuser_
        The chosen reuser, fitted to all rows.
    report_
        ``chosen``, ``why`` (a sentence) and ``trials`` (a list of :class:`Trial` as dictionaries).
    """

    def __init__(
        self,
        learnwares: Sequence[Any] = (),
        *,
        requirement: Rkme | None = None,
        unlabelled: Any = None,
        budget_seconds: float = 30.0,
        random_state: int = 0,
    ) -> None:
        super().__init__(learnwares)
        self.requirement = requirement
        self.unlabelled = unlabelled
        self.budget_seconds = budget_seconds
        self.random_state = random_state

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Choose a reuser and fit it; see :class:`Reuser`."""
        rows, labels = self._start(X, y)
        others = self._others(rows, labels)
        candidates = self._candidates(others)
        default = next(iter(candidates))
        why_not = self._why_no_trials(rows, labels)
        members = [] if why_not else self._remembering(rows, others)
        why_not = why_not or self._why_known(members, rows, others)
        trials = [] if why_not else self._trials(candidates, members, rows, labels)
        better = [trial for trial in trials[1:] if trial.convinces and trial.loss is not None]
        chosen = min(better, key=lambda trial: trial.loss or 0.0).name if better else default
        self.reuser_: Reuser = candidates[chosen](self.learnwares_).fit(X, y)
        if is_classifying(self):
            self.classes_: Array = self.reuser_.classes_
        why = f"{default}, because {why_not}" if why_not else explanation(default, chosen, trials)
        self.report_: dict[str, Any] = {
            "chosen": chosen,
            "why": why,
            "trials": [asdict(trial) for trial in trials],
        }
        return self

    def _why_no_trials(self, rows: Array | None, labels: Array | None) -> str:
        """Return why labels must not decide, or nothing."""
        if rows is None or labels is None:
            return "there were no labels"
        if self.budget_seconds <= 0:
            return "there was no time to compare"
        if not self._folds(labels):
            return "there were too few labels to compare with"
        requirement = self._searched_with()
        if requirement is None:
            return ""
        moved = shift(requirement, np.asarray(rows_of(rows, requirement), np.float64))
        if moved <= max(SHIFT_MAX, SHIFT_A_ROW_MAX * len(rows)):
            return ""
        return (
            "the labelled rows are no sample of the searcher's data: they differ from it "
            f"{moved:.3g} times as much as a sample would"
        )

    def _others(self, rows: Array | None, labels: Array | None) -> Array | None:
        """Return the searcher's rows without labels; none where they are not known."""
        if self.unlabelled is not None:
            return self._rows(self.unlabelled, fitting=True)
        return rows if labels is None else None

    def _remembering(self, rows: Array, others: Array | None) -> list[Learnware]:
        """Return learnwares that know their answers to all rows at hand."""
        known = rows if others is None else np.concatenate([rows, others])
        return [remembering(member, self._for_member(known, member)) for member in self.learnwares_]

    def _why_known(self, members: list[Learnware], rows: Array, others: Array | None) -> str:
        """Return that the learnwares seem to have been trained on the labelled rows, or nothing."""
        if not members or others is None or not is_classifying(self):
            return ""
        rng = np.random.default_rng(self.random_state)
        sampled = others[rng.permutation(len(others))[:SURENESS_ROWS_MAX]]
        pool = Average(members).fit()
        labelled, rest = (pool.predict_proba(part).max(axis=1) for part in (rows, sampled))
        error = np.sqrt(labelled.var() / len(labelled) + rest.var() / len(rest))
        if labelled.mean() - rest.mean() <= SURER_MAX * error:
            return ""
        return (
            "the learnwares seem to have been trained on the labelled rows: they are surer of them "
            f"({labelled.mean():.2f}) than of the other rows ({rest.mean():.2f})"
        )

    def _searched_with(self) -> Rkme | None:
        return self.requirement or getattr(self.learnwares, "requirement", None)

    def _answers(self, X: Any) -> Floats:
        rows = self._rows(X)
        method = self.reuser_.predict_proba if is_classifying(self) else self.reuser_.predict
        return np.asarray(method(rows))

    def _candidates(self, others: Array | None) -> dict[str, Maker]:
        """Return how to make each reuser that can be used here, the default first, costly ones last."""
        requirement = self._searched_with()
        seed = self.random_state
        taught = partial(SelfTrained, unlabelled=others, requirement=requirement, random_state=seed)
        makers: dict[str, Maker] = {
            "SelfTrained": taught,
            "Routed": partial(Routed, requirement=requirement),
            "Weighted": partial(Weighted, requirement=requirement),
            "Average": Average,
            "EnsemblePruning": partial(EnsemblePruning, random_state=seed),
            "Stacking": Stacking,
            "FeatureAugment": FeatureAugment,
            "JobSelector": partial(JobSelector, requirement=requirement, random_state=seed),
            "FineTune": partial(FineTune, requirement=requirement),
        }
        unusable = set() if any(tunable(member) for member in self.learnwares_) else {"FineTune"}
        texts = 0 if others is None or not is_text(others) else len(others)
        if texts < UNLABELLED_TEXTS_MIN or not is_classifying(self):
            unusable |= {"SelfTrained"}
        if any(member.rkme is None for member in self.learnwares_):
            unusable |= {"Routed", "Weighted", "JobSelector"}
        elif any(member.rkme.kind != "table" for member in self.learnwares_ if member.rkme is not None):
            # Rows drawn in hundreds of columns take minutes, and pooling was never behind selection there.
            unusable |= {"JobSelector"}
        return {name: maker for name, maker in makers.items() if name not in unusable}

    def _trials(
        self, candidates: dict[str, Maker], members: list[Learnware], rows: Array, labels: Array
    ) -> list[Trial]:
        folds = self._folds(labels)
        deadline = time.monotonic() + self.budget_seconds
        trials: list[Trial] = []
        default_losses: Floats | None = None
        for name, make in candidates.items():
            started = time.monotonic()
            if default_losses is not None and started > deadline:
                trials.append(Trial(name, note="no time was left"))
                continue
            try:
                asked = self.learnwares_ if name == "FineTune" else members
                losses = self._losses(make(asked), rows, labels, folds)
            except (SkerryError, ValueError) as error:
                trials.append(Trial(name, note=str(error), seconds=time.monotonic() - started))
                continue
            seconds = time.monotonic() - started
            trials.append(self._compared(name, losses, default_losses, folds, seconds))
            default_losses = losses if default_losses is None else default_losses
        return trials

    def _compared(
        self, name: str, losses: Floats, default: Floats | None, folds: Any, seconds: float
    ) -> Trial:
        mean = float(losses.mean())
        if default is None:
            return Trial(name, mean, seconds=seconds)
        differences = losses - default
        blocks = np.array([differences[test].mean() for _, test in folds])
        error = float(blocks.std(ddof=1) / np.sqrt(len(blocks)))
        return Trial(name, mean, float(differences.mean()), error, seconds)

    def _folds(self, labels: Array) -> list[tuple[Array, Array]]:
        """Return the folds of the labelled rows; none where they are too few to compare anything."""
        if not is_classifying(self):
            count = min(FOLDS_MAX, len(labels))
            return list(KFold(count).split(labels)) if count >= FOLDS_MIN else []
        smallest = int(np.unique(labels, return_counts=True)[1].min())
        count = min(FOLDS_MAX, smallest)
        if count < FOLDS_MIN:
            return []
        shuffled = StratifiedKFold(count, shuffle=True, random_state=self.random_state)
        return list(shuffled.split(labels, labels))

    def _losses(self, reuser: Reuser, rows: Array, labels: Array, folds: Any) -> Floats:
        """Return the out-of-fold loss of each row, (n,)."""
        losses = np.empty(len(rows))
        for train, test in folds:
            reuser.fit(rows[train], labels[train])
            if is_classifying(self):
                truth = one_hot(labels[test], reuser.classes_)
                missed = 1 - truth.sum(axis=1)
                losses[test] = ((reuser.predict_proba(rows[test]) - truth) ** 2).sum(axis=1) + missed
            else:
                squared = (reuser.predict(rows[test]) - labels[test]) ** 2
                losses[test] = squared.reshape(len(test), -1).mean(axis=1)
        return losses


class Remembered:
    """A predictor that looks up what another one answered to known rows."""

    def __init__(self, learnware: Learnware, rows: Array) -> None:
        self._places = {key: place for place, key in enumerate(_keys(rows))}
        self._predictions = learnware.predict(rows)
        self.methods: tuple[str, ...] = ("predict",)
        if isinstance(learnware, LearnwareClassifier):
            self._probabilities = learnware.predict_proba(rows)
            self.methods = ("predict", "predict_proba")

    def predict(self, X: Array) -> Array:
        """Return the remembered predictions."""
        answers: Array = self._predictions[self._found(X)]
        return answers

    def predict_proba(self, X: Array) -> Floats:
        """Return the remembered probabilities."""
        return self._probabilities[self._found(X)]

    def _found(self, X: Array) -> list[int]:
        return [self._places[key] for key in _keys(X)]


def remembering(learnware: Learnware, rows: Array) -> Learnware:
    """Return a learnware that answers known rows, (n, ...) in its own columns, from memory."""
    memory = Remembered(learnware, rows)
    if isinstance(learnware, LearnwareClassifier):
        classes = list(learnware.classes_)
        return LearnwareClassifier(memory, rkme=learnware.rkme, columns=learnware.columns, classes=classes)
    return LearnwareRegressor(memory, rkme=learnware.rkme, columns=learnware.columns)


def _keys(rows: Array) -> list[Any]:
    """Return something hashable for each row: its bytes, or the text that it is."""
    if rows.dtype.kind == "O":
        return list(rows)
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    keys: list[bytes] = flat.view((np.void, flat.shape[1] * flat.itemsize)).ravel().tolist()
    return keys


def explanation(default: str, chosen: str, trials: Sequence[Trial]) -> str:
    """Return in a sentence why a reuser was chosen."""
    if chosen == default:
        return f"{default}, because no other reuser was better by more than {MARGIN:g} standard errors"
    trial = next(trial for trial in trials if trial.name == chosen)
    return (
        f"{chosen}, because its loss was {trial.loss:.4g}, lower than that of {default} by "
        f"{-(trial.difference or 0):.3g} with a standard error of {trial.standard_error:.2g}"
    )
