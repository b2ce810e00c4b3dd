# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends TLS and passes on what is inside: `tls_relay.py PORT CERTIFICATE KEY tcp|tls:ADDRESS:PORT`.

Names over TLS are names over TCP inside. A middlebox that looks into TLS passes on to TLS, and checks nothing.
"""

from __future__ import annotations

import asyncio
import ssl
import sys


async def main() -> None:
    """Relays until it is killed."""
    port, certificate, key, target = sys.argv[1:]
    outer = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    outer.load_cert_chain(certificate, key)
    kind, address, target_port = target.split(":")
    inner = None
    if kind == "tls":
        inner = ssl.create_default_context()
        inner.check_hostname, inner.verify_mode = False, ssl.CERT_NONE

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(address, int(target_port), ssl=inner)
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    server = await asyncio.start_server(serve, None, int(port), ssl=outer)
    await server.serve_forever()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on until one of the ends is gone."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
