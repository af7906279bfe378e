"""The worker program: one piece of work, done and durable, or one line."""

from pyi_fs.cli.worker import worker_command
from pyi_fs.engine.store import Store
from pyi_fs.ids import layer_name
from tests.support.commands import run_command
from tests.support.engine_rig import opened, written


def test_unknown_work_is_refused_in_one_line(store):
    Store.open(store).close()
    done = run_command([*worker_command(store), "frob"])
    assert (done.code, done.errors) == (2, "unknown work: frob\n")


def test_a_table_is_written_for_the_layer_that_was_named(store):
    with opened(store) as one, written(one, "ws") as (_, branch):
        branch.next_inode()
        position, _ = branch.roll()
        branch.sync()
        layer = branch.position.layer
        names = [layer_name(layer), layer_name(position.layer), str(position.offset)]
        assert one.layers.base(layer) is None
        done = run_command([*worker_command(store), "table", *names])
        assert (done.code, done.output, done.errors) == (0, "", "")
        assert one.layers.base(layer) is not None
