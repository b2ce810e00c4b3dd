# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstreams: probes and health, the ways of groups, switching over, repair."""
