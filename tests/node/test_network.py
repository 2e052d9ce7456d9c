"""Real daemons find each other, agree, and answer; what was acknowledged survives whatever happens."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from skerry.node.network.tls import client_context
from skerry.protocol.api import CheckReport, CheckResult, PublishRequest
from skerry.spec import Specification

from .processes import HttpError, NodeProcess, eventually, nodes, rkme, specification

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]


def test_two_nodes_publish_search_and_withdraw(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        second.start(bootstrap=(first.bootstrap,))
        receipt = first.publish("ward-model", specification(1, name="Ward model"), b"the package")
        assert (receipt.seq, receipt.card.version, receipt.card.owner_name) == (1, 1, "Cleveland")
        eventually("the card is known to the other", lambda: second.status().cards == 1)
        assert first.status().digest == second.status().digest

        answer = second.search(requirement=rkme(2).to_bytes(), noise_mmd2=1.0)
        (hit,) = answer.hits
        assert hit.card == receipt.card
        assert hit.sources[0].addresses == [first.bootstrap.partition("#")[0]]
        assert hit.mmd2 is not None
        assert 0 <= hit.mmd2 < 0.1
        assert hit.within_noise is True
        assert answer.mix is not None
        assert (answer.mix.members, answer.mix.weights) == ([0], [1.0])
        assert (answer.coverage.cards, answer.coverage.compared, answer.coverage.unreachable) == (1, 1, [])
        blob = second.request("GET", f"/specifications/{hit.card.specification}")
        assert blob == specification(1, name="Ward model").to_bytes()

        again = first.publish("ward-model", specification(3, name="Ward model"), b"the next", update=True)
        assert (again.seq, again.card.version) == (2, 2)
        eventually("the new version is known", lambda: second.search(text="ward").hits[0].card == again.card)
        assert first.withdraw("ward-model").seq == 3
        eventually("the card is gone", lambda: second.status().cards == 0)
        assert second.search(requirement=rkme(2).to_bytes()).hits == []
        assert first.learnwares().learnwares == []


def test_four_nodes_meet_through_one_address_and_answer_alike(tmp_path: Path) -> None:
    names = ("Cleveland", "Hungary", "Switzerland", "Virginia")
    with nodes(tmp_path, *names) as started:
        started[0].start()
        for node in started[1:]:
            node.begin(bootstrap=(started[0].bootstrap,))
        for node in started[1:]:
            node.wait_ready()
        for seed, node in enumerate(started):
            node.publish(
                f"model-{seed}", specification(seed, shift=seed / 2, name=f"Model {seed}"), b"package"
            )
        for node in started:
            eventually("all cards everywhere", lambda node=node: node.status().cards == 4)  # type: ignore[misc]
            eventually("all are connected", lambda node=node: node.status().peers_connected == 3)  # type: ignore[misc]
        assert len({node.status().digest for node in started}) == 1

        requirement = rkme(77, shift=0.5).to_bytes()
        answers = [node.search(requirement=requirement) for node in started]
        ranked = [[(hit.card.slug, round(hit.mmd2 or 0, 9)) for hit in answer.hits] for answer in answers]
        assert ranked[0][0][0] == "model-1"
        assert ranked.count(ranked[0]) == 4
        others = started[1].search(requirement=requirement, exclude_own=True)
        assert "model-1" not in [hit.card.slug for hit in others.hits]
        assert {peer.owner_name for peer in started[2].peers().peers if peer.connected} == set(names) - {
            "Switzerland"
        }


def test_filters_and_words(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        node.publish("ward", specification(1, name="Ward model", tags=("heart",)), b"a", lane="onnx")
        node.publish("price", specification(2, name="Price model", scenario=("Financial",)), b"b")
        found = {
            "heart": node.search(text="HEART ward"),
            "financial": node.search(scenario="financial"),
            "none": node.search(text="heart", scenario="Financial"),
            "all": node.search(task="classification", owner="cleveland"),
            "others": node.search(exclude_own=True),
        }
        slugs = {name: sorted(hit.card.slug for hit in answer.hits) for name, answer in found.items()}
        assert slugs == {
            "heart": ["ward"],
            "financial": ["price"],
            "none": [],
            "all": ["price", "ward"],
            "others": [],
        }
        other_island = rkme(1, columns=7).to_bytes()
        answer = node.search(requirement=other_island)
        assert (answer.hits, answer.mix, answer.coverage.candidates) == ([], None, 0)


def test_an_owner_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        second.start(bootstrap=(first.bootstrap,))
        first.publish("ward", specification(1), b"package")
        eventually("the card is known", lambda: second.status().cards == 1)
        first.kill()
        answer = second.search(requirement=rkme(2).to_bytes(), timeout_seconds=2.0)
        assert (answer.hits, answer.coverage.candidates, answer.coverage.compared) == ([], 1, 0)
        assert answer.coverage.unreachable == [f"Cleveland {_owner_of(second)}"]


def _owner_of(node: NodeProcess) -> str:
    return node.search(text="ward").hits[0].card.owner


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        second.start(bootstrap=(first.bootstrap,))
        first.publish("ward", specification(1), b"package")
        eventually("the card is known", lambda: second.status().cards == 1)
        before = [node.status() for node in (first, second)]
        assert [node.stop() for node in (first, second)] == [0, 0]
        assert not (first.folder / "api.json").exists()
        first.start()  # without a bootstrap address: what is on the disk is all there is
        second.start(bootstrap=(first.bootstrap,))
        for node, then in zip((first, second), before, strict=True):
            now = node.status()
            assert (now.owner, now.node_key, now.cards, now.digest) == (
                then.owner,
                then.node_key,
                1,
                then.digest,
            )
        assert [card.slug for card in first.learnwares().learnwares] == ["ward"]
        assert first.publish("next", specification(2), b"next package").seq == 2


@pytest.mark.parametrize("seed", [20261123])
def test_nothing_acknowledged_is_lost_by_kills(tmp_path: Path, seed: int) -> None:
    """Kill the node twenty times at random points while it publishes and withdraws."""
    rng = random.Random(seed)
    content = specification(1)
    with nodes(tmp_path, "Cleveland") as (node,):
        acknowledged: dict[str, bool] = {}
        attempted: set[str] = set()
        seq = 0
        for round_number in range(20):
            node.start()
            live = {card.slug for card in node.learnwares().learnwares}
            # What was under way at the kill may have come about or not; from now on it is settled.
            acknowledged.update({slug: slug in live for slug in attempted})
            attempted.clear()
            expected = {slug for slug, there in acknowledged.items() if there}
            assert live == expected, f"seed {seed}, round {round_number}"
            assert node.status().seq >= seq
            seq = _change_until_killed(node, content, f"r{round_number}", acknowledged, attempted, rng)
        node.start()
        live = {card.slug for card in node.learnwares().learnwares}
        assert live ^ {slug for slug, there in acknowledged.items() if there} <= attempted
        assert sum(acknowledged.values()) > 0


def _change_until_killed(
    node: NodeProcess,
    content: Specification,
    prefix: str,
    acknowledged: dict[str, bool],
    attempted: set[str],
    rng: random.Random,
) -> int:
    """Publish, and now and then withdraw, until the node is gone; return the last acknowledged seq.

    The kill comes up to 60 ms, about the time of one change, after the first few changes.
    """
    seq, first = 0, rng.randint(0, 2)
    for number in range(1000):
        if number == first:
            threading.Timer(rng.uniform(0.0, 0.06), node.kill).start()
        slug = f"{prefix}-{number}"
        withdrawing = [name for name, there in acknowledged.items() if there]
        try:
            if withdrawing and rng.random() < 0.3:
                slug = rng.choice(withdrawing)
                attempted.add(slug)
                seq = node.withdraw(slug).seq
                acknowledged[slug] = False
            else:
                attempted.add(slug)
                seq = node.publish(slug, content, slug.encode()).seq
                acknowledged[slug] = True
            attempted.discard(slug)
        except (OSError, http.client.HTTPException):
            node.kill()  # waits for the end that the timer brings
            return seq
    raise AssertionError("the node was not killed")


def test_a_second_daemon_on_the_folder_is_one_clear_error(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        second = node.run("serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0")
        assert second.returncode == 1
        assert "E-STORAGE-LOCKED" in second.stderr
        assert "what to do" in second.stderr
        assert node.status().cards == 0  # the first goes on


def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        first.start()
        taken = first.bootstrap.partition("#")[0]
        for option, other in (("--listen", "--api-listen"), ("--api-listen", "--listen")):
            ended = second.run("serve", option, taken, other, "127.0.0.1:0")
            assert ended.returncode == 1
            assert "E-TRANSPORT-LISTEN" in ended.stderr
            assert taken in ended.stderr


def test_bad_configuration_is_one_clear_error(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland") as (node,):
        (node.folder / "config.toml").write_text('[node]\nlisen = "127.0.0.1:0"\n')
        ended = node.run("serve")
        assert ended.returncode == 2
        assert "E-CONFIG-KEY" in ended.stderr
        assert "node.listen" in ended.stderr
        (node.folder / "config.toml").unlink()
        (node.folder / "keys" / "node.key").write_bytes(b"not a key")
        ended = node.run("serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0")
        assert ended.returncode == 2
        assert "E-CONFIG-KEYFILE" in ended.stderr
        assert "Traceback" not in ended.stderr
        ended = NodeProcess(tmp_path / "nowhere", "Nobody").run("serve")
        assert "E-CONFIG-FOLDER" in ended.stderr


def test_the_tap_holds_what_is_sent_and_no_more_is_stored(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (first, second):
        taps = [tmp_path / "first.tap", tmp_path / "second.tap"]
        first.start(options=("--tap", str(taps[0])))
        second.start(bootstrap=(first.bootstrap,), options=("--tap", str(taps[1])))
        first.publish("ward", specification(1, name="Ward of the tap"), b"package" * 100)
        eventually("the card is known", lambda: second.status().cards == 1)
        second.search(requirement=rkme(2).to_bytes())
        sent = [tap.read_bytes() for tap in taps]
        assert b"Ward of the tap" in sent[0]
        points = np.ascontiguousarray(specification(1).rkme.points)
        assert points.tobytes()[:64] in sent[0]  # the specification that the other fetched
        assert b"/blob/" in sent[1]
        assert (tmp_path / "second.tap.api").stat().st_size > 0


def test_an_idle_node_is_small_and_light(tmp_path: Path) -> None:
    import psutil

    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        time.sleep(0.5)
        assert node.process is not None
        resident = psutil.Process(node.process.pid).memory_info().rss / 2**20
        mapped = Path(f"/proc/{node.process.pid}/maps").read_text()
        assert resident < 120, f"{resident:.0f} MB"
        for heavy in ("torch", "pandas", "scipy", "sklearn"):
            assert f"/site-packages/{heavy}/" not in mapped


def test_sigterm_drains_in_time_while_a_blob_is_being_fetched(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland", "Hungary") as (node, other):
        node.start()
        other.start(bootstrap=(node.bootstrap,))
        receipt = node.publish("ward", specification(1), bytes(32 << 20))
        address = node.bootstrap.partition("#")[0]
        slow = http.client.HTTPSConnection(address, context=client_context(), timeout=10)
        slow.request("GET", f"/blob/{receipt.card.package}")
        response = slow.getresponse()
        assert response.read(1000) == bytes(1000)
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 5
        response.close()
        slow.close()
        eventually("the other sees it go", lambda: other.status().peers_connected == 0)


def test_a_full_disk_refuses_an_upload_and_the_node_goes_on(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the same place."""
    with nodes(tmp_path, "Cleveland") as (node,):
        node.begin(file_bytes_max=4 << 20)
        node.wait_ready()
        node.publish("ward", specification(1), b"package")
        with pytest.raises(HttpError) as caught:
            node.upload(bytes(8 << 20))
        assert (caught.value.status, caught.value.problem["code"]) == (500, "E-STORAGE-FOLDER")
        assert "free space" in caught.value.problem["todo"]
        node.publish("next", specification(2), b"another package")
        assert [card.slug for card in node.learnwares().learnwares] == ["next", "ward"]
        assert not list((node.folder / "blobs").glob("tmp-*"))


