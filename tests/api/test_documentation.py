"""The examples of `docs/python-api.md` do what they show."""

import doctest
import re
from pathlib import Path

from pyi_fs.api import Workspace

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "python-api.md"


def test_the_examples_do_what_they_show(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYI_STORE", str(tmp_path / "store"))
    # Blank lines before a fence, for doctest: what follows is not output.
    text = DOCUMENT.read_text().replace("\n```", "\n\n```")
    example = doctest.DocTestParser().get_doctest(text, {}, DOCUMENT.name, str(DOCUMENT), 0)
    assert len(example.examples) >= 8
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=said.append)
    assert not said, "".join(said)


def test_every_public_name_is_documented():
    text = DOCUMENT.read_text()
    names = [name for name in dir(Workspace) if not name.startswith("_")]
    aliases = {"open_file", "open_workspace", "close", "name", "branch_name"}
    missing = [name for name in names if name not in aliases and not re.search(rf"`{name}\(", text)]
    assert not missing
