"""What `pyi-gc set NAME=VALUE` means, and how settings are shown: in the same words."""

import re
from collections.abc import Callable, Sequence

import click
import msgspec

from pyi_fs.engine.gc_settings import Settings

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
# More are no size of any disk, and no float either.
_DIGITS_MAX = 24
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_PERIOD = re.compile(r"(\d+)([smhdw])")
_SWITCH = {"on": True, "off": False}
_NEVER = "none"
_EVER = "ever"


class Size(click.ParamType[int]):
    """A number of bytes: `20GB`, `500M`, `1000`; powers of 1,000 like disks."""

    name = "SIZE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Returns the bytes; fails for what is no size."""
        if isinstance(value, int):
            return value
        found = _size(str(value))
        if found is None:
            self.fail(f"'{value}' is no size: write 500M or 20GB", param, ctx)
        return found


def with_words(settings: Settings, words: Sequence[str]) -> Settings:
    """Returns the settings as `NAME=VALUE` words change them; `click.UsageError`."""
    for word in words:
        name, _, value = word.partition("=")
        change = _CHANGES.get(name)
        if change is None:
            raise click.UsageError(f"no setting '{name}' (there are: {', '.join(_CHANGES)})")
        changes = change(value)
        if changes is None:
            raise click.UsageError(f"{name}: '{value}' is not understood ({_EXAMPLES[name]})")
        settings = msgspec.structs.replace(settings, **changes)
    return settings


def words_of(settings: Settings) -> list[str]:
    """Returns the words that make these settings, one for each name."""
    return [
        f"automatic={'on' if settings.automatic else 'off'}",
        f"budget={_limit_text(settings.budget_bytes, settings.budget_percent)}",
        f"free={_limit_text(settings.free_bytes, settings.free_percent)}",
        f"plain={_limit_text(settings.plain_bytes, settings.plain_percent)}",
        *(
            f"{name}={_EVER if seconds is None else _period_text(seconds)}"
            for name, seconds in (
                ("all", settings.all_seconds),
                ("hourly", settings.hourly_seconds),
                ("daily", settings.daily_seconds),
                ("weekly", settings.weekly_seconds),
            )
        ),
    ]


_Changes = dict[str, object] | None


def _automatic(value: str) -> _Changes:
    return {"automatic": _SWITCH[value]} if value in _SWITCH else None


def _limit(name: str) -> Callable[[str], _Changes]:
    def change(value: str) -> _Changes:
        if value == _NEVER:
            return {f"{name}_bytes": None, f"{name}_percent": None}
        if re.fullmatch(r"\d{1,3}%", value) and int(value[:-1]) <= 100:
            return {f"{name}_bytes": None, f"{name}_percent": int(value[:-1])}
        size = _size(value)
        return None if size is None else {f"{name}_bytes": size, f"{name}_percent": None}

    return change


def _age(name: str) -> Callable[[str], _Changes]:
    def change(value: str) -> _Changes:
        if value == _EVER and name == "weekly":
            return {"weekly_seconds": None}
        found = _PERIOD.fullmatch(value)
        return None if found is None else {f"{name}_seconds": int(found[1]) * _PERIODS[found[2]]}

    return change


_CHANGES: dict[str, Callable[[str], _Changes]] = {
    "automatic": _automatic,
    "budget": _limit("budget"),
    "free": _limit("free"),
    "plain": _limit("plain"),
    **{name: _age(name) for name in ("all", "hourly", "daily", "weekly")},
}
_EXAMPLES = {
    "automatic": "on, off",
    "budget": "20GB, 80%, none",
    "free": "10GB, 5%, none",
    "plain": "10GB, 10%, none, 0",
    "all": "24h",
    "hourly": "7d",
    "daily": "30d",
    "weekly": "52w, ever",
}


def _size(text: str) -> int | None:
    found = _SIZE.fullmatch(text.strip())
    if found is None or len(found[1]) > _DIGITS_MAX:
        return None
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _limit_text(size_bytes: int | None, percent: int | None) -> str:
    if size_bytes is not None:
        return str(size_bytes)
    return _NEVER if percent is None else f"{percent}%"


def _period_text(seconds: int) -> str:
    # Weeks last: what was written as 7d should read so.
    for unit in ("d", "h", "m"):
        if seconds and seconds % _PERIODS[unit] == 0:
            return f"{seconds // _PERIODS[unit]}{unit}"
    return f"{seconds}s"
