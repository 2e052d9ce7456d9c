"""Find models by data and predict with them: what a searcher does.

Needs a running node that knows of learnwares with these columns, such as the one of `publish_iris.py`:

    python examples/predict_iris.py
"""

from __future__ import annotations

from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score

import skerry

COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]

iris = load_iris()
net = skerry.connect()

# Only a specification of the rows goes to the node, no row and no label.
hits = net.search(iris.data, columns=COLUMNS, task="Classification")
print(hits)

model = hits[0].estimator()  # fetched from its owner, verified, running in a process of its own
print(f"nearest: accuracy {accuracy_score(iris.target, model.predict(iris.data)):.3f}")
print(f"mix:     accuracy {accuracy_score(iris.target, hits.mix.predict(iris.data)):.3f}")
hits.close()
