# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that others publish, and those that ship: fetched, read, reported on. For the controller."""
