#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes docs/images: the report on an invented fleet, in a real browser. Needs chromium, and root as the tests do.

PYTHONPATH=.cache/collections .venv/bin/python tests/pictures.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "plugins" / "module_utils"), str(ROOT / "tests" / "kernel")]

import chromium  # noqa: E402

from ansible_collections.splitway.gateway.plugins.plugin_utils.report.page import report  # noqa: E402
from ansible_collections.splitway.gateway.tests.unit.fleet.simulated import NOW, SECTIONS, fleet  # noqa: E402

COLOURS = 224  # a page has few, and the file is a third of its size
PICTURES = {
    # file: gateways, clients, dark, what is seen of it
    "report-5": (5, 120, False, "scrollTo(0, 0)"),
    "report-100": (100, 5000, True, "scrollTo(0, 0)"),
    "report-clients": (
        *(100, 5000, False),
        """shown.get("clients").find("gw007 family"); shown.get("clients").sort(5);
        document.documentElement.style.scrollBehavior = "auto"; document.getElementById("clients").scrollIntoView()""",
    ),
}


def main() -> None:
    """Make them all."""
    with tempfile.TemporaryDirectory() as temporary, chromium.page(Path(temporary)) as page:
        for name, (gateways, clients, dark, script) in PICTURES.items():
            file = Path(temporary) / "report.html"
            text = report(fleet(gateways, clients), SECTIONS, "Gateways of example.net", NOW)
            file.write_text(text, encoding="utf-8")
            page.open(file.as_uri(), dark=dark, width=1280, height=900 if name != "report-clients" else 480)
            page.evaluate(script)
            target = ROOT / "docs" / "images" / f"{name}.png"
            page.picture(target)
            Image.open(target).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main()
