# SPDX-License-Identifier: GPL-3.0-or-later
"""What one client needs to connect: files to import, files to start, and a page that says how. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Optional

from ..client_files import ClientFile, text
from ..transports import MTU
from .around import everything_but
from .model import CA, LOCAL_PORT, Bundle, Proxy, Relay
from .names import Names, names_of
from .page import QR_CODE, page
from .scripts import for_sh, for_windows

__all__ = ["QR_CODE", "Bundle", "Proxy", "Relay", "contents", "in_websocket", "qr_text"]


def contents(bundle: Bundle, private_key: str, server_public_key: str, *, qr: bool) -> dict[str, str]:
    """Return text by file name; with `qr`, QR_CODE stands in the page where the picture belongs."""
    names = _names(bundle)
    found: dict[str, str] = {}
    if bundle.tunnel is not None:
        found[names.tunnel] = text(bundle.tunnel, private_key, server_public_key)
        if bundle.relay is not None:
            carried = in_websocket(bundle.tunnel, bundle.relay)
            found[names.carried] = text(carried, private_key, server_public_key)
            found[names.script] = for_sh(bundle.relay.command, names.carried)
            found[names.batch] = for_windows(bundle.relay.command, names.carried)
            if bundle.relay.ca:
                found[CA] = bundle.relay.ca
    found[names.page] = page(bundle, names, picture=qr)
    return found


def in_websocket(tunnel: ClientFile, relay: Relay) -> ClientFile:
    """Return the configuration of a tunnel whose packets the relay on the same host carries."""
    return dataclasses.replace(
        tunnel,
        endpoint=f"127.0.0.1:{LOCAL_PORT}",
        mtu=min(MTU, tunnel.mtu or MTU),
        allowed_ips=everything_but(relay.address),
    )


def qr_text(bundle: Bundle, texts: Mapping[str, str]) -> Optional[str]:
    """Return what the QR code says, None when there is none."""
    return texts.get(_names(bundle).tunnel)


def _names(bundle: Bundle) -> Names:
    return names_of(bundle.name) if bundle.tunnel is None else names_of(bundle.name, bundle.tunnel.priority)
