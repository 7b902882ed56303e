"""A server that has imported JAX but not started it: processes forked from it begin at once."""

import multiprocessing

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.support.child_run", "tests.support.script_run"])
