"""The documented form of what commands print with ``--json``: one JSON Schema for all of them.

``docs/cli.schema.json`` holds what :func:`document` returns; the tests compare the two, and decode what
commands print as the type that stands here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from skerry.protocol import api

from . import results

RESULTS: Final[dict[str, tuple[type[msgspec.Struct], ...]]] = {
    "cache ls": (results.CacheListing,),
    "cache rm": (results.Freed,),
    "cache verify": (results.Verified,),
    "check": (api.CheckReport,),
    "export": (results.Exported,),
    "get": (results.Fetched,),
    "group agree": (api.RosterChange,),
    "group create": (api.GroupView,),
    "group invite": (api.InviteReceipt,),
    "group invites": (api.Invites,),
    "group join": (api.GroupView,),
    "group leave": (api.Left,),
    "group list": (api.Groups,),
    "group members": (api.Members,),
    "group policy": (api.PolicyView, api.RosterChange),
    "group proposals": (api.Proposals,),
    "group remove": (api.RosterChange,),
    "group rotate": (api.RosterChange,),
    "import": (api.PublishReceipt,),
    "list": (api.Learnwares,),
    "owner add-node": (api.OwnerView,),
    "owner apply": (api.OwnerView,),
    "owner block": (api.Opinion,),
    "owner domain": (api.DomainProof,),
    "owner nickname": (api.Opinion,),
    "owner opinions": (api.Opinions,),
    "owner profile": (api.OwnerView,),
    "owner recover": (api.OwnerView,),
    "owner revoke-node": (api.OwnerView,),
    "owner rotate": (api.OwnerView,),
    "owner show": (api.OwnerView,),
    "owner vouch": (api.Opinion,),
    "package new": (results.Files,),
    "package pack": (results.PackedFile,),
    "package publish": (api.PublishReceipt,),
    "peers": (api.Peers,),
    "publish": (api.PublishReceipt,),
    "reuse": (results.ReuseReport,),
    "run": (results.Predictions, results.Written),
    "search": (api.SearchAnswer,),
    "spec show": (results.ShownSpecification,),
    "status": (api.Status,),
    "withdraw": (api.PublishReceipt,),
}
"""The types that a command may print, by its name. One that is missing here promises no form yet."""


def document() -> dict[str, Any]:
    """Return the JSON Schema: definitions of all types, and which command prints which."""
    kinds = sorted({kind for printed in RESULTS.values() for kind in printed}, key=lambda kind: kind.__name__)
    kinds.append(results.Failure)
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    by_name = {kind.__name__: schema for kind, schema in zip(kinds, schemas, strict=True)}
    commands = {
        command: {"anyOf": [by_name[kind.__name__] for kind in printed]}
        if len(printed) > 1
        else by_name[printed[0].__name__]
        for command, printed in RESULTS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What skerry commands print with --json",
        "description": "one property a command, on standard output; `error` goes to standard error",
        "properties": {**commands, "error": by_name["Failure"]},
        "$defs": dict(sorted(components.items())),
    }
