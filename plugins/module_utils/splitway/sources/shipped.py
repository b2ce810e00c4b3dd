# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists that ship with the collection: one YAML file each."""

from __future__ import annotations

from pathlib import Path

from ..topology.domains import domain
from ..topology.networks import network
from .entries import Entries
from .errors import SourceError

FOLDER = Path(__file__).parents[3] / "lists"
SUFFIX = ".yml"


def shipped_names(folder: Path = FOLDER) -> frozenset[str]:
    """Return the names of the lists that ship; none where the engine is without its collection, as on a gateway."""
    return frozenset(path.stem for path in folder.glob(f"*{SUFFIX}"))


def shipped(name: str, folder: Path = FOLDER) -> Entries:
    """Return a list that ships. Raises SourceError when its file is broken."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    path = folder / f"{name}{SUFFIX}"
    try:
        written = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  # one of the safe loaders
        return Entries(
            domains=tuple(map(domain, written.get("domains", ()))),
            networks=tuple(map(network, written.get("networks", ()))),
        )
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise SourceError(f"{path}: {error}") from error
