"""Texts: one lab has models of some newsgroups each, another has unlabelled messages from all of them.

    python examples/newsgroups.py

Texts become rows by hashed n-grams, which every node computes alike; the models are classifiers of such rows.
Neither model knows all three groups. The mix asks, message by message, who knows this kind.
"""

from __future__ import annotations

from pathlib import Path

import nodes
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from skerry.spec import text_features

KNOWN = {
    "space and sports": ["sci.space", "rec.sport.hockey"],
    "space and politics": ["sci.space", "talk.politics.mideast"],
}

messages = pd.read_csv(Path(__file__).parent / "data" / "newsgroups.csv")
rows = np.asarray(text_features(list(messages["text"])), dtype=np.float64)
groups = messages["group"].to_numpy()
seen = np.arange(len(rows)) % 3 != 0  # the lab has two thirds of the messages, the searcher the rest

with nodes.market("Lab of newsgroups", "Searcher") as (lab, searcher):
    for name, known in KNOWN.items():
        chosen = seen & np.isin(groups, known)
        model = LogisticRegression(C=30, max_iter=1000).fit(rows[chosen], groups[chosen])
        lab.publish(model, rows[chosen], name=f"Newsgroups of {name}", license="Apache-2.0")
    nodes.wait_for([lab, searcher], learnwares=len(KNOWN))

    mine, truth = rows[~seen], groups[~seen]
    hits = searcher.search(mine, task="Classification", timeout=30)
    print(hits)
    for hit in hits:
        score = accuracy_score(truth, hit.estimator().predict(mine))
        print(f"{hit.card.name:40} accuracy {score:.2f}")
    print(f"{'mix of both':40} accuracy {accuracy_score(truth, hits.mix.predict(mine)):.2f}")
    hits.close()
