#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data of countries on a gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_countries
short_description: The data of countries that rules of a gateway name
version_added: 0.1.0
description:
  - Gets the networks of countries to the gateway, as C(/var/lib/splitway/countries), where they are not there yet or
    come from other sources. The timer C(splitway-countries.timer) reads the sources anew after that.
  - Where a source cannot be read, its last good file is used, which is told as a warning. Without one the module fails.
options:
  countries:
    description: The countries, by their codes of ISO 3166-1, in lower case.
    type: list
    elements: str
    required: true
  sources:
    description: Where the data comes from; together they are all there is to know.
    type: list
    elements: dict
    default:
      - location: tor-geoipdb
    suboptions:
      location:
        description: C(tor-geoipdb), which is Debian's package; a file on the gateway; or a URL.
        type: str
        required: true
      format:
        description: What the file is.
        type: str
        choices: [tor, rir, maxmind, csv]
        default: tor
      checksum:
        description: Its SHA-256 in hexadecimal; empty for any.
        type: str
        default: ""
attributes:
  check_mode:
    support: full
    description: Says whether data would be read, and reads nothing.
  diff_mode:
    support: none
    description: Networks of countries are too many to show.
  idempotent:
    support: full
    description: A second run changes nothing.
  platform:
    support: full
    platforms: linux
    description: Linux hosts; C(tor-geoipdb) needs Debian's apt.
author:
  - splitway contributors (@splitway)
"""

EXAMPLES = r"""
- name: The networks of two countries, from Debian's data
  splitway.gateway.splitway_countries:
    countries: [cn, hk]
"""

RETURN = r"""
countries:
  description: The countries whose data was read, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [cn]
"""


from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries import kept
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries.refresh import lacking, refresh
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.failures import FAILURES
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import CountryData, CountrySource
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System

SOURCE = {
    "location": {"type": "str", "required": True},
    "format": {"type": "str", "choices": ["tor", "rir", "maxmind", "csv"], "default": "tor"},
    "checksum": {"type": "str", "default": ""},
}
OPTIONS = {
    "countries": {"type": "list", "elements": "str", "required": True},
    "sources": {"type": "list", "elements": "dict", "default": [{"location": "tor-geoipdb"}], "options": SOURCE},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    wanted = module.params["countries"]
    data = CountryData(tuple(CountrySource(**source) for source in module.params["sources"]))
    system = System()
    missing = lacking(system, data, wanted)
    try:
        if missing and not module.check_mode:
            with kept.alone(system):
                problem = refresh(system, data, wanted, system.now()).problem
            if lacking(system, data, wanted):  # there is data of other sources, which are no longer wanted
                module.fail_json(msg=f"splitway_countries: {problem}")
            if problem:
                module.warn(f"splitway_countries: {problem}")
    except FAILURES as error:
        module.fail_json(msg=f"splitway_countries: {error}")
    module.exit_json(changed=bool(missing), countries=list(missing))


if __name__ == "__main__":
    main()
