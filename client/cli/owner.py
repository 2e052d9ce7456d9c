"""Verbs of an owner: publish, withdraw, list."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cached import YesOption
from .session import Session

if TYPE_CHECKING:
    from skerry.client.data import Table
    from skerry.client.network import Network
    from skerry.client.publishing import Draft
    from skerry.protocol.api import CardView, CheckReport, PublishReceipt


DataOption = Annotated[
    Path, typer.Option(help="The rows it was trained on, CSV or Parquet. They do not leave.")
]
GroupOption = Annotated[
    list[str] | None, typer.Option(help="Show it to this group; may be repeated. Then not public.")
]
PublicOption = Annotated[
    bool, typer.Option("--public", help="Show it to everybody, also beside groups; so it is without any.")
]
PackageGroupOption = Annotated[
    list[str] | None,
    typer.Option(help="Found by all who see the card, fetched by this group alone; may be repeated."),
]
TargetOption = Annotated[str | None, typer.Option(help="Name of the column with the labels.")]


def publish(
    session: Session,
    model: Annotated[Path, typer.Argument(help="A fitted model: pickle or joblib of an estimator, or ONNX.")],
    *,
    data: DataOption,
    name: Annotated[str, typer.Option(help="Name to be shown.")],
    license_: Annotated[str, typer.Option("--license", help="Licence, such as Apache-2.0.")],
    target: TargetOption = None,
    description: Annotated[str, typer.Option(help="What it is for, in Markdown.")] = "",
    summary: Annotated[str, typer.Option(help="One sentence for the index.")] = "",
    library: Annotated[str, typer.Option(help="Scikit-learn, PyTorch, TensorFlow or Others.")] = "",
    scenario: Annotated[list[str] | None, typer.Option(help="Field of use; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Word to be found by; may be repeated.")] = None,
    slug: Annotated[str, typer.Option(help="Short name; by default made from the name.")] = "",
    update: Annotated[bool, typer.Option("--update", help="Replace the version that is published.")] = False,
    group: GroupOption = None,
    public: PublicOption = False,
    package_group: PackageGroupOption = None,
    unsafe_models: Annotated[
        bool, typer.Option("--unsafe-models", help="Open the file without a sandbox: it may do anything.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Publish a fitted model with a specification of its rows."""
    from skerry.client.data import read_file
    from skerry.client.publishing import drafted
    from skerry.package.model_files import FileModel

    network = session.network()
    table, labels = read_file(data, target)
    walk = Walk(session)
    walk.step("read", f"{len(table)} rows, {len(table.columns)} columns{ignored(table)}")
    with contextlib.ExitStack() as stack:
        with session.working("making and checking the package"):
            fitted = stack.enter_context(
                FileModel(model, labels=labels, columns=table.columns, unconfined=unsafe_models)
            )
            columns = fitted.facts(table.values).columns or table.columns
            draft = stack.enter_context(
                drafted(
                    fitted,
                    table.select(columns),
                    labels,
                    name=name,
                    license=license_,
                    description=description,
                    summary=summary,
                    library=library or _library_of(model),
                    scenario=scenario or (),
                    tags=tag or (),
                    slug=slug,
                    columns=columns,
                    update=update,
                    groups=group or (),
                    public=True if public else None,
                    package_groups=package_group,
                    unconfined=unsafe_models,
                    step=walk.step,
                )
            )
        send(session, network, draft, walk, yes=yes)


