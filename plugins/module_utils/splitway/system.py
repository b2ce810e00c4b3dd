# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that runs a program, opens a netlink socket or writes a file."""

from __future__ import annotations

import errno
import grp
import os
import shutil
import socket
import subprocess
import syslog
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

if TYPE_CHECKING:
    from .reconcile.services import Units

CONFIGURATION = Path("/etc/splitway")
RUNTIME = Path("/run/splitway")
LOG = Path("/var/log/splitway")
DATA = Path("/var/lib/splitway")

NETLINK_SOCK_DIAG, NETLINK_NETFILTER = 4, 12  # linux/netlink.h


class SystemFailure(Exception):
    """A program, a netlink request or a file operation failed; the message says which and why."""

    code: Optional[int] = None  # of a netlink request: the kernel's errno


class System:
    """The host that we run on. Tests put a recording or read-only one in its place."""

    check_mode = False  # nothing is changed, and what a fresh host lacks reads as empty
    root = Path("/")  # of what lies neither in our folders nor in the kernel's

    def __init__(
        self, configuration: Path = CONFIGURATION, runtime: Path = RUNTIME, log: Path = LOG, data: Path = DATA
    ) -> None:
        self.configuration = configuration
        self.runtime = runtime
        self.log = log
        self.data = data  # what the agent has learned
        self.commands: list[str] = []  # what was run to change something, without its input

    @property
    def units(self) -> Units:
        """The services of this host."""
        from .reconcile.services import Units

        return Units(self)

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return time.time()

    def uptime(self) -> float:
        """Return the time since the boot, in seconds: nobody sets that clock, and it runs on while the host sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def has(self, program: str) -> bool:
        """Return whether the program is installed."""
        return shutil.which(program, path=_PATH) is not None

    def read(self, *argv: str, input: Optional[str] = None, timeout: float = 60) -> str:
        """Return the output of a program that changes nothing. Raises SystemFailure when it fails."""
        return self._run(argv, input, timeout)

    def run(self, *argv: str, input: Optional[str] = None, timeout: float = 120) -> str:
        """Run a program that changes the host; secrets go in by `input`. Raises SystemFailure."""
        self.commands.append(" ".join(argv))
        return self._run(argv, input, timeout)

    def _run(self, argv: tuple[str, ...], text: Optional[str], timeout: float) -> str:
        environment = {**os.environ, "LC_ALL": "C", "PATH": _PATH}
        try:
            done = subprocess.run(
                argv, input=text or "", capture_output=True, text=True, timeout=timeout, env=environment, check=False
            )
        except FileNotFoundError as error:
            raise SystemFailure(f"{argv[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise SystemFailure(f"{' '.join(argv)}: no end after {timeout:.0f} s") from error
        if done.returncode != 0:
            reason = done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}"
            raise SystemFailure(f"{' '.join(argv)}: {reason[-2000:]}")
        return done.stdout

    @contextmanager
    def netlink(self) -> Iterator[Any]:
        """Yield a pyroute2 IPRoute socket. A request that fails in the body raises SystemFailure with its errno."""
        try:
            from pyroute2 import IPRoute
            from pyroute2.netlink.exceptions import NetlinkError
        except ImportError as error:
            raise SystemFailure("the Python library pyroute2 is not installed") from error
        with IPRoute() as route:
            try:
                yield route
            except NetlinkError as error:
                failure = SystemFailure(f"the kernel refused: {error.args[1]}")
                failure.code = error.code
                raise failure from error

    def interface_index(self, interface: str) -> Optional[int]:
        """Return the kernel's number of an interface, None when there is none."""
        try:
            return socket.if_nametoindex(interface)
        except OSError:
            return None

    def netfilter(self) -> AbstractContextManager[socket.socket]:
        """Return a netlink socket to the kernel's netfilter (connection tracking)."""
        return _netlink(NETLINK_NETFILTER)

    def asking_netfilter(self) -> AbstractContextManager[socket.socket]:
        """Return such a socket for questions only, which change nothing."""
        return _netlink(NETLINK_NETFILTER)

    def asking_route(self) -> AbstractContextManager[socket.socket]:
        """Return a netlink socket to the kernel's links, addresses and queues, for questions only."""
        return _netlink(socket.NETLINK_ROUTE)

    def asking_sockets(self) -> AbstractContextManager[socket.socket]:
        """Return a netlink socket to the kernel's diagnosis of sockets, for questions only."""
        return _netlink(NETLINK_SOCK_DIAG)

    def read_file(self, path: Path) -> Optional[str]:
        """Return a file's text, None when it does not exist."""
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def stamp(self, path: Path) -> Optional[tuple[int, int, int]]:
        """Return what is another after each change of a file; None where there is none, or it is hidden from us."""
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def list_files(self, folder: Path) -> tuple[str, ...]:
        """Return the names of the files in a folder, sorted; none when it does not exist."""
        try:
            return tuple(sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".")))
        except FileNotFoundError:
            return ()

    def write_file(self, path: Path, content: Union[str, bytes], mode: int = 0o600) -> None:
        """Write a file atomically: temporary file, fsync, rename. Missing folders are made 0700."""
        self.commands.append(f"write {path}")
        for folder in reversed(path.parents):  # mkdir's own `parents` would leave those open to all
            folder.mkdir(mode=0o700, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(content.encode() if isinstance(content, str) else content)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def write_folder(self, path: Path, files: Mapping[str, bytes]) -> None:
        """Make a folder of these files, for all to read; it is there as a whole or not at all."""
        self.commands.append(f"write {path}")
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            for name, content in files.items():
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                with (temporary / name).open("wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            for entry in (temporary, *temporary.rglob("*")):
                entry.chmod(0o755 if entry.is_dir() else 0o644)
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary)
            raise

    def append_line(self, path: Path, line: str) -> None:
        """Append a line to a log by one write, so that the lines of several writers never mix.

        A new file is for root and the group adm, if there is one, to read. Raises OSError, SystemFailure.
        """
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            data = f"{line}\n".encode()
            if os.fstat(descriptor).st_size == 0:
                _open_to_administrators(descriptor)
            if os.write(descriptor, data) < len(data):
                raise SystemFailure(f"{path}: the disk is full")
        finally:
            os.close(descriptor)

    def journal(self, identifier: str, text: str) -> None:
        """Write a line to the system's journal; nothing where there is none."""
        syslog.openlog(identifier, 0, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_INFO, text)

    def link_file(self, path: Path, existing: Path) -> None:
        """Give an existing file a second name, in place of the file that has that name now."""
        self.commands.append(f"link {path} {existing}")
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        os.link(existing, temporary)
        os.rename(temporary, path)

    def read_link(self, path: Path) -> Optional[str]:
        """Return where a symbolic link leads, None when there is none."""
        try:
            return os.readlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write_link(self, path: Path, target: str) -> None:
        """Make a symbolic link, in place of the one that is there, by one rename."""
        self.commands.append(f"link {path} {target}")
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        os.rename(temporary, path)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder and all that is in it; nothing when it does not exist. Raises OSError.

        A unit of ours has folders mounted that it may write to (ReadWritePaths): from inside such a one stays, empty.
        """
        self.commands.append(f"remove {path}")
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EROFS) or any(path.iterdir()):
                raise

    def remove_file(self, path: Path) -> None:
        """Remove a file; nothing when it does not exist."""
        self.commands.append(f"remove {path}")
        path.unlink(missing_ok=True)

    def sysctl(self, key: str) -> Optional[str]:
        """Return a kernel parameter by its path below /proc/sys, None where this kernel has none."""
        text = self.read_file(Path("/proc/sys") / key)
        return None if text is None else text.strip()

    def set_sysctl(self, key: str, value: str) -> None:
        """Set a kernel parameter and read it back. Raises SystemFailure when it did not take."""
        self.commands.append(f"sysctl {key}={value}")
        try:
            (Path("/proc/sys") / key).write_text(value, encoding="ascii")
        except OSError as error:
            raise SystemFailure(f"sysctl {key}={value}: {error.strerror}") from error
        if self.sysctl(key) != value:
            raise SystemFailure(f"sysctl {key}={value}: the kernel did not take it")


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def _netlink(protocol: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as channel:
        channel.settimeout(30)
        channel.bind((0, 0))
        yield channel


def _open_to_administrators(descriptor: int) -> None:
    try:
        os.fchown(descriptor, -1, grp.getgrnam("adm").gr_gid)
        os.fchmod(descriptor, 0o640)
    except (KeyError, PermissionError):
        pass  # no such group; or the agent, which may not give files away: root's alone then
