"""JWTs of an issuer: verified by the keys of its JWKS, which are read again when an unknown key comes, and every so often.

Algorithms, issuer, audience and expiry are fixed by the settings; nothing of a token chooses how it is looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import pathlib
import urllib.request
from collections.abc import Callable
from typing import Any

from durable_saga.pb.limits import TIME_MS_MAX, WHO_CHARACTERS_MAX
from durable_saga_server.access.policy import Policy, texts_of
from durable_saga_server.access.roles import Identity
from durable_saga_server.clock import Clock
from durable_saga_server.failures import ServiceError

log = logging.getLogger(__name__)
LEEWAY_SECONDS = 30
WEB = ("http://", "https://")
JWKS_READ_MS = 300_000
JWKS_AGAIN_MS = 10_000
"""At the earliest, after it was read or could not be."""
JWKS_STALE_MS = 3_600_000
JWKS_SECONDS_MAX = 10.0
JWKS_BYTES_MAX = 1024 * 1024
JWTS_KNOWN_MAX = 10_000
JWT_CHARACTERS_MAX = 7_500
"""gRPC takes 8 KiB of headers."""


class NotGood(Exception):
    """It is no JWT of this issuer for us, or no longer."""


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it may lead to where anybody answers."""

    def redirect_request(self, *_: Any) -> None:
        return None


def fetch(source: str) -> bytes:
    """Blocks. Raises OSError."""
    if not source.startswith(WEB):
        return pathlib.Path(source).read_bytes()
    with urllib.request.build_opener(_Straight).open(source, timeout=JWKS_SECONDS_MAX) as answer:
        data: bytes = answer.read(JWKS_BYTES_MAX + 1)
    if len(data) > JWKS_BYTES_MAX:
        raise OSError(f"{source} has more than {JWKS_BYTES_MAX} bytes")
    return data


class Jwts:
    """Needs PyJWT with cryptography: ImportError when it is made without. ValueError when the JWKS is a file without keys; a
    service of them may come yet."""

    def __init__(self, policy: Policy, clock: Clock, *, get: Callable[[str], bytes] = fetch) -> None:
        import jwt
        import jwt.algorithms

        if not jwt.algorithms.has_crypto:
            raise ImportError("PyJWT has no cryptography")
        assert policy.jwt is not None, "there is an issuer"
        self._jwt: Any = jwt
        self._settings = policy.jwt
        self._policy = policy
        self._clock = clock
        self._get = get
        self._keys: dict[str, Any] = {}
        self._read_ms = self._tried_ms = -JWKS_STALE_MS
        self._known: dict[bytes, Identity] = {}
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        if not self._settings.jwks.startswith(WEB):
            self._check_file(self._settings.jwks)

    def _check_file(self, file: str) -> None:
        try:
            keys = self._keys_in(self._get(file))
        except (OSError, ValueError) as error:
            raise ValueError(f"[jwt]: the keys in {file} can't be read: {error}") from error
        if not keys:
            raise ValueError(f"[jwt]: {file} holds no key that can sign a JWT")

    async def identify(self, token: str) -> Identity:
        """Raises NotGood and ServiceError."""
        if len(token) > JWT_CHARACTERS_MAX:
            raise NotGood("the token is too long")
        known = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        now_ms = self._clock.now_ms()
        if (
            (found := self._known.get(known)) is not None
            and now_ms < found.expires_ms
            and now_ms < self._read_ms + JWKS_READ_MS
        ):
            return found
        try:
            key = await self._key(str(self._jwt.get_unverified_header(token).get("kid", "")))
            identity = self._verify(token, key)
        except (self._jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:  # as PyJWT and what it uses have them
            raise NotGood(str(error)) from error
        if len(self._known) >= JWTS_KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[known] = identity
        return identity

    def _verify(self, token: str, key: Any) -> Identity:
        settings, now = self._settings, self._clock.now_ms() / 1000
        claims = self._jwt.decode(
            token, key, algorithms=list(settings.algorithms), audience=list(settings.audience), issuer=settings.issuer,
            options={"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )  # fmt: skip
        times = {name: claims.get(name, default) for name, default in (("exp", None), ("nbf", 0), ("iat", 0))}
        if not all(isinstance(one, int | float) and 0 <= one <= TIME_MS_MAX / 1000 for one in times.values()):
            raise NotGood("its times can't be read")
        if times["exp"] + LEEWAY_SECONDS <= now:
            raise NotGood("it has expired")
        if max(times["nbf"], times["iat"]) - LEEWAY_SECONDS > now:
            raise NotGood("it is not valid yet")
        name = next(iter(texts_of(claims, settings.name)), "")
        if not 1 <= len(name) <= WHO_CHARACTERS_MAX or not name.isprintable():
            raise NotGood(f"its claim {settings.name!r} isn't a name")
        return Identity(name, "jwt", tuple(self._policy.of_claims(claims)), int((times["exp"] + LEEWAY_SECONDS) * 1000))

    async def _key(self, kid: str) -> Any:
        """Raises NotGood and ServiceError."""
        await self._look(kid)
        if kid in self._keys and self._clock.now_ms() < self._read_ms + JWKS_STALE_MS:
            return self._keys[kid]
        if self._read_ms < self._tried_ms:
            words = f"the keys of {self._settings.issuer} can't be read: try again"
            raise ServiceError("UNAVAILABLE", words, retry_after_ms=JWKS_AGAIN_MS)
        raise NotGood("it is signed with a key that its issuer does not have")

    async def _look(self, kid: str) -> None:
        """Read the keys, if they are old, or this one is not among them, and they were not looked at just now. Who shows a key
        that is known does not wait for it."""
        if kid not in self._keys:
            await self._read()
        elif self._clock.now_ms() >= self._read_ms + JWKS_READ_MS and not self._reading.locked():
            self._task = asyncio.create_task(self._read(), name="jwks")

    async def _read(self) -> None:
        async with self._reading:
            now_ms = self._clock.now_ms()
            if now_ms < self._tried_ms + JWKS_AGAIN_MS:
                return
            self._tried_ms = now_ms
            try:
                keys = self._keys_in(await asyncio.to_thread(self._get, self._settings.jwks))
            except (OSError, ValueError) as error:
                log.warning(
                    "the keys of %s can't be read, so the keys already known stay in use: %s", self._settings.issuer, error
                )
                return
            if keys.keys() != self._keys.keys():
                log.info("keys of %s: %s", self._settings.issuer, ", ".join(map(repr, keys)) or "none")
            self._keys, self._read_ms = keys, now_ms
            self._known.clear()

    def _keys_in(self, data: bytes) -> dict[str, Any]:
        """Those that can sign with one of the algorithms, by their ids. Raises ValueError."""
        found = json.loads(data)
        if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
            raise ValueError("this isn't a JWKS")
        keys = {}
        for one in found["keys"]:
            if not isinstance(one, dict) or one.get("kty") not in ("RSA", "EC", "OKP") or one.get("use", "sig") != "sig":
                continue
            try:
                keys[str(one.get("kid", ""))] = self._jwt.PyJWK(one)  # with the one algorithm that it is for
            except (self._jwt.PyJWTError, ValueError, TypeError) as error:
                log.warning("a key of %s is left out: %s", self._settings.issuer, error)
        return keys
