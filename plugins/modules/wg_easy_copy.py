#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-easy's database as of one moment, for the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wg_easy_copy
short_description: Copy wg-easy's database to the controller while wg-easy runs
version_added: 0.1.0
description:
  - Reads a SQLite database on a host as of its last commit, and writes it to one file on the controller, for the
    inventory plugin P(splitway.gateway.wg_easy#inventory).
  - The database is only read. Nothing in it is locked, and no file is made beside it.
  - The copy has the private keys of the interface and of all clients.
options:
  database:
    description: The database on the host.
    type: path
    required: true
  destination:
    description:
      - The file on the controller. It has the mode 0600; missing folders are made with the mode 0700.
      - A relative path begins where Ansible was started.
    type: path
    required: true
  wait:
    description: How many seconds are waited for a lock that keeps readers away, or for a moment without a write.
    type: float
    default: 5
attributes:
  check_mode:
    support: full
    description: Reads the database, and writes nothing.
  diff_mode:
    support: none
    description: A database is no text.
  idempotent:
    support: full
    description: While the database does not change, a second run changes nothing.
  action:
    support: full
    description: Writes the file on the controller.
  platform:
    support: full
    platforms: posix
    description: Hosts with Python; nothing else is needed there.
author:
  - splitway contributors (@splitway)
"""

EXAMPLES = r"""
- name: wg-easy's database, for the inventory
  splitway.gateway.wg_easy_copy:
    database: /var/lib/docker/volumes/etc_wireguard/_data/wg-easy.db
    destination: "{{ inventory_dir }}/.wg-easy/{{ inventory_hostname }}.db"
"""

RETURN = r"""
destination:
  description: The file on the controller.
  returned: success
  type: str
  sample: /srv/inventory/.wg-easy/home.db
"""


import base64
import zlib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.wg_easy import BUSY, DatabaseError, snapshot


def main() -> None:
    """Run the module; its action plugin takes `image` away from what it returns."""
    options = {
        "database": {"type": "path", "required": True},
        "destination": {"type": "path", "required": True},
        "wait": {"type": "float", "default": BUSY},
    }
    module = AnsibleModule(options, supports_check_mode=True)
    path = module.params["database"]
    try:
        content = snapshot(Path(path), module.params["wait"])
    except DatabaseError as error:
        module.fail_json(msg=f"{path}: {error}")
    module.exit_json(changed=False, image=base64.b64encode(zlib.compress(content)).decode())


if __name__ == "__main__":
    main()
