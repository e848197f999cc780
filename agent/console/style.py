"""The one table of styles. Names of terminal colours only, so that it follows light and dark terminals."""

from __future__ import annotations

import os

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

STYLE = Style.from_dict(
    {
        "cursor": "reverse",
        "cursor.away": "underline",
        "row": "",
        "row.unread": "bold",
        "row.who": "ansicyan",
        "row.date": "ansibrightblack",
        "row.size": "ansibrightblack",
        "row.snippet": "nobold ansibrightblack",
        "row.tag": "nobold ansimagenta",
        "row.sign": "ansibrightblack",
        "row.sign.unread": "ansibrightblue bold",
        "row.sign.flagged": "ansiyellow bold",
        "row.marked": "ansimagenta bold",
        "row.leaving": "ansibrightblack",
        "header.name": "ansibrightblack",
        "header.value": "",
        "header.subject": "bold",
        "attachment": "ansimagenta",
        "rule": "ansibrightblack",
        "quote1": "ansigreen",
        "quote2": "ansicyan",
        "quote3": "ansiblue",
        "signature": "ansibrightblack",
        "link": "ansiblue underline",
        # those of mail.html
        "heading": "bold",
        "code": "ansiyellow",
        "image": "ansimagenta",
        "linknumber": "ansibrightblack",
        "warning": "ansired bold",
        "bullet": "ansibrightblack",
        "status": "reverse",
        "status.busy": "reverse bold",
        "hint": "ansibrightblack",
        "hint.key": "bold",
        "error": "ansired bold",
        "told": "",
        "pending": "bold",
        "log.time": "ansibrightblack",
        "log.warning": "ansiyellow",
        "log.error": "ansired",
        "repl": "",
        "repl.prompt": "ansigreen bold",
        "repl.input": "",
        "repl.error": "ansired",
        "repl.thread": "ansibrightblack",
        "completion-menu": "bg:ansibrightblack ansiwhite",
        "completion-menu.completion.current": "bg:ansiwhite ansiblack noreverse",
        "completion-menu.meta.completion": "bg:ansiblack ansigray",
        "completion-menu.meta.completion.current": "bg:ansigray ansiblack",
    }
)


def color_depth() -> ColorDepth | None:
    """Return one bit where NO_COLOR asks for it (no-color.org), else None: as the terminal says."""
    return ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None
