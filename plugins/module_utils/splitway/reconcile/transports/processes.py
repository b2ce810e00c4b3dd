# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes carry what the section says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Union

from ...relay import front, websocat, wstunnel
from ...state import Forwarding, TransportClient, Transports, TransportServer, TransportTarget
from ..listening import Socket
from .model import NGINX, WSTUNNEL, Process

LOOPBACK = "127.0.0.1"

Runtime = Callable[[str], Path]
"""Name of a process → its folder below /run."""

_NAMES = {
    "certificate": "certificate.pem",
    "key": "key.pem",
    "ca": "ca.pem",
    "client_ca": "client-ca.pem",
}
"""Field that names a file of the operator's → the name of the copy that the process gets."""


def processes(desired: Transports, runtime: Runtime) -> tuple[Process, ...]:
    """Return the processes in the order in which they are started. Ports must have been picked."""
    programs = program_paths(desired)
    return (
        *(process for server in desired.servers for process in _server(server, programs, runtime)),
        *(process for client in desired.clients for process in _client(client, programs, runtime)),
    )


def program_paths(desired: Transports) -> dict[str, str]:
    """Return name → path of the programs that the section needs: nginx, too, where it stands before a websocat."""
    given = {program.name: program.path for program in desired.programs}
    names = [server.program for server in desired.servers] + [client.program for client in desired.clients]
    if any(server.program != WSTUNNEL for server in desired.servers):
        names.append(NGINX)
    return {name: given.get(name, "/usr/sbin/nginx" if name == NGINX else f"/usr/local/bin/{name}") for name in names}


def _client(client: TransportClient, programs: Mapping[str, str], runtime: Runtime) -> Iterator[Process]:
    """Yield wstunnel, which carries all forwards, or a websocat for each of them."""
    program = programs[client.program]
    parts = {"client": client.forwardings}
    if client.program != WSTUNNEL:
        parts = {forwarding.kind: (forwarding,) for forwarding in client.forwardings}
    for part, forwardings in parts.items():
        name = f"{part}-{client.upstream}"
        own = runtime(name)
        end = replace(
            client,
            ca=_copy(own, "ca", client.ca),
            certificate=_copy(own, "certificate", client.certificate),
            key=_copy(own, "key", client.key),
            forwardings=forwardings,
        )
        if client.program == WSTUNNEL:
            command = wstunnel.client(program, end)
        else:
            command = websocat.client(program, end, forwardings[0])
        yield Process(
            name=name,
            about=f"upstream {client.upstream}: {client.servers[client.server]}, {', '.join(map(_shown, forwardings))}",
            program=client.program,
            command=command,
            secret=client.path,
            sockets=tuple(Socket(item.protocol, LOOPBACK, item.port.port) for item in forwardings),
            copies=_copies(client),
            late=client.program == WSTUNNEL and client.minimum_idle > 0,  # it makes these connections first (measured)
        )


def _shown(forwarding: Forwarding) -> str:
    return f"{LOOPBACK}:{forwarding.port.port} ({forwarding.protocol}) to its {forwarding.target}"


def _server(server: TransportServer, programs: Mapping[str, str], runtime: Runtime) -> Iterator[Process]:
    if server.program == WSTUNNEL:
        yield from _wstunnel_server(server, programs, runtime)
    else:
        yield from _websocat_server(server, programs, runtime)


def _wstunnel_server(server: TransportServer, programs: Mapping[str, str], runtime: Runtime) -> Iterator[Process]:
    """Yield a wstunnel for each address; they terminate TLS and know the path."""
    for index, address in enumerate(wstunnel.binds(server.listen), 1):
        name = f"server{index}-{server.name}"
        own = runtime(name)
        yield Process(
            name=name,
            about=f"server {server.name}: {Socket('tcp', address, server.port.port)}, to {_reached(server)}",
            program=WSTUNNEL,
            command=wstunnel.server(
                programs[WSTUNNEL], _with_copies(server, own), address, str(own / "restrictions.yaml")
            ),
            sockets=(Socket("tcp", address, server.port.port),),
            texts={"restrictions.yaml": wstunnel.restrictions(server)},
            copies=_copies(server),
            rereads=True,
            at_boot=True,
        )


def _websocat_server(server: TransportServer, programs: Mapping[str, str], runtime: Runtime) -> Iterator[Process]:
    """Yield a websocat for each target, and the nginx before them, which terminates TLS and knows the path."""
    sockets: dict[TransportTarget, str] = {}
    for index, target in enumerate(server.targets, 1):
        name = f"target{index}-{server.name}"
        sockets[target] = str(runtime(name) / "socket")
        yield Process(
            name=name,
            about=f"server {server.name}: to {target.address} ({target.protocol})",
            program=server.program,
            command=websocat.server(programs[server.program], target, sockets[target]),
            at_boot=True,
        )
    name = f"front-{server.name}"
    own = runtime(name)
    listens = tuple(Socket("tcp", address, server.port.port) for address in server.listen)
    yield Process(
        name=name,
        about=f"server {server.name}: {', '.join(map(str, listens))}, to {_reached(server)}",
        program=NGINX,
        command=front.command(programs[NGINX], str(own / "nginx.conf")),
        sockets=listens,
        texts={"nginx.conf": front.configuration(_with_copies(server, own), sockets, str(own))},
        copies=_copies(server),
        candidate=_candidate(server),
        rereads=True,
        signalled=True,
        at_boot=True,
    )


def _candidate(server: TransportServer) -> Callable[[Path], str]:
    """Return how nginx's configuration can be tested in a folder: with the operator's own files, without any right."""
    end = replace(server, listen=(LOOPBACK,), port=replace(server.port, chosen=max(server.port.port, 1024)))
    sockets = dict.fromkeys(server.targets, "/nonexistent")
    return lambda folder: front.configuration(end, sockets, str(folder))


def _with_copies(server: TransportServer, own: Path) -> TransportServer:
    return replace(
        server,
        certificate=_copy(own, "certificate", server.certificate),
        key=_copy(own, "key", server.key),
        client_ca=_copy(own, "client_ca", server.client_ca),
    )


def _copy(own: Path, field: str, path: str) -> str:
    return str(own / _NAMES[field]) if path else ""


def _copies(end: Union[TransportClient, TransportServer]) -> dict[str, str]:
    """Return name of a copy → path of the operator's file."""
    paths = {name: getattr(end, field, "") for field, name in _NAMES.items()}
    return {name: path for name, path in paths.items() if path}


def operators_files(desired: Transports) -> frozenset[str]:
    """Return the files of the operator's that the section names."""
    ends: tuple[Union[TransportClient, TransportServer], ...] = (*desired.servers, *desired.clients)
    return frozenset(path for end in ends for path in _copies(end).values())


def _reached(server: TransportServer) -> str:
    return ", ".join(f"{target.address} ({target.protocol})" for target in server.targets)
