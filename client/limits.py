"""Every bound of the client, with unit and reason."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

ENDPOINT_FILE_BYTES_MAX: Final = 64 * KIB
"""The node's ``api.json``: an address and three tokens; more is some other file."""

ANSWER_BYTES_MAX: Final = 64 * MIB
"""One answer of the local API: a thousand hits of about 2 KiB as JSON, or the largest specification blob."""

PROBLEM_CHARACTERS_MAX: Final = 2000
"""Text of an answer that is no problem+json and yet has to be shown as the reason."""

REQUEST_SECONDS_MAX: Final = 30.0
"""Wait for one answer of the local API, beyond the search's own deadline; publishing waits for a disk."""

CONNECT_SECONDS_MAX: Final = 10.0
"""TCP and TLS with another institution's node; a slow mobile link needs three."""

STALL_SECONDS_MAX: Final = 30.0
"""Longest silence of a node in the middle of an answer before the connection counts as broken."""

FETCH_CONNECTIONS_MAX: Final = 4
"""Connections to one owner for one blob: hides round trips, and one searcher does not crowd out others."""

FETCH_LEAVES_PER_REQUEST_MIN: Final = 8
"""Leaves of 256 KiB asked for in one range, if as many are missing: 2 MiB, so round trips cost little."""

FETCH_LEAVES_PER_REQUEST_MAX: Final = 32
"""Most leaves asked for in one range, of a blob that has work for all connections several times over: 8 MiB,
for which asking costs neither side anything."""

FETCH_REQUESTS_PER_CONNECTION: Final = 4
"""Ranges that each connection should have to ask for, so that a slow one leaves its share to others."""

FETCH_ATTEMPTS_MAX: Final = 3
"""Attempts at each source. What arrived is kept between them, so the third is for a line that keeps
breaking."""

FETCH_STRIKES_MAX: Final = 2
"""Wrong leaves after which a source is dropped: the first may be a broken disk or line, the second is a
pattern."""

FETCH_RETRY_SECONDS: Final = 0.5
"""Pause before another attempt, times the number of the attempt."""

PACKAGES_FETCHED_AT_ONCE_MAX: Final = 4
"""Members of a mix that are fetched at the same time."""

TABLE_CELLS_MAX: Final = 500_000_000
"""Cells of one table: 4 GB as float64. Larger data want chunks, and the specification needs a sample only."""

CSV_FIELD_CHARACTERS_MAX: Final = 1_000_000
"""One cell of a CSV file; a longer one is a quote that was never closed."""

SHOWN_CHARACTERS_MAX: Final = 2000
"""Characters of one text from another node that are shown; cards are shorter, specifications may not be."""

SEARCH_STATE_BYTES_MAX: Final = 8 * MIB
"""The file that remembers the last search, so that `skerry get 1` knows what 1 was."""

NODE_START_SECONDS_MAX: Final = 60.0
"""Wait for a demo node to serve; two seconds are usual, a cold disk and two busy cores take longer."""

CONVERGENCE_SECONDS_MAX: Final = 60.0
"""Wait until every demo node knows every learnware; a second is usual."""

NODE_STOP_SECONDS_MAX: Final = 10.0
"""Wait for a demo node after SIGTERM; it drains within five seconds or is killed."""

POLL_SECONDS: Final = 0.1
"""Pause between two looks at something that another process does."""

SLUG_CHARACTERS_MAX: Final = 64
"""Length of a slug, as the protocol has it."""

NOISE_ROWS_MIN: Final = 4
"""Rows from which the searcher's own noise can be told: two halves of two."""

DEMO_WORKERS_STARTED_AT_ONCE_MAX: Final = 2
"""Model processes of the demo that start at the same time: one a core of a small machine."""

DIAGNOSTIC_CHARACTERS_MAX: Final = 1000
"""The end of a demo node's log that is shown when it fails."""

INFLATED_BYTES_MAX: Final = 64 * MIB
"""One compressed file in a tapped package; the demo's have a few kilobytes."""

CACHE_ENTRY_BYTES_MAX: Final = 64 * KIB
"""One note in the cache: a card of 2 KiB and its sources as JSON."""

REMOTE_ROWS_MIN: Final = 50
"""Rows below which a sketch is not sent to another machine unasked: a single row was recovered from one."""

REMOTE_CANDIDATES_MAX: Final = 100
"""Learnwares whose specification, about 8 kB each, is fetched from a node elsewhere and compared here."""

SPECIFICATIONS_FETCHED_AT_ONCE_MAX: Final = 8
"""Specifications asked of a node elsewhere at one time: hides its distance without crowding it."""

LATE_SECONDS_MIN: Final = 0.05
"""Time left of a search below which no other specification is asked for."""

EXPLAINED_COLUMNS_MAX: Final = 20
"""Columns of an explanation that are shown, largest share first; its attribute has them all."""

BRIDGE_ISLANDS_MAX: Final = 8
"""Islands at the far ends of published bridges that one search looks at, the newest bridges' first."""

BRIDGE_CARDS_MAX: Final = 32
"""Learnwares of one such island whose specifications are fetched, the newest first."""
