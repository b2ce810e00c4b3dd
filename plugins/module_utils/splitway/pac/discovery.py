# SPDX-License-Identifier: GPL-3.0-or-later
"""How a DHCP server tells browsers where the PAC file is: option 252, in the words of three servers.

The option is no standard (an expired draft of 1999); browsers on Windows ask for it, others mostly do not.
"""

from __future__ import annotations

import json

OPTION = 252


def option_252(url: str) -> dict[str, str]:
    """Return DHCP server → the lines of its configuration that give this URL out."""
    definition = {"option-def": [{"name": "wpad", "code": OPTION, "type": "string"}]}
    data = {"option-data": [{"name": "wpad", "data": url}]}
    return {
        "dnsmasq": f'dhcp-option={OPTION},"{url}"',
        "kea": json.dumps({**definition, **data}),
        "isc": f'option wpad code {OPTION} = text;\noption wpad "{url}";',
    }
