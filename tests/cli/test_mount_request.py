"""A mount that was asked for, as others see it."""

from pathlib import Path

from pyi_fs.cli.arguments import Place
from pyi_fs.cli.mount_request import MountRequest


def request(**options: object) -> MountRequest:
    where = options.pop("where", Place("ws", None))
    return MountRequest(Path("/s"), where, Path("/m"), **options)  # type: ignore[arg-type]


def test_what_is_shown_has_a_name():
    assert request().shown == "main"
    assert request(branch="dev").shown == "dev"
    assert request(where=Place("ws", "1-ab")).shown == "@1-ab"


def test_the_label_names_store_workspace_and_snapshot():
    assert request(branch="dev").label(None) == "/s#ws"
    assert request().label("4-ff") == "/s#ws@4-ff"
