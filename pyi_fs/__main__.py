"""`python -m pyi_fs COMMAND ...`: the commands where their scripts are not installed."""

import sys
from importlib import import_module

COMMANDS = {
    "mount": "pyi_fs.cli.mount",
    "fork": "pyi_fs.cli.fork",
    "store": "pyi_fs.cli.store",
    "fsck": "pyi_fs.cli.fsck",
    "gc": "pyi_fs.cli.gc",
    "git-export": "pyi_fs.cli.git_export",
}


def main() -> None:
    """Runs the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    module = COMMANDS.get(name)
    if module is None:
        sys.stderr.write(f"usage: python -m pyi_fs {'|'.join(COMMANDS)} ...\n")
        sys.exit(2)
    del sys.argv[1]
    import_module(module).main()


if __name__ == "__main__":
    main()
