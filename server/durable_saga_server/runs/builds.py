"""The builds of a namespace: their workers here, their open runs, and which of them new runs begin with."""

from __future__ import annotations

from durable_saga.pb import client_pb2 as c
from durable_saga.pb.limits import BUILD_CHARACTERS_MAX, SHARE_MILLIONTHS_MAX
from durable_saga_server.failures import ServiceError, check_name, guard_journal
from durable_saga_server.history.appending import OPEN
from durable_saga_server.means import Means
from durable_saga_server.workers.sessions import Session, Sessions

NAMES_SAID_MAX = 10
"""In the message about a build that is not known."""


class Builds:
    """Every call raises ServiceError."""

    def __init__(self, means: Means, sessions: Sessions) -> None:
        self._journal, self._clock, self._config = means.journal, means.clock, means.config
        self._sessions = sessions
        self._roll_outs = sessions.roll_outs

    @guard_journal
    async def builds(self, request: c.BuildsRequest) -> c.BuildsReply:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        views = await self._views(request.namespace)
        return c.BuildsReply(
            builds=[views[name] for name in sorted(views)], roll_outs=self._roll_outs.of(request.namespace)
        )  # fmt: skip

    @guard_journal
    async def roll_out(self, request: c.RollOutRequest) -> c.RollOutReply:
        check_name("namespace", request.namespace, self._config.id_characters_max)
        if request.saga_type:
            check_name("saga type", request.saga_type, self._config.id_characters_max)
        if not request.build:
            return c.RollOutReply(changed=await self._roll_outs.clear(request.namespace, request.saga_type))
        check_name("name of a build", request.build, BUILD_CHARACTERS_MAX)
        if request.share_millionths > SHARE_MILLIONTHS_MAX:
            raise ServiceError("INVALID_ARGUMENT", "the share of new sagas is more than all of them (100%)")
        await self._check_known(request.namespace, request.build)
        wanted = c.RollOut(
            build=request.build, share_millionths=request.share_millionths, saga_type=request.saga_type, who=request.who,
            reason=request.reason, since_ms=self._clock.now_ms(),
        )  # fmt: skip
        roll_out, is_changed = await self._roll_outs.set(request.namespace, wanted)
        warning = " ".join(self._warnings(request.namespace, roll_out).values())
        return c.RollOutReply(changed=is_changed, roll_out=roll_out, warning=warning)

    async def _check_known(self, namespace: str, build: str) -> None:
        known = [name for name in await self._views(namespace) if name]
        if build in known:
            return
        words = f"no worker with build {build!r} is connected, and no open saga began with it"
        if known:
            more = f" and {len(known) - NAMES_SAID_MAX} more" if len(known) > NAMES_SAID_MAX else ""
            words += f". The builds are: {', '.join(sorted(known)[:NAMES_SAID_MAX])}{more}"
        raise ServiceError(
            "INVALID_ARGUMENT",
            f"{words}. To keep new sagas away from workers that you start next, roll out the old build at 100% first",
        )

    async def _views(self, namespace: str) -> dict[str, c.BuildView]:
        views: dict[str, c.BuildView] = {}

        def view(build: str) -> c.BuildView:
            return views.setdefault(build, c.BuildView(build=build))

        for tally in await self._journal.index.tallies(namespace):
            if tally.status in OPEN and tally.count > 0:
                view(tally.build).open += tally.count
                view(tally.build).blocked += tally.count if tally.blocked else 0
        for session in self._workers(namespace):
            one = view(session.build)
            one.workers += 1
            one.saga_types[:] = sorted({*one.saga_types, *session.saga_types})
        for roll_out in self._roll_outs.of(namespace):
            for name in filter(None, (roll_out.build, roll_out.rest)):
                view(name)
            for name, warning in self._warnings(namespace, roll_out).items():
                view(name).warning = " ".join(filter(None, (view(name).warning, warning)))
        return views

    def _workers(self, namespace: str) -> list[Session]:
        return [one for one in self._sessions if one.namespace == namespace and not one.closed]

    def _warnings(self, namespace: str, roll_out: c.RollOut) -> dict[str, str]:
        """By build: that new sagas which are meant for it begin with others now, or wait."""
        build, rest, share, of = roll_out.build, roll_out.rest, roll_out.share_millionths, _of(roll_out.saga_type)
        workers = [one for one in self._workers(namespace) if _has(one, roll_out.saga_type)]
        none_may = not share and all(one.build == build for one in workers)
        meanwhile = f"wait, for build {build} has no share" if none_may else "begin with other builds"
        words = "No worker with build {} is connected" + of + f": until one is, its new sagas {meanwhile}."
        found = {}
        if share and all(one.build != build for one in workers):
            found[build] = words.format(build)
        if rest and share < SHARE_MILLIONTHS_MAX and all(one.build != rest for one in workers):
            found[rest] = words.format(rest)
        if not rest and share < SHARE_MILLIONTHS_MAX and workers and all(one.build == build for one in workers):
            what = "begin with it" if share else "wait, for it has no share"
            found[build] = f"Only build {build} has workers{of}: until others have, all new sagas {what}."
        return found


def _has(session: Session, saga_type: str) -> bool:
    return not session.draining and (not saga_type or saga_type in session.saga_types)


def _of(saga_type: str) -> str:
    return f" for sagas of type {saga_type}" if saga_type else ""
