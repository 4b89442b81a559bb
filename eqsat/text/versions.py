"""What is installed, as results name it."""

from __future__ import annotations

import platform
from importlib import metadata

__version__ = "0.1.0"


def installed_versions(*packages: str) -> dict[str, str]:
    """Return Python's version and those of the packages that are installed; the others are left out."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
