"""Reusers are scikit-learn estimators: a grid search over ways of combining, on a few labels of one's own.

    python examples/grid_search.py

Three hospitals publish; the fourth has labels for sixty of its patients and lets cross-validation choose.
"""

from __future__ import annotations

import nodes
import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skerry.client.demo import hospitals
from skerry.reuse import Average, EnsemblePruning, Routed, Stacking

*others, mine = [hospitals.load(name) for name in hospitals.NAMES]
few = np.random.default_rng(0).choice(len(mine.rows), 60, replace=False)

with nodes.market("Three hospitals", mine.title) as (owner, searcher):
    for lab in others:
        model = hospitals.pipeline().fit(lab.rows, lab.labels)
        words = {"name": f"Heart disease, {lab.title}", "license": "Apache-2.0"}
        owner.publish(model, lab.rows, lab.labels, columns=hospitals.COLUMNS, **words)
    nodes.wait_for([owner, searcher], learnwares=len(others))

    hits = searcher.search(mine.rows, columns=hospitals.COLUMNS, timeout=30)
    members = list(hits)
    search = GridSearchCV(
        Pipeline([("reuse", Average(members))]),
        {
            "reuse": [
                Average(members),
                Routed(members, requirement=hits.requirement),
                EnsemblePruning(members),
                Stacking(members),
            ]
        },
        scoring="roc_auc",
        cv=3,
        error_score="raise",
    )
    search.fit(mine.rows[few], mine.labels[few])
    for parameters, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(f"{type(parameters['reuse']).__name__:16} AUC in cross-validation {score:.3f}")
    rest = np.setdiff1d(np.arange(len(mine.rows)), few)
    best = roc_auc_score(mine.labels[rest], search.predict_proba(mine.rows[rest])[:, 1])
    print(f"{type(search.best_params_['reuse']).__name__} on all other patients: AUC {best:.3f}")
    hits.close()
