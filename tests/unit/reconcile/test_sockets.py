# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a socket, among processes that open and close descriptors all the time."""

from __future__ import annotations

import os
import socket

from splitway.reconcile.sockets import Holder, holder_of


def test_a_holder_is_found_whatever_it_closes_meanwhile() -> None:
    closed = os.open("/dev/null", os.O_RDONLY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.close(closed)  # the number that reading the folder of our own descriptors takes, and ends
        found = holder_of(os.fstat(server.fileno()).st_ino)
    assert isinstance(found, Holder)
    assert int(found.process) == os.getpid()


def test_a_socket_that_is_closed_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
    assert holder_of(inode) is None
