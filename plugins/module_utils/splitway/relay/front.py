# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx before websocat's servers: TLS, the path as a secret, only the given targets."""

from __future__ import annotations

from collections.abc import Mapping

from ..addresses import at_port
from ..nginx import temporary_paths
from ..state import TransportServer, TransportTarget
from .command import Command
from .websocat import location

LONGEST_SILENCE = 3600  # seconds; pings are far more frequent
CONNECTIONS = 4096  # a process; each WebSocket needs two


def configuration(end: TransportServer, sockets: Mapping[TransportTarget, str], runtime: str) -> str:
    """Return nginx.conf; `sockets`: of websocat's servers; `runtime`: a folder that nginx may write.

    Nothing is logged about requests, and of errors only those of nginx itself: the others tell the request, and with
    it the path, when a websocat does not answer.
    """
    listens = "".join(f"        listen {_listen(address, end.port.port)};\n" for address in end.listen)
    locations = "".join(
        _location(location(end.path, target.protocol, target.address), sockets[target]) for target in end.targets
    )
    return f"""\
# Made by splitway
daemon off;
pid {runtime}/nginx.pid;
error_log stderr alert;
worker_processes auto;
worker_rlimit_nofile {4 * CONNECTIONS};
events {{
    worker_connections {CONNECTIONS};
}}
http {{
    access_log off;
    server_tokens off;
{temporary_paths(runtime)}\
    server {{
{listens}\
        ssl_certificate "{end.certificate}";
        ssl_certificate_key "{end.key}";
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:splitway:1m;
{locations}\
        location / {{
            return 404;
        }}
    }}
}}
"""


def _listen(address: str, port: int) -> str:
    return f"{at_port(address, port)} ssl{' ipv6only=on' if ':' in address else ''}"


def _location(path: str, socket: str) -> str:
    return f"""\
        location = {path} {{
            proxy_pass http://unix:{socket}:/;
            proxy_http_version 1.1;
            proxy_set_header Host splitway;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_buffering off;
            proxy_read_timeout {LONGEST_SILENCE}s;
            proxy_send_timeout {LONGEST_SILENCE}s;
        }}
"""


def command(program: str, file: str) -> Command:
    """Return the call of nginx with a configuration. Until it has read it, it would write to its package's log."""
    return Command((program, "-e", "stderr", "-c", file))
