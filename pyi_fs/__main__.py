"""`python -m pyi_fs COMMAND ...`: the commands where their scripts are not installed."""

import sys

from pyi_fs.cli import entry

COMMANDS = ("mount", "fork", "store", "fsck", "gc", "git-export")


def main() -> None:
    """Runs the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        sys.stderr.write(f"usage: python -m pyi_fs {'|'.join(COMMANDS)} ...\n")
        sys.exit(2)
    del sys.argv[1]
    entry.begin(name.replace("-", "_"))


if __name__ == "__main__":
    main()
