# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration language: read it, follow its includes, write it again."""

from __future__ import annotations

import fnmatch
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_INCLUDES = 16


class ConfError(Exception):
    """A configuration that nginx would not start with; the text is as nginx logs it."""

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(f"{message} in {file}:{line}")


@dataclass
class Directive:
    """One directive, with its block if it has one, and where it stands."""

    name: str
    args: list[str]
    file: str = ""
    line: int = 0
    block: list[Directive] | None = field(default=None)

    def error(self, message: str) -> ConfError:
        """A ConfError about this directive."""
        return ConfError(message, self.file, self.line)


@dataclass(frozen=True)
class _Token:
    text: str
    line: int
    quoted: bool = False


def _tokens(text: str, file: str) -> Iterator[_Token]:
    line, index, size = 1, 0, len(text)
    while index < size:
        char = text[index]
        if char == "\n":
            line += 1
            index += 1
        elif char.isspace():
            index += 1
        elif char == "#":
            end = text.find("\n", index)
            index = size if end < 0 else end
        elif char in "{};":
            yield _Token(char, line)
            index += 1
        elif char in "\"'":
            start, word = line, []
            index += 1
            while index < size and text[index] != char:
                if text[index] == "\\" and index + 1 < size and text[index + 1] in "\"'\\":
                    index += 1
                line += text[index] == "\n"
                word.append(text[index])
                index += 1
            if index >= size:
                raise ConfError('unexpected end of file, expecting ";" or "}"', file, line)
            index += 1
            yield _Token("".join(word), start, quoted=True)
        else:
            start = index
            while index < size and not text[index].isspace() and text[index] not in ";{":
                if text[index] == "\\":
                    index += 1
                elif text.startswith("${", index):
                    end = text.find("}", index)
                    index = end if end > 0 else index
                index += 1
            yield _Token(text[start:index], line)


def parse(text: str, file: str) -> list[Directive]:
    """The directives of a file. Raises ConfError."""
    root: list[Directive] = []
    stack: list[list[Directive]] = [root]
    words: list[_Token] = []
    line = 1
    for token in _tokens(text, file):
        line = token.line
        if token.quoted or token.text not in ("{", "}", ";"):
            words.append(token)
        elif token.text == "}":
            if words:
                raise ConfError('unexpected "}"', file, line)
            if len(stack) == 1:
                raise ConfError('unexpected "}"', file, line)
            stack.pop()
        else:
            if not words:
                raise ConfError(f'unexpected "{token.text}"', file, line)
            directive = Directive(words[0].text, [word.text for word in words[1:]], file, words[0].line)
            stack[-1].append(directive)
            words = []
            if token.text == "{":
                directive.block = []
                stack.append(directive.block)
    if words or len(stack) > 1:
        raise ConfError('unexpected end of file, expecting ";" or "}"', file, line)
    return root


def load(files: Mapping[str, bytes], path: str, depth: int = 0) -> list[Directive]:
    """A configuration file of a container with everything it includes in place. Raises ConfError."""

    def expand(directives: list[Directive]) -> list[Directive]:
        expanded: list[Directive] = []
        for directive in directives:
            if directive.name != "include" or directive.block is not None:
                if directive.block is not None:
                    directive.block = expand(directive.block)
                expanded.append(directive)
                continue
            if len(directive.args) != 1:
                raise directive.error('invalid number of arguments in "include" directive')
            pattern = posixpath.join("/etc/nginx", directive.args[0])
            found = sorted(name for name in files if _matches(name, pattern))
            if not found and not any(char in pattern for char in "*?["):
                raise directive.error(f'open() "{pattern}" failed (2: No such file or directory)')
            if depth >= _MAX_INCLUDES:
                raise directive.error("includes are nested too deep")
            for name in found:
                expanded += load(files, name, depth + 1)
        return expanded

    return expand(parse(files[path].decode("utf-8", "replace"), path))


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")


def dump(directives: list[Directive], indent: str = "") -> str:
    """The text of a configuration."""
    lines = []
    for directive in directives:
        head = indent + " ".join([directive.name, *(_quoted(arg) for arg in directive.args)])
        if directive.block is None:
            lines.append(f"{head};\n")
        else:
            lines.append(f"{head} {{\n{dump(directive.block, indent + '    ')}{indent}}}\n")
    return "".join(lines)


def _quoted(word: str) -> str:
    if word and not any(char.isspace() or char in "\"';{}#\\" for char in word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
