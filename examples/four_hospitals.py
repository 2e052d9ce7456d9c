"""Four hospitals help each other without sharing a row: one node each, unlabelled rows, the recommended mix.

    python examples/four_hospitals.py

Each hospital publishes the model that it trained on its own patients. Then each looks for models of the
others with its own rows, without a label, and asks the mix. `skerry demo` does so and watches every byte.
"""

from __future__ import annotations

import nodes
from sklearn.metrics import roc_auc_score

from skerry.client.demo import hospitals

labs = [hospitals.load(name) for name in hospitals.NAMES]

with nodes.market(*(lab.title for lab in labs)) as networks:
    for lab, net in zip(labs, networks, strict=True):
        model = hospitals.pipeline().fit(lab.rows, lab.labels)
        net.publish(
            model, lab.rows, lab.labels, name=f"Heart disease, {lab.title}", license="Apache-2.0",
            columns=hospitals.COLUMNS,
        )  # fmt: skip
    nodes.wait_for(networks, learnwares=len(labs))

    for lab, net in zip(labs, networks, strict=True):
        hits = net.search(lab.rows, columns=hospitals.COLUMNS, exclude_own=True, timeout=30)
        first = roc_auc_score(lab.labels, hits[0].estimator().predict_proba(lab.rows)[:, 1])
        mix = roc_auc_score(lab.labels, hits.mix.predict_proba(lab.rows)[:, 1])
        print(f"{lab.name:12} nearest {hits[0].card.owner_name:34} AUC {first:.3f}   mix AUC {mix:.3f}")
        hits.close()
