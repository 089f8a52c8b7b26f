"""Two type checkers, in their strict mode, on a service that uses the installed package: no error, and the types that a
person expects to see. With mistakes put in, both tell them."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest

from tests.package.environments import ROOT, Environment

SAMPLE = ROOT / "tests" / "package" / "sample_service.py"
README = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REVEALED = [
    "str", "datetime", "Pickup", "Receipt", "Handle[Receipt]", "Handle[Any]", "Receipt", "Status", "Handle[int]", "Handle[int]",
    "Handle[int]", "Statistics", "Receipt",
]  # fmt: skip
MISTAKES = {
    "await reserve(order)": "await reserve(7)",
    "return reveal_type(await charge(order, amount))": "return await reserve(order)",
    'handle.signal(picked_up, Pickup("Ulm"))': 'handle.signal(picked_up, "Ulm")',
    'signal(picked_up, Pickup("Bonn"))': "signal(picked_up)",
    "client.start(place_order, order, amount,": "client.start(place_order, amount, order,",
    "start(remind, order, 7,": 'start(remind, order, "7",',
    "start(remind, order, id=": "start(remind, id=",
    "start(remind, order, days=7)": "start(remind, order, day=7)",
    'sync.start(place_order, "order-7", 100,': 'sync.start(place_order, "order-7", "100",',
}


@pytest.fixture
def service(whole: Environment, tmp_path: pathlib.Path) -> pathlib.Path:
    """The sample and the README's saga in a folder that knows nothing of this tree."""
    (tmp_path / "sample_service.py").write_text(SAMPLE.read_text())
    found = README.search((ROOT / "README.md").read_text())
    assert found is not None
    (tmp_path / "readme_saga.py").write_text(found[1])
    return tmp_path


def mypy(folder: pathlib.Path, environment: Environment) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(environment.python), "--config-file=",
         "--cache-dir", str(folder / ".cache"), "."],
        cwd=folder, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def pyright(folder: pathlib.Path, environment: Environment) -> tuple[int, list[str], list[str]]:
    """Exit code, errors, what is revealed. basedpyright comes with its own Node from the package index."""
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", str(environment.python), "."],
        cwd=folder, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    told = json.loads(done.stdout)["generalDiagnostics"]
    errors = [
        f"{one['file']}:{one['range']['start']['line'] + 1} {one['message']}" for one in told if one["severity"] == "error"
    ]
    return done.returncode, errors, [one["message"] for one in told if one["severity"] == "information"]


@pytest.mark.timeout(600)
def test_mypy_in_strict_mode_knows_the_types_of_a_service(service: pathlib.Path, whole: Environment) -> None:
    status, told = mypy(service, whole)
    assert status == 0, told
    revealed = re.findall(r'Revealed type is "(?:[\w.]*\.)?(\w+)(?:\[(?:[\w.]*\.)?(\w+)\])?"', told)
    assert [f"{outer}[{inner}]" if inner else outer for outer, inner in revealed] == REVEALED, told


@pytest.mark.timeout(600)
def test_pyright_in_strict_mode_knows_the_types_of_a_service(service: pathlib.Path, whole: Environment) -> None:
    status, errors, revealed = pyright(service, whole)
    assert status == 0, "\n".join(errors)
    assert [re.sub(r'^Type of .* is "(.*)"$', r"\1", one, flags=re.DOTALL) for one in revealed] == REVEALED


@pytest.mark.timeout(600)
def test_both_tell_a_wrong_argument_and_a_wrong_result(service: pathlib.Path, whole: Environment) -> None:
    program = service / "sample_service.py"
    for right, wrong in MISTAKES.items():
        assert right in program.read_text()
        program.write_text(program.read_text().replace(right, wrong))
    lines = [
        place for place, line in enumerate(program.read_text().splitlines(), 1) if any(one in line for one in MISTAKES.values())
    ]
    _, told = mypy(service, whole)
    _, errors, _ = pyright(service, whole)
    for found in (told, "\n".join(errors)):
        assert [line for line in lines if not re.search(rf"sample_service\.py:{line}:? ", found)] == [], found
