"""What a searcher asks of the local API, and what comes back."""

from __future__ import annotations

from typing import Annotated

import msgspec

from .cards import CardView, Source


class Shared(msgspec.Struct, frozen=True):
    """How a learnware whose columns are others than the searcher's was compared: exactly, on those shared."""

    columns: list[str]
    """The shared columns, in the searcher's order and units."""
    imputed: list[str]
    """Columns that the model wants and the searcher lacks; they are imputed from the owner's points."""
    unused: list[str]
    """Columns of the searcher that the model does not look at, and the distance neither."""


class Hit(msgspec.Struct, frozen=True):
    """One result of a search. Distances travel raw: a score relative to the other hits would mislead."""

    card: CardView
    sources: list[Source]
    mmd2: float | None = None
    """Squared MMD to the requirement in the searcher's metric; None without a requirement."""
    cosine: float | None = None
    """Cosine between the kernel mean embeddings, in [0, 1]."""
    within_noise: bool | None = None
    """Whether the distance is no larger than that between two halves of the searcher's own sample."""
    shared: Shared | None = None
    """Set where the learnware has other columns, or the same in another order."""


class MixView(msgspec.Struct, frozen=True):
    """The recommended combination: ``members`` are positions in ``SearchAnswer.hits``; weights sum to 1."""

    members: list[int]
    weights: list[float]
    mmd2: float
    single_mmd2: float


class Coverage(msgspec.Struct, frozen=True):
    """What an answer covers, so that nobody takes a partial answer for a whole one."""

    cards: int
    """Live cards in this node's index."""
    candidates: int
    """Cards left after filters and islands."""
    compared: int
    """Candidates whose full specification was compared."""
    owners: int
    oldest_head_seconds: float
    """Age of the oldest head that the answer rests on."""
    unreachable: list[str] = []
    """Names and ids of owners whose specifications were needed and could not be had."""
    islands: int = 0
    """Islands that were searched: the requirement's own, and those that share its columns."""
    unknown: int = 0
    """Cards that passed the filters and stand on islands whose columns this node does not know yet."""
    owners_asked: int = 0
    """Owners whose specifications were needed; those that are not ``unreachable`` answered."""
    coming: int = 0
    """Cards that others announced and that are still on their way to this node."""


class SketchView(msgspec.Struct, frozen=True):
    """What a node elsewhere may see of a requirement: what a card says of a learnware, and no point of it."""

    island: str
    """Id of the island, a hash of the kind of data and the columns."""
    version: int
    vector: bytes
    means: bytes = b""
    spreads: bytes = b""


class SearchRequest(msgspec.Struct, frozen=True):
    """What a searcher asks for. All filters must hold; empty ones do not filter."""

    requirement: bytes = b""
    """``Rkme.to_bytes()`` of the searcher's data; empty for a search by words alone."""
    sketch: SketchView | None = None
    """Stands instead of the requirement where the node is elsewhere: the ``k`` nearest by sketch come back
    without distances and without a mix, for the searcher to compare."""
    noise_mmd2: float | None = None
    """The searcher's own split-half squared MMD, for ``within_noise``."""
    text: str = ""
    """Words, of which typos are forgiven; a search by words alone is ranked by them."""
    data: str = ""
    task: str = ""
    library: str = ""
    license: str = ""
    scenario: str = ""
    owner: str = ""
    island: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    """Id of the island that learnwares must stand on, such as the far end of a bridge."""
    exclude_own: bool = False
    """Leave out the learnwares of the node's own owner."""
    k: int = 10
    mix_size: int = 5
    timeout_seconds: float = 5.0
    """How long the searcher waits at most: for the node's turn, and then for specifications of others."""


class SearchAnswer(msgspec.Struct, frozen=True):
    """Hits, nearest first; members of the mix stand among the hits even beyond the first ``k``."""

    hits: list[Hit]
    mix: MixView | None
    coverage: Coverage
