# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking and healing: what the kernel tells, what a cheap look shows, what is brought back."""
