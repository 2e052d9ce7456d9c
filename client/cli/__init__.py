"""The command line: ``skerry VERB``.

One table below holds all verbs; the files beside this one hold them by the person who needs them:
``operator`` runs a node, ``tokens`` says who may call it and who did what, ``owner`` publishes, ``packager``
makes and checks packages, ``specification`` shows what would leave, ``exchange`` brings packages in and out,
``searcher`` finds and runs, ``cached`` keeps house. ``session`` has what all verbs share.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import typer

from . import (
    cached,
    demonstration,
    exchange,
    groups,
    identity,
    keeping,
    operator,
    owner,
    packager,
    searcher,
    service,
    specification,
    tokens,
)
from .session import command

COMPLETING: Final = "_SKERRY_COMPLETE"
"""Set in the environment by a shell that asks for completions."""

app: typer.Typer = typer.Typer(
    name="skerry",
    help="Find trained models by data, straight from the institutions that own them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
spec: typer.Typer = typer.Typer(
    help="Specifications: what leaves this machine.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(spec, name="spec")
token: typer.Typer = typer.Typer(help="Who may call the node.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(token, name="token")
audit: typer.Typer = typer.Typer(
    help="Who did what at the node.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(audit, name="audit")
package: typer.Typer = typer.Typer(
    help="Packages that are written by hand.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(package, name="package")
config: typer.Typer = typer.Typer(
    help="The node's configuration.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config, name="config")
group: typer.Typer = typer.Typer(
    help="Institutional groups: who shares what with whom.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(group, name="group")
who: typer.Typer = typer.Typer(
    help="Who you are to others, and what you think of them.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(who, name="owner")

cache: typer.Typer = typer.Typer(help="What was fetched.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cache, name="cache")

store: typer.Typer = typer.Typer(
    help="What the node keeps on its disk.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(store, name="store")

for _verb in (
    operator.init,
    operator.serve,
    service.service,
    operator.status,
    operator.peers,
    operator.why,
    operator.doctor,
    owner.publish,
    owner.withdraw,
    packager.check,
    searcher.search,
    searcher.get,
    searcher.run,
    searcher.reuse,
    exchange.export,
    keeping.backup,
    keeping.restore,
    demonstration.demo,
):
    command(app)(_verb)
command(app, "list")(owner.list_learnwares)
for _group_verb in (
    groups.create,
    groups.members,
    groups.invite,
    groups.invites,
    groups.join,
    groups.leave,
    groups.remove,
    groups.rotate,
    groups.policy,
    groups.proposals,
    groups.agree,
):
    command(group)(_group_verb)
command(group, "list")(groups.list_groups)
for _owner_verb in (
    identity.show,
    identity.rotate,
    identity.recover,
    identity.profile,
    identity.apply,
    identity.adopt,
    identity.domain,
    identity.vouch,
    identity.block,
    identity.nickname,
    identity.opinions,
):
    command(who)(_owner_verb)
command(who, "add-node")(identity.add_node)
command(who, "revoke-node")(identity.revoke_node)
command(config, "get")(service.config_get)
command(spec, "show")(specification.show_specification)
command(token, "list")(tokens.list_tokens)
command(token)(tokens.make)
command(token)(tokens.revoke)
command(audit, "show")(tokens.show_audit)
command(audit, "export")(tokens.export_audit)
command(app, "import")(exchange.import_package)
command(store)(keeping.verify)
command(cache)(cached.ls)
command(cache)(cached.rm)
command(cache)(cached.verify)
command(package)(packager.new)
command(package)(packager.pack)
command(package)(packager.publish)


def main() -> None:
    """Run the command line; the ``skerry`` command comes by way of :mod:`skerry.client.entry`.

    Of the groups only the one that is called is built: all of them together would take as long as everything
    else that ``--help`` does. Whoever completes a line needs them all.
    """
    called = sys.argv[1:2]
    for info in app.registered_groups:
        if [info.name] != called and COMPLETING not in os.environ and info.typer_instance is not None:
            info.typer_instance.registered_commands.clear()
    app()
