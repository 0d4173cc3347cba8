"""The house of the design: who may import whom, how long files and all may be, what is loaded."""

import ast
from pathlib import Path

import pytest

from tests.helpers import ROOT, run_python

PACKAGE = ROOT / "minicnn"
FLOORS = [
    [
        *["errors", "config", "configs", "files", "geometry", "images", "nested"],
        *["registry", "tracebacks", "workers"],
    ],
    ["runtime"],
    ["kernels"],
    ["autograd"],
    ["ops"],
    [
        *["activations", "constraints", "initializers", "losses", "metrics", "optimizers"],
        *["regularizers", "layers"],
    ],
    ["saving"],
    ["callbacks", "training"],
    ["models"],
    ["applications", "utils"],
    ["cli", "keras", "tensorflow"],
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: Side rooms lie beside the staircase, below the applications; datasets see the ground floor only.
CEILING = {"datasets": 0, "data": 8, "explain": 8}
EDGE = 10
#: Lines of one file, and of the whole package (Python and the scripts of pages): what is added has
#: to find its room, and something that can go.
LONGEST, TOTAL = 600, 51_640
HEAVY = [
    "numba",
    "cupy",
    "PIL",
    "matplotlib",
    "rich",
    "typer",
    "safetensors",
    "h5py",
    "pooch",
    "tifffile",
]


class Import:
    """One imported module: its name, its line, and whether a function imports it."""

    def __init__(self, name, line, in_function):
        self.name, self.line, self.in_function = name, line, in_function


def imports(tree, module, is_package, modules):
    """Every import from minicnn in a module, in functions and for type checkers too."""
    found = []

    def visit(node, in_function):
        if isinstance(node, ast.Import):
            found.extend(Import(a.name, node.lineno, in_function) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            above = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                name = inner if inner in modules else base
                found.append(Import(name, node.lineno, in_function))
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, False)
    return [i for i in found if i.name.split(".")[0] == "minicnn" and i.name != module]


def read(package):
    """The modules of a package: {name: (path, syntax tree)}."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = (path, ast.parse(path.read_text(encoding="utf-8")))
    return modules


def imported(modules):
    """The imports of every module: {name: [Import]}."""
    return {
        name: imports(tree, name, path.name == "__init__.py", modules)
        for name, (path, tree) in modules.items()
    }


def room(name):
    return name.split(".")[1] if "." in name else ""


def may_import(importer, target):
    """Whether a room may import another one."""
    if importer == target or FLOOR.get(importer) == EDGE:
        return True
    if importer in CEILING:
        return FLOOR.get(target, EDGE) <= CEILING[importer]
    if target in CEILING:
        return FLOOR[importer] == EDGE - 1
    return FLOOR.get(target, EDGE) <= FLOOR[importer]


def climbs(graph):
    """The imports that go up, each as a sentence."""
    return [
        f"{name} (line {i.line}) imports {i.name}"
        for name, found in graph.items()
        if name != "minicnn"
        for i in found
        if not may_import(room(name), room(i.name))
    ]


def circles(graph):
    """Ways along imports that end where they began."""
    edges = {
        name: sorted({i.name for i in found} & set(graph))
        for name, found in graph.items()
        if name != "minicnn"
    }
    found, done = [], set()

    def follow(name, way):
        if name in way:
            found.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for other in edges.get(name, []):
                follow(other, [*way, name])
            done.add(name)

    for name in edges:
        follow(name, [])
    return found


MODULES = read(PACKAGE)


def test_every_room_has_its_floor():
    rooms = {room(name) for name in MODULES} - {"", "__main__"}
    assert rooms <= FLOOR.keys() | CEILING.keys()
    assert {"geometry", "kernels", "autograd", "ops", "layers", "models"} <= rooms


def test_no_import_climbs():
    assert climbs(imported(MODULES)) == []


def test_no_imports_run_in_circles():
    assert circles(imported(MODULES)) == []


def test_modules_within_a_package_import_the_file_that_they_need():
    # `from minicnn.layers import Dense` inside minicnn/layers would run through its __init__.
    graph = imported(MODULES)
    through = [
        f"{name} (line {i.line}) imports {i.name}"
        for name, found in graph.items()
        for i in found
        if name.startswith(f"{i.name}.") and i.name != "minicnn"
    ]
    assert through == []


@pytest.mark.parametrize("name", MODULES)
def test_no_star_imports(name):
    stars = [
        node.lineno
        for node in ast.walk(MODULES[name][1])
        if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names)
    ]
    assert stars == []


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_short_enough_to_read(name):
    lines = MODULES[name][0].read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{name} asks to be split along its nouns"


def test_threads_are_started_in_one_place():
    # What starts one elsewhere cannot do without, as it must in a browser.
    starting = {
        name
        for name, (_, tree) in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in ("Thread", "Timer", "ThreadPoolExecutor")
    }
    assert starting == {"minicnn.workers"}


def test_the_package_keeps_its_size():
    lines = {
        path: path.read_text(encoding="utf-8").count("\n")
        for ending in ("*.py", "*.js")
        for path in PACKAGE.rglob(ending)
    }
    assert 40_000 < sum(lines.values()) <= TOTAL


def test_scripts_of_pages_are_short_enough_to_read():
    lines = {p.name: p.read_text(encoding="utf-8").split("\n") for p in PACKAGE.rglob("*.js")}
    assert "viewer.js" in lines
    assert {name: len(found) for name, found in lines.items() if len(found) > LONGEST} == {}
    wide = {name: max(map(len, found)) for name, found in lines.items()}
    assert {name: width for name, width in wide.items() if width > 100} == {}


def test_import_loads_nothing_heavy():
    done = run_python(f"import sys, minicnn; print([m for m in {HEAVY} if m in sys.modules])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


# The test of this test: houses with one fault each.


def house(folder, **files):
    """Write a package called minicnn and return what its modules import."""
    package = Path(folder) / "minicnn"
    for name, text in {"__init__": "", **files}.items():
        path = package / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return imported(read(package))


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"geometry": "import minicnn.ops"}, "minicnn.geometry (line 1) imports minicnn.ops"),
        ({"geometry": "from minicnn import ops"}, "minicnn.geometry (line 1) imports minicnn.ops"),
        ({"geometry": "def f():\n    from . import ops"}, "geometry (line 2) imports minicnn.ops"),
        ({"geometry": "if TYPE_CHECKING:\n    import minicnn.ops"}, "(line 2) imports minicnn.ops"),
        ({"geometry": "from .ops import add"}, "minicnn.geometry (line 1) imports minicnn.ops"),
        ({"losses": "if 1:\n    import minicnn.models as m"}, "(line 2) imports minicnn.models"),
        ({"ops": "try:\n    import minicnn.cli\nexcept E:\n    pass"}, "imports minicnn.cli"),
        ({"datasets": "import minicnn.ops"}, "minicnn.datasets (line 1) imports minicnn.ops"),
        ({"ops": "import minicnn.datasets"}, "minicnn.ops (line 1) imports minicnn.datasets"),
        ({"layers__in__base": "from minicnn.models import Model"}, "imports minicnn.models"),
        ({"layers__in__base": "from ..models import Model"}, "imports minicnn.models"),
        ({"ops": "import minicnn"}, "minicnn.ops (line 1) imports minicnn"),
        ({"ops": "from minicnn import Model"}, "minicnn.ops (line 1) imports minicnn"),
    ],
)
def test_a_climbing_import_is_found(tmp_path, files, told):
    rooms = dict.fromkeys(["ops", "models", "cli", "datasets"], "")
    found = climbs(house(tmp_path, **rooms | files))
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    "files",
    [
        {"losses": "import minicnn.metrics", "metrics": "import minicnn.losses"},
        {"losses": "def f():\n    import minicnn.metrics", "metrics": "import minicnn.losses"},
        {
            "ops__in__a": "from minicnn.ops.b import x",
            "ops__in__b": "from minicnn.ops import c",
            "ops__in__c": "from .a import x",
        },
        {
            "autograd__in__tensor": "def f():\n    import minicnn.autograd.tape",
            "autograd__in__tape": "import minicnn.autograd.tensor",
        },
        {
            "autograd__in__tensor": "if TYPE_CHECKING:\n    import minicnn.autograd.tape",
            "autograd__in__tape": "import minicnn.autograd.tensor",
        },
    ],
)
def test_a_circle_is_found(tmp_path, files):
    assert len(circles(house(tmp_path, **files))) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"ops": "import numpy\nfrom minicnn import geometry", "geometry": "import json"},
        {
            "cli": "import minicnn.models, minicnn.datasets, minicnn.keras",
            "keras": "import minicnn",
        },
        {"metrics": "from minicnn import losses", "losses": "from minicnn import ops", "ops": ""},
        {"applications": "import minicnn.datasets", "datasets": "import minicnn.files"},
    ],
)
def test_a_house_in_order_passes(tmp_path, files):
    rooms = dict.fromkeys(["models", "datasets", "files"], "")
    graph = house(tmp_path, **rooms | files)
    assert climbs(graph) == []
    assert circles(graph) == []
