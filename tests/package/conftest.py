from __future__ import annotations

import re
import tomllib

import pytest

from tests.package.environments import EXTRAS, ROOT, Built, Environment, build, install


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel without any extra."""
    return install(built.wheel, tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def whole(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with every extra, and FastAPI for the service that is checked against it."""
    return install(built.wheel, tmp_path_factory.mktemp("whole"), extras=EXTRAS, beside=("fastapi",))


@pytest.fixture(scope="session")
def oldest(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with the server's extra, and the oldest protobuf and grpcio that pyproject.toml promises."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    floors = dict(one.split(">=") for one in wanted if re.match(r"grpcio|protobuf", one))
    return install(built.wheel, tmp_path_factory.mktemp("oldest"), extras=("server",), instead=floors)
