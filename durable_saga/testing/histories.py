"""Recorded histories of a folder, replayed by today's code."""

from __future__ import annotations

import os
import pathlib

from durable_saga.declared.compiled import function_of
from durable_saga.declared.declarative import AnySaga
from durable_saga.errors import InvalidArgument
from durable_saga.recorded import SUFFIX, is_sealed, read_history
from durable_saga.rehearsal import unlike


def replay_all(folder: str | os.PathLike[str], *sagas: AnySaga) -> int:
    """Run the code of these sagas over each file `*.history` of a folder, and give how many there were. Such files are written
    by `durable-saga rehearse --record FOLDER` and `durable-saga history ID --raw FILE`. Raises AssertionError with every file
    that the code can't go on with and why, and InvalidArgument: there is none, one is no history, or the history of another
    saga."""
    known = {one.name: one for one in (function_of(saga).definition for saga in sagas)}
    files = sorted(pathlib.Path(folder).glob(f"*{SUFFIX}"))
    if not files:
        raise InvalidArgument(f"there are no files *{SUFFIX} in {folder}")
    wrong: list[str] = []
    for file in files:
        events = read_history(file)
        saga_type = events[0].saga_started.saga_type
        if saga_type not in known:
            raise InvalidArgument(f"{file} is the history of {saga_type}; given are {', '.join(known) or 'no sagas'}")
        if is_sealed(events):
            raise InvalidArgument(f"the values in {file} are sealed: write it again, with --codec")
        if (misfit := unlike(known[saga_type], events)) is not None:
            wrong.append(f"{file.name}: {misfit.why}")
    if wrong:
        raise AssertionError(f"{len(wrong)} of {len(files)} histories don't fit the code:\n" + "\n".join(wrong))
    return len(files)
