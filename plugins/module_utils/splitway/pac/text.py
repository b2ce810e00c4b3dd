# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a PAC file: ECMAScript 5 in ASCII, the same for the same tables.

Names are keys of an object, with a dot before them: no key is one that objects have anyway, such as `constructor`.
A name's parents are looked up from the shortest on, as many as the longest listed name has: nobody can make that
slow with a name of many labels. Addresses are compared as digits of one width. Nothing is ever resolved.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..addresses import at_port
from .model import BLOCKED, DIRECT, PROXY, Tables
from .packing import CODES, unpack

LARGEST = 1_000_000  # bytes; browsers refuse more than a megabyte
REFUSING = "PROXY 127.0.0.1:9"
"""For what is blocked: nothing listens at the port `discard` of the browser's own host, and no other way follows."""

MADE_BY = "// Made by splitway\n"

LINE = 4000  # characters of a line of packed names; some editors and engines dislike longer ones


@dataclass(frozen=True)
class ProxyServer:
    """Where a proxy is asked. `kind` is the word of the PAC file: PROXY (HTTP) or SOCKS5."""

    kind: str
    host: str  # a name or an address, as browsers reach it
    port: int

    def __str__(self) -> str:
        return f"{self.kind} {at_port(self.host, self.port)}"


def pac_text(tables: Tables, proxies: Sequence[ProxyServer], *, fail_open: bool = False) -> str:
    """Return the file. `fail_open`: a browser that reaches none of the proxies asks the destination itself."""
    if set("".join(tables.answers)) <= {DIRECT}:
        return _DIRECT
    ways = [*map(str, proxies), *(["DIRECT"] if fail_open else [])]
    # An empty answer would be a direct one to browsers.
    words = {DIRECT: "DIRECT", PROXY: "; ".join(ways) or REFUSING, BLOCKED: REFUSING}
    answers = (", ".join(f'"{words[letter]}"' for letter in answer) for answer in tables.answers)
    return f"""\
{MADE_BY}\
var splitway = {{
  answers: [
{_lines(f"[{answer}]" for answer in answers)}
  ],
  rest: {tables.rest},
  names: [
{_lines(_names(packed) for packed in tables.names)}
  ],
  depth: {tables.depth},
  codes: "{CODES}",
  v4: [{_ranges(tables.v4)}],
  v6: [{_ranges(tables.v6)}],
  spans: [{", ".join(map(str, tables.spans))}]
}};
{_PROGRAM}"""


def _lines(items: Iterable[str]) -> str:
    return ",\n".join(f"    {item}" for item in items)


def _names(packed: str) -> str:
    parts = (packed[start : start + LINE] for start in range(0, len(packed), LINE))
    return "[{}]".format(",\n     ".join(f'"{part}"' for part in parts))


def _ranges(entries: Sequence[str]) -> str:
    """Return where ranges begin; zeros at the end count for nothing in a comparison, and are left out."""
    starts = []
    for entry in entries:
        digits, _, number = entry.partition("=")
        starts.append(f'["{digits.rstrip("0")}", {number}]')
    return ", ".join(starts)


_NAMES = re.compile(r"^  names: \[\n(.*?)\n  \],\n  depth: \d+,\n", re.MULTILINE | re.DOTALL)
_CLASS = re.compile(r'^ {4}\[((?:"[^"]*"(?:,\n {5})?)*)\]', re.MULTILINE)
_STRING = re.compile(r'"([^"]*)"')
_RANGES = re.compile(r"^  (v[46]): \[(.*)\],?$", re.MULTILINE)


def readable(text: str) -> Iterator[str]:
    """Yield what a file says as lines that people compare: a listed name and the beginning of a range a line."""
    data, _, program = text.partition("\n};\n")
    names = _NAMES.search(data)
    yield from filter(None, _RANGES.sub("", _NAMES.sub("", data)).splitlines())
    for number, packed in enumerate(_CLASS.findall(names[1]) if names else ()):
        yield from (f"names[{number}] {domain}" for domain in unpack("".join(_STRING.findall(packed))))
    for family, ranges in _RANGES.findall(data):
        yield from (f"{family} {entry.strip('[]')}" for entry in ranges.split("], ["))
    if program:
        yield f"program {hashlib.sha256(program.encode()).hexdigest()[:8]}"


