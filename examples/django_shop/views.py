from __future__ import annotations

import json

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from durable_saga.errors import AlreadyStarted, NotFound, Unavailable
from examples.django_shop.engine import client
from examples.django_shop.sagas import place_order


@csrf_exempt  # an interface for programs; a form of yours keeps its token
@require_http_methods(["GET", "PUT"])
def order(request: HttpRequest, order_id: str) -> JsonResponse:
    """PUT starts it, once for each id; GET shows how it stands. In a transaction of yours, start it behind the commit:
    `transaction.on_commit(lambda: client().start(...))`."""
    try:
        if request.method == "PUT":
            asked = json.loads(request.body)
            handle = client().start(place_order, asked["item"], asked["amount"], id=order_id)
            return JsonResponse({"id": handle.id}, status=200 if handle.already_started else 202)
        found = client().handle(order_id).overview()
        return JsonResponse({"id": found.id, "status": found.status, "undone": found.compensated_steps})
    except NotFound as error:
        return JsonResponse({"error": str(error)}, status=404)
    except AlreadyStarted as error:
        return JsonResponse({"error": str(error)}, status=409)
    except Unavailable as error:
        return JsonResponse({"error": str(error)}, status=503, headers={"Retry-After": "2"})
