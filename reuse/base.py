"""What all reusers share: their learnwares, one space of columns, one space of classes.

A *reuser* is a scikit-learn estimator that answers from several learnwares. Whether it is a classifier
or a regressor is decided by the learnwares it is given, as a pipeline's kind is by its last step.

Rules of this file:

1. The constructor stores parameters and does nothing else; ``fit`` resolves the learnwares (a hit of a
   search is resolved by its ``estimator()``) and says what does not fit together.
2. Columns are the union of the learnwares' columns, by name; each learnware gets its own in its order.
3. Classes are the union of the learnwares' classes, by name; a learnware gives no probability to a class
   it does not know.
4. NaN is allowed everywhere: learnwares bring their own imputation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags, Tags, check_array, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from skerry.errors import SpecificationError
from skerry.spec.kinds import fit_like
from skerry.spec.rkme import Rkme

from .estimators import BaseEstimator
from .inputs import Array, as_array, column_names, is_text
from .learnware import Floats, Learnware, LearnwareClassifier, one_hot
from .limits import LEARNWARES_MAX

NUMBER_KINDS = frozenset("buif")
"""Codes of the numpy types whose class names compare as numbers."""


Method = TypeVar("Method", bound=Callable[..., Any])


def is_classifying(reuser: Reuser) -> bool:
    """Return whether the reuser's learnwares predict classes."""
    return bool(get_tags(reuser).estimator_type == "classifier")


# scikit-learn's decorator has no types; named once with one, it need not be excused at every use.
available: Final = cast("Callable[[Method], Method]", available_if(is_classifying))


