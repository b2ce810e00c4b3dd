# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: the program `splitway` on a gateway, which owns time. It restores, heals, fails over and measures.

``cli`` finds the command. ``boot`` restores, and ``daemon`` then keeps the parts going, a folder each: ``healing``,
``upstreams``, ``names``, ``figures``. ``commands`` are those that only ask.
"""
