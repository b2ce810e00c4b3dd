# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces for the kernel tests, and a System whose units are plain processes in one.

The test process itself moves into a fresh network namespace, so that the engine's code, netlink
sockets and /proc/sys included, runs there unchanged. Further hosts are namespaces held open by a
file descriptor: when it is closed and their processes are gone, the kernel removes them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fnmatch
import grp
import ipaddress
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, NoReturn, Optional

from splitway.reconcile.accounts import number
from splitway.reconcile.services import Units
from splitway.system import System, SystemFailure

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_MARKER = "SPLITWAY_TEST_UNIT"


def _check(status: int, what: str) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def private_mounts() -> None:
    """Give this process mounts of its own: what the tests put into /run is seen by nobody else."""
    _check(_libc.unshare(CLONE_NEWNS), "unshare mounts")
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")  # daemons become our children: we reap them
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for folder in ("/run/wireguard", "/run/netns"):
        Path(folder).mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    # One lock a process: the older iptables waits for no other, though its rules are of another namespace.
    ours, everybodys = Path("/run/wireguard/xtables.lock"), Path("/run/xtables.lock")
    for lock in (ours, everybodys):
        lock.touch()
    subprocess.run(["mount", "--bind", ours, everybodys], check=True)


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(descriptor: int) -> None:
    """Move this thread into the network namespace of a descriptor."""
    _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")


@contextlib.contextmanager
def fresh() -> Iterator[int]:
    """Run the body in a new network namespace, `lo` up; yield a descriptor of it."""
    before = _current()
    _check(_libc.unshare(CLONE_NEWNET), "unshare network")
    mine = _current()
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # A new namespace takes the machine's IPv4 parameters over, Docker's forwarding for one.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0", encoding="ascii")
        yield mine
    finally:
        enter(before)
        os.close(mine)
        os.close(before)


class Namespace:
    """A further host: a network namespace in which commands can be run."""

    def __init__(self, name: str) -> None:
        self.name = name
        with fresh() as descriptor:
            self._descriptor = os.dup(descriptor)
        self._processes: list[subprocess.Popen[str]] = []

    @property
    def path(self) -> str:
        """A path by which iproute2 and nsenter find the namespace."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def run(self, *argv: str, input: Optional[str] = None, check: bool = True) -> str:
        """Return the output of a program run here."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *argv], input=input or "", capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {shlex.join(argv)}: {done.stderr or done.stdout}")
        return done.stdout

    def succeeds(self, *argv: str) -> bool:
        """Return whether a program run here ends with 0."""
        argv = ("nsenter", f"--net={self.path}", *argv)
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a program here; it is killed when the test ends."""
        process = subprocess.Popen(
            ["nsenter", f"--net={self.path}", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._processes.append(process)
        return process

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Run the body, Python included, in this namespace."""
        before = _current()
        enter(self._descriptor)
        try:
            yield
        finally:
            enter(before)
            os.close(before)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        os.close(self._descriptor)


class Network:
    """The namespaces of one test and the wires between them and the gateway (the test itself)."""

    def __init__(self) -> None:
        self.namespaces: dict[str, Namespace] = {}

    def host(self, name: str) -> Namespace:
        """Return a new namespace."""
        self.namespaces[name] = Namespace(name)
        return self.namespaces[name]

    def connect(
        self, host: Namespace, interface: str, ours: tuple[str, ...] = (), theirs: tuple[str, ...] = ()
    ) -> None:
        """Connect the gateway's new `interface` with `host`'s eth0-like interface of the same name, both
        up, with addresses (with prefix length); the host's default routes lead to the gateway."""
        subprocess.run(
            ["ip", "link", "add", interface, "type", "veth", "peer", "name", interface, "netns", host.path], check=True
        )
        for entered, command, addresses in ((contextlib.nullcontext, _here, ours), (host.entered, host.run, theirs)):
            # No duplicate address detection: for a second the interface could not ask for its neighbours.
            with entered():
                Path(f"/proc/sys/net/ipv6/conf/{interface}/accept_dad").write_text("0", encoding="ascii")
            for address in addresses:
                extra = ("nodad",) if ":" in address else ()
                command("ip", "address", "add", address, "dev", interface, *extra)
            command("ip", "link", "set", interface, "up")
        for command, addresses in ((_here, ours), (host.run, theirs)):
            _wait_until_up(command, interface)
            wait_for_addresses(command, interface, *addresses)
        for address in ours:
            family = "-6" if ":" in address else "-4"
            host.run("ip", family, "route", "replace", "default", "via", address.split("/")[0], "dev", interface)

    def close(self) -> None:
        for namespace in self.namespaces.values():
            namespace.close()


