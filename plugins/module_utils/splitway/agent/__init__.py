# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: the program `splitway` on a gateway, which owns time. It restores, heals, fails over and measures."""
