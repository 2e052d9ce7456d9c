"""``skerry demo``: four hospitals share models, each as a real node of its own, without sharing a row.

``hospitals`` has the data and what a hospital does with its own rows, ``nodes`` starts and ends the
daemons, ``taps`` reads what they sent, ``story`` tells the whole in order, ``report`` shows the result.
"""

from __future__ import annotations

from .story import run_demo

__all__ = ["run_demo"]
