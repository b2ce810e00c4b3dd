# SPDX-License-Identifier: GPL-3.0-or-later
"""What may fail on a host without being a defect."""

from __future__ import annotations

from .reconcile.base import ReconcileError
from .store import StoreError
from .system import SystemFailure

FAILURES = (ReconcileError, StoreError, SystemFailure, OSError)
"""What a reconciler or the store may raise; anything else is a defect."""
