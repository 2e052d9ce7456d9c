"""What commands print with --json has a written form, and the written form is what the types say."""

from __future__ import annotations

import json
import os
from pathlib import Path

from skerry.client.cli.schema import RESULTS, document
from tests.tree import ROOT

WRITTEN: Path = ROOT / "docs" / "cli.schema.json"


def test_the_schema_in_the_documents_is_that_of_the_types() -> None:
    made = json.dumps(document(), indent=1) + "\n"
    if os.environ.get("SKERRY_WRITE_TRANSCRIPTS"):
        WRITTEN.write_text(made, encoding="utf-8")
    assert WRITTEN.read_text(encoding="utf-8") == made


def test_no_field_was_taken_back() -> None:
    """The fields that scripts rely on since the first schema: adding is fine, removing or renaming is not."""
    promised = {
        "SearchAnswer": {"hits", "mix", "coverage"},
        "Hit": {"card", "sources", "mmd2", "cosine", "within_noise"},
        "CardView": {"id", "owner", "slug", "version", "name", "task", "lane", "license", "package_bytes"},
        "PublishReceipt": {"card", "seq", "peers"},
        "Fetched": {"id", "bytes", "lane", "path"},
        "Predictions": {"columns", "rows"},
        "Written": {"rows", "path"},
        "ReuseReport": {"chosen", "why", "trials", "members", "predictions", "written"},
        "ErrorParts": {"code", "what", "where", "why", "todo"},
        "Status": {"name", "owner", "bootstrap", "learnwares", "cards", "peers_connected", "seq", "digest"},
    }
    definitions = document()["$defs"]
    for name, fields in promised.items():
        assert fields <= set(definitions[name]["properties"])


def test_every_command_promises_a_form() -> None:
    import typer.main

    from skerry.client.cli import app
    from tests.test_docs import commands

    known = {name.removeprefix("skerry ") for name in commands(typer.main.get_command(app), "skerry")}
    assert set(RESULTS) == known
