"""Blobs over HTTP: serving the own ones, fetching those of others."""
