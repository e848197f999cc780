"""The vim keymap, one line per key. `,` is never bound: it is the user's."""

from __future__ import annotations

from agent.core.keymap import Keymap

KEYS = (
    # everywhere but in the REPL and on the command line
    ("global", ":", "command-line"),
    ("global", "~", "repl"),
    ("global", "C-o", "focus-views"),
    ("global", "Z Z", "quit"),
    ("global", "m", "compose"),
    ("global", "$", "sync"),
    ("global", "?", "keys"),
    ("global", "C-l", "redraw"),
    ("global", "C-z", "suspend"),
    ("global", "c", "open-folder"),
    ("global", "g m", "messages"),
    # in lists and texts
    ("index view text review", "j", "next"),
    ("index view text review", "k", "previous"),
    ("index view text review", "Down", "next"),
    ("index view text review", "Up", "previous"),
    ("index view text review", "g g", "go-to"),
    ("index view text review", "G", "go-to-last"),
    ("index view text review", "Home", "go-to"),
    ("index view text review", "End", "go-to-last"),
    ("index view text review", "C-d", "half-page-down"),
    ("index view text review", "C-u", "half-page-up"),
    ("view text review", "Space", "page-down"),
    ("index view text review", "C-f", "page-down"),
    ("index view text review", "C-b", "page-up"),
    ("index view text review", "PageDown", "page-down"),
    ("index view text review", "PageUp", "page-up"),
    ("view text", "q", "back"),
    # the message list
    ("index", "q", "back"),
    ("index", "Enter", "open"),
    ("index", "Space", "mark"),
    ("index", "Escape", "unmark-all"),
    ("index", "/", "search-line"),
    ("index", "\\", "search-line"),
    ("index view", "Tab", "next-unread"),
    ("index view", "S-Tab", "previous-unread"),
    ("index view", "] u", "next-unread"),
    ("index view", "[ u", "previous-unread"),
    # the message view
    ("view", "J", "next-message"),
    ("view", "K", "previous-message"),
    ("view", "H", "toggle-headers"),
    ("index view", "g f", "show-source"),
    # what to do with a message
    ("index view", "r", "reply"),
    ("index view", "R", "reply-all"),
    ("index view", "f", "forward"),
    ("index view", "E", "edit-as-new"),
    ("index view", "a", "archive"),
    ("index view", "d", "trash"),
    ("index view", "s", "move"),
    ("index view", "C", "copy"),
    ("index view", "!", "junk"),
    ("index view", "S", "toggle-read"),
    ("index view", "F", "toggle-flag"),
    ("index view", "t", "tag"),
    ("index view", "u", "undo"),
    ("index view", "C-r", "redo"),
    # the review of a draft
    ("review", "y", "send"),
    ("review", "e", "edit"),
    ("review", "p", "postpone"),
    ("review", "q", "abandon"),
)

# Shown at the bottom for those who do not know the keys yet: command and word.
HINTS = {
    "index": "open:open reply:reply archive:archive search-line:search command-line:command repl:Python "
    "keys:keys quit:quit trash:trash compose:compose open-folder:folder mark:mark sync:sync",
    "view": "back:back next-message:next reply:reply archive:archive page-down:page command-line:command "
    "repl:Python keys:keys trash:trash toggle-headers:headers forward:forward",
    "text": "back:back page-down:page repl:Python quit:quit",
    "review": "send:send edit:edit postpone:draft abandon:leave",
}


def install(keymap: Keymap) -> None:
    """Bind the keys."""
    for context, keys, line in KEYS:
        keymap.bind(keys, line, context, layer="builtin")
