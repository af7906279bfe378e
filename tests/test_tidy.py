"""Our own rules as tests: what the linter cannot know. Each lists every place that breaks it."""

import ast
import errno
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from pyi_fs import errors

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pyi_fs"

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
DECISION_HEADINGS = ["Summary", "Goals", "Non-goals", "Decision", "Refused", "Consequences"]

WITHOUT_TEST_FILE = {
    "pyi_fs/limits.py": "constants only",
    "pyi_fs/errors.py": "classes without behaviour; their errnos and documents are checked here",
}
"""Module -> why it needs no test file of its own. `__init__.py` and `__main__.py` never do."""

IMPORTS_ONLY_IN = {
    "pyfuse3": ("pyi_fs/fuse/pyfuse3_transport.py", "pyi_fs/fuse/pyfuse3_entries.py"),
    "sqlite3": (
        "pyi_fs/store/index.py",
        "pyi_fs/store/index_guard.py",
        "pyi_fs/store/index_schema.py",
    ),
    "sqlite_utils": ("pyi_fs/store/index.py", "pyi_fs/store/index_schema.py"),
    "immutables": ("pyi_fs/model/",),
    "click": ("pyi_fs/cli/",),
    "rich": ("pyi_fs/cli/",),
    "trio": (
        "pyi_fs/engine/",
        "pyi_fs/git/",
        "pyi_fs/control/",
        "pyi_fs/api/",
        "pyi_fs/fuse/",
        "pyi_fs/cli/",
    ),
}
"""Imported module -> the files, or folders with a slash, that may import it."""

READS_THE_ENVIRONMENT = {
    "pyi_fs/api/session.py": "$PYI_STORE: a program beside `pyi-mount` must not use another store",
}
"""Module that is no command line -> what it reads, and why that is no argument."""

