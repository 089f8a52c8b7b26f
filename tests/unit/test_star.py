"""What `from durable_saga import *` puts into a module."""

from __future__ import annotations

import random
from typing import Any

import durable_saga


def test_it_does_not_hide_the_module_random() -> None:
    module: dict[str, Any] = {}
    exec("import random\nfrom durable_saga import *", module)
    assert module["random"] is random
    assert module["saga"] is durable_saga.saga


def test_random_is_still_there_by_its_name() -> None:
    from durable_saga import random as of_the_saga

    assert of_the_saga is durable_saga.random
    assert of_the_saga.__module__ == "durable_saga.authoring.inside"
