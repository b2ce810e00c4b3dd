# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of our web server's files: nginx's configuration and the unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...addresses import at_port
from ...nginx import temporary_paths
from ...state import PortRange, Web
from ...system import System
from ..services import SANDBOX

UNIT = "splitway-web.service"
USER = "splitway-web"

TYPE = "application/x-ns-proxy-autoconfig"
FRESH = 300  # seconds that a browser may go by a file without asking again
COMPRESSED_FROM = 2048  # bytes

# A browser that gets no file goes directly: nobody is to keep the others from theirs by connections that say nothing.
CONNECTIONS = 4096  # at once
PATIENCE = 5  # seconds that a client has to ask, and to take more of the answer

FIRST = ("proxy.pac", "wpad.dat")
"""What the first file is called beside its own name; a browser that looks by itself asks for the second."""

CERTIFICATE, KEY = "certificate.pem", "key.pem"
"""The operator's files as the server has them, in its runtime folder."""

REMEMBERED = "# copies in "
"""Before the operator's folder that has copies of our files."""


@dataclass(frozen=True)
class Paths:
    """Where the web server's files are."""

    configuration: Path
    runtime: Path  # its own folder below /run
    published: Path  # the folders of files, one a version, and the link `current` to the one that is given out

    @property
    def started(self) -> Path:
        return self.runtime / self.configuration.name

    @property
    def current(self) -> Path:
        return self.published / "current"


def paths(system: System) -> Paths:
    """Return the paths on this host."""
    runtime = system.runtime.with_name(f"{system.runtime.name}-web")
    published = system.data.with_name(f"{system.data.name}-web")
    return Paths(system.configuration / "web" / "nginx.conf", runtime, published)


def packages(*, https: bool) -> tuple[str, ...]:
    """Return the packages that a host needs to give files out."""
    return ("nginx", "openssl") if https else ("nginx",)


def addresses(name: str, *, first: bool) -> tuple[str, ...]:
    """Return the names under which a file is served and written."""
    return (f"{name}.pac", *(FIRST if first else ()))


def configuration_text(desired: Web, where: Paths, fingerprint: str) -> str:
    """Return nginx.conf. `fingerprint`: of the certificate, another one of which is read at a start only.

    One process, which serves files of a folder that it cannot write and logs no requests. Whatever is not one of these
    files does not exist.
    """
    listens = "".join(
        f"        listen {_socket(address, port)}{options};\n"
        for port, options in ((desired.http, ""), (desired.https, " ssl"))
        for address in desired.listen
        if port is not None
    )
    secrets = (f"{where.runtime}/{CERTIFICATE}", f"{where.runtime}/{KEY}")
    remembered = f"{REMEMBERED}{desired.directory}\n" if desired.directory else ""
    return _configuration(desired, where, where.runtime, listens, secrets, f"# {fingerprint}") + remembered


def candidate_text(desired: Web, where: Paths, folder: Path) -> str:
    """Return an nginx.conf that nginx can test in a folder, whoever has the ports and whatever the tester may not do.

    The agent may neither bind ports below 1024 nor give files to others.
    """
    listens = f"        listen unix:{folder}/socket{' ssl' if desired.https else ''};\n"
    text = _configuration(desired, where, folder, listens, (desired.certificate, desired.key), "")
    return f"user root;\n{text}"


def _configuration(
    desired: Web, where: Paths, runtime: Path, listens: str, secrets: tuple[str, str], comment: str
) -> str:
    secured = (
        f"""\
        {comment}
        ssl_certificate "{secrets[0]}";
        ssl_certificate_key "{secrets[1]}";
        ssl_protocols TLSv1.2 TLSv1.3;
"""
        if desired.https
        else ""
    )
    locations = "".join(
        f"        location = /{served} {{ alias {where.current}/{file.name}.pac; }}\n"
        for index, file in enumerate(desired.files)
        for served in addresses(file.name, first=index == 0)
    )
    return f"""\
# Made by splitway
daemon off;
pid {runtime}/nginx.pid;
error_log stderr warn;
worker_processes 1;
worker_rlimit_nofile {2 * CONNECTIONS};
events {{
    worker_connections {CONNECTIONS};
}}
http {{
    access_log off;
    server_tokens off;
{temporary_paths(runtime)}\
    types {{ }}
    default_type {TYPE};
    gzip on;
    gzip_types {TYPE};
    gzip_min_length {COMPRESSED_FROM};
    gzip_vary on;
    client_max_body_size 1k;
    client_header_timeout {PATIENCE}s;
    client_body_timeout {PATIENCE}s;
    send_timeout {PATIENCE}s;
    keepalive_timeout 15s;
    server {{
{listens}\
{secured}\
        add_header Cache-Control "max-age={FRESH}";
        add_header X-Content-Type-Options nosniff;
{locations}\
        location / {{ return 404; }}
    }}
}}
"""


def _socket(address: str, port: PortRange) -> str:
    return f"{at_port(address, port.port)}{' ipv6only=on' if ':' in address else ''}"


def unit_text(desired: Web, where: Paths) -> str:
    """Return the unit. As our dnsmasq, it is started from a copy, which tells what it was started with.

    The user is made by systemd when it starts. The certificate's key is the operator's, for root to read: a copy is the
    user's while the server runs. An address of wg0 is there only after wg0: until then it is tried again.
    """
    secrets = "".join(
        f"ExecStartPre=+/usr/bin/install -m 0400 {path} {where.runtime}/{name}\n"
        f"ExecStartPre=+/usr/bin/chown --reference={where.runtime} {where.runtime}/{name}\n"
        for name, path in ((CERTIFICATE, desired.certificate), (KEY, desired.key))
        if desired.https
    )
    return f"""\
# Made by splitway
[Unit]
Description=splitway: PAC files for browsers
Documentation=man:nginx(8)
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
RuntimeDirectory={where.runtime.name}
RuntimeDirectoryMode=0755
ExecStartPre=+/usr/bin/install -D -m 0644 -t {where.runtime} {where.configuration}
ExecStartPre=+/usr/bin/chmod 0755 {where.published}
{secrets}\
ExecStart=/usr/sbin/nginx -e stderr -c {where.started}
Restart=always
RestartSec=1
User={USER}
DynamicUser=yes
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallFilter=@system-service
{SANDBOX}"""
