"""The name ``learnware.model.BaseModel``, which templates of the reference engine import."""

from .base import BaseModel

__all__ = ["BaseModel"]
