"""The documented form of what commands print with ``--json``: one JSON Schema for all of them.

``docs/cli.schema.json`` holds what :func:`document` returns; the tests compare the two, and decode what
commands print as the type that stands here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from skerry.client.demo.report import DemoResult
from skerry.protocol import api

from . import results

RESULTS: Final[dict[str, tuple[type[msgspec.Struct], ...]]] = {
    "audit export": (results.AuditExport,),
    "audit show": (api.Audit,),
    "backup": (api.Backup,),
    "cache ls": (results.CacheListing,),
    "cache rm": (results.Freed,),
    "cache verify": (results.Verified,),
    "check": (api.CheckReport,),
    "config get": (api.Settings,),
    "demo": (DemoResult,),
    "doctor": (results.Findings,),
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
    "init": (api.Initialised,),
    "list": (api.Learnwares,),
    "owner add-node": (api.OwnerView, results.SignedCharter),
    "owner adopt": (api.Initialised,),
    "owner apply": (api.OwnerView,),
    "owner block": (api.Opinion,),
    "owner domain": (api.DomainProof,),
    "owner nickname": (api.Opinion,),
    "owner opinions": (api.Opinions,),
    "owner profile": (api.OwnerView, results.SignedCharter),
    "owner recover": (api.OwnerView, results.SignedCharter),
    "owner revoke-node": (api.OwnerView, results.SignedCharter),
    "owner rotate": (api.OwnerView, results.SignedCharter),
    "owner show": (api.OwnerView,),
    "owner vouch": (api.Opinion,),
    "package new": (results.Files,),
    "package pack": (results.PackedFile,),
    "package publish": (api.PublishReceipt,),
    "peers": (api.Peers,),
    "publish": (api.PublishReceipt,),
    "restore": (api.Restored,),
    "reuse": (results.ReuseReport,),
    "run": (results.Predictions, results.Written),
    "search": (api.SearchAnswer,),
    "serve": (api.Ready,),
    "service": (results.ServiceUnit,),
    "spec show": (results.ShownSpecification,),
    "status": (api.Status,),
    "store verify": (api.StoreReport,),
    "token list": (api.Tokens,),
    "token make": (api.TokenGrant,),
    "token revoke": (api.Tokens,),
    "why": (api.WhyAnswer,),
    "withdraw": (api.PublishReceipt,),
}
"""The types that a command may print, by its name. Every command stands here."""


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
