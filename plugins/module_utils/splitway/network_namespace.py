# SPDX-License-Identifier: GPL-3.0-or-later
"""The network namespace of a gateway that is not its host's own: wg-easy's container has one, or somebody's by name.

Whoever changes the gateway enters it first: then programs that are started, netlink sockets and /proc/sys/net are those
of that namespace. Files and units stay the host's. Which one it is stands in a file from the first run on, until all
of the gateway is removed: what was brought into one namespace is not to be looked for in another.

A container's namespace is another after each start. The one in use is pinned below /run/netns, where units find it.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Optional

from .system import System, SystemFailure

FOLDER = Path("/run/netns")
CONTAINER = "container:"
ENGINES = ("docker", "podman")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_OWN = Path("/proc/thread-self/ns/net")


class Away(SystemFailure):
    """The namespace is not there now."""


def chosen(system: System) -> str:
    """Return the namespace that this gateway is in; "": its host's own."""
    return (system.read_file(_record(system)) or "").strip()


def choose(system: System, namespace: str) -> None:
    """Keep which namespace this gateway is in."""
    if namespace == chosen(system):
        return
    if namespace:
        system.write_file(_record(system), f"{namespace}\n")
    else:
        system.remove_file(_record(system))


def _record(system: System) -> Path:
    return system.configuration / "network-namespace"


def container_of(namespace: str) -> str:
    """Return the container's name, "" where the namespace is nobody's but its own."""
    return namespace[len(CONTAINER) :] if namespace.startswith(CONTAINER) else ""


def path_of(namespace: str) -> Path:
    """Return where units find a namespace: the pin, if it is a container's."""
    name = container_of(namespace)
    return FOLDER / f"splitway-{name}" if name else FOLDER / namespace


def process_of(system: System, container: str) -> Optional[int]:
    """Return the number of a container's first process, None while it does not run. Raises SystemFailure."""
    engines = [engine for engine in ENGINES if system.has(engine)]
    if not engines:
        raise SystemFailure(f"container:{container}: neither {' nor '.join(ENGINES)} is installed")
    for engine in engines:
        try:
            said = system.read(engine, "inspect", "--type", "container", "--format", "{{.State.Pid}}", container)
        except SystemFailure:  # it knows no such container; or it does not run, as at boot
            continue
        if said.strip().isdigit() and int(said):
            return int(said)
    return None


def pin(system: System, namespace: str) -> bool:
    """Pin the namespace that a container has now; return whether it is another than before. Raises Away."""
    container = container_of(namespace)
    if not container:
        return False
    source, target = _of_process(system, container), path_of(namespace)
    if _same(source, target):
        return False
    FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    unpin(system, namespace)
    system.write_file(target, "")
    system.run("mount", "--bind", str(source), str(target))
    return True


def unpin(system: System, namespace: str) -> None:
    """Let go of a container's namespace."""
    target = path_of(namespace)
    if container_of(namespace) and target.exists():
        if target.stat().st_dev != FOLDER.stat().st_dev:
            system.run("umount", str(target))
        system.remove_file(target)


def _of_process(system: System, container: str) -> Path:
    process = process_of(system, container)
    if process is None:
        raise Away(f"the container {container} does not run, whose network is splitway_network_namespace: start it")
    return Path(f"/proc/{process}/ns/net")


def inside(namespace: str) -> bool:
    """Return whether this thread is in a namespace already; in the host's own it always is."""
    return not namespace or _same(path_of(namespace), _OWN)


def enter(system: System, namespace: str) -> None:
    """Move this thread, with all that it starts from now on, into a namespace. Raises Away."""
    if inside(namespace):
        return
    path, container = path_of(namespace), container_of(namespace)
    if container and not path.exists():  # check mode pins nothing
        path = _of_process(system, container)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Away(f"splitway_network_namespace: {path}: {error.strerror}") from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise SystemFailure(f"splitway_network_namespace: {path}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except OSError:
        return False


def settle(system: System, namespace: str, *, fresh: bool) -> None:
    """Have a run work in a namespace: pin it, keep which one it is, and enter it.

    `fresh`: whether nothing of a gateway is on this host yet. Raises SystemFailure when it is in another.
    """
    before = chosen(system)
    if before != namespace and not fresh:
        raise SystemFailure(
            f"splitway_network_namespace: this gateway is in {before or 'the network of its host'}, not in "
            f"{namespace or 'that'}: remove it there first (teardown.yml)"
        )
    if not system.check_mode:
        pin(system, namespace)
        choose(system, namespace)
    enter(system, namespace)


def unit_text(namespace: str) -> str:
    """Return what a unit of ours has beside its text, so that it runs there; "" where nothing is needed.

    Wants, not Requires: in a first run there is no such unit yet, and the run itself has pinned the namespace.
    """
    if not namespace:
        return ""
    follows = container_of(namespace) != ""
    after = f"[Unit]\nWants={FOLLOWER}\nAfter={FOLLOWER}\n\n" if follows else ""
    return f"# Made by splitway\n{after}[Service]\nNetworkNamespacePath={path_of(namespace)}\n"


FOLLOWER = "splitway-namespace.service"
"""The unit that keeps a container's namespace pinned."""


def follower_text(program: Path, container: str) -> str:
    """Return that unit. It is ready, and ours may start, when the container has run once."""
    return f"""\
# Made by splitway
[Unit]
Description=splitway: follows the network of the container {container}
After=docker.service podman.service network.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={program} follow
Restart=always
RestartSec=1
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""
