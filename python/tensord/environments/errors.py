"""The one error of this package."""

from __future__ import annotations


class EnvironmentFault(Exception):
    """Why there is no environment, in a sentence for whoever deploys the model."""
