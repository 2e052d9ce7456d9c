"""The command line: ``skerry VERB``.

One table below holds all verbs; the files beside this one hold them by the person who needs them:
``operator`` runs a node, ``owner`` publishes, ``searcher`` finds and runs. ``session`` has what all verbs
share.
"""

from __future__ import annotations

import typer

from . import demonstration, operator, owner, searcher
from .session import command

app = typer.Typer(
    name="skerry",
    help="Find trained models by data, straight from the institutions that own them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
spec = typer.Typer(
    help="Specifications: what leaves this machine.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(spec, name="spec")

for verb in (
    operator.init,
    operator.serve,
    operator.status,
    operator.peers,
    owner.publish,
    owner.withdraw,
    searcher.search,
    searcher.get,
    searcher.run,
    demonstration.demo,
):
    command(app)(verb)
command(app, "list")(owner.list_learnwares)
command(spec, "show")(owner.show_specification)


def main() -> None:
    """Run the command line."""
    app()
