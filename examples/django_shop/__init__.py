"""An order service with Django: views that start and show sagas, and a worker as a management command. See docs/frameworks.md.

export DJANGO_SETTINGS_MODULE=examples.django_shop.settings DURABLE_SAGA_URL=localhost:7233
durable-saga dev
django-admin saga_worker
django-admin runserver
"""
