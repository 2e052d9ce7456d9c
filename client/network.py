"""The market as Python sees it: connect to a node, search, publish, look around.

::

    net = skerry.connect()
    hits = net.search(X, task="classification")
    model = hits[0].estimator()

The requirement, a specification of the searcher's rows, is computed here; the rows themselves go nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from skerry.errors import Refused
from skerry.package.blobs import BlobStore
from skerry.protocol import api

from .connection import Connection, find, segment
from .data import Table, read_file
from .folders import cache_folder
from .hits import Hit, Hits
from .limits import NOISE_ROWS_MIN
from .publishing import Draft, Words, drafted, upload

if TYPE_CHECKING:
    from skerry.spec import Rkme


@dataclass(frozen=True)
class Requirement:
    """What a searcher's rows become before anything is sent.

    Attributes ---------- rkme The specification of the rows. noise_mmd2 Squared MMD between two halves of
    the rows; what is no farther than that cannot be told apart from them.
    """

    rkme: Rkme
    noise_mmd2: float | None = None


class Network:
    """The market as one node knows it; made by :func:`connect`.

    Parameters
    ----------
    connection
        The way to the node.
    cache
        Where fetched blobs are kept.
    unsafe_models
        Run models without a sandbox, with all rights of this user.
    """

    def __init__(self, connection: Connection, cache: BlobStore, *, unsafe_models: bool = False) -> None:
        self._connection = connection
        self._cache = cache
        self._unsafe_models = unsafe_models

    def __repr__(self) -> str:
        return f"<Network through {self._connection.url}>"

    def search(
        self,
        X: Any = None,
        *,
        columns: Sequence[str] | None = None,
        text: str = "",
        task: str = "",
        data: str = "",
        library: str = "",
        license: str = "",  # noqa: A002 - the field's name everywhere
        scenario: str = "",
        owner: str = "",
        exclude_own: bool = False,
        k: int = 10,
        mix_size: int = 5,
        timeout: float = 5.0,
    ) -> Hits:
        """Find learnwares for data, for words, or for both.

        Parameters ---------- X Rows like those to predict: an array (n, d), a data frame, the path of a
        CSV or Parquet file, an :class:`~skerry.spec.Rkme` or a :class:`Requirement`. Only a specification
        of them goes to the node. text Words that must occur in name or summary. task, data, library,
        license, scenario, owner Values that the card must have; empty ones do not filter. exclude_own
        Leave out the learnwares of the node's own institution. k Number of hits wanted. mix_size
        Learnwares in the recommended mix at most. timeout Seconds that the node may take; what it has by
        then is the answer, and its coverage says so.

        Raises
        ------
        SpecificationError
            When the data cannot be used; names the column.
        Refused
            ``E-SEARCH-REMOTE`` when the node is on another machine, where a specification must not go.
        Unavailable
            When the node does not answer.
        """
        if X is not None and not self._connection.is_local:
            raise _remote(self._connection.url)
        wanted = None if X is None else requirement(X, columns)
        request = api.SearchRequest(
            requirement=b"" if wanted is None else wanted.rkme.to_bytes(),
            noise_mmd2=None if wanted is None else wanted.noise_mmd2,
            text=text,
            data=data,
            task=task,
            library=library,
            license=license,
            scenario=scenario,
            owner=owner,
            exclude_own=exclude_own,
            k=k,
            mix_size=mix_size,
            timeout_seconds=timeout,
        )
        answer = self._connection.post("/search", request, api.SearchAnswer, extra_seconds=timeout)
        return self.hits(answer, None if wanted is None else wanted.rkme)

    def hits(self, answer: api.SearchAnswer, requirement: Rkme | None = None) -> Hits:
        """Return a search's answer, which may have been kept since, as hits.

        Parameters
        ----------
        answer
            The answer.
        requirement
            The specification that sets the metric of the mix; without it there is no mix.
        """
        return Hits(
            answer,
            self._connection,
            self._cache,
            requirement=requirement,
            unsafe_models=self._unsafe_models,
        )

    def hit(self, card_id: str) -> Hit:
        """Return the learnware with this id, without distances.

        Raises
        ------
        NotFound
            When the node knows no such card.
        """
        answer = self._connection.get(f"/cards/{segment(card_id)}", api.Hit)
        return Hit(answer, self._connection, self._cache, unsafe_models=self._unsafe_models)

    def publish(self, model: Any, X: Any, y: Any = None, **words: Unpack[Words]) -> api.PublishReceipt:
        """Publish a fitted model; see :func:`skerry.publish` for the arguments and errors."""
        with drafted(model, X, y, unconfined=self._unsafe_models, **words) as draft:
            return self.upload(draft)

    def upload(self, draft: Draft) -> api.PublishReceipt:
        """Publish what :func:`~skerry.client.publishing.drafted` made."""
        return upload(draft, self._connection)

    def withdraw(self, slug: str) -> api.PublishReceipt:
        """Take a learnware of the node out of the market. Copies that others fetched cannot be recalled.

        Raises
        ------
        NotFound
            When the node has no such learnware.
        """
        return self._connection.delete(f"/learnwares/{segment(slug)}", api.PublishReceipt)

    def learnwares(self) -> list[api.CardView]:
        """Return the node's own live learnwares."""
        return self._connection.get("/learnwares", api.Learnwares).learnwares

    def checks(self, slug: str) -> api.CheckReport:
        """Return what was found when a learnware of the node was checked before it was published.

        Raises
        ------
        NotFound
            When the node has no such learnware, or none was handed in with it.
        """
        return self._connection.get(f"/checks/{segment(slug)}", api.CheckReport)

    def status(self) -> api.Status:
        """Return the node at a glance."""
        return self._connection.get("/status", api.Status)

    def peers(self) -> list[api.PeerView]:
        """Return the nodes that this one knows."""
        return self._connection.get("/peers", api.Peers).peers

    def dial(self, address: str) -> list[api.PeerView]:
        """Connect the node to another one, ``host:port#certificate-hash``, and return its peers."""
        return self._connection.post("/peers", api.DialRequest(address), api.Peers).peers


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    folder: Path | str | None = None,
    cache: Path | str | None = None,
    unsafe_models: bool = False,
) -> Network:
    """Return the market as a node knows it.

    Parameters
    ----------
    url, token
        Address of a node's API and a token for it; by default the node of this machine is found.
    folder
        The folder of the node of this machine; by default ``SKERRY_HOME`` or the platform's place.
    cache
        Where fetched blobs are kept; by default ``SKERRY_CACHE`` or the platform's place.
    unsafe_models
        Run models without a sandbox, with all rights of this user. Only for models whose owners you trust.

    Raises
    ------
    Unavailable
        When no node runs here; says how to start one.
    """
    connection = find(folder) if url is None else Connection(url, token or "")
    return Network(connection, BlobStore(cache_folder(cache) / "blobs"), unsafe_models=unsafe_models)


def requirement(X: Any, columns: Sequence[str] | None = None) -> Requirement:
    """Return what a search for rows sends to the node; see :meth:`Network.search` for the arguments."""
    from skerry.spec import Rkme, fit_table, noise_floor

    if isinstance(X, Requirement):
        return X
    if isinstance(X, Rkme):
        return Requirement(X)
    if isinstance(X, str | Path):
        X, _ = read_file(X)
    if isinstance(X, Table):
        X, columns = X.values, X.columns
    rkme = fit_table(X, columns=columns)
    noise = noise_floor(X).upper if len(X) >= NOISE_ROWS_MIN else None
    return Requirement(rkme, noise)


def _remote(url: str) -> Refused:
    return Refused(
        "Rows are searched with on a node of this machine only",
        where=url,
        why="their specification would leave the machine, and it tells much about few rows",
        todo="Run a node here: `skerry init`, `skerry serve`; or search by words",
        code="E-SEARCH-REMOTE",
    )
