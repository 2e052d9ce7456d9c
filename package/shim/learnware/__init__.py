"""What a package may import as ``learnware``, inside a worker: the base class of its model, no engine.

On the path of workers only, never of the process that calls them.
"""
