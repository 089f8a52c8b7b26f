"""What may be shown of a text that may hold a secret: messages, logs and process titles go through here."""

from __future__ import annotations

import re

HIDDEN = "…"
_USER_INFO = re.compile(r"(?<=://)[^/\s@?#]*@")
_NAMED = re.compile(
    r"(?i)\b((?:[a-z0-9_]*[_-])?(?:password|passwd|pwd|secret|token|api[_-]?key|credentials)\s*[=:]\s*)"
    r"('[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[a-z0-9._~+/=-]{8,}")


def redact(text: str) -> str:
    """The text without user info in URLs, without values that are named password, token, secret or the like, and without
    bearer tokens."""
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _NAMED.sub(rf"\g<1>{HIDDEN}", text)
    return _BEARER.sub(rf"\g<1>{HIDDEN}", text)
