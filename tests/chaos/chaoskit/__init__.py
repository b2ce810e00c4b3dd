# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, the traffic that must not notice them, and the wire that tells."""
