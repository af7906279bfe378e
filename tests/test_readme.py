"""What the README shows is what happens: its session runs on a mount, its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
LINES_MAX = 150
# What differs from run to run: ids of snapshots and commits, and of operations, since bookkeeping
# comes between those that are shown.
VOLATILE = re.compile(r"\b(\d+-)[0-9a-f]{6}\b|\b(operation )\d+\b|\b[0-9a-f]{12}\b")


def fenced(language: str) -> list[str]:
    """Returns the README's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def plain(text: str) -> str:
    """Returns a text without what differs from run to run."""
    return VOLATILE.sub(lambda found: f"{found[1] or found[2] or ''}x", text.strip())


def session() -> list[tuple[str, str]]:
    """Returns the lines of the sessions and what each of them says."""
    parts = re.split(r"^\$ (.*)\n", "".join(fenced("console")), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def environment(directory: Path) -> dict[str, str]:
    """Returns the environment of somebody who has the commands on PATH and no git of their own."""
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    store = str(directory / "store")
    return {**os.environ, "PATH": path, "PYI_STORE": store, "HOME": str(directory), "LC_ALL": "C"}


@pytest.mark.mount
@pytest.mark.slow
def test_the_session_is_what_happens(tmp_path):
    # Nothing is made here: a reader who pastes the first line has nothing either.
    lines = session()
    assert len(lines) > 15
    script = "".join(f"echo @@@\n{line}\n" for line, _ in lines)
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        for name in ("agent2", "work"):
            subprocess.run(
                ["pyi-mount", "--unmount", tmp_path / name],
                env=environment(tmp_path),
                capture_output=True,
                check=False,
            )
    answers = done.stdout.split("@@@\n")[1:]
    happened = [(line, plain(answer)) for (line, _), answer in zip(lines, answers, strict=True)]
    assert happened == [(line, plain(answer)) for line, answer in lines]


def test_the_python_example_prints_what_its_comments_say(tmp_path):
    (example,) = fenced("python")
    said = re.findall(r"^ *print\(.*\)  # (.*)$", example, re.MULTILINE)
    assert said
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == said


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_that_is_installed_is_in_the_table():
    scripts = re.search(
        r"^\[project\.scripts\]\n(.*?)^\[", (ROOT / "pyproject.toml").read_text(), re.M | re.S
    )
    assert scripts
    commands = re.findall(r"^(pyi-[a-z-]+) =", scripts[1], re.MULTILINE)
    assert len(commands) >= 4
    assert [command for command in commands if f"| `{command}" not in README] == []


def test_it_can_be_read_in_ten_minutes():
    assert len(README.splitlines()) <= LINES_MAX


def test_reading_the_source_is_that_of_the_architecture():
    theirs = (ROOT / "docs" / "architecture.md").read_text()
    lists = [
        re.search(r"^## Reading the source\n\n((?:\d\. .*\n)+)", text, re.MULTILINE)
        for text in (README, theirs)
    ]
    assert lists[0]
    assert lists[1]
    assert lists[0][1] == lists[1][1]
