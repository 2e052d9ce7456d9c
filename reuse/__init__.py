"""Putting learnwares to work: scikit-learn estimators that answer from one learnware or from several."""

from __future__ import annotations

from .auto import AutoReuse
from .bridged import Bridged, BridgeTrial
from .crossing import across, unbridged_loss
from .finetune import FineTune
from .learnware import Learnware, LearnwareClassifier, LearnwareRegressor, Predictor, as_estimator
from .pooling import Average, Routed, Weighted
from .pruning import EnsemblePruning
from .selector import JobSelector
from .selftraining import SelfTrained
from .stacking import FeatureAugment, Stacking

__all__ = [
    "AutoReuse",
    "Average",
    "BridgeTrial",
    "Bridged",
    "EnsemblePruning",
    "FeatureAugment",
    "FineTune",
    "JobSelector",
    "Learnware",
    "LearnwareClassifier",
    "LearnwareRegressor",
    "Predictor",
    "Routed",
    "SelfTrained",
    "Stacking",
    "Weighted",
    "across",
    "as_estimator",
    "unbridged_loss",
]
