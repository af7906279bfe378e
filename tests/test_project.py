"""The project's own files agree with each other: commands, locks, dependencies, system packages."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def assert_none(findings: Iterable[str], rule: str) -> None:
    """Fails with the rule and all findings, one a line."""
    found = list(findings)
    if found:
        pytest.fail("\n".join([f"{rule} ({len(found)}):", *found]), pytrace=False)


def project() -> dict[str, object]:
    """Returns the `project` table of pyproject.toml."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert isinstance(table, dict)
    return table


def canonical(requirement: str) -> str:
    """Returns the normalised name at the start of a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_every_command_exists():
    def findings():
        scripts = project().get("scripts", {})
        assert isinstance(scripts, dict)
        for command, target in scripts.items():
            module, _, function = target.partition(":")
            path = ROOT / (module.replace(".", "/") + ".py")
            if not path.exists():
                yield f"{command}: no {path.relative_to(ROOT)}"
            elif not re.search(
                rf"^(def {function}\b|{function} = )", path.read_text(), re.MULTILINE
            ):
                yield f"{command}: no {function} in {path.relative_to(ROOT)}"

    assert_none(findings(), "commands without code")


@pytest.mark.parametrize("lock", ["build", "run", "dev"])
def test_every_locked_requirement_is_pinned_and_hashed(lock):
    text = (ROOT / "requirements" / f"{lock}.lock").read_text().replace("\\\n", " ")
    requirements = [
        line for line in text.splitlines() if line and not line.lstrip().startswith("#")
    ]
    bad = [line[:80] for line in requirements if "==" not in line or "--hash=sha256:" not in line]
    assert requirements
    assert_none(bad, f"requirements/{lock}.lock")


def test_every_dependency_is_locked_and_explained():
    decision = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    run, dev = (
        {
            canonical(line)
            for line in (ROOT / "requirements" / f"{lock}.lock").read_text().splitlines()
            if "==" in line
        }
        for lock in ("run", "dev")
    )
    table = project()
    dependencies, extras = table["dependencies"], table["optional-dependencies"]
    assert isinstance(dependencies, list)
    assert isinstance(extras, dict)

    def findings():
        for requirement, locked in [(r, run) for r in dependencies] + [
            (r, dev) for r in extras["dev"]
        ]:
            name = canonical(requirement)
            if name not in locked:
                yield f"{name}: not locked: run tools/lock"
            if f"`{name}`" not in decision:
                yield f"{name}: not in docs/decisions/0002-dependencies.md"

    assert_none(findings(), "dependencies")


def test_every_system_package_has_a_group_a_probe_and_a_reason():
    def findings():
        for line in (ROOT / "packaging" / "apt-packages.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                pattern = (
                    r"[a-z0-9+.-]+ +(base|test|bench) +(command|pkgconfig|file|python):\S+ +\w.*"
                )
                if not re.fullmatch(pattern, line):
                    yield line

    assert_none(findings(), "packaging/apt-packages.txt")
