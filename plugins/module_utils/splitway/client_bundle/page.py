# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a bundle: five steps for somebody who never saw WireGuard. Pure.

It needs nothing from elsewhere and runs nothing: it works where nothing works yet.
"""

from __future__ import annotations

from html import escape
from typing import Optional

from .model import CERTIFICATE, KEY, Bundle, Proxy, Relay
from .names import Names
from .shells import powershell, sh

QR_CODE = "<!-- the QR code -->"
"""Stands in the page where the picture belongs."""

SOURCES = {"wstunnel": "github.com/erebe/wstunnel/releases", "websocat": "github.com/vi/websocat/releases"}

_STYLE = """
body { font: 1.05rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
pre { background: #f1f1f1; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem; }
.note { background: #fff4d6; padding: .7rem 1rem; }
svg { width: 16rem; height: auto; display: block; }
@media print { body { margin: 0; } }
"""

Step = tuple[str, list[str]]  # a heading and its paragraphs, in HTML


def page(bundle: Bundle, names: Names, *, picture: bool) -> str:
    """Return the page of a bundle, in HTML; with a `picture`, QR_CODE stands in it."""
    steps = _steps(bundle, names, picture=picture)
    body = [f"<h1>How {escape(bundle.name)} connects to {escape(bundle.gateway)}</h1>", _warning(bundle)]
    for number, (heading, paragraphs) in enumerate(steps, 1):
        body += [f'<section id="step-{number}">', f"<h2>Step {number}: {heading}</h2>", *paragraphs, "</section>"]
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(bundle.name)}: how to connect</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        )
    )


def _warning(bundle: Bundle) -> str:
    if bundle.tunnel is None:
        return _note("This page is for you alone: whoever has your user name and password uses the proxy in your name.")
    return _note(
        "This page and the files beside it are yours alone: they hold the keys to the connection. Whoever has them "
        "connects in your name. Do not pass them on. If they get into other hands, tell whoever gave them to you. "
        "If they came as one archive (a .zip file), unpack it first."
    )


def _steps(bundle: Bundle, names: Names, *, picture: bool) -> list[Step]:
    if bundle.tunnel is None:
        return [_ask_for_network(), _browser(bundle), _check_browser(), _leave_browser(), _trouble(bundle)]
    last = _browser(bundle) if bundle.proxies or bundle.pacs else _trouble(bundle)
    return [_install(), _add(names, picture=picture), _switch_on(names), _carry(bundle.relay, names), last]


def _install() -> Step:
    return (
        "Install WireGuard",
        [
            _items(
                "<b>Phone or tablet:</b> the app “WireGuard” from the App Store or Google Play.",
                "<b>Windows:</b> the installer from wireguard.com/install.",
                "<b>macOS:</b> the app “WireGuard” from the Mac App Store.",
                "<b>Linux:</b> the package <code>wireguard-tools</code>, on Debian and Ubuntu by "
                + _code("sudo apt install wireguard-tools"),
            )
        ],
    )


def _add(names: Names, *, picture: bool) -> Step:
    phone = "in the app, tap +, then “Create from QR code” or “Scan from QR code”:"
    without = f"bring {_code(names.tunnel)} there; in the app, tap +, then “Import from file”."
    return (
        "Add your tunnel",
        [
            _p(f"<b>Phone or tablet:</b> {phone if picture else without}"),
            *([QR_CODE] if picture else []),
            _p(f"<b>Windows, macOS:</b> choose “Import tunnel(s) from file” and the file {_code(names.tunnel)}."),
            _p("<b>Linux:</b> nothing to do; the file is named in the next step."),
        ],
    )


def _switch_on(names: Names) -> Step:
    return (
        "Switch it on",
        [
            _p("<b>Phone, Windows, macOS:</b> touch the switch of the tunnel, or “Activate”."),
            _p("<b>Linux:</b> in a terminal, in the folder of these files (<code>down</code> switches it off again):"),
            _pre(f"sudo wg-quick up ./{names.tunnel}"),
            _p(
                "It works when the program shows a “latest handshake” of some seconds ago, and pages open. If there is "
                "none after half a minute, switch it off, and go on with step 4."
            ),
        ],
    )


def _carry(relay: Optional[Relay], names: Names) -> Step:
    heading = "Only if step 3 did not work: a network that blocks it"
    blocked = "Some networks, often in hotels and offices, let nothing but web pages through."
    if relay is None:
        other = "There is no other way in for you: try another network, for example that of your phone."
        return (heading, [_p(f"{blocked} {other}")])
    return (
        heading,
        [
            _p(
                f"{blocked} There, a computer (not a phone) sends the tunnel inside an ordinary encrypted web "
                "connection:"
            ),
            _items(
                _get(relay),
                f"Start it, and leave its window open. <b>Windows:</b> double-click {_code(names.batch)}. "
                f"<b>macOS, Linux:</b> in a terminal, in the folder of these files: {_code(f'sh {names.script}')}. "
                "If it ends by itself, see that there is a network, and start it again.",
                f"Add the tunnel {_code(names.carried)} as in step 2, and switch it on as in step 3, with this file in "
                "place of the first. Never have both tunnels on together.",
                "When you are done, switch the tunnel off first, then close the window.",
                kind="ol",
            ),
            *_certificate(relay),
            _p(
                "On macOS, the first time, “System Settings → Privacy &amp; Security” may have to be told to allow the "
                "program."
            ),
            "<details><summary>The same as a command, in the folder of these files</summary>",
            _p("Linux, macOS:"),
            _pre(sh(relay.command)),
            _p("Windows, in PowerShell:"),
            _pre(powershell(relay.command)),
            "</details>",
        ],
    )


def _get(relay: Relay) -> str:
    program = escape(relay.command.arguments[0])
    version = f" {escape(relay.version)}" if relay.version else ""
    place = SOURCES.get(relay.command.arguments[0])
    said = f"Get the program {program}{version}" + (f" from {place}" if place else "")
    said += f", for your system, and put it ({program}, on Windows {program}.exe) into the folder of these files."
    if relay.checksum:
        said += f" The file for Linux on 64-bit Intel or AMD has the SHA-256 <code>{escape(relay.checksum)}</code>."
    return said


def _certificate(relay: Relay) -> list[str]:
    if not relay.certificate:
        return []
    return [
        _p(
            "The gateway asks for a certificate of your own: whoever gave you these files also gives you "
            f"{_code(CERTIFICATE)} and {_code(KEY)}. Put both into the same folder."
        )
    ]


def _browser(bundle: Bundle) -> Step:
    paragraphs = []
    if bundle.tunnel is not None:
        paragraphs.append(_p("Only for programs that are to use a proxy, a browser for example; switch the tunnel on."))
    if bundle.pacs:
        paragraphs.append(_p("In its network settings, or the system's, as the address of automatic configuration:"))
        paragraphs += [_pre(url) for url in bundle.pacs]
    if bundle.proxies:
        paragraphs.append(_p("Or by hand:" if bundle.pacs else "In its network settings, or the system's:"))
        paragraphs.append(_items(*map(_proxy, sorted(bundle.proxies, key=lambda proxy: proxy.kind))))
    return ("A proxy for your browser", paragraphs)


def _proxy(proxy: Proxy) -> str:
    if not proxy.asks:
        said = "no user name"
    elif proxy.user is None:
        said = "ask for user name and password whoever gave you these files"
    elif proxy.password is None:
        said = f"user name {_code(proxy.user)}; ask for the password whoever gave you these files"
    else:
        said = f"user name {_code(proxy.user)}, password {_code(proxy.password)}"
    others = "; browsers have no way to give it a password, other programs do"
    return f"{escape(proxy.kind)} proxy {_code(proxy.address)} ({said}{others if _for_others(proxy) else ''})"


def _for_others(proxy: Proxy) -> bool:
    return proxy.kind == "SOCKS5" and proxy.asks


def _ask_for_network() -> Step:
    return ("Be in the right network", [_p("These proxies answer where whoever gave you these files said they do.")])


def _check_browser() -> Step:
    return ("Try it", [_p("Open a page. A window that asks for a user and a password wants those of step 2.")])


def _leave_browser() -> Step:
    return ("To stop", [_p("Set the proxy settings of step 2 back to “no proxy” or “automatic”.")])


def _trouble(bundle: Bundle) -> Step:
    return (
        "If it still does not work",
        [
            _p("See that date and time of the device are right, and that no other VPN is on."),
            _p(
                f"Then tell whoever gave you these files your name here ({_code(bundle.name)}), the gateway "
                f"({_code(bundle.gateway)}), the step that failed, and what the program says in its log."
            ),
        ],
    )


def _p(text: str) -> str:
    return f"<p>{text}</p>"


def _items(*texts: str, kind: str = "ul") -> str:
    return "\n".join((f"<{kind}>", *(f"<li>{text}</li>" for text in texts), f"</{kind}>"))


def _note(text: str) -> str:
    return f'<p class="note">{text}</p>'


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