def _here(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{shlex.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


run_here = _here


def wait_for(condition: Callable[[], object], what: str, timeout: float = 30) -> None:
    """Wait until a condition holds; fail with `what` when it does not within `timeout` seconds.

    The last look is after that time: one that was kept waiting itself says nothing of what is so by then.
    """
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() > deadline
        if condition():
            return
        if late:
            raise AssertionError(f"waited {timeout:.0f} s for: {what}")
        time.sleep(0.02)


def wait_for_addresses(run: Callable[..., str], interface: str, *addresses: str) -> None:
    """Wait until what is sent to new IPv6 addresses is taken: the kernel gives them their route a moment later."""
    wanted = {ipaddress.ip_interface(address).ip.compressed for address in addresses if ":" in address}
    local = ("ip", "-6", "route", "show", "table", "local", "dev", interface)
    wait_for(lambda: not wanted or wanted <= set(run(*local).split()), f"the addresses of {interface}")


def _wait_until_up(run: Callable[..., str], interface: str) -> None:
    """Wait until the kernel has noticed the other end of a wire; what is sent before that is dropped."""
    wait_for(lambda: "state UP" in run("ip", "-o", "link", "show", "dev", interface), f"{interface} to be up")


def _marked(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def _born(process: int) -> Optional[str]:
    """Return when a process began, None when it has ended: its number may be another's soon."""
    try:
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if status[0] in "ZX" else status[19]


def _family(started: Path) -> list[int]:
    """Return the process that a file names and its children, none when it has ended."""
    try:
        process, born = started.read_text().split()
        children = Path(f"/proc/{process}/task/{process}/children").read_text()
    except (OSError, ValueError):
        return []
    return [int(process), *map(int, children.split())] if _born(int(process)) == born else []


def _end(pids: list[int], signal_: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):  # somebody else's child, or reaped already
            os.waitpid(pid, 0)


class PlainUnits(Units):
    """The same unit files, run as plain processes in the test's namespace; never restarted by themselves."""

    def __init__(self, system: System, folder: Path, owner: Optional[int] = None) -> None:
        super().__init__(system)
        self.folder = folder
        self.owner = owner or os.getpid()

    def available(self) -> bool:
        return True

    def file(self, name: str) -> Path:
        return self.folder / name

    def read(self, name: str) -> Optional[str]:
        return self.system.read_file(self.folder / name)

    def write(self, name: str, text: str) -> None:
        if self.read(name) != text:
            self.system.write_file(self.folder / name, text, 0o644)

    def named(self, prefix: str) -> tuple[str, ...]:
        names = (name for name in self.system.list_files(self.folder) if name.startswith(prefix))
        return tuple(name for name in names if not name.endswith((".log", ".enabled", ".pid")))

    def remove(self, name: str) -> None:
        if self.read(name) is not None:
            self.system.remove_file(self.folder / name)

    def active(self, name: str) -> bool:
        return bool(self.pids(name))

    def executing(self, name: str) -> bool:
        return self.active(name)

    def enabled(self, name: str) -> bool:
        return (self.folder / f"{name}.enabled").exists()

    def enable(self, name: str) -> None:
        (self.folder / f"{name}.enabled").touch()

    def disable(self, name: str) -> None:
        (self.folder / f"{name}.enabled").unlink(missing_ok=True)

    def start(self, name: str) -> None:
        if self.active(name):
            return
        self.system.commands.append(f"start {name}")
        forking = "forking" in self._settings(name, "Type")
        user = self._user(name)
        if user is not None:
            self._make_runtime_folder(name, user)
        for setting in ("ExecStartPre", "ExecStart"):
            for line in self._settings(name, setting):
                wait = forking or setting == "ExecStartPre"
                self._execute(name, shlex.split(line.lstrip("-+!@:")), wait, None if "+" in line[:1] else user)

    def launch(self, name: str, *argv: str) -> None:
        self._execute(name, list(argv), wait=False)

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def reload(self, name: str) -> None:
        lines = self._settings(name, "ExecReload") if self.active(name) else []
        for line in lines:
            if line.startswith("+"):
                self._execute(name, shlex.split(line.lstrip("+")), wait=True)
        if any("-HUP" in line for line in lines):
            os.kill(min(self.pids(name)), signal.SIGHUP)

    def stop(self, name: str) -> None:
        self.system.commands.append(f"stop {name}")
        user = self._user(name) if self.read(name) else None
        self.kill(name, signal.SIGTERM)
        for folder in self._settings(name, "RuntimeDirectory") if user is not None else ():
            shutil.rmtree(self.system.runtime.parent / folder, ignore_errors=True)

    def stop_all(self, names: Sequence[str]) -> None:
        for unit in sorted({unit for unit, _ in self.running()}):
            if any(fnmatch.fnmatch(unit, name) for name in names):
                self.stop(unit)

    def pids(self, name: str) -> list[int]:
        """Return the processes of a unit: those that inherited our mark in their environment, and nginx's.

        nginx writes its title over its environment: it is known by the process that was started.
        """
        found = _marked(f"{_MARKER}={self.owner}:{name}\0")
        return found or _family(self._started(name))

    def _started(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def running(self) -> list[tuple[str, int]]:
        """Return the name of the unit and the process of all that runs."""
        mark, found = f"{_MARKER}={self.owner}:", []
        for process in _marked(mark):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                text = Path(f"/proc/{process}/environ").read_text(encoding="utf-8")
                found += [(name, process) for name in re.findall(f"{mark}([^\0]+)", text)]
        return found

    def kill(self, name: str, signal_: int = signal.SIGKILL) -> None:
        """Send a signal to a unit's processes and wait for their end."""
        _end(self.pids(name), signal_)
        self._started(name).unlink(missing_ok=True)

    def close(self) -> None:
        _end(_marked(f"{_MARKER}={self.owner}:"), signal.SIGKILL)
        for path in self.folder.glob("*.pid"):
            _end(_family(path), signal.SIGKILL)

    def _settings(self, name: str, setting: str) -> list[str]:
        template = re.sub(r"@.*\.", "@.", name)
        text = self.read(name) or self.read(template)
        if text is None:
            raise SystemFailure(f"unit {name} not found")
        instance = name.partition("@")[2].rpartition(".")[0]
        return [line.replace("%i", instance) for line in re.findall(rf"^{setting}=(.+)$", text, re.MULTILINE)]

    def _user(self, name: str) -> Optional[int]:
        """Return the number of a unit's user where we made it; others' units run as root here."""
        users = self._settings(name, "User")
        return number(self.system, users[0]) if users else None

    def _make_runtime_folder(self, name: str, user: int) -> None:
        for folder in self._settings(name, "RuntimeDirectory"):
            path = self.system.runtime.parent / folder
            path.mkdir(mode=0o750, exist_ok=True)
            os.chown(path, user, grp.getgrnam("nogroup").gr_gid)
            for parent in path.parents[:-2]:  # pytest's own are root's alone
                parent.chmod(parent.stat().st_mode | 0o011)

    def _variables(self, name: str) -> dict[str, str]:
        variables = dict(os.environ)
        for path in self._settings(name, "EnvironmentFile"):
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                key, _, value = line.partition("=")
                variables[key] = shlex.split(value)[0]
        for names in self._settings(name, "UnsetEnvironment"):
            for key in names.split():
                variables.pop(key, None)
        return variables

    def _execute(self, name: str, argv: list[str], wait: bool, user: Optional[int] = None) -> None:
        variables = self._variables(name)
        argv = [re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], word) for word in argv]
        if user is not None:
            rights = "".join(self._settings(name, "AmbientCapabilities")).lower().replace("cap_", "+").replace(" ", ",")
            kept = (f"--inh-caps={rights}", f"--ambient-caps={rights}") if rights else ()
            argv = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", *kept, *argv]
        for limit in self._settings(name, "LimitNOFILE"):
            argv = ["prlimit", f"--nofile={limit}", *argv]
        environment = {**variables, _MARKER: f"{self.owner}:{name}"}
        log = self.folder / f"{name}.log"
        with log.open("a") as stream:
            process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        if wait and process.wait(timeout=60) != 0:
            raise SystemFailure(f"{name}: {log.read_text().strip()[-2000:]}")
        if not wait:
            self._started(name).write_text(f"{process.pid} {_born(process.pid)}")
        # The kernel tells that the program runs a moment before it shows its environment, by which we know it.
        while not wait and process.poll() is None and process.pid not in self.pids(name):
            time.sleep(0.001)


class NamespaceSystem(System):
    """A System with folders of its own; it acts on the namespace in which the test runs."""

    def __init__(self, folder: Path, owner: Optional[int] = None) -> None:
        """`owner`: the process that started the units; None: this one."""
        super().__init__(configuration=folder / "etc", runtime=folder / "run", log=folder / "log", data=folder / "data")
        self.root = folder / "root"
        (folder / "units").mkdir(parents=True, exist_ok=True)
        self.plain_units = PlainUnits(self, folder / "units", owner)

    def journal(self, identifier: str, text: str) -> None:
        """Leave the machine's own journal alone."""

    @property
    def units(self) -> PlainUnits:
        return self.plain_units


class Written(AssertionError):
    """Something was written through a read-only System."""


def _refuse(_: object, *what: object, **__: object) -> NoReturn:
    raise Written(" ".join(map(str, what)))


class ReadOnlySystem(NamespaceSystem):
    """A System that raises on whatever changes the host: check mode is proven with it, not believed."""

    def __init__(self, like: NamespaceSystem) -> None:
        System.__init__(self, like.configuration, like.runtime, like.log, like.data)
        self.root = like.root
        self.plain_units = _ReadOnlyUnits(self, like.plain_units.folder)

    run = netlink = netfilter = write_file = append_line = journal = remove_file = set_sysctl = _refuse
    write_folder = remove_folder = link_file = write_link = _refuse


class _ReadOnlyUnits(PlainUnits):
    start = stop = restart = reload = launch = kill = enable = disable = _refuse
