"""Groups at the node: keys, rosters, invites, and who may see what.

What a roster means is decided in :mod:`skerry.protocol.groups`; here is what people do about it.
"""
