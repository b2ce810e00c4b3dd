# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/performance.md: the text is written by hand (performance.md.j2), the figures are those of bench/results."""
