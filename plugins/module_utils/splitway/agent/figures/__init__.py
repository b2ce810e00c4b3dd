# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures: bytes, counters and the snapshot of them, for status, metrics and the access log."""