def test_the_two_commands_answer_in_json_when_asked(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", "Cleveland")
    try:
        made = json.loads(node.run("init", "--name", "Cleveland", "--json").stdout)
        again = node.run("init", "--name", "Cleveland")
        assert (again.returncode, "E-CONFIG-EXISTS" in again.stderr) == (2, True)
        node.start(options=("--json",))
        eventually("it says that it serves", lambda: '"pid"' in node.said())
        ready = json.loads(next(line for line in node.said().splitlines() if line.startswith("{")))
        assert ready["bootstrap"] == node.bootstrap
        assert (ready["name"], ready["owner"]) == ("Cleveland", made["owner"])
    finally:
        node.kill()


def test_what_checks_found_stays_with_the_version_it_was_found_for(tmp_path: Path) -> None:
    found = CheckReport(
        "ward", "onnx", usable=True, results=[CheckResult("E-CHECK-RUNS", "It runs", "passed")]
    )

    def checks(node: NodeProcess) -> CheckReport:
        return msgspec.json.decode(node.request("GET", "/checks/ward"), type=CheckReport)

    def refusal(node: NodeProcess) -> tuple[int, str]:
        with pytest.raises(HttpError) as caught:
            checks(node)
        return caught.value.status, caught.value.problem["code"]

    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        assert refusal(node) == (404, "E-NOTFOUND-SLUG")
        node.publish("ward", specification(1), b"package", checks=found)
        assert checks(node) == found
        node.stop()
        node.start()
        assert checks(node) == found
        node.publish("ward", specification(2), b"another", update=True)
        assert refusal(node) == (404, "E-NOTFOUND-CHECKS")
        node.withdraw("ward")
        assert refusal(node) == (404, "E-NOTFOUND-SLUG")


def test_refusals_of_publishing(tmp_path: Path) -> None:
    with nodes(tmp_path, "Cleveland") as (node,):
        node.start()
        node.publish("ward", specification(1), b"package")
        good = node.learnwares().learnwares[0]

        def refusal(**changes: object) -> tuple[int, str]:
            fields = {"slug": "next", "specification": good.specification, "package": good.package}
            request = PublishRequest(**{**fields, "lane": "python", **changes})  # type: ignore[arg-type]
            with pytest.raises(HttpError) as caught:
                node.publish_request(request)
            return caught.value.status, caught.value.problem["code"]

        assert refusal(slug="ward") == (409, "E-PUBLISH-EXISTS")
        assert refusal(slug="No Slug") == (400, "E-API-CARD")
        assert refusal(lane="pickle") == (400, "E-API-CARD")
        assert refusal(package="00" * 32) == (404, "E-NOTFOUND-BLOB")
        assert refusal(specification="xyz") == (400, "E-API-NAME")
        status, code = refusal(specification=good.package)
        assert (status, code[:6]) == (422, "E-SPEC")
        with pytest.raises(HttpError) as caught:
            node.withdraw("nothing")
        assert (caught.value.status, caught.value.problem["code"]) == (404, "E-NOTFOUND-SLUG")
        assert node.status().seq == 1
