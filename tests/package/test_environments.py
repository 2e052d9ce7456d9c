"""Environments are made from wheels once, shared by digest, and say what they could not get."""

import base64
import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skerry.errors import PackageError
from skerry.package.environments import (
    EnvironmentStore,
    Requirements,
    environment_for,
    missing_here,
    read_requirements,
)
from skerry.package.worker import Worker

from .models import model_package

REQUIREMENTS = """
# a comment
scikit-learn==1.2.0  # another
numpy >= 1.20, < 2
torch[extra]==2.0
pandas==1.5; python_version < "3.9"
--index-url https://evil.example
-e .
-r other.txt
evil @ https://evil.example/evil.whl
https://evil.example/evil.whl
../evil
numpy==1.0 && touch /tmp/evil
$(touch evil)
"""
ENVIRONMENT = """
name: learnware
channels: [conda-forge]
dependencies:
  - python=3.8.13=h12debd9_0
  - numpy=1.22.0=py38h05e7239_0
  - conda-forge::scipy=1.8
  - openssl=1.1.1
  - requests>=2.0
  - pip
  - pip:
    - torch==1.11.0
    - -e git+https://evil.example#egg=evil
"""


def test_requirements_are_names_with_versions_and_nothing_else() -> None:
    read = read_requirements("requirements.txt", REQUIREMENTS)
    assert read.python is None
    assert read.lines == ("numpy>=1.20,<2", "pandas==1.5", "scikit-learn==1.2.0", "torch[extra]==2.0")
    assert len(read.ignored) == 8
    assert all("evil" in line or line.startswith("'-") for line in read.ignored)


def test_a_conda_file_is_understood() -> None:
    read = read_requirements("environment.yaml", ENVIRONMENT)
    assert read.python == "3.8.13"
    assert read.lines == ("numpy==1.22.0", "requests>=2.0", "scipy==1.8", "torch==1.11.0")
    assert len(read.ignored) == 1


@pytest.mark.parametrize(
    "text", ["- a list", "dependencies: 3", "a: &a 1\nb: *a", "[" * 3000, "!!python/name:os.system"]
)
def test_a_conda_file_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PackageError) as caught:
        read_requirements("environment.yaml", text)
    assert caught.value.code == "E-PACKAGE-REQUIREMENTS"


def test_too_many_requirements_are_refused() -> None:
    with pytest.raises(PackageError, match="1000 lines"):
        read_requirements("requirements.txt", "numpy\n" * 1000)


def test_the_digest_depends_on_what_is_asked_for_alone() -> None:
    one = read_requirements("requirements.txt", "b==1\na == 2\n")
    two = read_requirements("requirements.txt", "# other\na==2\nb==1\nb==1\n")
    assert one.digest == two.digest
    assert one.digest != read_requirements("requirements.txt", "a==2\nb==2").digest


def test_what_this_interpreter_lacks_is_found() -> None:
    asked = read_requirements(
        "requirements.txt", f"numpy=={np.__version__}\nscipy\nscikit-learn==0.0.1\nnosuch\n"
    )
    assert missing_here(asked) == ["nosuch", "scikit-learn==0.0.1"]
    assert missing_here(Requirements("3.5", (), ())) == ["python==3.5"]


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Write a wheel by hand: a zip with its metadata and a record of hashes."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as target:
        for path, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text)}\n"
            target.writestr(path, text)
        target.writestr(f"{info}/RECORD", record)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EnvironmentStore:
    """A store whose index is a folder: a wheel that spies, a source not to be built, a stand-in for numpy."""
    wheels = tmp_path_factory.mktemp("wheels")
    spied = tmp_path_factory.mktemp("spied")
    spy = f"import pathlib; pathlib.Path({str(spied / 'ran')!r}).touch()"
    wheel(wheels, "useful", "1.0", {"useful.py": "ANSWER = 42\n", "useful.pth": spy + "\n"})
    linked = Path(np.__file__).parent.parent
    links = f"import sys; sys.path.append({str(linked)!r})\n"
    wheel(wheels, "numpy", "99.0", {"numpy_elsewhere.pth": links})
    (wheels / "unbuilt-1.0.tar.gz").write_bytes(b"a source distribution is never opened")
    made = EnvironmentStore(
        tmp_path_factory.mktemp("environments"), ["--no-index", "--find-links", str(wheels)]
    )
    made.spied = spied  # type: ignore[attr-defined] # for the test that looks there
    return made


def test_an_environment_is_made_once_and_its_code_runs_in_the_worker_only(
    store: EnvironmentStore, tmp_path: Path
) -> None:
    asked = read_requirements("requirements.txt", "useful==1.0\nunbuilt==1.0\nnosuch==3\n")
    environment = store.environment(asked)
    assert environment.unavailable == ("nosuch==3", "unbuilt==1.0")
    before = (store.folder / asked.digest / "complete.json").stat()
    assert store.environment(asked) == environment
    assert (store.folder / asked.digest / "complete.json").stat() == before
    assert not (store.spied / "ran").exists()  # type: ignore[attr-defined] # see the fixture
    compiled = list((store.folder / asked.digest / "lib").rglob("useful.*.pyc"))
    assert compiled
    body = "    def predict(self, X):\n        import useful\n        return np.full(len(X), useful.ANSWER)"
    package = model_package(tmp_path / "model.zip", body)
    with Worker(package, python=environment.python, unconfined=True) as worker:
        assert worker.predict([[1.0, 2.0]]).tolist() == [42]
    assert (store.spied / "ran").exists()  # type: ignore[attr-defined] # unconfined, so that the spy can tell


def test_an_environment_is_made_only_where_this_interpreter_will_not_do(
    store: EnvironmentStore, tmp_path: Path
) -> None:
    package = model_package(tmp_path / "model.zip", "")
    assert environment_for(package, store) is None
    satisfied = replace(package, requirements=("requirements.txt", f"numpy=={np.__version__}\n"))
    assert environment_for(satisfied, store) is None
    other = environment_for(replace(package, requirements=("requirements.txt", "useful==1.0\n")), store)
    assert other is not None
    assert other.python.is_file()


def test_an_environment_that_was_cut_short_is_made_again(store: EnvironmentStore) -> None:
    asked = read_requirements("requirements.txt", "useful\n")
    place = store.folder / asked.digest
    place.mkdir(parents=True)
    (place / "half").touch()
    assert store.environment(asked).python.is_file()
    assert not (place / "half").exists()


def test_a_python_that_is_not_there_is_an_error(store: EnvironmentStore) -> None:
    with pytest.raises(PackageError) as caught:
        store.environment(Requirements("3.99", (), ()))
    assert caught.value.code == "E-PACKAGE-ENVIRONMENT"
