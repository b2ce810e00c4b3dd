# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of wg-easy's clients has which policy: by a tag in its name, by its name, or the one of all others."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

_TAG = re.compile(r"(?:^|(?<=\s))#([\w.!@-]+)(?=\s|$)")


@dataclass(frozen=True)
class Assigning:
    """How policies are assigned; a name is the one on wg-easy's page."""

    tags: Mapping[str, str] = field(default_factory=dict)  # the word after # in a name → policy; case does not matter
    patterns: Mapping[str, str] = field(default_factory=dict)  # shell pattern of a name → policy; the first decides
    default: Optional[str] = None

    def split(self, name: str) -> tuple[str, Optional[str]]:
        """Return a name without the tags that mean something, and the policy of the first of them."""
        tags = {tag.lower().lstrip("#"): policy for tag, policy in self.tags.items()}
        found = [word for word in _TAG.findall(name) if word.lower() in tags]
        rest = _TAG.sub(lambda tag: "" if tag[1].lower() in tags else tag[0], name)
        return " ".join(rest.split()) if found else name, tags[found[0].lower()] if found else None

    def policy(self, name: str) -> Optional[str]:
        """Return the policy of a name whose tags say nothing."""
        for pattern, policy in self.patterns.items():
            if fnmatch.fnmatchcase(name.casefold(), pattern.casefold()):
                return policy
        return self.default
