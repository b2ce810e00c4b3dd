# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways in containers of the lab's image, with a gateway's packages: hosts for Ansible over docker or ssh."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from benchkit import REPOSITORY

# What tests/lab/up.yml gives the lab's hosts, too: what systemd and a router need.
RIGHTS = (
    *("--cap-add=NET_ADMIN", "--cap-add=SYS_ADMIN", "--cap-add=NET_RAW", "--security-opt=apparmor=unconfined"),
    *("--device=/dev/net/tun", "--tmpfs=/run", "--tmpfs=/tmp", "--cgroupns=private"),
    *("--sysctl=net.ipv6.conf.all.disable_ipv6=0", "--stop-signal=SIGRTMIN+3"),
)
PACKAGES = (
    *("conntrack", "dnsmasq-base", "ipset", "iproute2", "iptables", "logrotate", "nftables", "openssh-server"),
    *("python3-dnspython", "python3-prometheus-client", "python3-pyroute2", "qrencode", "wireguard-go"),
    "wireguard-tools",
)
BOOT = 60  # seconds


@dataclass(frozen=True)
class Container:
    """One gateway."""

    name: str  # of the container, and in the inventory
    address: str  # where its sshd listens
    host_key: str


def engine_answers() -> bool:
    """Return whether there is a Docker engine."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def watchers(hosts: int, tunnels: int) -> Iterator[None]:
    """Let the machine have, for the time of a bench, the inotify instances that wireguard-go and systemd need.

    Each process of wireguard-go has one, and all of root's on the machine, in containers too, have 128 together.
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    before, needed = int(limit.read_text(encoding="ascii")), 128 + hosts * (tunnels + 32)
    if before < needed:
        limit.write_text(str(needed), encoding="ascii")
    try:
        yield
    finally:
        limit.write_text(str(before), encoding="ascii")


@contextmanager
def gateways(count: int, public_key: str) -> Iterator[list[Container]]:
    """Run this many gateways, whose root accepts an SSH key; they are removed at the end."""
    image = _image()
    names = [f"splitway-bench-{number + 1}" for number in range(count)]
    _remove(names)
    try:
        for name in names:
            _docker("run", "--detach", f"--name={name}", f"--hostname={name}", *RIGHTS, image)
        yield [_started(name, public_key) for name in names]
    finally:
        _remove(names)


def inventory(hosts: list[Container], connection: str, folder: Path, private_key: Path) -> Path:
    """Write an inventory of these gateways, over `docker` or `ssh`; return its path."""
    known = folder / "known_hosts"
    known.write_text("".join(f"{host.address} {host.host_key}\n" for host in hosts), encoding="ascii")
    shared: dict[str, Any] = {"ansible_connection": "community.docker.docker"}
    if connection == "ssh":
        shared = {
            "ansible_connection": "ansible.builtin.ssh",
            "ansible_ssh_private_key_file": str(private_key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
        }
    shared.update(ansible_user="root", ansible_python_interpreter="/usr/bin/python3")
    address = {host.name: {"ansible_host": host.address if connection == "ssh" else host.name} for host in hosts}
    path = folder / f"{connection}.json"
    path.write_text(json.dumps({"splitway_gateways": {"hosts": address, "vars": shared}}), encoding="ascii")
    return path


def _image() -> str:
    """Return the name of an image of the lab's host with a gateway's packages; it is made once and kept."""
    recipe = subprocess.run([REPOSITORY / "tests/lab/image/build"], capture_output=True, text=True, check=True)
    base = f"splitway-lab/host:{recipe.stdout.split()[-1]}"
    tag = hashlib.sha256(" ".join((base, *PACKAGES)).encode()).hexdigest()[:12]
    image = f"splitway-bench/gateway:{tag}"
    if _docker("images", "--quiet", image):
        return image
    maker = "splitway-bench-maker"
    _remove([maker])
    install = "apt-get update -qq && apt-get install -qq --yes --no-install-recommends"
    try:
        _docker(
            "run",
            f"--name={maker}",
            "--network=host",
            "--env=DEBIAN_FRONTEND=noninteractive",
            "--entrypoint=sh",
            base,
            "-c",
            f"{install} {' '.join(PACKAGES)}",
        )
        _docker("commit", "--change=ENTRYPOINT []", '--change=CMD ["/usr/local/sbin/start-host"]', maker, image)
    finally:
        _remove([maker])
    return image


def _started(name: str, public_key: str) -> Container:
    """Return a gateway once its systemd and its sshd are up."""
    give_up = time.monotonic() + BOOT
    while _docker("exec", name, "sh", "-c", "systemctl is-system-running --wait || true") != "running":
        if time.monotonic() > give_up:
            raise SystemExit(f"{name} does not start: docker exec {name} systemctl --failed")
        time.sleep(0.5)
    _docker("exec", "--interactive", name, "sh", "-c", "umask 077; mkdir -p ~/.ssh; cat >~/.ssh/authorized_keys",
            text=public_key)  # fmt: skip
    _docker("exec", name, "systemctl", "start", "ssh")
    address = _docker("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
    return Container(name, address, _docker("exec", name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"))


def _remove(names: list[str]) -> None:
    subprocess.run(["docker", "rm", "--force", *names], capture_output=True, check=False)


def _docker(*arguments: str, text: Optional[str] = None) -> str:
    done = subprocess.run(
        ["docker", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise SystemExit(f"docker {arguments[0]}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()
