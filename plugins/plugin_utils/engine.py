# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on its way from the controller to a gateway."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.engine import archive, version


def shipped(action: ActionBase, engine: str) -> str:
    """Return where on the gateway the engine's archive is now. Raises AnsibleActionFail for another version's."""
    if engine != version():
        raise AnsibleActionFail(f"engine: the gateway lacks {engine}, and this collection has {version()}")
    remote: str = action._connection._shell.join_path(action._connection._shell.tmpdir, "engine.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "engine.tar.gz"
        local.write_bytes(archive())
        action._transfer_file(str(local), remote)
    return remote
