"""As little as Django needs; a project of yours has its own."""

from __future__ import annotations

import os
import secrets

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe()
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
ROOT_URLCONF = "examples.django_shop.urls"
INSTALLED_APPS = ["examples.django_shop"]
DATABASES: dict[str, dict[str, str]] = {}
USE_TZ = True

DURABLE_SAGA_URL = os.environ.get("DURABLE_SAGA_URL", "localhost:7233")
