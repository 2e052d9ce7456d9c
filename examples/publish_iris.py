"""Publish a model: what an owner does.

Needs a running node: `skerry init` once, then `skerry serve`. Then, in another terminal:

    python examples/publish_iris.py
"""

from __future__ import annotations

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skerry

COLUMNS = ["sepal length", "sepal width", "petal length", "petal width"]

iris = load_iris()
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, iris.target)

receipt = skerry.publish(
    model,
    iris.data,  # read here, to specify what the model is good for; the rows do not leave
    iris.target,
    name="Iris species",
    license="MIT",
    tags=["botany"],
    columns=COLUMNS,
    update=True,
)
print(f"{receipt.card.slug} v{receipt.card.version}: {receipt.card.summary}")
print(f"specification {receipt.card.specification_bytes} bytes, package {receipt.card.package_bytes} bytes")
