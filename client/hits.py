"""What a search found, and the way from there to a model that predicts.

Theory of operation. The node answers with cards, raw distances and the mix it recommends. A hit fetches
nothing by itself: ``specification()`` asks the own node, ``download()`` fetches the package straight from
the owner into the cache, ``estimator()`` runs it in a process of its own. Each happens once a hit and is
kept.

Rules of this file:

1. Everything fetched is verified against the card before it is used.
2. No model runs in this process, and none outside a sandbox unless the network was opened with
   ``unsafe_models``.
3. Text from other nodes is escaped wherever it is shown (:mod:`skerry.client.escape`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, overload

from skerry.errors import NotFound
from skerry.package.blobs import BlobStore
from skerry.package.hashtree import HashTree
from skerry.protocol import api
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.violations import Violation

from .connection import Connection, segment
from .escape import visible
from .fetch import Progress, fetch, no_progress
from .limits import PACKAGES_FETCHED_AT_ONCE_MAX

if TYPE_CHECKING:
    from skerry.reuse import Learnware, Routed
    from skerry.spec import Rkme, Specification


class Hit:
    """One learnware that a search found.

    Attributes
    ----------
    card
        The learnware's entry in the index; text in it comes from its owner.
    sources
        Nodes that serve its blobs.
    mmd2
        Squared MMD to the searcher's data in the searcher's metric; None in a search by words.
    cosine
        Cosine of the kernel mean embeddings, in [0, 1]; None in a search by words.
    within_noise
        Whether the distance is no larger than that between two halves of the searcher's own rows.
    """

    def __init__(
        self, answer: api.Hit, connection: Connection, cache: BlobStore, *, unsafe_models: bool
    ) -> None:
        self.answer = answer
        self.card = answer.card
        self.sources = answer.sources
        self.mmd2 = answer.mmd2
        self.cosine = answer.cosine
        self.within_noise = answer.within_noise
        self._connection = connection
        self._cache = cache
        self._unsafe_models = unsafe_models
        self._estimator: Learnware | None = None
        self._stop: Callable[[], object] = _nothing

    def __repr__(self) -> str:
        distance = "" if self.mmd2 is None else f" mmd2={self.mmd2:.4g}"
        return f"<Hit {visible(self.title)} by {visible(self.owner)}{distance}>"

    @property
    def title(self) -> str:
        """Name, or slug where there is none, with the version."""
        return f"{self.card.name or self.card.slug} v{self.card.version}"

    @property
    def owner(self) -> str:
        """The owner's name, which is a claim, with the beginning of its id, which is not."""
        return f"{self.card.owner_name or 'unnamed'} ({self.card.owner[:8]})"

    def specification(self) -> Specification:
        """Return the full specification, through the own node.

        Raises
        ------
        Unavailable
            When the node cannot get it.
        RemoteProtocolError
            When what it got is not what the card names.
        """
        from skerry.spec import Specification

        root = bytes.fromhex(self.card.specification)
        if self._cache.exists(root):
            return Specification.from_bytes(self._cache.path(root).read_bytes())
        blob = self._connection.get_bytes(f"/specifications/{segment(self.card.specification)}")
        if HashTree.of(blob).root != root:
            raise RemoteProtocolError(Violation.HASH_WRONG, "the specification", where=self._connection.url)
        specification = Specification.from_bytes(blob)
        self._cache.put_bytes(blob)
        return specification

    def download(self, progress: Progress = no_progress) -> Path:
        """Return the path of the package's zip, fetched from its owner when it is not in the cache.

        Raises
        ------
        Unavailable, NotFound, TransportError, RemoteProtocolError
            See :func:`skerry.client.fetch.fetch`.
        """
        root = bytes.fromhex(self.card.package)
        return fetch(self._cache, root, self.card.package_bytes, self.sources, progress)

    def __sklearn_clone__(self) -> Self:
        """Return this very hit where scikit-learn clones a reuser: a running model cannot be copied."""
        return self

    def estimator(self) -> Learnware:
        """Return the model as a fitted scikit-learn estimator that runs in a process of its own.

        The process ends with the estimator, with :meth:`close`, or with this program.

        Raises
        ------
        PackageError, SandboxError
            When the package breaks a rule, or its model cannot be run here.
        """
        if self._estimator is None:
            self._estimator = self._start()
        return self._estimator

    def close(self) -> None:
        """End the model's process, if one runs."""
        self._stop()
        self._estimator = None

    def _start(self) -> Learnware:
        from skerry.package.worker import Worker
        from skerry.reuse import as_estimator

        specification, path = self.specification(), self.download()
        worker = Worker(path, unconfined=self._unsafe_models)
        manifest = worker.package.manifest
        estimator = as_estimator(
            worker,
            specification.rkme,
            columns=None if manifest is None else manifest.columns,
            task=self.card.task,
        )
        self._stop = weakref.finalize(estimator, worker.close)
        return estimator


class Hits(Sequence[Hit]):
    """What a search found, nearest first.

    Attributes
    ----------
    answer
        The node's answer as it came.
    coverage
        What the answer covers: a partial answer says so.
    requirement
        The specification that was searched with, which sets the metric; None in a search by words.
    """

    def __init__(
        self,
        answer: api.SearchAnswer,
        connection: Connection,
        cache: BlobStore,
        *,
        requirement: Rkme | None = None,
        unsafe_models: bool = False,
    ) -> None:
        self.answer = answer
        self.requirement = requirement
        self.coverage = answer.coverage
        self._hits = [Hit(hit, connection, cache, unsafe_models=unsafe_models) for hit in answer.hits]

    def __len__(self) -> int:
        return len(self._hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        return self._hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __sklearn_clone__(self) -> Self:
        """Return these very hits where scikit-learn clones a reuser, as each hit does."""
        return self

    def __repr__(self) -> str:
        lines = [f"{len(self)} hits; {summary(self.coverage)}"]
        lines += [f"{number:3} {hit!r}" for number, hit in enumerate(self, start=1)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from .notebook import hits_html

        return hits_html(self)

    @cached_property
    def mix(self) -> Routed:
        """The recommended combination, ready to predict: each row is answered by those responsible for it.

        Raises
        ------
        NotFound
            ``E-SEARCH-MIX`` when the search gave none, as a search by words does.
        """
        from skerry.reuse import Routed

        recommended = self.answer.mix
        if recommended is None or self.requirement is None:
            raise NotFound(
                "There is no mix",
                why="the search found nothing to combine by data",
                todo="Search with your rows: net.search(X)",
                code="E-SEARCH-MIX",
            )
        members = [self._hits[position] for position in recommended.members]
        self.download(members)
        return Routed(members, weights=recommended.weights, requirement=self.requirement).fit()

    def download(self, members: Sequence[Hit] | None = None) -> list[Path]:
        """Fetch the packages of these hits, or of all, several at a time, and return their paths."""
        with ThreadPoolExecutor(PACKAGES_FETCHED_AT_ONCE_MAX) as pool:
            return list(pool.map(Hit.download, self._hits if members is None else members))

    def close(self) -> None:
        """End the processes of all models that run."""
        for hit in self._hits:
            hit.close()


def _nothing() -> None:
    """End no process, since none runs."""


def summary(coverage: api.Coverage) -> str:
    """Return in one line what an answer covers."""
    text = (
        f"compared {coverage.compared} of {coverage.candidates} candidates among {coverage.cards} learnwares"
    )
    text += f" of {coverage.owners} owners"
    if coverage.unreachable:
        names = ", ".join(visible(name) for name in coverage.unreachable)
        text += f"; not reached: {names}"
    return text
