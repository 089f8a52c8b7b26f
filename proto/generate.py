"""Generate durable_saga/pb from the .proto files; `--check` fails when what is checked in differs.

protoc writes imports by proto package (`durable_saga.v1`); the Python package is `durable_saga.pb`, so they are rewritten.
"""

import filecmp
import pathlib
import re
import sys
import tempfile

from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "durable_saga" / "pb"


def generate(into: pathlib.Path) -> list[pathlib.Path]:
    sources = sorted(str(path) for path in (ROOT / "proto").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        flags = [f"--{kind}_out={scratch}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(["protoc", f"-I{ROOT / 'proto'}", *flags, *sources]) != 0:
            sys.exit("protoc failed; its message stands above")
        written = []
        for path in sorted(pathlib.Path(scratch).rglob("*_pb2*.py*")):
            if path.name.endswith("_pb2_grpc.py") and "Stub:" not in path.read_text() and "class " not in path.read_text():
                continue  # no service in that file
            text = re.sub(r"from durable_saga\.v1 import", "from durable_saga.pb import", path.read_text())
            (into / path.name).write_text(text)
            written.append(into / path.name)
    return written


def main() -> None:
    if "--check" not in sys.argv:
        for path in generate(TARGET):
            print(path.relative_to(ROOT))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for path in generate(pathlib.Path(scratch)):
            if not filecmp.cmp(path, TARGET / path.name, shallow=False):
                sys.exit(f"durable_saga/pb/{path.name} is not what proto/ says: run `make proto` and commit the result")


if __name__ == "__main__":
    main()
