"""Attacks of a package's code on the machine that runs it, and a run of all of them.

``hostile_model.py`` is the package's code, ``suite.py`` lays out the victims and starts the worker.
"""
