# SPDX-License-Identifier: GPL-3.0-or-later
"""The bits of a firewall mark that are ours: one says "classified", the rest is the egress number."""

from __future__ import annotations


def number_field(mask: int) -> tuple[int, int]:
    """Return (shift, classified bit) of a contiguous mask; the bit is in the number's own scale."""
    shift = (mask & -mask).bit_length() - 1
    return shift, ((mask >> shift) + 1) >> 1


def mark_of(number: int, mask: int) -> int:
    """Return the mark of an egress number: the classified bit and the number, inside the mask."""
    shift, classified = number_field(mask)
    return (classified | number) << shift


def classified_bit(mask: int) -> int:
    """Return the bit that says "classified", in place."""
    shift, classified = number_field(mask)
    return classified << shift


def exempt_mark(mask: int) -> int:
    """Return the mark of the gateway's own packets that no policy concerns: no egress's, and not classified."""
    return mask & ~classified_bit(mask)