NOT_IN_THE_CORE = {
    "asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "secrets", "shutil",
    "socket", "subprocess", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
"""What `model` and `format` may not import: clock, dice, disk, log."""

OPENS_STORE_FILES = (
    "pyi_fs/store/storage.py",
    "pyi_fs/store/directory_storage.py",
    "pyi_fs/store/directory_files.py",
    "pyi_fs/store/residency.py",
    "pyi_fs/store/sync_together.py",
)
DISK_CALLS = {
    "open", "os.open", "os.write", "os.pwrite", "os.pwritev", "os.writev", "os.rename",
    "os.replace", "os.remove", "os.unlink", "os.rmdir", "os.mkdir", "os.makedirs", "os.link",
    "os.symlink", "os.truncate", "os.ftruncate", "os.fsync", "os.fdatasync", "os.posix_fallocate",
}  # fmt: skip


@cache
def files() -> tuple[Path, ...]:
    """Returns every text file of the checkout that git tracks or would."""
    listed = subprocess.run(
        # The checkout may belong to another user.
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    paths = (ROOT / name.decode() for name in listed.split(b"\0") if name)
    return tuple(sorted(path for path in paths if path.is_file() and is_text(path)))


def is_text(path: Path) -> bool:
    """Returns whether a file can be read as text."""
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)


def name_of(path: Path) -> str:
    """Returns a path relative to the checkout."""
    return path.relative_to(ROOT).as_posix()


def sources() -> list[Path]:
    """Returns the modules of pyi_fs."""
    return [path for path in files() if path.suffix == ".py" and path.is_relative_to(PACKAGE)]


def lines_of(path: Path) -> list[str]:
    """Returns a file's lines; bytes that are not UTF-8 do not matter to any rule."""
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


@cache
def tree_of(path: Path) -> ast.Module:
    """Returns a module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), name_of(path))


def is_in(path: Path, places: Iterable[str]) -> bool:
    """Returns whether a file is one of the places or in one that ends in a slash."""
    name = name_of(path)
    return any(name.startswith(place) if place.endswith("/") else name == place for place in places)


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the line and the top-level name of each import, wherever it stands."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module.partition(".")[0]


def assert_none(findings: Iterable[str], rule: str) -> None:
    """Fails with the rule and all findings, one a line."""
    found = list(findings)
    if found:
        pytest.fail("\n".join([f"{rule} ({len(found)}):", *found]), pytrace=False)


def test_no_file_is_longer_than_the_limit():
    def findings():
        for path in files():
            code = path.suffix in {".py", ".sh"} or path.parent in {
                ROOT / "tools",
                ROOT / "packaging",
            }
            if code and path.suffix != ".txt" and (count := len(lines_of(path))) > FILE_LINES_MAX:
                yield f"{name_of(path)}: {count} lines"

    assert_none(findings(), f"at most {FILE_LINES_MAX} lines a file")


def test_no_function_is_longer_than_the_limit():
    def findings():
        for path in sources():
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                    count = node.end_lineno - node.lineno + 1
                    if count > FUNCTION_LINES_MAX:
                        yield f"{name_of(path)}:{node.lineno}: {node.name}: {count} lines"

    assert_none(findings(), f"at most {FUNCTION_LINES_MAX} lines a function")


def own_test_of(path: Path) -> Path:
    """Returns where the test file of a module stands."""
    relative = path.relative_to(PACKAGE)
    return ROOT / "tests" / relative.parent / f"test_{relative.name}"


def test_every_module_has_its_test_file():
    def findings():
        for path in sources():
            name = name_of(path)
            if path.name in {"__init__.py", "__main__.py"} or name in WITHOUT_TEST_FILE:
                continue
            if not own_test_of(path).exists():
                yield f"{name}: no {name_of(own_test_of(path))}"

    assert_none(findings(), "every module has its test file")


def test_every_exception_to_having_a_test_file_is_needed():
    def findings():
        for name in WITHOUT_TEST_FILE:
            if not (ROOT / name).exists():
                yield f"{name}: is gone"
            elif own_test_of(ROOT / name).exists():
                yield f"{name}: has a test file"

    assert_none(findings(), "stale in WITHOUT_TEST_FILE")


def test_every_test_file_is_collected():
    def findings():
        for path in files():
            name = name_of(path)
            if not name.startswith("tests/") or "/support/" in name or path.suffix != ".py":
                continue
            if not re.fullmatch(r"conftest|__init__|test_.*", path.stem):
                yield f"{name}: never run"

    assert_none(findings(), "files that pytest does not collect")


def error_classes() -> list[type[errors.PyiError]]:
    """Returns every class of errors.py."""
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [value for value in found if issubclass(value, errors.PyiError)]


def test_every_error_class_appears_in_the_documents():
    text = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    missing = [
        cls.__name__ for cls in error_classes() if not re.search(rf"\b{cls.__name__}\b", text)
    ]
    assert_none(missing, "error classes that docs/ does not mention")


def test_every_error_class_is_in_the_tree_of_its_module_with_its_errno():
    lines = (errors.__doc__ or "").splitlines()

    def findings():
        for cls in error_classes():
            line = next((line for line in lines if re.search(rf"\b{cls.__name__}\b", line)), None)
            if line is None:
                yield f"{cls.__name__}: not in the tree"
            elif (named := re.search(r"\bE[A-Z]{3,}\b", line)) and errno.errorcode[
                cls.errno
            ] not in {
                named[0],
                {"EOPNOTSUPP": "ENOTSUP"}.get(named[0]),
            }:
                yield f"{cls.__name__}: is {errno.errorcode[cls.errno]}, the tree says {named[0]}"

    assert_none(findings(), "errors.py disagrees with its own docstring")


def test_every_decision_has_the_headings():
    def findings():
        for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
            if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name):
                yield f"{name_of(path)}: is not called NNNN-title.md"
            headings = [line[3:].strip() for line in lines_of(path) if line.startswith("## ")]
            if headings != DECISION_HEADINGS:
                yield f"{name_of(path)}: {', '.join(headings)}"

    assert_none(findings(), f"a decision has the headings {', '.join(DECISION_HEADINGS)}")


def search(pattern: str) -> Iterator[str]:
    """Yields every line of the checkout, this file's excepted, in which the pattern is found."""
    for path in files():
        if path == Path(__file__).resolve():
            continue
        for number, line in enumerate(lines_of(path), 1):
            if re.search(pattern, line):
                yield f"{name_of(path)}:{number}: {line.strip()[:100]}"


def test_nothing_is_left_to_do():
    assert_none(search(r"\b(TODO|FIXME|XXX)\b"), "left to do")


def test_no_file_names_a_place_on_one_machine():
    home = r"(?<![\w.~}$<-])/(work|root|Users|home)/\w"
    assert_none(search(home), "paths of one machine")


def test_no_file_names_a_package_registry():
    index = r"--(extra-)?index-url|--find-links|--trusted-host|pythonhosted\.org|pypi\.org/simple"
    assert_none(search(index), "package registries are the machine's business")


def test_only_the_permitted_files_import_what_is_confined():
    def findings():
        for path in sources():
            for line, module in imports_of(path):
                places = IMPORTS_ONLY_IN.get(module)
                if places is not None and not is_in(path, places):
                    yield f"{name_of(path)}:{line}: {module} (only in {', '.join(places)})"

    assert_none(findings(), "imports in the wrong place")


def test_the_core_has_no_clock_dice_disk_or_log():
    def findings():
        for path in sources():
            if is_in(path, ("pyi_fs/model/", "pyi_fs/format/")):
                for line, module in imports_of(path):
                    if module in NOT_IN_THE_CORE:
                        yield f"{name_of(path)}:{line}: {module}"

    assert_none(findings(), "model and format are pure")


def test_no_import_hides_under_type_checking():
    def findings():
        for path in sources():
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                    yield f"{name_of(path)}:{node.lineno}"

    assert_none(findings(), "a cycle means a name is in the wrong file")


def test_only_command_lines_read_the_environment_or_print():
    edge = {"os.environ", "os.environb", "os.getenv", "sys.argv"}

    def findings():
        for path in sources():
            if is_in(path, ("pyi_fs/cli/", "pyi_fs/__main__.py")):
                continue
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.Attribute) and ast.unparse(node) in edge:
                    if name_of(path) in READS_THE_ENVIRONMENT:
                        continue
                    yield f"{name_of(path)}:{node.lineno}: {ast.unparse(node)}"
                elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "input"}:
                    yield f"{name_of(path)}:{node.lineno}: {ast.unparse(node.func)}"

    assert_none(findings(), "only cli/ knows the environment and the terminal")


def test_only_the_storage_touches_files_of_the_store():
    def findings():
        for path in sources():
            if not is_in(path, ("pyi_fs/store/", "pyi_fs/engine/")) or is_in(
                path, OPENS_STORE_FILES
            ):
                continue
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in DISK_CALLS:
                    yield f"{name_of(path)}:{node.lineno}: {ast.unparse(node.func)}"

    assert_none(findings(), "files of the store are opened and changed in storage only")
