"""Restate: a workflow per kind, `ctx.run` for steps, a durable promise for the signal; the ingress over HTTP for the client."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from benchmarks.peers.apps import driver

config: dict[str, Any] = {}


async def nothing(number: int) -> dict[str, int]:
    return {"number": number}


async def arrive() -> dict[str, int]:
    driver.arrived(config["folder"])
    return {"number": 0}


async def refuse(number: int) -> dict[str, int]:
    raise restate.TerminalError(f"no {number}")


chain, waits, fan, fails = (restate.Workflow(name) for name in ("chain", "waits", "fan", "fails"))


@chain.main(name="run")
async def run_chain(ctx: restate.WorkflowContext, steps: int) -> int:
    for number in range(steps):
        await ctx.run_typed("nothing", nothing, number=number)
    return steps


@waits.main(name="run")
async def run_waits(ctx: restate.WorkflowContext, steps: int) -> dict[str, int]:
    entered = driver.clock_ns()
    for number in range(steps):
        await ctx.run_typed("nothing", nothing, number=number)
    replayed = driver.clock_ns() - entered
    await ctx.run_typed("arrive", arrive)
    await ctx.promise("go").value()
    return {"replayed_ns": replayed, "resumed_ns": driver.clock_ns()}


@waits.handler(name="signal")
async def signal_waits(ctx: restate.WorkflowSharedContext, message: dict[str, int]) -> None:
    await ctx.promise("go").resolve(message)


@fan.main(name="run")
async def run_fan(ctx: restate.WorkflowContext, steps: int) -> int:
    await restate.gather(*(ctx.run_typed("nothing", nothing, number=number) for number in range(steps)))
    return steps


@fails.main(name="run")
async def run_fails(ctx: restate.WorkflowContext, steps: int) -> None:
    undo = []
    try:
        for number in range(steps - 1):
            undo.append(number)
            await ctx.run_typed("nothing", nothing, number=number)
        await ctx.run_typed("refuse", refuse, number=steps)
    except restate.TerminalError:
        for number in reversed(undo):
            await ctx.run_typed("undo", nothing, number=number)
        raise


class RestateApp:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def start(self, kind: str, saga: str, steps: int) -> str:
        (await self._http.post(f"/{kind}/{saga}/run/send", json=steps)).raise_for_status()
        return f"{kind}/{saga}"

    async def result(self, started: str) -> Any:
        answer = await self._http.get(f"/restate/workflow/{started}/attach")
        if started.startswith("fails/") and answer.status_code == 500 and "no 10" in answer.text:
            raise driver.Undone
        answer.raise_for_status()
        return answer.json()

    async def signal(self, saga: str) -> None:
        (await self._http.post(f"/waits/{saga}/signal", json={"number": 1})).raise_for_status()


async def worker(given: dict[str, Any]) -> None:
    config.update(given)
    hypercorn = Config()
    hypercorn.bind = [f"127.0.0.1:{config['worker_port']}"]
    hypercorn.accesslog = None
    serving = asyncio.create_task(serve(restate.app([chain, waits, fan, fails]), hypercorn))
    await asyncio.sleep(0.5)
    address = f"http://127.0.0.1:{config['worker_port']}"
    async with httpx.AsyncClient() as http:
        request = {"uri": address, "force": True}
        (await http.post(f"http://127.0.0.1:{config['admin_port']}/deployments", json=request, timeout=30)).raise_for_status()
    print("ready", flush=True)
    await serving


async def client(given: dict[str, Any]) -> None:
    config.update(given)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=config["url"], timeout=None, limits=limits) as http:
        await driver.serve(RestateApp(http), config["folder"])


if __name__ == "__main__":
    driver.run(worker, client)
