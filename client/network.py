"""The market as Python sees it: connect to a node, search, publish, look around.

::

    net = skerry.connect()
    hits = net.search(X, task="classification")
    model = hits[0].estimator()

The requirement, a specification of the searcher's rows, is computed here; the rows themselves go nowhere. A
node on another machine is not told even the specification (see :mod:`.remote`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from msgspec.structs import replace

from skerry.errors import NotFound, Unavailable
from skerry.protocol import api

from . import bridges, labels, remote
from .cache import Cache
from .connection import Absent, Connection, find, segment
from .crossing import Across, search_across
from .fetch import Progress, no_progress
from .groups import Groups
from .hits import Hit, Hits
from .publishing import Draft, Words, drafted, upload
from .requirements import CARD_ID, Requirement, is_file, requirement

if TYPE_CHECKING:
    from skerry.spec import Bridge, ExpectedLoss, Rkme


class Where(TypedDict, total=False):
    """What a card must say to be found; all that is given must hold.

    Attributes
    ----------
    data
        ``"Table"``, ``"Text"`` or ``"Image"``.
    library
        The reference's word for the library, such as ``"Scikit-learn"``.
    license
        Such as ``"Apache-2.0"``.
    scenario
        A field of use, such as ``"Health"``.
    owner
        The owner's id, or its name.
    """

    data: str
    library: str
    license: str
    scenario: str
    owner: str


class SearchOptions(TypedDict, total=False):
    """The keyword arguments of :meth:`Network.search`, which documents them."""

    task: str | None
    text: str
    where: Where | None
    columns: Sequence[str] | None
    columns_map: Mapping[str, str] | None
    exclude_own: bool
    k: int
    mix_size: int
    timeout: float
    allow_small: bool
    noise: float


class Network:
    """The market as one node knows it; made by :func:`connect`.

    Parameters
    ----------
    connection
        The way to the node.
    cache
        Where fetched models are kept.
    unsafe_models
        Run models without a sandbox, with all rights of this user.

    Attributes
    ----------
    cache
        The cache, which can be listed, verified and emptied.
    """

    def __init__(self, connection: Connection, cache: Cache, *, unsafe_models: bool = False) -> None:
        self._connection = connection
        self.cache: Cache = cache
        self._unsafe_models = unsafe_models

    def __repr__(self) -> str:
        return f"<Network through {self._connection.url}>"

    def search(
        self,
        X: Any = None,
        y: Any = None,
        *,
        task: str | None = None,
        text: str = "",
        where: Where | None = None,
        columns: Sequence[str] | None = None,
        columns_map: Mapping[str, str] | None = None,
        exclude_own: bool = False,
        k: int = 10,
        mix_size: int = 5,
        timeout: float = 5.0,
        allow_small: bool = False,
        noise: float = 0.0,
    ) -> Hits:
        """Find learnwares for data, for words, or for both.

        Parameters
        ----------
        X
            Rows like those to predict: an array (n, d), a data frame of pandas, polars or pyarrow, the path
            of a CSV or Parquet file; texts as a list of str; images (n, height, width[, channels]); an
            :class:`~skerry.spec.Rkme`; the id of a card or a hit, to find what is like it. A str that is none
            of these is words, as `text`. Only a specification of the data goes to the node of this machine,
            and only a sketch of it to a node elsewhere.
        y
            Labels of the rows, (n,), missing (NaN, None, empty) where none is known; for a file the name of
            their column. They stay here: where they tell two hits apart they overrule the distances, and hits
            that they show to be worse leave the mix. `hit.expected_loss` says what was estimated.
        task
            ``"Classification"``, ``"Regression"``, ...
        text
            Words that must occur in name, summary or tags.
        where
            What the card must say besides; see :class:`Where`.
        columns
            Names of the columns, for rows without names.
        columns_map
            New names for columns of the data, by their old names: ``{"hba1c": "HbA1c_pct"}``. The models that
            are found are then called with the old names.
        exclude_own
            Leave out the learnwares of the node's own institution.
        k
            Number of hits wanted.
        mix_size
            Learnwares in the recommended mix at most.
        timeout
            Seconds that the search may take; what is there by then is the answer, and its coverage says so.
        allow_small
            Describe fewer than 50 rows to a node elsewhere, which may give the rows away.
        noise
            Random errors of the sketch for a node elsewhere, 0 to 0.5 of its numbers' range: 0.05 blurs
            single rows and seldom changes who is found. What was found is compared exactly all the same.

        Raises
        ------
        SpecificationError
            When the data cannot be used; names the column.
        Refused
            ``E-SEARCH-SMALL`` when the node is on another machine and the rows are few.
        Unavailable
            When the node does not answer.
        NotFound
            When there is no card with the id.

        Where no learnware has the data's columns, those behind published bridges are offered: `hit.bridge`
        says whose claim it is and how sure, and with labels only those are offered that are expected to do
        better than the labels alone.
        """
        if isinstance(X, str) and not is_file(X) and CARD_ID.fullmatch(X) is None:
            X, text = None, f"{X} {text}".strip()
        wanted = None if X is None else self._wanted(X, y, columns, columns_map)
        deadline = time.monotonic() + timeout
        request = api.SearchRequest(
            requirement=wanted.rkme.to_bytes() if wanted is not None and self.is_local else b"",
            noise_mmd2=None if wanted is None or not self.is_local else wanted.noise_mmd2,
            text=text,
            task=task or "",
            exclude_own=exclude_own,
            k=k,
            mix_size=mix_size,
            timeout_seconds=timeout,
            **(where or {}),
        )
        if wanted is not None and not self.is_local:
            secret = self.cache.secret() if noise else b""
            sketch = wanted.sketch(allow_small=allow_small, noise=noise, secret=secret)
            answer = self._search_elsewhere(request, sketch, wanted)
        else:
            answer = self._connection.post("/search", request, api.SearchAnswer, extra_seconds=timeout)
        losses: dict[str, ExpectedLoss] = {}
        if wanted is not None and wanted.labelled is not None and answer.hits:
            answer, losses = labels.weighed(self.hits(answer), wanted, mix_size, _left(deadline, timeout))
        if wanted is not None and wanted.rkme.kind == "table" and not answer.hits:
            left = _left(deadline, timeout)
            across = search_across(self._connection, self.hits, wanted, request, answer, left)
            if across is not None:
                return self.hits(across.answer, wanted, columns_map, across.losses, across)
        return self.hits(answer, wanted, columns_map, losses)

    @property
    def is_local(self) -> bool:
        """Whether the node is on this machine, so that it may know the requirement."""
        return self._connection.is_local

    def _wanted(
        self, X: Any, y: Any, columns: Sequence[str] | None, columns_map: Mapping[str, str] | None
    ) -> Requirement:
        if isinstance(X, str) and CARD_ID.fullmatch(X):
            X = self.hit(X)
        if isinstance(X, Hit):
            X = X.specification().rkme
        return requirement(X, y, columns, columns_map)

    def _search_elsewhere(
        self, request: api.SearchRequest, sketch: api.SketchView, wanted: Requirement
    ) -> api.SearchAnswer:
        """Ask a node of another machine for candidates, and compare them here."""
        started = time.monotonic()
        asked = replace(request, sketch=sketch, k=max(request.k, remote.CANDIDATES), mix_size=0)
        seconds = request.timeout_seconds
        answer = self._connection.post("/search", asked, api.SearchAnswer, extra_seconds=seconds)
        left = max(0.0, seconds - (time.monotonic() - started))
        return remote.compared(answer, self.hits(answer), wanted, request, left)

    def hits(
        self,
        answer: api.SearchAnswer,
        wanted: Requirement | None = None,
        columns_map: Mapping[str, str] | None = None,
        losses: Mapping[str, ExpectedLoss] | None = None,
        across: Across | None = None,
    ) -> Hits:
        """Return a search's answer, which may have been kept since, as hits.

        Parameters
        ----------
        answer
            The answer.
        wanted
            What was searched with, which sets the metric of the mix; without it there is no mix.
        columns_map
            As in :meth:`search`.
        losses
            What hits are expected to lose, by card hash.
        across
            What stands behind bridges, where the answer is that.
        """
        return Hits(
            answer,
            self._connection,
            self.cache,
            requirement=None if wanted is None else wanted.rkme,
            noise_mmd2=None if wanted is None else wanted.noise_mmd2,
            unsafe_models=self._unsafe_models,
            columns_map=columns_map,
            losses=losses,
            across=across,
        )

    def hit(self, card_id: str, columns_map: Mapping[str, str] | None = None) -> Hit:
        """Return the learnware with this id, without distances.

        Where no node answers, one whose package is in the cache is returned as it was when it was fetched.

        Parameters
        ----------
        card_id
            64 hexadecimal digits.
        columns_map
            As in :meth:`search`.

        Raises
        ------
        NotFound
            When the node knows no such card.
        Unavailable
            When the node does not answer and the learnware is not in the cache.
        """
        try:
            answer = self._connection.get(f"/cards/{segment(card_id)}", api.Hit)
        except Unavailable as error:
            try:
                answer = self.cache.find(card_id)
            except NotFound:
                raise error from None
        return self._as_hit(answer, columns_map)

    def cached(self) -> list[Hit]:
        """Return the learnwares whose packages are in the cache, the one fetched last first.

        They can be used when no owner can be reached, and when no node runs.
        """
        return [self._as_hit(one.hit, None) for one in self.cache.learnwares()]

    def _as_hit(self, answer: api.Hit, columns_map: Mapping[str, str] | None) -> Hit:
        return Hit(
            answer,
            self._connection,
            self.cache,
            unsafe_models=self._unsafe_models,
            columns_map=columns_map,
        )

    def publish(self, model: Any, X: Any, y: Any = None, **words: Unpack[Words]) -> api.PublishReceipt:
        """Publish a fitted model; see :func:`skerry.publish` for the arguments and errors."""
        with drafted(model, X, y, unconfined=self._unsafe_models, **words) as draft:
            return self.upload(draft)

    def upload(self, draft: Draft, progress: Progress = no_progress) -> api.PublishReceipt:
        """Publish what :func:`~skerry.client.publishing.drafted` made."""
        return upload(draft, self._connection, progress)

    def own(self, slug: str) -> Hit:
        """Return a learnware of the node by its slug.

        Raises
        ------
        NotFound
            ``E-NOTFOUND-SLUG`` when the node has none of this name.
        """
        found = [card for card in self.learnwares() if card.slug == slug]
        if not found:
            raise NotFound(
                "No learnware of this node has this slug",
                where=slug,
                todo="Look at `skerry list`.",
                code="E-NOTFOUND-SLUG",
            )
        return self.hit(found[0].id)

    def withdraw(self, slug: str) -> api.PublishReceipt:
        """Take a learnware of the node out of the market. Copies that others fetched cannot be recalled.

        Raises
        ------
        NotFound
            When the node has no such learnware.
        """
        return self._connection.delete(f"/learnwares/{segment(slug)}", api.PublishReceipt)

    def bridges(self, searcher: Rkme, owner: Rkme) -> list[tuple[str, Bridge]]:
        """Return the bridges that institutions published from one table to another, with who found each."""
        return bridges.known_bridges(self._connection, searcher, owner)

    def publish_bridge(self, bridge: Bridge, searcher: Rkme, owner: Rkme) -> api.BridgeView:
        """Publish a bridge that :func:`skerry.spec.fit_bridge` found, signed by the node, for all to use.

        Raises
        ------
        Refused
            ``E-BRIDGE`` when others would refuse it.
        """
        return bridges.publish_bridge(self._connection, bridge, searcher, owner)

    def learnwares(self) -> list[api.CardView]:
        """Return the node's own live learnwares."""
        return [
            card for page in self._connection.pages("/learnwares", api.Learnwares) for card in page.learnwares
        ]

    def checks(self, slug: str) -> api.CheckReport:
        """Return what was found when a learnware of the node was checked before it was published.

        Raises
        ------
        NotFound
            When the node has no such learnware, or none was handed in with it.
        """
        return self._connection.get(f"/checks/{segment(slug)}", api.CheckReport)

    def owner(self, name: str = "") -> api.OwnerView:
        """Return an owner by id, name or nickname; the node's own without one.

        Raises
        ------
        NotFound
            When the node knows no such owner.
        """
        path = f"/owners/{segment(name)}" if name else "/owner"
        return self._connection.get(path, api.OwnerView)

    def take_charter(self, charter: bytes) -> api.OwnerView:
        """Give the node a signed charter of its owner; :mod:`skerry.client.charters` makes them."""
        return self._connection.post("/owner/charter", api.CharterRequest(charter), api.OwnerView)

    def domain_proof(self, owner: str) -> api.DomainProof:
        """Ask the site in an owner's charter whether it names the owner."""
        return self._connection.get(f"/owners/{segment(owner)}/domain", api.DomainProof)

    def opinions(self) -> list[api.Opinion]:
        """Return whom the node's people vouch for, what they block, and their nicknames."""
        return self._connection.get("/opinions", api.Opinions).opinions

    def think(
        self,
        subject: str,
        *,
        vouched: bool | None = None,
        blocked: bool | None = None,
        nickname: str | None = None,
    ) -> api.Opinion:
        """Change what the node thinks of an owner or a learnware; what is None stays."""
        request = api.OpinionRequest(vouched, blocked, nickname)
        return self._connection.put(f"/opinions/{segment(subject)}", request, api.Opinion)

    @property
    def groups(self) -> Groups:
        """The institutional groups of the node."""
        return Groups(self._connection)

    def status(self) -> api.Status:
        """Return the node at a glance."""
        return self._connection.get("/status", api.Status)

    def peers(self) -> list[api.PeerView]:
        """Return the nodes that this one knows."""
        return [peer for page in self._connection.pages("/peers", api.Peers) for peer in page.peers]

    def dial(self, address: str) -> list[api.PeerView]:
        """Connect the node to another one, ``host:port#certificate-hash``, and return its peers."""
        self._connection.post("/peers", api.DialRequest(address), api.Peers)
        return self.peers()


def _left(deadline: float, timeout: float) -> float:
    """Return the seconds for what follows the node's answer: what is left, and half of the whole at least."""
    return max(timeout / 2, deadline - time.monotonic())


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    folder: Path | str | None = None,
    cache: Path | str | None = None,
    unsafe_models: bool = False,
    offline: bool = False,
) -> Network:
    """Return the market as a node knows it.

    Parameters
    ----------
    url, token
        Address of a node's API and a token for it; by default the node of this machine is found.
    folder
        The folder of the node of this machine; by default ``SKERRY_HOME`` or the platform's place.
    cache
        Where fetched models are kept; by default ``SKERRY_CACHE`` or the platform's place.
    unsafe_models
        Run models without a sandbox, with all rights of this user. Only for models whose owners you trust.
    offline
        Do without a node where none runs: what is in the cache can be used; all else fails as if it were
        not given.

    Raises
    ------
    Unavailable
        ``E-NODE-ABSENT`` when no node runs here; says how to start one.
    """
    try:
        connection = find(folder) if url is None else Connection(url, token or "")
    except Unavailable as error:
        if not offline:
            raise
        connection = Absent(error)
    return Network(connection, Cache(cache), unsafe_models=unsafe_models)
