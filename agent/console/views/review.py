"""The review of a draft before it goes: what will be sent, to whom, from whom. The ui thread only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.console.fragments import Line, wrap
from agent.console.page import text_rows
from agent.console.rows import human_size
from agent.console.views.view import View
from agent.mail.safe import safe, safe_block

if TYPE_CHECKING:
    from agent.core.draft import Draft

_LABEL = 10


class ReviewView(View):
    """A draft, and what its check found."""

    context = "review"

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.problem = ""  # why what was edited cannot be read
        self._rows: list[Line] = []
        self._rendered_for = 0

    @property
    def title(self) -> str:
        return f"Review: {safe(self.draft.subject) or '(no subject)'}"

    def changed(self) -> None:
        """Take notice that the draft was edited."""
        self._rendered_for = 0
        self.top = 0

    def refresh(self) -> None:
        if self._rendered_for != self.width:
            self._rendered_for = self.width
            self._rows = self._render()

    def _render(self) -> list[Line]:
        draft, width = self.draft, self.width
        rows = self._field("From", [draft.from_])
        for name in ("To", "Cc", "Bcc"):
            rows += self._field(name, getattr(draft, name.lower()))
        rows += self._text_field("Subject", safe(draft.subject) or "(no subject)", "class:header.subject")
        for part in draft.attachments:
            name, size = safe(part.name) or "(no name)", human_size(len(part.data))
            rows += self._text_field("Attached", f"{name}  {safe(part.type)}  {size}", "class:attachment")
        for problem in [self.problem] if self.problem else draft.check():
            rows += self._text_field("Check", safe(problem), "class:error")
        rows.append([("class:rule", "─" * width)])
        for line in safe_block(draft.text).rstrip("\n").split("\n"):
            rows += text_rows(line, width, "")
        return rows

    def _field(self, name: str, people: object) -> list[Line]:
        text = ", ".join(safe(str(address)) for address in people)  # type: ignore[attr-defined]
        return self._text_field(name, text, "class:header.value") if text else []

    def _text_field(self, name: str, text: str, style: str) -> list[Line]:
        line: Line = [("class:header.name", f"{name + ':':<{_LABEL - 1}} "), (style, text)]
        return wrap(line, self.width, " " * _LABEL)

    def count(self) -> int:
        return len(self._rows)

    def row(self, place: int, width: int) -> Line:
        return self._rows[place]
