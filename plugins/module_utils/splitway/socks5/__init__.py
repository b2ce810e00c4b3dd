# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proxy speaks SOCKS5 with. Copied to each proxy's folder, so that nothing here imports more of the engine.

Why none of Debian's: dante 1.4 asks for a name itself before it leaves it to another proxy, which shows names to the
network that an exit was to keep them from; microsocks has its password in its command line.
"""
