"""`django-admin saga_worker`: a worker that has Django's settings and models. SIGTERM and Ctrl-C end it in order."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from durable_saga import Worker, connect
from examples.django_shop.sagas import place_order


class Command(BaseCommand):
    help = "Run the sagas of this project until SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--concurrency", type=int, default=20, help="Steps at once, each with a database connection.")

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(self._work(options["concurrency"]))

    async def _work(self, concurrency: int) -> None:
        async with connect(settings.DURABLE_SAGA_URL) as client:
            worker = Worker(client, sagas=[place_order], concurrency=concurrency)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, worker.stop)
            self.stdout.write(f"worker {worker.name}")
            self.stdout.flush()
            await worker.run()
