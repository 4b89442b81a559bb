"""A rules file as top-level forms, each with the comments that stand above it.

Everything is checked here that must hold before egglog's own parser sees the text: its memory grows with the square
of what it parses, a term nested deeply enough overflows its stack, and where its idea of a string differs from ours
(``a"b``) the text is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eqsat.egglog.commands import Location
from eqsat.errors import RulesError

MAX_FILE_BYTES = 2 * 1024**2
MAX_FORMS = 10_000
MAX_FORM_CHARS = 16_384
MAX_DEPTH = 200

_TOKEN = re.compile(
    r"""(?P<comment>;[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<open>\()
      | (?P<close>\))
      | (?P<space>[ \t\r\n]+)
      | (?P<atom>[!\#-'*-:<-~]+)""",
    re.VERBOSE | re.DOTALL,
)
_STRING = re.compile(r'"(?:[ !#-\[\]-~]|\\["\\nt])*"')
_SECTION = re.compile(r"\s*;;+\s*SECTION\s+(?P<name>\S.*?)\s*$")
_SPACE = frozenset(" \t\r\n()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One top-level form.

    Attributes:
        leading: The text between the form before and this one, comments included.
        text: The form, from its ``(`` to its ``)``.
        code: The same with the comments blanked out, so that places stay and only ASCII is left.
        keyword: The first word after the ``(``; empty where there is none.
        location: Place of the ``(``.
        header: The comment lines directly above the form: where each starts, and what follows its ``;``. A blank
            line ends the header, and so does a comment of two or more ``;``.
        section: Name of the ``;; SECTION`` comment between the form before and this one; empty without one.
    """

    leading: str
    text: str
    code: str
    keyword: str
    location: Location
    header: tuple[tuple[Location, str], ...]
    section: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file split into forms: every ``leading + text``, and then ``trailing``, is the file again."""

    forms: tuple[Form, ...]
    trailing: str

    def join(self) -> str:
        """Return the text that was split."""
        return "".join(form.leading + form.text for form in self.forms) + self.trailing


def read(path: Path) -> str:
    """Return the text of a rules file.

    Raises:
        RulesError: The file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RulesError(f"{path}:1:1: cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise RulesError(f"{path}:1:1: is larger than {MAX_FILE_BYTES} bytes; split it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}:1:1: is not UTF-8 text (byte {error.start})") from None


def split(text: str, file: str) -> Source:
    """Split ``text`` into its top-level forms.

    Args:
        text: The file.
        file: Its name, for messages.

    Raises:
        RulesError: A parenthesis or quote is missing or too many, something stands outside of any form, a character
            is not ASCII outside of comments, or a limit of this module is exceeded.
    """
    forms: list[Form] = []
    depth = start = end = 0
    anchor = Location(file, 1, 1)
    for token in _tokens(text, file):
        kind, offset = token.lastgroup, token.start()
        if kind == "open":
            if not depth:
                anchor, start = anchor.moved(text[start:offset]), offset
            depth += 1
            if depth > MAX_DEPTH:
                raise RulesError(f"{anchor.moved(text[start:offset])}: is nested more than {MAX_DEPTH} deep")
        elif kind == "close" and depth:
            depth -= 1
            if not depth:
                forms.append(_form(text[end:start], text[start : token.end()], anchor, is_first=not forms))
                end = token.end()
                if len(forms) > MAX_FORMS:
                    raise RulesError(f"{anchor}: is form number {MAX_FORMS + 1}; split the file")
        elif not depth and kind not in {"comment", "space"}:
            place = anchor.moved(text[start:offset])
            raise RulesError(f"{place}: `{token[0][:40]}` stands outside of any form")
    if depth:
        raise RulesError(f"{anchor}: the form that starts here is never closed")
    return Source(forms=tuple(forms), trailing=text[end:])


def _tokens(text: str, file: str) -> Iterator[re.Match[str]]:
    """Yield the tokens of ``text``; together they are all of it."""
    offset = 0
    while offset < len(text):
        token = _TOKEN.match(text, offset)
        problem = _problem(token, text)
        if token is None or problem:
            raise RulesError(f"{Location(file, 1, 1).moved(text[:offset])}: {problem}")
        offset = token.end()
        yield token


def _problem(token: re.Match[str] | None, text: str) -> str:
    """Return what is wrong with a token, or the empty string."""
    if token is None:
        return "this string is never closed, or this character is not ASCII and in no comment"
    if token.lastgroup != "string":
        return ""
    before, after = text[token.start() - 1 : token.start()], text[token.end() : token.end() + 1]
    if (before and before not in _SPACE) or (after and after not in _SPACE and after != ";"):
        return "put a space between a string and its neighbour"
    return "" if _STRING.fullmatch(token[0]) else "a string holds printable ASCII, with \\ before a quote, \\, n or t"


def _form(leading: str, text: str, location: Location, *, is_first: bool) -> Form:
    if len(text) > MAX_FORM_CHARS:
        raise RulesError(f"{location}: this form has more than {MAX_FORM_CHARS} characters; split it")
    tokens = list(_TOKEN.finditer(text))
    words = [token[0] for token in tokens if token.lastgroup not in {"comment", "space"}]
    # What follows the form before on its last line is a remark on that form, no part of this one's header.
    lines = leading.split("\n")[0 if is_first else 1 : -1]
    sections = [match["name"] for line in lines if (match := _SECTION.match(line))]
    return Form(
        leading=leading,
        text=text,
        code="".join(" " * len(token[0]) if token.lastgroup == "comment" else token[0] for token in tokens),
        keyword=words[1].strip("()"),
        location=location,
        header=_header(lines, location),
        section=sections[-1] if sections else "",
    )


def _header(lines: list[str], location: Location) -> tuple[tuple[Location, str], ...]:
    found: list[tuple[Location, str]] = []
    for distance, line in enumerate(reversed(lines), start=1):
        content = line.strip()
        if not content.startswith(";") or content.startswith(";;"):
            break
        place = Location(location.file, location.line - distance, line.index(";") + 1)
        found.append((place, content[1:]))
    return tuple(reversed(found))
