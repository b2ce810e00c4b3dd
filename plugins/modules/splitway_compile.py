#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_compile
short_description: Check a topology and compile it to what a gateway must be
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Reports all errors of the topology together, each with its path and value.
  - Without an option of the topology's own, the topology is the host's variables C(splitway_server),
    C(splitway_upstreams), and so on.
  - Without O(returns) the topology is only checked, and nothing secret is returned.
  - Reads the lists that ship and the sources of lists, each once a run, and warns of what is wrong with them.
options:
  server:
    description: See C(splitway_server) in the topology reference, and so on for the others.
    type: dict
  upstreams:
    description: The upstreams.
    type: list
    elements: dict
  upstream_groups:
    description: The upstream groups.
    type: list
    elements: dict
  lists:
    description: The lists, by name.
    type: dict
  list_cache:
    description: The folder on the controller that keeps the last good copy of each URL of a list.
    type: path
    default: ~/.cache/splitway/lists
  policies:
    description: The policies, by name.
    type: dict
  schedules:
    description: The schedules, by name.
    type: dict
  time_zone:
    description: The time zone of schedules that name none.
    type: str
  default_policy:
    description: The policy of clients that name none.
    type: str
  clients:
    description: The clients.
    type: list
    elements: dict
  keys:
    description: Keys of clients, as C(playbooks/keys.yml) writes them.
    type: dict
  backend:
    description: The backend, C(ipset) or C(nftables).
    type: str
  dns:
    description: The gateway's resolver for its clients.
    type: dict
  retention:
    description: How long a learned address stays, in seconds or as in C(12h).
    type: raw
  mark_mask:
    description: The contiguous bits of the mark that are ours.
    type: raw
  table_base:
    description: The number of the table of C(block); those of upstreams follow.
    type: int
  rule_priority:
    description: The first of the five priorities of our ip rules.
    type: int
  client_files:
    description: Where clients' configuration files are written.
    type: dict
  client_bundle:
    description: Where clients' bundles are written, and what is in them.
    type: dict
  agent:
    description: What the agent does beside its duties.
    type: dict
  countries:
    description: Where data of countries comes from, for rules that name some.
    type: dict
  dns_guard:
    description: What is done about clients that would ask other resolvers than the gateway.
    type: dict
  hardening:
    description: What clients may reach beside the way out, and what the gateway forwards for others.
    type: dict
  lan_clients:
    description: Clients without WireGuard, by interface and network.
    type: list
    elements: dict
  host_policy:
    description: The name of the policy of the gateway's own connections.
    type: str
  mode:
    description: Whether the gateway has tunnels, proxies, or both; C(proxy), C(wireguard) or C(combined).
    type: str
  fallback_modes:
    description: The modes that the agent may go over to.
    type: list
    elements: str
  proxies:
    description: SOCKS5 and HTTP proxies.
    type: list
    elements: dict
  pac:
    description: PAC files, which tell browsers what goes through a proxy.
    type: list
    elements: dict
  web:
    description: The web server that gives PAC files out.
    type: dict
  network_namespace:
    description: Where the gateway is, if not in the network of its host; C(container:NAME) or the name of one.
    type: str
  programs:
    description: How the programs that carry WebSockets come to the gateway.
    type: dict
  numbers:
    description: The numbers that the gateway uses already, as M(splitway.gateway.splitway_transaction) returns them.
    type: dict
  returns:
    description:
      - What to return of the compiled state. C(package) is all of it, packed, with its keys, and what clients' files
        are made of; C(outline) is all of it without private and preshared keys.
      - C(lists) is what each list holds, and what of its sources is left out.
      - C(offers) is what clients' bundles are made of, with keys and passwords.
    type: list
    elements: str
    choices: [digest, lists, offers, outline, package]
  checked:
    description: What this module returned before in the same run; it saves compiling what is O(published).
    type: dict
  published:
    description: The source of the gateway's generation, as M(splitway.gateway.splitway_transaction) returns it.
    type: str
extends_documentation_fragment:
  - splitway.gateway.section.controller
"""

EXAMPLES = r"""
- name: Check the topology
  splitway.gateway.splitway_compile:
    server: "{{ splitway_server }}"
    upstreams: "{{ splitway_upstreams }}"
    clients: "{{ splitway_clients }}"
"""

RETURN = r"""
source:
  description: A fingerprint of the topology and of the engine.
  returned: success
  type: str
interface:
  description: The clients' interface.
  returned: success
  type: str
client_folder:
  description: Where clients' files are written, O(client_files) with its defaults.
  returned: success
  type: dict
bundle_folder:
  description: Where clients' bundles are written, O(client_bundle) with its defaults.
  returned: success
  type: dict
files:
  description: For how many clients a file can be written.
  returned: success
  type: int
left_out:
  description: For each list with entries that DNS cannot do, or with mistakes, how many of them its sources have.
  returned: success
  type: dict
  sample: {google: {regexp: 2}}
lists:
  description: For each list how many domains and networks it holds, and each entry of its sources that is left out.
  returned: when asked for in O(returns)
  type: dict
countries:
  description: What M(splitway.gateway.splitway_countries) is to get to the gateway; empty when rules name no countries.
  returned: success
  type: dict
  contains:
    countries:
      description: Their codes.
      type: list
      elements: str
    sources:
      description: The sources.
      type: list
      elements: dict
packages:
  description: Packages that the gateway needs for this topology, beside the usual ones.
  returned: success
  type: list
  elements: str
programs:
  description: The programs that the gateway needs to carry WebSockets, as role C(programs) brings them.
  returned: success
  type: list
  elements: dict
digest:
  description: A fingerprint of the compiled state.
  returned: when asked for in O(returns)
  type: str
outline:
  description: The sections, each in the form that its module takes, without private and preshared keys.
  returned: when asked for in O(returns)
  type: dict
package:
  description: The compiled state, packed for M(splitway.gateway.splitway_transaction); empty when it is O(published).
  returned: when asked for in O(returns)
  type: str
client_files:
  description: What client configuration files are made of.
  returned: with RV(package)
  type: list
  elements: dict
offers:
  description: What M(splitway.gateway.wg_client_bundle) takes as its options C(clients) and C(relay).
  returned: when asked for in O(returns)
  type: dict
"""