_DIRECT = f"""\
{MADE_BY}\
function FindProxyForURL(url, host) {{
  return "DIRECT";
}}
"""

_PROGRAM = r"""
var splitwayFind = (function (data) {
  var names = {}, ports = {"http:": 80, "ws:": 80, "https:": 443, "wss:": 443, "ftp:": 21};

  function list(packed, number) {
    var entries = packed.join("").match(/[^a-z0-9_.-][a-z0-9_.-]*/g) || [], name = "", entry, i;
    for (i = 0; i < entries.length; i += 1) {
      entry = entries[i];
      name = entry.substring(1) + name.substring(name.length - data.codes.indexOf(entry.charAt(0)));
      names["." + name] = number;
    }
  }

  function ofName(name) {
    var dotted = "." + name, found = data.rest, left = data.depth, at = dotted.length, known;
    while (at > 0 && left > 0) {
      at = dotted.lastIndexOf(".", at - 1);
      known = names[dotted.substring(at)];
      if (known !== undefined) { found = known; }
      left -= 1;
    }
    return found;
  }

  function v4digits(host) {
    var parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host), found = "", i;
    for (i = 1; parts && i <= 4; i += 1) {
      if (Number(parts[i]) > 255) { return ""; }
      found += ("0" + Number(parts[i]).toString(16)).slice(-2);
    }
    return found;
  }

  function groups(text) {
    var parts = text === "" ? [] : text.split(":"), found = "", last, i;
    for (i = 0; i < parts.length; i += 1) {
      last = i === parts.length - 1 ? v4digits(parts[i]) : "";
      if (!last && !/^[0-9a-f]{1,4}$/.test(parts[i])) { return null; }
      found += last || ("000" + parts[i]).slice(-4);
    }
    return found;
  }

  function v6digits(host) {
    var halves = host.split("::"), first = groups(halves[0]), last = groups(halves.length > 1 ? halves[1] : "");
    if (halves.length > 2 || first === null || last === null) { return ""; }
    if (halves.length === 1) { return first.length === 32 ? first : ""; }
    if (first.length + last.length > 28) { return ""; }
    return first + "00000000000000000000000000000000".substring(first.length + last.length) + last;
  }

  function inRange(ranges, address) {
    var low = 0, high = ranges.length, middle;
    while (high - low > 1) {
      middle = Math.floor((low + high) / 2);
      if (ranges[middle][0] <= address) { low = middle; } else { high = middle; }
    }
    return ranges[low][1];
  }

  function ofAddress(host) {
    var v6 = host.indexOf(":") >= 0, address = v6 ? v6digits(host.replace(/^\[|\]$|%.*$/g, "")) : v4digits(host);
    if (address === "") { return data.rest; }
    if (v6 && address.substring(0, 24) === "00000000000000000000ffff") {
      v6 = false;
      address = address.substring(24);
    }
    return inRange(v6 ? data.v6 : data.v4, address);
  }

  function spanOf(url) {
    var parts = /^([a-z]+:)\/\/[^\/?#]*?(?::(\d+))?(?:[\/?#]|$)/.exec(url.toLowerCase()), port = 0, i;
    if (parts) { port = Number(parts[2] || ports[parts[1]] || 0); }
    for (i = data.spans.length - 1; i > 0 && !(data.spans[i] <= port); i -= 1) { continue; }
    return i;
  }

  function find(url, host) {
    var name = host.toLowerCase(), span = data.spans.length > 1 ? spanOf(url) : 0;
    if (name.charAt(name.length - 1) === ".") { name = name.substring(0, name.length - 1); }
    if (name.indexOf(":") >= 0 || /^[0-9.]*$/.test(name)) { return data.answers[ofAddress(name)][span]; }
    return name.indexOf(".") < 0 ? "DIRECT" : data.answers[ofName(name)][span];
  }

  for (var i = 0; i < data.names.length; i += 1) { list(data.names[i], i); }
  return find;
}(splitway));

function FindProxyForURL(url, host) {
  return splitwayFind(url, host);
}
"""
