"""The image's file and the compose file, tried as far as a machine without an engine can."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.docker.replay import Stage, replay
from tests.node.network.front_server import Authority
from tests.tree import COMPONENTS, ROOT

DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return replay(DOCKER / "Dockerfile", ROOT, tmp_path_factory.mktemp("image"))


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="another user's process needs root")


@pytest.mark.sandbox
@pytest.mark.timeout(300)
@needs("bwrap")
@root_only
def test_the_image_runs_a_node_as_nobody_on_a_read_only_root(image: Stage, tmp_path: Path) -> None:
    assert image.user == "10001:10001"
    data = tmp_path / "data"
    data.mkdir()
    shutil.copystat(image.root / "data", data)
    os.chown(data, 10001, 10001)
    binding = (f"{data}:/data",)
    image.environment |= {
        "SKERRY_NAME": "Contained",
        "SKERRY_NODE__LISTEN": "127.0.0.1:0",
        "SKERRY_API__LISTEN": "127.0.0.1:0",
    }

    def healthy() -> bool:
        check = image.command(*image.health, writable=False, user=image.user, bind=binding)
        return subprocess.run(check, capture_output=True, timeout=30, check=False).returncode == 0

    assert not healthy()
    command = image.command(*image.entrypoint, writable=False, user=image.user, bind=binding)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not (data / "api.json").exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        assert healthy()
        pid = json.loads((data / "api.json").read_bytes())["pid"]
        assert (data / "keys" / "node.key").stat().st_uid == 10001
        assert stat.S_IMODE((data / "keys" / "node.key").stat().st_mode) == 0o600
        assert isinstance(pid, int)
    finally:
        _stop(process)
    assert "serves at" in log.read_text()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to the daemon, a child of bubblewrap."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGTERM)
    try:
        process.wait(8)
    finally:
        process.kill()
        process.wait(8)


@pytest.mark.server
@needs("docker-compose")
def test_the_compose_file_is_one_and_confines_every_node() -> None:
    made = subprocess.run(
        ["docker-compose", "-f", str(DOCKER / "docker-compose.yml"), "config"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SKERRY_HOST": "skerry.test"},
        check=False,
    )
    assert made.returncode == 0, made.stderr
    import yaml

    services = yaml.safe_load(made.stdout)["services"]
    assert set(services) == {"first", "second", "third", "proxy"}
    for name in ("first", "second", "third"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert "ports" not in service  # the proxy alone is reached from outside
    assert services["second"]["environment"]["SKERRY_NODE__BOOTSTRAP"] == "skerry.test:443#web"
    _check_keys(services)


def _check_keys(services: dict[str, dict[str, dict[str, str]]]) -> None:
    """Have the node's own reader take every variable that a service sets."""
    from skerry.node.config import load

    for name in ("first", "second", "third"):
        load(Path("/nonexistent"), services[name]["environment"])


@pytest.mark.server
@needs("nginx")
def test_nginx_accepts_the_proxys_configuration(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "authority").issue("skerry.test")
    text = (DOCKER / "nginx.conf").read_text()
    text = text.replace("/certificates/tls.pem", str(certificate)).replace("/certificates/tls.key", str(key))
    text = text.replace("http://first:7740", "http://127.0.0.1:7740")
    text = text.replace("/run/nginx.pid", str(tmp_path / "pid"))
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run(
        ["nginx", "-t", "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_image_is_built_from_every_component() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for component in (*COMPONENTS, "src"):
        assert f"COPY {component} ./{component}\n" in text
        assert f"!{component}" in ignored
