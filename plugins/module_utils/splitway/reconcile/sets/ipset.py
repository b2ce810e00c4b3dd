# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets as ipsets: read with one `ipset save`, written with one `ipset restore`."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Optional

from ...state import STATIC_SIZE, AddressSet
from ...system import System, SystemFailure
from ..base import ReconcileError
from .model import LEARNED_SIZE, OWNED, FullSet, KernelSet, Step

LONGEST_TIMEOUT = 2147483  # seconds; linux/netfilter/ipset/ip_set.h: IPSET_MAX_TIMEOUT

_SMALLEST_HASH = 64

# nf_tables frees a deleted rule in a work queue, after iptables-restore has returned: until then its set is in use.
_ATTEMPTS = 10


def header(item: AddressSet) -> str:
    """Return type and parameters of the ipset for a desired set, in the spelling of `ipset create`."""
    family = "inet" if item.family == 4 else "inet6"
    if item.timeout is None:
        return f"hash:net family {family} maxelem {STATIC_SIZE}"
    return f"hash:ip family {family} maxelem {LEARNED_SIZE} timeout {item.timeout}"


def entries(item: AddressSet) -> tuple[str, ...]:
    """Return static members in ipset's own spelling: a host without its length, /0 in two halves."""
    result: list[str] = []
    for network in item.members:
        address, _, length = network.partition("/")
        if length == "0":
            # "The value of the CIDR parameter of the IP address is invalid": hash:net has no /0.
            result += ["0.0.0.0/1", "128.0.0.0/1"] if item.family == 4 else ["::/1", "8000::/1"]
            continue
        if address.startswith("::"):  # ::ffff:1.2.3.4, which ipset prints as the C library does
            address = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
        result.append(address if length in ("", "32" if item.family == 4 else "128") else f"{address}/{length}")
    return tuple(result)


def read(system: System) -> dict[str, KernelSet]:
    """Return our sets by name; none on a host without ipset. Raises ReconcileError."""
    if not system.has("ipset"):
        return {}
    return parse(run_read(system, "ipset", "save"))


def run_read(system: System, *argv: str) -> str:
    """Return what an ipset command prints; nothing where the kernel has no ipsets. Raises ReconcileError."""
    try:
        return system.read(*argv)
    except SystemFailure as error:
        if "Kernel support protocol versions" in str(error) or "Cannot open session" in str(error):
            return ""
        raise ReconcileError(str(error)) from error


def parse(text: str) -> dict[str, KernelSet]:
    """Return our sets of `ipset save`'s output, in which a set's entries follow its header.

    Cut by string functions, not line by line: 1,000 sets of 50 entries are 51,000 lines.
    """
    found = {}
    for block in ("\n" + text).split("\ncreate ")[1:]:
        head, _, body = block.partition("\n")
        name, _, rest = head.partition(" ")
        if OWNED.fullmatch(name):
            lines = tuple(body.replace(f"add {name} ", "").splitlines())
            found[name] = KernelSet(name, header_of(rest), lines, _number(rest, "timeout"))
    return found


def header_of(line: str) -> str:
    """Return the comparable part of a header line; hash sizes grow, and `initval` is random."""
    kept = re.sub(r" (?:hashsize|bucketsize|initval) \S+", "", line)
    timeout = _number(line, "timeout")
    return kept if timeout is None else re.sub(r" timeout \d+", "", kept) + f" timeout {timeout}"


def _number(line: str, word: str) -> Optional[int]:
    match = re.search(rf" {word} (\d+)", line)
    return int(match.group(1)) if match else None


def write(system: System, steps: list[Step]) -> None:
    """Carry out the steps in one `ipset restore`, or two if learned sets are made anew.

    Raises ReconcileError that names the set.
    """
    wanted = [step for step in steps if step.desired is not None]
    restore(system, [line for step in wanted for line in _lines(step)])
    restore(system, [line for step in wanted if step.rebuild for line in _rest(system, step)])
    destroy(system, [step.name for step in steps if step.desired is None])


def renew(system: System, added: Mapping[str, Mapping[str, int]], removed: Mapping[str, Iterable[str]]) -> None:
    """Give learned addresses this many seconds, and take others out, in one `ipset restore`.

    Raises ReconcileError; FullSet with what comes before that set done.
    """
    lines = [
        f"add {name} {address} timeout {min(seconds, LONGEST_TIMEOUT)}"
        for name, addresses in added.items()
        for address, seconds in addresses.items()
    ]
    restore(system, lines + [f"del {name} {address}" for name, addresses in removed.items() for address in addresses])


def restore(system: System, lines: list[str]) -> None:
    """Run the lines through one `ipset restore -exist`. Raises ReconcileError that names the line."""
    if not lines:
        return
    try:
        system.run("ipset", "restore", "-exist", input="\n".join(lines) + "\n")
    except SystemFailure as error:
        match = re.search(r"Error in line (\d+): (.*)", str(error))
        if not match:
            raise ReconcileError(str(error)) from error
        line, reason = lines[int(match.group(1)) - 1], match.group(2)
        if reason.startswith("Hash is full") and " timeout " in line:
            raise FullSet(line.split(" ")[1]) from error
        raise ReconcileError(f"ipset {line}: {reason}") from error


def destroy(system: System, names: list[str]) -> None:
    """Destroy sets. Raises ReconcileError that names the first that a rule still uses."""
    for attempt in range(_ATTEMPTS):
        try:
            return restore(system, [f"destroy {name}" for name in names])
        except ReconcileError as error:
            match = re.match(r"ipset destroy (\S+): .*in use", str(error))
            if match is None or attempt == _ATTEMPTS - 1:
                raise
            names = names[names.index(match.group(1)) :]
            time.sleep(0.1)
    return None


def _lines(step: Step) -> list[str]:
    if not step.rebuild:
        create = [f"create {step.name} {create_options(step.header, len(step.add))}"]
        added = [f"add {step.name} {member}" for member in step.add]
        return create + added + [f"del {step.name} {member}" for member in step.remove]
    # A set's parameters cannot be changed. A full copy with the new ones is swapped in, so that
    # rules which name the set find its members at every moment.
    other = f"{step.name}t"
    copy = [f"create {other} {create_options(step.header, len(step.add))}", f"flush {other}"]
    copy += [f"add {other} {member}" for member in step.add]
    return [*copy, f"swap {other} {step.name}"]


def _rest(system: System, step: Step) -> list[str]:
    """Return the lines that add what was learned between plan and swap, and that end the old set."""
    other = f"{step.name}t"
    old = parse(run_read(system, "ipset", "save", other))[other]
    copied = {member.split(" ")[0] for member in step.add}
    late = [
        member for member in old.members if step.desired and step.desired.timeout and member.split(" ")[0] not in copied
    ]
    return [*(f"add {step.name} {member}" for member in late), f"destroy {other}"]


def create_options(text: str, entries: int) -> str:
    """Return a header with a hash for so many entries, else the smallest: 5,000 sets take 25 MB instead of 105.

    A hash that grows waits for all processors at each doubling: 10,000 entries from 64 on take 166 ms, so 30.
    """
    size = max(_SMALLEST_HASH, 1 << (entries // 2).bit_length())
    return text.replace(" maxelem", f" hashsize {size} maxelem")
