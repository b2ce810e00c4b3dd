# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and attributes that the modules of this collection share."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared documentation."""

    DOCUMENTATION = r"""
options:
  transaction:
    description:
      - The id of the open transaction that this step belongs to, see M(splitway.gateway.splitway_transaction).
      - Additions and changes are made at once, removals when the transaction is committed.
      - Left out, the call is a transaction of its own.
    type: str
  purge:
    description:
      - Whether to remove what this collection made on the host before and is not listed now.
      - What others made is never touched.
    type: bool
    default: false
  rehearsed:
    description:
      - Whether to bring what the rehearsal of O(transaction) was given, instead of what the options say, which are
        left out then.
    type: bool
    default: false
"""

    BACKEND = r"""
options:
  backend:
    description:
      - C(ipset) keeps sets as ipsets and classifies with iptables; C(nftables) keeps all in the table C(inet splitway).
      - Left out, the backend stays as it is on the host, C(ipset) on a host that has none.
    type: str
    choices: [ipset, nftables]
"""

    ATTRIBUTES = r"""
requirements:
  - iproute2, wireguard-tools, and Debian's python3-pyroute2 (all installed by the role preflight)
attributes:
  check_mode:
    support: full
    description: Plans exactly what a real run would do, and applies nothing.
  diff_mode:
    support: full
    description: Shows each planned change; keys are never shown.
  idempotent:
    support: full
    description: A second run changes nothing.
  platform:
    support: full
    platforms: linux
    description: Linux hosts with systemd.
author:
  - splitway contributors (@splitway)
"""

    # Of those whose other attributes are their own.
    ON_CONTROLLER = r"""
attributes:
  action:
    support: full
    description: Runs on the controller.
  platform:
    support: full
    platforms: posix
    description: Needs no host; a controller with POSIX file modes.
author:
  - splitway contributors (@splitway)
"""

    CONTROLLER = r"""
attributes:
  check_mode:
    support: full
    description: Changes nothing in either mode.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: A pure function of its options.
  action:
    support: full
    description: Runs on the controller.
  platform:
    support: full
    platforms: all
    description: Needs no host.
author:
  - splitway contributors (@splitway)
"""
