"""The scripts of a report, and the policy that lets a browser run these and nothing else.

plotly.js travels compressed and in base64, as data that no browser runs; our script unpacks it and adds it as an inline
script, which the policy lets run because it names its hash like that of our own. The small build draws almost all;
the full one, three times as large, is there only for a figure that needs it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from torchglass.charts.plotly_js import Build, source

OURS = (
    "data.js",
    "plotly.js",
    "cursor.js",
    "bar.js",
    "drawing.js",
    "contents.js",
    "boot.js",
)  # each uses those before it
POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


@cache
def part(name: str) -> str:
    """The text of a file of this folder."""
    return files("torchglass.report").joinpath(name).read_text(encoding="utf-8")


@cache
def packed_plotly(build: Build) -> Markup:
    """A build of plotly.js, compressed and in base64; the same bytes every time."""
    return Markup(base64.b64encode(gzip.compress(_plain(source(build)).encode("utf-8"), 9, mtime=0)).decode("ascii"))


@cache
def own_script() -> Markup:
    """Our scripts as one, in a scope of its own."""
    text = '"use strict";\n(() => {\n' + "".join(_plain(part(name)) for name in OURS) + "})();\n"
    assert "</script" not in text.lower()
    return Markup(text)


@cache
def policy(builds: tuple[Build, ...]) -> str:
    """The policy that names the scripts by their hashes: these builds of plotly.js and ours."""
    scripts = (*(_plain(source(build)) for build in builds), own_script())
    return POLICY.format(hashes=" ".join(f"'{_hash(script)}'" for script in scripts))


def _plain(source: str) -> str:
    """Script text as a browser hashes it: with plain line ends."""
    return source.replace("\r\n", "\n").replace("\r", "\n")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
