"""A PyTorch module becomes an ONNX package that answers as the module does, or is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets

from skerry.errors import PackageError
from skerry.package.build import inspect_model
from skerry.package.torch_models import is_module, open_module
from skerry.package.worker import Worker

from .test_build import build

pytestmark = pytest.mark.sandbox

X, TARGET = datasets.load_iris(return_X_y=True)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[TARGET]


def network(*layers: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), *layers)


def answers(module: torch.nn.Module) -> Any:
    with torch.no_grad():
        return module(torch.from_numpy(X.astype(np.float32))).numpy()


@pytest.mark.parametrize("last", [(), (torch.nn.Softmax(1),)], ids=["scores", "probabilities"])
def test_a_classifier_answers_with_labels_and_probabilities(last: Any, tmp_path: Path) -> None:
    module = network(torch.nn.Linear(8, 3), *last)
    assert is_module(module)
    with open_module(module, X, SPECIES, columns=list("abcd")) as model:
        facts = inspect_model(model, X)
        package = build(model, X, SPECIES, tmp_path / "model.zip")
    assert (facts.task, facts.classes) == ("classification", ("setosa", "versicolor", "virginica"))
    assert package.lane == "onnx"
    assert package.manifest is not None
    assert package.manifest.columns == list("abcd")
    assert package.manifest.agreement is not None
    assert package.manifest.agreement.labels >= 0.999
    with Worker(package) as worker:
        expected = answers(module)
        assert worker.predict(X).tolist() == np.unique(SPECIES)[expected.argmax(axis=1)].tolist()
        expected = expected if last else torch.softmax(torch.from_numpy(expected), 1).numpy()
        np.testing.assert_allclose(worker.predict_proba(X), expected, atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_regressor_answers_with_numbers(outputs: int, tmp_path: Path) -> None:
    module = network(torch.nn.Linear(8, outputs))
    with open_module(module, X, X[:, :outputs]) as model:
        package = build(model, X, None, tmp_path / "model.zip")
    assert (package.task, package.outputs) == ("regression", outputs)
    with Worker(package) as worker:
        np.testing.assert_allclose(worker.predict(X).reshape(150, -1), answers(module), atol=1e-4)


class Counter(torch.nn.Module):
    """Answers that depend on how often it was asked: the export freezes one of them."""

    count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return x[:, :3] * float((-1) ** self.count)


def test_outputs_that_do_not_fit_the_labels_are_refused() -> None:
    with pytest.raises(PackageError, match="where the labels are 3"):
        open_module(network(torch.nn.Linear(8, 5)), X, SPECIES)


def test_a_module_that_does_not_export_faithfully_is_refused() -> None:
    with pytest.raises(PackageError, match="agrees with itself"):
        open_module(Counter(), X, X[:, :3])


def test_other_objects_are_no_modules() -> None:
    assert not is_module(np.zeros(3))
    assert not is_module(torch)


class Refusing(torch.nn.Module):
    """Runs, and refuses to be traced."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("not while traced")
        return x[:, :3]


def test_a_module_that_cannot_be_exported_is_refused() -> None:
    with pytest.raises(PackageError, match="not while traced"):
        open_module(Refusing(), X, X[:, :3])
