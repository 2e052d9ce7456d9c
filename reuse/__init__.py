"""Skerry component, see ARCHITECTURE.md."""
