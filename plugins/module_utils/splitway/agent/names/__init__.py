# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: the answers to clients, the journal of them, and the sets that owe it."""
