"""Scripts in processes of their own, without the seconds that their imports take.

For what does not depend on the start of Python itself: environment, what is imported when.
"""

import subprocess

from tests.support.fork_server import context


def run(path, *arguments, cwd, streams):
    """Runs a script, as `subprocess.run` with the texts of its output.

    Args:
      path: The script.
      *arguments: Its arguments.
      cwd: The current folder.
      streams: Another folder, for the files of its output.

    Returns:
      A subprocess.CompletedProcess.
    """
    from tests.support import script_run

    paths = [streams / name for name in ("stdout.txt", "stderr.txt")]
    words = tuple(str(argument) for argument in arguments)
    process = context.Process(target=script_run.run, args=(path, words, cwd, paths))
    process.start()
    process.join(280)
    assert process.exitcode is not None, "the script goes on"
    return subprocess.CompletedProcess(
        [path, *words], process.exitcode, *(path.read_text() for path in paths)
    )
