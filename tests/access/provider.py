"""A small OIDC provider, ours, over real HTTP in this process: discovery, keys, authorization by code with PKCE, tokens.
Whoever comes to `/authorize` is logged in as `user`."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "durable-saga"


class Provider:
    """`keys` by id; the newest signs. `is_up` False: its keys can't be read."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self._made = 0
        self.is_up = True
        self.keys_read = 0
        self.nonce = ""
        self.user: dict[str, Any] = {"sub": "u-1", "email": "ann@example.org", "groups": ["operators"]}
        self.codes: dict[str, dict[str, str]] = {}
        self.rotate()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.get(self)

            def do_POST(self) -> None:
                provider.post(self)

            def log_message(self, *_: Any) -> None:
                """Not in the output of tests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def rotate(self, kind: str = "RS256") -> str:
        """A new key, beside those that there are."""
        self._made += 1
        kid = f"key-{self._made}"
        made = rsa.generate_private_key(65537, 2048) if kind == "RS256" else ec.generate_private_key(ec.SECP256R1())
        self.keys[kid] = (kind, made)
        return kid

    def token(self, *, kid: str = "", seconds: float = 300, **claims: Any) -> str:
        kid = kid or list(self.keys)[-1]
        kind, key = self.keys[kid]
        now = time.time()
        content = {"iss": self.issuer, "aud": AUDIENCE, "iat": now, "exp": now + seconds, **self.user, **claims}
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(content, key, algorithm=kind, headers={"kid": kid})

    def jwks(self) -> dict[str, Any]:
        found = []
        for kid, (kind, key) in self.keys.items():
            made: Any = jwt.get_algorithm_by_name(kind)
            found.append({**made.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", "alg": kind})
        return {"keys": found}

    # --- HTTP --------------------------------------------------------------------------------------------------------------

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        at = urlsplit(handler.path)
        asked = {name: values[0] for name, values in parse_qs(at.query).items()}
        if at.path == "/keys":
            self.keys_read += 1
            _answer(handler, 200 if self.is_up else 503, self.jwks() if self.is_up else {})
        elif at.path == "/.well-known/openid-configuration":
            paths = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            _answer(handler, 200, {
                "issuer": self.issuer, **{name: self.issuer + path for name, path in paths.items()},
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"], "code_challenge_methods_supported": ["S256"],
            })  # fmt: skip
        elif at.path == "/authorize":
            code = secrets.token_urlsafe()
            self.codes[code] = asked
            handler.send_response(302)
            handler.send_header("location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
            handler.end_headers()
        else:
            _answer(handler, 404, {})

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        begun = self.codes.pop(asked.get("code", ""), None)
        if begun is None or not _fits(begun.get("code_challenge", ""), asked.get("code_verifier", "")):
            _answer(handler, 400, {"error": "invalid_grant"})
            return
        token = self.token(aud=begun["client_id"], nonce=self.nonce or begun.get("nonce"))
        _answer(handler, 200, {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": token})

    @contextmanager
    def serving(self) -> Iterator[Provider]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


def _fits(challenge: str, verifier: str) -> bool:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge


def _answer(handler: BaseHTTPRequestHandler, status: int, content: Any) -> None:
    data = json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
