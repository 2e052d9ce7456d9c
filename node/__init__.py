"""The node: the daemon that hosts an institution's learnwares and carries its part of the index.

Everything that touches sockets, disks, clocks and processes is here; what nodes say to each other is
decided by :mod:`skerry.protocol`, and what the numbers mean by :mod:`skerry.spec`. ``daemon.py`` is the one
place where the parts are put together. Programs reach a node over its HTTP API
(:mod:`skerry.protocol.api`), never by import.
"""
