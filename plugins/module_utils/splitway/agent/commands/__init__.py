# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a gateway by hand: one file a command."""
