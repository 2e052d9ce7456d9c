"""Texts: two labs know some newsgroups each, a third has unlabelled messages from all of them.

    python examples/newsgroups.py

Texts become rows by hashed n-grams, which every node computes alike; the models are classifiers of such rows.
Neither lab knows all three groups. The mix asks, message by message, who knows this kind.
"""

from __future__ import annotations

from pathlib import Path

import nodes
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from skerry.spec import text_features

LABS = {
    "Lab of space and sports": ["sci.space", "rec.sport.hockey"],
    "Lab of space and politics": ["sci.space", "talk.politics.mideast"],
}

messages = pd.read_csv(Path(__file__).parent / "data" / "newsgroups.csv")
rows = np.asarray(text_features(list(messages["text"])), dtype=np.float64)
groups = messages["group"].to_numpy()
seen = np.arange(len(rows)) % 3 != 0  # the labs have two thirds of the messages, the searcher the rest

with nodes.market(*LABS, "Searcher") as networks:
    for (lab, known), net in zip(LABS.items(), networks, strict=False):
        chosen = seen & np.isin(groups, known)
        model = LogisticRegression(C=30, max_iter=1000).fit(rows[chosen], groups[chosen])
        net.publish(model, rows[chosen], name=f"Newsgroups, {lab}", license="Apache-2.0")
    nodes.wait_for(networks, learnwares=len(LABS))

    mine, truth = rows[~seen], groups[~seen]
    hits = networks[-1].search(mine, task="Classification", timeout=30)
    print(hits)
    for hit in hits:
        score = accuracy_score(truth, hit.estimator().predict(mine))
        print(f"{hit.card.name:40} accuracy {score:.2f}")
    print(f"{'mix of both':40} accuracy {accuracy_score(truth, hits.mix.predict(mine)):.2f}")
    hits.close()
