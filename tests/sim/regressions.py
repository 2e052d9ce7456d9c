"""Plans that failed once, shrunk: the tests play all of them for ever.

Who finds a failing seed adds the smallest plan that the simulator prints, and what it was.
"""

from __future__ import annotations

from tests.sim.plan import Plan

REGRESSIONS: dict[str, Plan] = {
    "a node read a record without addresses from its disk and dialled it": Plan(
        5, nodes=16, seconds=25.0, faults=("crash", "partition"), hidden=0.1
    ),
    "the quota forgot at a restart what the disk held": Plan(
        124, nodes=14, seconds=20.0, faults=("crash", "lost-connections"), byzantine=("quota-exhauster",)
    ),
    "a member waited for rosters that nobody sent": Plan(
        136, nodes=14, seconds=20.0, faults=("crash", "partition"), loss=0.05, groups=1, parted=True
    ),
    "a publisher between two rosters lost its cards": Plan(
        157, nodes=14, seconds=20.0, faults=("partition", "clock-jump"), groups=1
    ),
    "a roster of a group that was left blamed its honest sender": Plan(
        43, nodes=14, seconds=20.0, faults=("lost-connections", "one-way-cut"), loss=0.05, groups=2
    ),
    "peers that said nothing filled every place, and no member of a group got one": Plan(
        181,
        nodes=200,
        seconds=8.0,
        faults=("partition", "one-way-cut", "clock-jump", "renewals"),
        loss=0.01,
        clock_skew=43200.0,
        byzantine=("silent-peer", "old-roster-replayer"),
        bandwidth=200000.0,
        hidden=0.3,
        groups=1,
    ),
    "a liar told a peer its second head while all rested": Plan(
        23,
        nodes=16,
        seconds=8.0,
        faults=("lost-connections", "one-way-cut"),
        clock_skew=60.0,
        byzantine=("equivocating-owner",),
    ),
}
"""What it was -> the plan."""
