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

import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args, overload

from skerry.errors import ClientError, NotFound, Unavailable
from skerry.package.hashtree import HashTree
from skerry.protocol import api
from skerry.protocol.errors import RemoteProtocolError
from skerry.protocol.violations import Violation

from .cache import Cache
from .connection import Connection, segment
from .escape import visible
from .fetch import Progress, fetch, no_progress
from .limits import LATE_SECONDS_MIN, PACKAGES_FETCHED_AT_ONCE_MAX

if TYPE_CHECKING:
    from rich.table import Table

    from skerry.reuse import Learnware, Routed
    from skerry.spec import Bridge, ExpectedLoss, Rkme, Specification

    from .crossing import Across, Crossed
    from .explaining import Explained

FrameLibrary = Literal["pandas", "polars", "pyarrow"]
_FRAME_LIBRARIES: Final[tuple[FrameLibrary, ...]] = get_args(FrameLibrary)


OWNER_ID_CHARACTERS: Final = 64


class WithdrawnWarning(UserWarning):
    """A model in the cache is used though its owner withdrew it, or has published a newer one."""


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
    expected_loss
        What the model is expected to lose on the searcher's labelled rows, estimated from its specification;
        None without labels, or where the specification does not allow it.
    bridge
        The published bridge that it stands behind, where no learnware has the searcher's columns: a claim of
        who found it. None otherwise.
    """

    def __init__(
        self,
        answer: api.Hit,
        connection: Connection,
        cache: Cache,
        *,
        unsafe_models: bool = False,
        columns_map: Mapping[str, str] | None = None,
        expected_loss: ExpectedLoss | None = None,
        bridge: Crossed | None = None,
        searched: Rkme | None = None,
    ) -> None:
        self.expected_loss: ExpectedLoss | None = expected_loss
        self.bridge: Crossed | None = bridge
        self._searched = searched
        self.answer: api.Hit = answer
        self.card: api.CardView = answer.card
        self.sources: list[api.Source] = answer.sources
        self.mmd2: float | None = answer.mmd2
        self.cosine: float | None = answer.cosine
        self.within_noise: bool | None = answer.within_noise
        self._connection = connection
        self._cache = cache
        self._unsafe_models = unsafe_models
        self._columns_map = dict(columns_map or {})
        self._estimator: Learnware | None = None
        self._stop: Callable[[], object] = _nothing

    def __repr__(self) -> str:
        distance = "" if self.mmd2 is None else f" mmd2={self.mmd2:.4g}"
        behind = "" if self.bridge is None else f" {visible(str(self.bridge))}"
        return f"<Hit {visible(self.title)} by {visible(self.owner)}{distance}{behind}>"

    @property
    def title(self) -> str:
        """Name, or slug where there is none, with the version."""
        return f"{self.card.name or self.card.slug} v{self.card.version}"

    @property
    def owner(self) -> str:
        """The owner's name, which is a claim, with the beginning of its id, which is not."""
        return f"{self.card.owner_name or 'unnamed'} ({self.card.owner[:8]})"

    @property
    def is_cached(self) -> bool:
        """Whether the package is here already, so that nothing need be fetched."""
        return self._cache.blobs.exists(bytes.fromhex(self.card.package))

    def specification(self, deadline: float | None = None) -> Specification:
        """Return the full specification, from the cache or through the node.

        Parameters
        ----------
        deadline
            The monotonic time after which nobody waits for it any more.

        Raises
        ------
        Unavailable
            When the node cannot get it, or the deadline is over.
        RemoteProtocolError
            When what it got is not what the card names.
        """
        from skerry.spec import Specification

        root = bytes.fromhex(self.card.specification)
        if self._cache.blobs.exists(root):
            return Specification.from_bytes(self._cache.blobs.path(root).read_bytes())
        seconds = None if deadline is None else deadline - time.monotonic()
        if seconds is not None and seconds < LATE_SECONDS_MIN:
            raise Unavailable("The time for this search is over", where=self.card.id)
        path = f"/specifications/{segment(self.card.specification)}"
        blob = self._connection.get_bytes(path, seconds=seconds)
        if HashTree.of(blob).root != root:
            raise RemoteProtocolError(Violation.HASH_WRONG, "the specification", where=self._connection.url)
        specification = Specification.from_bytes(blob)
        self._cache.blobs.put_bytes(blob)
        return specification

    def download(self, *, progress: Progress | bool = False, bytes_per_second: int = 0) -> Path:
        """Return the path of the package's zip, fetched from its owner when it is not in the cache.

        Every piece is verified before it counts, and what arrived is kept: after an interruption only the
        rest is fetched.

        Parameters
        ----------
        progress
            True shows a progress bar with rate and time left; a function is called with the bytes that are
            here and the bytes of the whole package.
        bytes_per_second
            The fastest that it may come; 0 for no limit.

        Raises
        ------
        Unavailable, NotFound, TransportError, RemoteProtocolError
            See :func:`skerry.client.fetch.fetch`.
        """
        if progress is True:
            from .showing import progress_bar

            with progress_bar(f"fetching {self.title}", self.card.package_bytes) as shown:
                return self.download(progress=shown, bytes_per_second=bytes_per_second)
        root = bytes.fromhex(self.card.package)
        reported = progress or no_progress
        path = fetch(
            self._cache.blobs,
            root,
            self.card.package_bytes,
            self._sources(root),
            reported,
            bytes_per_second=bytes_per_second,
        )
        self._cache.remember(self.answer)
        return path

    def _sources(self, root: bytes) -> list[api.Source]:
        """Return who serves the package; for a card of a group with the tokens that the node got."""
        if not self.card.groups or self._cache.blobs.exists(root):
            return self.sources
        answer = self._connection.get(f"/cards/{segment(self.card.id)}/sources", api.Sources)
        return answer.sources

    def __sklearn_clone__(self) -> Self:
        """Return this very hit where scikit-learn clones a reuser: a running model cannot be copied."""
        return self

    def estimator(self) -> Learnware:
        """Return the model as a fitted scikit-learn estimator that runs in a process of its own.

        Its ``predict`` takes rows (n, d), by name where they have names. The process ends with the estimator,
        with :meth:`close`, or with this program.

        Warns
        -----
        WithdrawnWarning
            When the model is used from the cache and its owner has withdrawn, recalled or replaced it.

        Raises
        ------
        PackageError, SandboxError
            When the package breaks a rule, or its model cannot be run here.
        Unavailable, NotFound, TransportError, RemoteProtocolError
            When it is not in the cache and cannot be fetched.
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
        from skerry.reuse import across, as_estimator

        if self.is_cached:
            self._warn_if_gone()
        specification, path = self.specification(), self.download()
        worker = Worker(path, unconfined=self._unsafe_models)
        manifest = worker.package.manifest
        columns = None if manifest is None else manifest.columns
        if columns is None and self._columns_map:
            columns = [column.name for column in specification.rkme.columns or ()] or None
        estimator: Learnware = as_estimator(
            worker,
            specification.rkme,
            columns=None if columns is None else self._as_searcher_calls(columns),
            task=self.card.task,
        )
        bridge = self._bridge(specification.rkme)
        if bridge is not None:
            estimator = across(estimator, bridge, self._searchers_columns())
        self._stop = weakref.finalize(estimator, worker.close)
        return estimator

    def _bridge(self, owner: Rkme) -> Bridge | None:
        """Return what turns the searcher's columns into the model's; None where they are its columns already.

        Columns of the same names in other units, and columns that the searcher lacks, need it too.
        """
        if self.bridge is not None:
            return self.bridge.bridge
        columns = None if self._searched is None else self._searched.columns
        if self.answer.shared is None or columns is None:
            return None
        from skerry.spec import bridge

        found = bridge(owner, columns)
        converts = any(match.factor != 1 or match.offset != 0 for match in found.matches)
        return found if found.missing or converts else None

    def _searchers_columns(self) -> list[str] | None:
        columns = None if self._searched is None else self._searched.columns
        return None if columns is None else self._as_searcher_calls([column.name for column in columns])

    def _as_searcher_calls(self, columns: Sequence[str]) -> list[str]:
        """Return the model's columns by the names that the searcher's data have for them."""
        old = {new: name for name, new in self._columns_map.items()}
        return [old.get(name, name) for name in columns]

    def _warn_if_gone(self) -> None:
        """Warn where the index no longer has what is in the cache; an absent node cannot say."""
        try:
            live = self._connection.get(f"/cards/{segment(self.card.id)}", api.Hit).card
        except NotFound:
            said = "was withdrawn or recalled by its owner; the copy in your cache is used"
        except ClientError:
            return
        else:
            if live.version <= self.card.version:
                return
            said = f"is not the newest: there is version {live.version}; search again to have it"
        title = visible(self.title)
        warnings.warn(f"{title} by {visible(self.owner)} {said}", WithdrawnWarning, stacklevel=4)


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
    noise_mmd2
        Squared MMD between two halves of the searcher's rows; None where it is not known.
    note
        What is to be said of the hits as a whole: that they stand behind bridges. Mostly empty.
    """

    def __init__(
        self,
        answer: api.SearchAnswer,
        connection: Connection,
        cache: Cache,
        *,
        requirement: Rkme | None = None,
        noise_mmd2: float | None = None,
        unsafe_models: bool = False,
        columns_map: Mapping[str, str] | None = None,
        losses: Mapping[str, ExpectedLoss] | None = None,
        across: Across | None = None,
    ) -> None:
        losses, crossed = losses or {}, {} if across is None else across.crossed
        self.note: str = "" if across is None else across.note()
        self.answer: api.SearchAnswer = answer
        self.requirement: Rkme | None = requirement
        self.noise_mmd2: float | None = noise_mmd2
        self.coverage: api.Coverage = answer.coverage
        self._columns_map = dict(columns_map or {})
        self._hits = [
            Hit(
                hit,
                connection,
                cache,
                unsafe_models=unsafe_models,
                columns_map=columns_map,
                expected_loss=losses.get(hit.card.hash),
                bridge=crossed.get(hit.card.hash),
                searched=requirement,
            )
            for hit in answer.hits
        ]

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
        lines = [f"{len(self)} hits; {summary(self.coverage)}", *([self.note] if self.note else ())]
        lines += [f"{number:3} {hit!r}" for number, hit in enumerate(self, start=1)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from .notebook import hits_html

        return hits_html(self)

    def __rich__(self) -> Table:
        from .showing import hits_table

        return hits_table(self)

    def to_frame(self, library: FrameLibrary | None = None) -> Any:
        """Return the hits as a data frame, one row a hit, nearest first.

        Parameters
        ----------
        library
            ``"pandas"``, ``"polars"`` or ``"pyarrow"``; by default the first of them that is installed.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame or pyarrow.Table
            Columns ``name``, ``version``, ``owner``, ``owner_id``, ``task``, ``lane``, ``license``,
            ``package_bytes``, ``mmd2``, ``cosine``, ``within_noise``, ``expected_loss`` and ``id``. Texts are
            as their owners wrote them.

        Raises
        ------
        Unavailable
            ``E-CLIENT-EXTRA`` when no such library is installed.
        """
        import narwhals as nw

        from .showing import frame_columns, missing_extra

        for backend in (library,) if library else _FRAME_LIBRARIES:
            try:
                return nw.from_dict(frame_columns(self), backend=backend).to_native()
            except ImportError:
                continue
        raise missing_extra("a data frame", "frames")

    def explain(self, index: int) -> Explained:
        """Return why a hit is as near or as far as it is, with pictures.

        Parameters
        ----------
        index
            Position of the hit, from 0.

        Raises
        ------
        NotFound
            ``E-SEARCH-EXPLAIN`` after a search by words: there are no distances to explain.
        Unavailable
            When the node cannot get the hit's specification.
        """
        from .explaining import explained

        return explained(self, index)

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
        mix = Routed(members, weights=recommended.weights, requirement=self.requirement)
        return mix.fit()

    def download(self, members: Sequence[Hit] | None = None) -> list[Path]:
        """Fetch the packages of these hits, or of all, several at a time, and return their paths.

        Raises
        ------
        Unavailable, NotFound, TransportError, RemoteProtocolError
            See :meth:`Hit.download`.
        """
        with ThreadPoolExecutor(PACKAGES_FETCHED_AT_ONCE_MAX) as pool:
            return list(pool.map(Hit.download, self._hits if members is None else members))

    def close(self) -> None:
        """End the processes of all models that run."""
        for hit in self._hits:
            hit.close()


def _nothing() -> None:
    """End no process, since none runs."""


def summary(coverage: api.Coverage) -> str:
    """Return in one line what an answer covers, beginning with what is missing."""
    text = ""
    if coverage.unreachable:
        silent = len(coverage.unreachable)
        asked = max(coverage.owners_asked, silent)
        names = ", ".join(visible(_short(name)) for name in coverage.unreachable)
        text = f"{asked - silent} of {asked} owners answered; not reached: {names}; "
    text += (
        f"compared {coverage.compared} of {coverage.candidates} candidates among {coverage.cards} learnwares"
    )
    text += f" of {coverage.owners} owners"
    return f"{text}; {coverage.coming} more are on their way" if coverage.coming else text


def _short(owner: str) -> str:
    """Return an owner's name with the beginning of its id, as it is shown elsewhere."""
    name, _, identifier = owner.rpartition(" ")
    return f"{name or 'unnamed'} ({identifier[:8]})" if len(identifier) == OWNER_ID_CHARACTERS else owner
