"""Model packages: reading and writing them, moving them, checking them, running them safely.

A package is a zip that a stranger made. Everything here keeps to four rules:

1. Opening is not running. :mod:`.gate` and :mod:`.format` read an archive as data, within bounds.
2. Running happens in another process. :mod:`.worker` starts it, :mod:`.sandbox` confines it,
   :mod:`.frames` carries arrays there and back; nothing that comes back can execute.
3. What was fetched is what was signed. :mod:`.hashtree` names bytes, :mod:`.blobs` keeps them.
4. Files and processes, no network.

Import what you need from the module that has it; this package itself imports nothing.
"""
