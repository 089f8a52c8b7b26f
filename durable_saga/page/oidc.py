"""Log-in by OpenID Connect: the authorization code flow with PKCE and a nonce, by Authlib. What comes of it is the ID token,
with which the page asks the server as the user. Needs the extra `oidc`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from durable_saga.page.refusing import Refused

log = logging.getLogger(__name__)
PROVIDER_SECONDS_MAX = 10.0
SCOPE = "openid email profile"
CALLBACK = "/login/oidc/done"


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """`public_url`: how browsers find the page, https://saga.example.org."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    public_url: str = ""
    scope: str = SCOPE


class Oidc:
    """Raises ImportError without the extra."""

    def __init__(self, settings: OidcSettings, public_url: str) -> None:
        from authlib.integrations.starlette_client import OAuth

        oauth: Any = OAuth()
        self._callback = (settings.public_url or public_url).rstrip("/") + CALLBACK
        self._provider: Any = oauth.register(
            "provider", client_id=settings.client_id, client_secret=settings.client_secret or None,
            server_metadata_url=settings.issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={
                "scope": settings.scope, "code_challenge_method": "S256", "timeout": PROVIDER_SECONDS_MAX,
                "token_endpoint_auth_method": "client_secret_basic" if settings.client_secret else "none",
            },
        )  # fmt: skip

    async def begin(self, request: Request) -> Response:
        """To the provider. Raises Refused when it can't be reached."""
        try:
            response: Response = await self._provider.authorize_redirect(request, self._callback)
        except Exception as error:
            raise _unreached(error) from error
        return response

    async def finish(self, request: Request) -> str:
        """The ID token, once for each begin. Raises Refused."""
        from authlib.integrations.base_client import OAuthError

        try:
            token = await self._provider.authorize_access_token(request)
        except OAuthError as error:
            raise Refused(403, f"The log-in was not completed ({error.error}): try again.") from error
        except Exception as error:
            raise _unreached(error) from error
        id_token = token.get("id_token") if isinstance(token, dict) else None
        if not isinstance(id_token, str):
            raise Refused(502, "The log-in provider sent no ID token. Allow the scope openid for this page there.")
        return id_token


def _unreached(error: Exception) -> Refused:
    log.warning("the OpenID provider did not answer as expected: %s: %s", type(error).__name__, error)
    return Refused(502, "The log-in provider did not answer as expected. See the log of the page.")
