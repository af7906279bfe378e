"""`pyi-gc` again and again beside mounts, with small windows: for the crash test.

    python -m tests.support.acceptance_collector STORE JSON

JSON: `settings` as for `acceptance_serve`, and `keep_seconds`: unnamed snapshots that are older are
deleted. Ends when its standard input does; one collection is always finished.
"""

import json
import select
import sys
from contextlib import closing
from pathlib import Path

from pyi_fs.engine import garbage
from pyi_fs.engine.retention import Policy
from pyi_fs.engine.store import Store
from tests.support.settings import apply_settings


def main(path: str, options: str) -> None:
    """Collects; each time with the store opened anew, as the command does."""
    fields = json.loads(options)
    apply_settings(fields["settings"])
    policy = Policy(fields["keep_seconds"], ())
    is_over = False
    while not is_over:
        with closing(Store.open(Path(path), create=False)) as store:
            done = garbage.carry_out(store, garbage.plan(store, policy=policy))
        sys.stdout.write(f"{done.snapshots} {done.layers} {done.maps} {done.packs}\n")
        sys.stdout.flush()
        is_over = bool(select.select([sys.stdin], [], [], 0.1)[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