class Reuser(BaseEstimator):
    """Base of the reusers.

    Parameters
    ----------
    learnwares
        The learnwares, or hits of a search.

    Attributes
    ----------
    learnwares_
        The learnwares as fitted estimators.
    classes_
        Names of all classes that a learnware knows, sorted; classifiers only.
    n_features_in_
        Number of columns, where the data are a table.
    feature_names_in_
        Names of the columns, where a learnware or the data name them.
    """

    learnwares_: list[Learnware]
    classes_: Array
    n_features_in_: int

    def __init__(self, learnwares: Sequence[Any] = ()) -> None:
        self.learnwares = learnwares

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Get ready to predict.

        Parameters
        ----------
        X
            The searcher's rows: a data frame, a matrix (n, d), texts, or images.
        y
            Their labels, for the reusers that learn from labels.

        Raises
        ------
        SpecificationError
            E-REUSE-LEARNWARES when the learnwares do not fit together, E-SPEC-COLUMNS when the data lack
            a column.
        """
        raise NotImplementedError

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        members = getattr(self, "learnwares_", None) or resolved(self.learnwares)
        tags.estimator_type = get_tags(members[0]).estimator_type if members else None
        if tags.estimator_type == "classifier":
            tags.classifier_tags = ClassifierTags()
        else:
            tags.regressor_tags = RegressorTags()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = tags.input_tags.three_d_array = True
        tags.target_tags.required = False
        return tags

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of a classifier, or the coefficient of determination of a regressor."""
        measure = accuracy_score if is_classifying(self) else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def predict(self, X: Any) -> Array:
        """Return labels (n,) or numbers (n,) for the rows of X."""
        check_is_fitted(self)
        if is_classifying(self):
            labels: Array = self.classes_[self._answers(X).argmax(axis=1)]
            return labels
        return self._answers(X)

    @available
    def predict_proba(self, X: Any) -> Floats:
        """Return class probabilities (n, classes) for the rows of X, in the order of ``classes_``."""
        return self._answers(X)

    def _answers(self, X: Any) -> Floats:
        """Return probabilities (n, classes) of a classifier, numbers (n,) of a regressor."""
        raise NotImplementedError

    def _start(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Resolve learnwares, columns and classes; return rows and labels as arrays, or None for None."""
        self.learnwares_ = self._resolve(X, y)
        tags = get_tags(self)
        if tags.estimator_type == "classifier":
            self.classes_ = class_union(self.learnwares_)
        self._set_columns(X)
        rows = None if X is None else self._rows(X, fitting=True)
        if y is None:
            return rows, None
        check_consistent_length(rows, y)
        if tags.estimator_type == "classifier":
            check_classification_targets(y)
            return rows, column_or_1d(y, warn=True)
        numbers = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        return rows, column_or_1d(numbers, warn=True) if numbers.shape[1:] == (1,) else numbers

    def _resolve(self, X: Any, y: Any) -> list[Learnware]:  # noqa: ARG002 - tests make learnwares for X
        return validated(resolved(self.learnwares))

    def _set_columns(self, X: Any) -> None:
        names = list(dict.fromkeys(name for member in self.learnwares_ for name in member.columns_ or ()))
        names = names or list(column_names(X) or ())
        if names:
            self.feature_names_in_: npt.NDArray[Any] = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _rows(self, X: Any, *, fitting: bool = False) -> Array:
        """Return X as one array whose columns, if it is a table, stand in this reuser's order."""
        if not fitting:
            check_is_fitted(self)
        if is_text(X) or getattr(X, "ndim", 2) > 2:
            return as_array(X, None)
        names = tuple(getattr(self, "feature_names_in_", ())) or None
        table = X if column_names(X) is None else as_array(X, names)
        rows: Array = check_array(
            table, dtype="numeric", ensure_all_finite="allow-nan", estimator=self, input_name="X"
        )
        expected = len(names) if names else self._width(rows, fitting=fitting)
        if rows.shape[1] != expected:
            raise SpecificationError(
                f"X has {rows.shape[1]} features, but {type(self).__name__} is expecting {expected} features "
                "as input",
                todo="Pass a data frame, or the columns in the order of feature_names_in_",
                code="E-SPEC-COLUMNS",
            )
        if fitting:
            self.n_features_in_ = expected
        return rows

    def _width(self, rows: Array, *, fitting: bool) -> int:
        """Return how many columns rows must have; any number where neither rows nor learnwares have said."""
        known = None if fitting else getattr(self, "n_features_in_", None)
        return int(rows.shape[1] if known is None else known)

    def _for_member(self, rows: Array, member: Learnware) -> Array:
        """Return the member's own columns of the rows, in its order."""
        names = list(getattr(self, "feature_names_in_", ()))
        wanted = member.columns_
        if rows.ndim != 2 or not names or wanted is None or list(wanted) == names:
            return rows
        return rows[:, [names.index(name) for name in wanted]]

    def _member_answer(
        self, member: Learnware, rows: Array, classes: Array | None = None, *, votes: bool = False
    ) -> Floats:
        """Return one learnware's probabilities (n, classes) or numbers (n,).

        With ``votes`` a classifier gives probability 1 to its label.
        """
        own = self._for_member(rows, member)
        if not isinstance(member, LearnwareClassifier):
            return np.asarray(member.predict(own), dtype=np.float64)
        classes = self.classes_ if classes is None else classes
        if votes:
            return one_hot(member.predict(own), classes)
        answer = np.zeros((len(rows), len(classes)))
        answer[:, positions(member.classes_, classes)] = member.predict_proba(own)
        return answer


def resolved(items: Iterable[Any]) -> list[Learnware]:
    """Return learnwares for learnwares and for hits."""
    return [item if isinstance(item, Learnware) else item.estimator() for item in items]


def validated(members: list[Learnware]) -> list[Learnware]:
    """Return the learnwares if they can answer together."""
    if not 1 <= len(members) <= LEARNWARES_MAX:
        raise misfit(f"there are {len(members)}; 1 to {LEARNWARES_MAX} can be used")
    if len({isinstance(member, LearnwareClassifier) for member in members}) > 1:
        raise misfit("some predict classes and some numbers")
    return members


def class_union(members: Iterable[Learnware]) -> Array:
    """Return the names of all classes that a learnware knows, sorted; as text where texts meet numbers."""
    names = [member.classes_ for member in members if isinstance(member, LearnwareClassifier)]
    if len({array.dtype.kind in NUMBER_KINDS for array in names}) > 1:
        names = [np.asarray(array, dtype=str) for array in names]
    union: Array = np.unique(np.concatenate(names))
    return union


def positions(names: Array, classes: Array) -> npt.NDArray[np.intp]:
    """Return where each name stands among the sorted classes."""
    if classes.dtype.kind == "U":
        names = np.asarray(names, dtype=str)
    return np.searchsorted(classes, names)


def requirement_of(reuser: Reuser, given: Rkme | None, rows: Array | None) -> Rkme:
    """Return the specification of the searcher's data: as given, as searched with, or made of the rows.

    Raises
    ------
    SpecificationError
        E-REUSE-REQUIREMENT when there is none.
    """
    known: Rkme | None = given or getattr(reuser.learnwares, "requirement", None)
    if known is not None:
        return known
    specified = [member.rkme for member in reuser.learnwares_ if member.rkme is not None]
    if rows is not None and not specified:
        raise misfit("one has no statistical specification")
    if rows is None:
        raise SpecificationError(
            f"{type(reuser).__name__} needs to know the searcher's data",
            why="neither rows nor a requirement were given",
            todo="Pass rows to fit(), or requirement=, the specification of the data",
            code="E-REUSE-REQUIREMENT",
        )
    return fit_like(rows, specified[0])


def labels_needed(reuser: Reuser) -> SpecificationError:
    """Return the error of a reuser that was fitted without labels."""
    # The sentence is scikit-learn's wording, which its own tools look for.
    return SpecificationError(
        f"{type(reuser).__name__} requires y to be passed, but the target y is None",
        todo="Pass labels, or use Routed, which needs none",
        code="E-REUSE-LABELS",
    )


def misfit(why: str) -> SpecificationError:
    """Return the error of learnwares that do not fit together."""
    return SpecificationError(
        "The learnwares cannot be used together",
        why=why,
        todo="Pass learnwares of one task, such as the members of a search's mix",
        code="E-REUSE-LEARNWARES",
    )
