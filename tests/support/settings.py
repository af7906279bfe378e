"""Tunables set in a process that a test starts: to see in seconds what takes hours."""

import importlib
from collections.abc import Mapping


def apply_settings(settings: Mapping[str, object]) -> None:
    """Sets attributes of modules by their dotted names."""
    for setting, value in settings.items():
        module, _, attribute = setting.rpartition(".")
        owner = importlib.import_module(module)
        assert hasattr(owner, attribute), f"BUG: no such setting: {setting}"
        setattr(owner, attribute, value)
