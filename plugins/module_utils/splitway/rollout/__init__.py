# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts over a fleet: waves, the gate that each gateway passes, and the report of what became of whom."""
