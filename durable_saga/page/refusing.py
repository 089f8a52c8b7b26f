"""What the page itself won't do."""

from __future__ import annotations


class Refused(Exception):
    """A status and a sentence; `again`: seconds after which to come again, 0: that does not help."""

    def __init__(self, status: int, sentence: str, *, again: int = 0) -> None:
        self.status = status
        self.sentence = sentence
        self.again = again
        super().__init__(sentence)
