from __future__ import annotations

from django.urls import path

from examples.django_shop.views import order

urlpatterns = [path("orders/<str:order_id>", order)]
