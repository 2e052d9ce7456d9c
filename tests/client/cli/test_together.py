"""The command line with two real nodes: an owner publishes, a searcher finds, fetches and runs."""

from __future__ import annotations

import contextlib
import csv
import json
import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skerry.client.cli.schema import RESULTS
from tests.client.cli.running import called, compare, skerry
from tests.client.conftest import Market, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.sandbox, pytest.mark.timeout(300)]

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
IRIS = load_iris()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a model and rows, as an owner and a searcher would have them."""
    model = LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target_names[IRIS.target])
    (tmp_path / "iris.pkl").write_bytes(pickle.dumps(model))
    species = IRIS.target_names[IRIS.target]
    written(
        tmp_path / "iris.csv",
        [*NAMES, "species"],
        [[*row, name] for row, name in zip(IRIS.data, species, strict=True)],
    )
    written(tmp_path / "few.csv", NAMES, IRIS.data[::60].tolist())
    written(tmp_path / "renamed.csv", [*NAMES[:2], "pl", "pw"], IRIS.data[::60].tolist())
    some = [name if number % 10 == 0 else "" for number, name in enumerate(species)]
    written(
        tmp_path / "labels.csv",
        [*NAMES, "species"],
        [[*row, name] for row, name in zip(IRIS.data, some, strict=True)],
    )
    written(tmp_path / "wrong.csv", NAMES[:3], IRIS.data[::60, :3].tolist())
    return tmp_path


def written(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def test_the_whole_way_is_as_written(market: Market, files: Path) -> None:
    market.clear()
    compare("owner", market.owner.environment, files)
    wait_until(lambda: [card.card.version for card in market.searcher.network.search(text="flowers")] == [])
    wait_until(lambda: [hit.card.version for hit in market.searcher.network.search(text="anderson")] == [2])
    compare("searcher", market.searcher.environment, files)
    with (files / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    assert [row["prediction"] for row in predictions] == ["setosa", "versicolor", "virginica"]
    with (files / "reused.csv").open() as file:
        reused = [row["prediction"] for row in csv.DictReader(file)]
    assert np.mean(np.array(reused) == IRIS.target_names[IRIS.target]) > 0.95
    compare("withdrawn", market.owner.environment, files)


def test_a_package_made_by_hand_is_published_and_used(market: Market, files: Path) -> None:
    market.clear()
    owner, searcher = market.owner.environment, market.searcher.environment

    def done(*arguments: str, environment: dict[str, str]) -> str:
        result = called(*arguments, environment=environment, cwd=files)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    rows = ("--data", "iris.csv", "--target", "species")
    done("package", "new", "mine", *rows, environment=owner)
    semantic = files / "mine" / "semantic_specification.json"
    document = json.loads(semantic.read_text())
    document["Name"]["Values"] = "A rule of thumb"
    document["Description"]["Values"] = "Short petals or not."
    semantic.write_text(json.dumps(document))
    source = files / "mine" / "__init__.py"
    source.write_text(source.read_text().replace("np.zeros(len(X), dtype=int)", "(X[:, 2] < 2).astype(int)"))
    done("package", "pack", "mine", "-o", "mine.zip", environment=owner)
    done("package", "publish", "mine.zip", *rows, environment=owner)
    assert "passed   E-CHECK-COPIES" in done("check", "a-rule-of-thumb", environment=owner)
    wait_until(lambda: market.searcher.network.status().cards == 1)
    done("search", "few.csv", environment=searcher)
    ran = json.loads(done("run", "1", "few.csv", "--json", environment=searcher))
    assert [row[0] for row in ran["rows"]] == [1, 0, 0]


def test_every_result_is_one_json_document_of_the_contract(market: Market, files: Path) -> None:
    market.clear()
    owner, searcher = market.owner.environment, market.searcher.environment

    def result(command: str, *arguments: str, environment: dict[str, str]) -> Any:
        """Return the one document that a command printed, as the type that the schema says it is."""
        done = called(*command.split(), *arguments, "--json", environment=environment, cwd=files)
        assert done.exit_code == 0, done.stderr
        assert done.stdout.count("\n") == 1
        for kind in RESULTS[command]:
            with contextlib.suppress(msgspec.ValidationError):
                decoded = msgspec.json.decode(done.stdout, type=kind)
                assert set(json.loads(done.stdout)) == set(kind.__struct_fields__)
                return decoded
        raise AssertionError(f"{command} printed another form: {done.stdout}")

    rows = ("--data", "iris.csv", "--target", "species")
    receipt = result("publish", "iris.pkl", *rows, "--name", "Iris", "--license", "MIT", environment=owner)
    wait_until(lambda: market.searcher.network.status().cards == 1)
    report = result("check", "iris", environment=owner)
    assert report.usable
    warned = [check for check in report.results if check.outcome != "passed"]
    assert [(check.code, check.outcome) for check in warned] == [("E-CHECK-DOCK", "warning")]  # a short name
    assert [card.id for card in result("list", environment=owner).learnwares] == [receipt.card.id]
    answer = result("search", "few.csv", environment=searcher)
    assert [hit.card.id for hit in answer.hits] == [receipt.card.id]
    would = result("get", receipt.card.id, "--dry-run", environment=searcher)
    assert (would.cached, would.path) == (False, "")
    fetched = result("get", receipt.card.id, environment=searcher)
    assert Path(fetched.path).stat().st_size == fetched.bytes == receipt.card.package_bytes
    ran = result("run", "1", "few.csv", environment=searcher)
    assert ran.columns[0] == "prediction"
    assert [row[0] for row in ran.rows] == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(np.sum([row[1:] for row in ran.rows], axis=1), 1)
    assert result("run", "1", "few.csv", "-o", "out.csv", environment=searcher).rows == 3
    reused = result("reuse", "few.csv", environment=searcher)
    assert (reused.members, len(reused.predictions.rows)) == ([receipt.card.id], 3)
    assert result("export", "1", "-o", "out.zip", environment=searcher).bytes == fetched.bytes
    assert [one.id for one in result("cache ls", environment=searcher).learnwares] == [receipt.card.id]
    assert result("cache verify", environment=searcher).damaged == []
    assert result("cache rm", receipt.card.id[:8], environment=searcher).bytes > fetched.bytes
    result("status", environment=owner)
    assert len(result("peers", environment=owner).peers) == 1
    result("withdraw", "iris", environment=owner)


def test_serve_becomes_the_daemon_and_says_what_is_wrong(market: Market) -> None:
    done = skerry("serve", environment=market.owner.environment)
    assert done.returncode == 1
    assert "error E-STORAGE-LOCKED: Another daemon uses this folder" in done.stderr
