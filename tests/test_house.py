"""Imports run one way: a room stands above what it imports."""

import ast
import pathlib

import pytest

import nst_course

PACKAGE = pathlib.Path(nst_course.__file__).parent

#: From the ground up. What shares a line may not import one another, but for the modules of one folder.
STOREYS = (
    {"_files", "_kernel", "_npz", "_text", "startup", "costs", "vgg"},
    {"decoding", "memory"},
    {"weights"},
    {"images", "keras_vgg", "notebooks"},
    {"session", "plots"},
    {"eager"},
    {"feedforward"},
    {"published", "migration", "many"},
    {"expected"},
    {"classroom"},
    {"checks", "nst_utils", "public_tests"},
    {"cli"},
    {"__main__"},
)
STOREY = {room: number for number, rooms in enumerate(STOREYS) for room in rooms}


def imports(path):
    """Yield the modules of the package that a module imports, at its top or in a function, as dotted names."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            module = [*base, *(node.module.split(".") if node.module else [])]
            if (PACKAGE.joinpath(*module)).is_dir():  # from . import module
                for alias in node.names:
                    yield ".".join([*module, alias.name])
            else:
                yield ".".join(module)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                if name.split(".")[0] == "nst_course":
                    yield name.removeprefix("nst_course").removeprefix(".")


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_imports_what_is_above_it(path):
    room = name_of(path).split(".")[0]
    for imported in imports(path):
        other = imported.split(".")[0]
        if other in ("", "__version__"):
            continue  # the version, and names that the package hands on
        assert other == room or STOREY[other] < STOREY[room], f"{name_of(path)} imports {imported}"


def test_no_circle_within_a_folder():
    graph = {name_of(path): set(imports(path)) for path in MODULES}
    seen = {}

    def visit(module, above):
        assert module not in above, f"a circle: {' -> '.join([*above, module])}"
        if module not in seen:
            seen[module] = True
            for imported in graph.get(module, ()):
                visit(imported, [*above, module])

    for module in graph:
        visit(module, [])
    assert len(seen) >= len(graph)


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).startswith("classroom")], ids=name_of)
def test_the_classroom_paints_only_with_the_session_edition(path):
    assert not [name for name in imports(path) if name.split(".")[0] in ("eager", "feedforward")]


def test_the_network_knows_no_file():
    assert set(imports(PACKAGE / "weights" / "network.py")) == {"vgg"}
