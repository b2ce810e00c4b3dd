# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues and classes as the kernel tells them, by netlink: `tc` has JSON for queues only, and text for classes."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Collection, Iterator
from typing import Optional

from ...system import System, SystemFailure
from ..base import ReconcileError
from ..netlink import DONE, DUMP, ERROR, REQUEST, attributes, failure_of, message, messages
from .model import DEVICE, Class, Leaf, Root

KIND = "ifb"

# linux/rtnetlink.h, linux/pkt_sched.h
_GET_QUEUES, _GET_CLASSES = 38, 42
_KIND, _OPTIONS = 1, 2
_HTB_PARAMETERS = 1
_AT_ROOT = 0xFFFFFFFF
_RATE, _CEIL = 8, 20  # where they are in the parameters of a class
_HEADER = struct.Struct("=4xiIII").unpack_from  # index, handle, parent, info
_ANSWER = 1 << 16  # bytes; the kernel fills up to 32 KiB


def read(system: System, interfaces: Collection[str]) -> tuple[dict[str, Root], dict[str, dict[int, Class]]]:
    """Return the root queues of these interfaces, and ours on any other; and the classes of those that are ours.

    Raises ReconcileError.
    """
    names = {system.interface_index(name): name for name in interfaces if name}
    roots: dict[str, Root] = {}
    leaves: dict[int, dict[int, Leaf]] = {}
    for index, handle, parent, kind, options in _dump(system, _GET_QUEUES, 0):
        if parent == _AT_ROOT:
            root = Root(kind, handle >> 16)
            if index in names or root.ours:
                roots[names.get(index) or _name(index)] = root
        else:
            limit = struct.unpack_from("=I", options)[0] if kind == "bfifo" else 0
            leaves.setdefault(index, {})[parent & 0xFFFF] = Leaf(kind, limit)
    classes = {}
    for name, root in roots.items():
        found = system.interface_index(name)
        if root.ours and found is not None:
            classes[name] = dict(_classes(system, found, leaves.get(found, {})))
    return roots, classes


def _classes(system: System, index: int, leaves: dict[int, Leaf]) -> Iterator[tuple[int, Class]]:
    for _, handle, _, _, options in _dump(system, _GET_CLASSES, index):
        number = handle & 0xFFFF
        parameters = dict(attributes(options))[_HTB_PARAMETERS]
        # Without a parent to borrow from, the lower of the two is what a class gets.
        rate = min(struct.unpack_from("=I", parameters, where)[0] for where in (_RATE, _CEIL))
        yield number, Class(rate, leaves.get(number))


def device(system: System) -> Optional[str]:
    """Return the kind of the interface that has our device's name, "" for one of ours that is down, None for none."""
    if system.interface_index(DEVICE) is None:
        return None
    try:
        (link,) = json.loads(system.read("ip", "-j", "-d", "link", "show", "dev", DEVICE))
    except SystemFailure as error:
        raise ReconcileError(str(error)) from error
    kind = str(link.get("linkinfo", {}).get("info_kind", "?"))
    return kind if kind != KIND or "UP" in link["flags"] else ""


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:  # gone since
        return str(index)


def _dump(system: System, kind: int, index: int) -> Iterator[tuple[int, int, int, str, bytes]]:
    """Yield index, handle, parent, kind and options of each queue of the host, or each class of an interface."""
    try:
        with system.asking_route() as channel:
            channel.send(message(kind, REQUEST | DUMP, 0, struct.pack("=iIII", index, 0, 0, 0)))
            for body in _answers(channel):
                own = dict(attributes(body[20:]))
                name = own[_KIND].rstrip(b"\0").decode()
                yield (*_HEADER(body)[:3], name, own.get(_OPTIONS, b""))
    except OSError as error:
        raise ReconcileError(f"reading the queues of interfaces: {error.strerror}") from error


def _answers(channel: socket.socket) -> Iterator[bytes]:
    while True:
        for kind, _flags, body in messages(channel.recv(_ANSWER)):
            if kind == DONE:
                return
            if kind == ERROR:
                raise failure_of(body)
            yield body
