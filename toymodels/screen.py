"""What the command line says: plain text, whatever a name or a value that was typed holds; an error in one line."""

import sys
from typing import NoReturn

from rich.console import Console

console = Console(highlight=False, markup=False, emoji=False)

LONGEST = 200
"""Letters of a word, such as a value that was typed, that are repeated in a message."""


def say(text: object, style: str | None = None) -> None:
    """A line that a terminal may fold, and a file holds as it is."""
    console.print("\n".join(map(printable, str(text).split("\n"))), style=style, soft_wrap=True)


def complain(message: object) -> None:
    """One line on standard error."""
    words = (word if len(word) <= LONGEST else f"{word[:LONGEST]}..." for word in str(message).split())
    print(f"toymodels: {printable(' '.join(words))}", file=sys.stderr)


def fail(message: object, code: int = 2) -> NoReturn:
    """One line on standard error, and the end of the process."""
    complain(message)
    sys.exit(code)


def printable(text: str) -> str:
    """Control characters, which would move the cursor or colour the terminal, as Python writes them."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
