# SPDX-License-Identifier: GPL-3.0-or-later
"""Well known public resolvers that answer over TLS (DoT) or HTTPS (DoH): their names and addresses.

A name stands for itself and what is below it. Only addresses that serve nothing but a resolver are here: those that
a content network shares, and those that move, would take other sites along; such resolvers have a name only.
From what their operators publish, 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

SERVERS: Mapping[str, tuple[str, ...]] = {
    # Cloudflare
    "cloudflare-dns.com": ("104.16.248.249", "104.16.249.249", "2606:4700::6810:f8f9", "2606:4700::6810:f9f9"),
    "one.one.one.one": ("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"),
    "security.cloudflare-dns.com": ("1.1.1.2", "1.0.0.2", "2606:4700:4700::1112", "2606:4700:4700::1002"),
    "family.cloudflare-dns.com": ("1.1.1.3", "1.0.0.3", "2606:4700:4700::1113", "2606:4700:4700::1003"),
    "chrome.cloudflare-dns.com": ("162.159.61.3", "172.64.41.3", "2803:f800:53::3", "2a06:98c1:52::3"),
    "mozilla.cloudflare-dns.com": ("162.159.61.4", "172.64.41.4", "2803:f800:53::4", "2a06:98c1:52::4"),
    "dns64.cloudflare-dns.com": ("2606:4700:4700::64", "2606:4700:4700::6400"),
    "cloudflare-gateway.com": ("172.64.36.1", "172.64.36.2"),
    # Google
    "dns.google": ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"),
    "dns64.dns.google": ("2001:4860:4860::64", "2001:4860:4860::6464"),
    "dns.google.com": (),
    # Quad9
    "dns.quad9.net": ("9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"),
    "dns9.quad9.net": ("149.112.112.9", "2620:fe::fe:9"),
    "dns10.quad9.net": ("9.9.9.10", "149.112.112.10", "2620:fe::10", "2620:fe::fe:10"),
    "dns11.quad9.net": ("9.9.9.11", "149.112.112.11", "2620:fe::11", "2620:fe::fe:11"),
    "dns12.quad9.net": ("9.9.9.12", "149.112.112.12", "2620:fe::12", "2620:fe::fe:12"),
    # Cisco
    "dns.opendns.com": (
        "208.67.222.222",
        "208.67.220.220",
        "208.67.222.220",
        "208.67.220.222",
        "2620:119:35::35",
        "2620:119:53::53",
        "2620:0:ccc::2",
        "2620:0:ccd::2",
    ),
    "doh.opendns.com": (),
    "doh.familyshield.opendns.com": ("208.67.222.123", "208.67.220.123", "2620:119:35::123", "2620:119:53::123"),
    "doh.sandbox.opendns.com": ("208.67.222.2", "208.67.220.2"),
    "doh.umbrella.com": (),
    "dns.umbrella.com": (),
    "dns.sse.cisco.com": (),
    # AdGuard
    "dns.adguard-dns.com": ("94.140.14.14", "94.140.15.15", "2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff"),
    "family.adguard-dns.com": ("94.140.14.15", "94.140.15.16", "2a10:50c0::bad1:ff", "2a10:50c0::bad2:ff"),
    "unfiltered.adguard-dns.com": ("94.140.14.140", "94.140.14.141", "2a10:50c0::1:ff", "2a10:50c0::2:ff"),
    "d.adguard-dns.com": (),
    "dns.adguard.com": (),
    "dns-family.adguard.com": (),
    "dns-unfiltered.adguard.com": (),
    # NextDNS
    "dns.nextdns.io": ("45.90.28.0", "45.90.30.0", "2a07:a8c0::", "2a07:a8c1::"),
    "dns1.nextdns.io": (),
    "dns2.nextdns.io": (),
    # Control D
    "dns.controld.com": ("76.76.2.22", "2606:1a40::22"),
    "freedns.controld.com": (
        *(f"76.76.{third}.{last}" for third in (2, 10) for last in (0, 1, 2, 3, 4, 5, 11)),
        *(f"2606:1a40:{third}::{last}" for third in (0, 1) for last in (0, 1, 2, 3, 4, 5, 11)),
    ),
    # Mullvad
    "dns.mullvad.net": (
        *(f"194.242.2.{last}" for last in (2, 3, 4, 5, 6, 9)),
        *(f"2a07:e340::{last}" for last in (2, 3, 4, 5, 6, 9)),
    ),
    "doh.mullvad.net": (),
    # CleanBrowsing
    "doh.cleanbrowsing.org": (),
    "family-filter-dns.cleanbrowsing.org": (
        "185.228.168.168",
        "185.228.169.168",
        "2a0d:2a00:1::",
        "2a0d:2a00:2::",
    ),
    "adult-filter-dns.cleanbrowsing.org": ("185.228.168.10", "185.228.169.11", "2a0d:2a00:1::1", "2a0d:2a00:2::1"),
    "security-filter-dns.cleanbrowsing.org": ("185.228.168.9", "185.228.169.9", "2a0d:2a00:1::2", "2a0d:2a00:2::2"),
    # Of China and Taiwan
    "dns.alidns.com": ("223.5.5.5", "223.6.6.6", "2400:3200::1", "2400:3200:baba::1"),
    "doh.pub": ("1.12.12.12", "120.53.53.53", "119.29.29.29", "2402:4e00::"),
    "dot.pub": (),
    "dns.pub": (),
    "doh.360.cn": ("101.226.4.6", "218.30.118.6", "123.125.81.6", "140.207.198.6"),
    "dot.360.cn": (),
    "dns.twnic.tw": ("101.101.101.101", "101.102.103.104", "2001:de4::101", "2001:de4::102"),
    # Of Japan
    "public.dns.iij.jp": ("103.2.57.5", "103.2.57.6", "2001:300::5", "2001:300::6"),
    "jp.tiar.app": (),
    "jp.tiarap.org": (),
    "doh.tiar.app": (),
    "doh.tiarap.org": (),
    # Of Russia
    "common.dot.dns.yandex.net": ("77.88.8.8", "77.88.8.1", "2a02:6b8::feed:ff", "2a02:6b8:0:1::feed:ff"),
    "safe.dot.dns.yandex.net": ("77.88.8.88", "77.88.8.2", "2a02:6b8::feed:bad", "2a02:6b8:0:1::feed:bad"),
    "family.dot.dns.yandex.net": ("77.88.8.7", "77.88.8.3", "2a02:6b8::feed:a11", "2a02:6b8:0:1::feed:a11"),
    "dns.comss.one": (),
    # Of Canada and the United States
    "private.canadianshield.cira.ca": (
        "149.112.121.10",
        "149.112.122.10",
        "2620:10a:80bb::10",
        "2620:10a:80bc::10",
    ),
    "protected.canadianshield.cira.ca": (
        "149.112.121.20",
        "149.112.122.20",
        "2620:10a:80bb::20",
        "2620:10a:80bc::20",
    ),
    "family.canadianshield.cira.ca": (
        "149.112.121.30",
        "149.112.122.30",
        "2620:10a:80bb::30",
        "2620:10a:80bc::30",
    ),
    "ordns.he.net": ("74.82.42.42", "2001:470:20::2"),
    "wikimedia-dns.org": ("185.71.138.138", "2001:67c:930::1"),
    "doh.xfinity.com": (),
    "dot.xfinity.com": (),
    "doh.dns.apple.com": (),
    # Of Europe
    "protective.joindns4.eu": ("86.54.11.1", "86.54.11.201", "2a13:1001::86:54:11:1", "2a13:1001::86:54:11:201"),
    "child-noads.joindns4.eu": ("86.54.11.11", "86.54.11.211", "2a13:1001::86:54:11:11", "2a13:1001::86:54:11:211"),
    "child.joindns4.eu": ("86.54.11.12", "86.54.11.212", "2a13:1001::86:54:11:12", "2a13:1001::86:54:11:212"),
    "noads.joindns4.eu": ("86.54.11.13", "86.54.11.213", "2a13:1001::86:54:11:13", "2a13:1001::86:54:11:213"),
    "unfiltered.joindns4.eu": ("86.54.11.100", "86.54.11.200", "2a13:1001::86:54:11:100", "2a13:1001::86:54:11:200"),
    "dns.digitale-gesellschaft.ch": ("185.95.218.42", "185.95.218.43", "2a05:fc84::42", "2a05:fc84::43"),
    "dns.switch.ch": ("130.59.31.248", "130.59.31.251", "2001:620:0:ff::2", "2001:620:0:ff::3"),
    "odvr.nic.cz": ("193.17.47.1", "185.43.135.1", "2001:148f:ffff::1", "2001:148f:fffe::1"),
    "doh.dns.sb": ("185.222.222.222", "45.11.45.11", "2a09::", "2a11::"),
    "dot.sb": (),
    "doh.sb": (),
    "doh.ffmuc.net": ("5.1.66.255", "185.150.99.255", "2001:678:e68:f000::", "2001:678:ed0:f000::"),
    "dot.ffmuc.net": (),
    "dnsforge.de": ("176.9.93.198", "176.9.1.117", "2a01:4f8:151:34aa::198", "2a01:4f8:141:316d::117"),
    "doh.libredns.gr": ("116.202.176.26",),
    "dot.libredns.gr": (),
    "doh.applied-privacy.net": ("146.255.56.98",),
    "dot1.applied-privacy.net": (),
    "anycast.uncensoreddns.org": ("91.239.100.100", "2001:67c:28a4::"),
    "unicast.uncensoreddns.org": ("89.233.43.71", "2a01:3a0:53:53::"),
    "dns.njal.la": ("95.215.19.53", "2001:67c:2354:2::53"),
    "dns.aa.net.uk": ("217.169.20.22", "217.169.20.23", "2001:8b0::2022", "2001:8b0::2023"),
    "kaitain.restena.lu": ("158.64.1.29", "2001:a18:1::29"),
    "getdnsapi.net": ("185.49.141.37", "2a04:b900:0:100::37"),
    "ns0.fdn.fr": ("80.67.169.12", "2001:910:800::12"),
    "ns1.fdn.fr": ("80.67.169.40", "2001:910:800::40"),
    "doh.bortzmeyer.fr": ("193.70.85.11",),
    "dot.bortzmeyer.fr": (),
    "dns.belnet.be": (),
    "doh.powerdns.org": (),
    "dns.hostux.net": (),
    "dns.digitalsize.net": (),
    "dns-doh.dnsforfamily.com": (),
    "dns-dot.dnsforfamily.com": (),
    "blahdns.com": (),
    "ahadns.com": (),
    "ahadns.net": (),
    "openbld.net": (),
    "dns0.eu": (),
    "basic.rethinkdns.com": (),
    "max.rethinkdns.com": (),
    "sky.rethinkdns.com": (),
    "dns.decloudus.com": (),
    "dns.surfsharkdns.com": (),
}
"""Name → addresses of both families."""


def addresses(family: int) -> tuple[str, ...]:
    """Return the addresses of a family (4 or 6), each once, in canonical spelling."""
    wanted = (address for group in SERVERS.values() for address in group if (":" in address) == (family == 6))
    return tuple(dict.fromkeys(str(ip_address(address)) for address in wanted))