class Walk:
    """Says step by step on standard error what publishing does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def step(self, name: str, said: str) -> None:
        """Show one step that is done."""
        from skerry.client.escape import visible

        self._session.note(f"{name:<10} {visible(said)}")


def send(session: Session, network: Network, draft: Draft, walk: Walk, *, yes: bool) -> None:
    """Say what leaves, ask where somebody can answer, upload it, and show the card and how far it went."""
    from .output import byte_size, facts

    size = draft.package.stat().st_size
    specification = len(draft.specification.to_bytes())
    walk.step("leaves", f"specification of {byte_size(specification)}, package of {byte_size(size)}; no row")
    if session.watched() and sys.stdin.isatty():
        session.confirm("Publish this?", yes=yes)
    receipt = _upload(session, network, draft, size)
    walk.step("sign", f"{receipt.card.slug} v{receipt.card.version}, seq {receipt.seq}")
    walk.step("visible", _visible_to(network, receipt.peers))
    if receipt.card.groups:
        walk.step("shown to", shown_to(receipt.card))
    session.show(receipt, facts(_card_lines(receipt.card)), receipt.card.id)


def _upload(session: Session, network: Network, draft: Draft, size: int) -> PublishReceipt:
    if not session.watched():
        return network.upload(draft)
    from skerry.client.showing import progress_bar

    with progress_bar("to the node", size, color=session.color) as shown:
        return network.upload(draft, shown)


def _visible_to(network: Network, told: int) -> str:
    """Return to how many peers the head went at once; the others hear of it from them."""
    known = [peer for peer in network.peers() if peer.connected]
    if not known:
        return "to nobody yet: no peer is connected; it spreads as soon as one is"
    return f"sent to {told} of {len(known)} connected peers, who pass it on"


def withdraw(
    session: Session,
    slug: Annotated[str, typer.Argument(help="Short name of the learnware; see `skerry list`.")],
) -> None:
    """Take a learnware out of the market. What others fetched cannot be recalled."""
    receipt = session.network().withdraw(slug)
    session.note(f"withdrawn  seq {receipt.seq}, sent to {receipt.peers} peers")
    session.show(receipt, f"{receipt.card.slug} is withdrawn", receipt.card.id)


def list_learnwares(session: Session) -> None:
    """List the node's own learnwares."""
    from skerry.protocol.api import Learnwares

    from .output import byte_size, table

    cards = session.network().learnwares()
    rows = [
        (card.slug, f"v{card.version}", card.name, card.task, card.lane, byte_size(card.package_bytes))
        for card in cards
    ]
    columns = ("slug", "version", "name", "task", "lane", "#package")
    session.show(Learnwares(cards), table(columns, rows), "\n".join(card.id for card in cards))


def _library_of(path: Path) -> str:
    """Return the library of a model in a file: pickles are taken from scikit-learn and its like only."""
    return "Others" if path.suffix.lower() == ".onnx" else "Scikit-learn"


def ignored(table: Table) -> str:
    """Return what is to be said about columns that hold no numbers."""
    return f", without {', '.join(table.ignored)} (no numbers)" if table.ignored else ""


def lane_lines(report: CheckReport) -> list[str]:
    """Return what is to be said about a package's lane: sandbox, agreement, and the lanes passed over."""
    ran = f"ran in sandbox {report.level}" if report.level else "did not run in a sandbox"
    lines = [f"lane       {report.lane}, {ran}"]
    if report.agreement is not None:
        labels, difference = report.agreement.labels, report.agreement.difference_max
        lines.append(f"agreement  {labels:.2%} of answers, differing by {difference:.1e} at most")
    return lines + ([f"not safer  {report.lane_reason}"] if report.lane_reason else [])


def shown_to(card: CardView) -> str:
    """Return who sees a learnware of the node."""
    groups = [f"group {group[:8]}" for group in card.groups]
    return ", ".join((["everybody"] if card.public else []) + groups)


def _card_lines(card: CardView) -> list[tuple[str, object]]:
    return [
        ("slug", f"{card.slug} v{card.version}"),
        ("id", card.id),
        ("name", card.name),
        ("summary", card.summary),
        ("task", card.task),
        ("lane", card.lane),
        ("specification", f"{card.specification_bytes} bytes, {card.specification}"),
        ("package", f"{card.package_bytes} bytes, {card.package}"),
    ]
