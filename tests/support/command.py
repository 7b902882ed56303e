"""Commands of `python -m jhash`, in this process."""

from jhash.commands import main


def call(capsys, *arguments):
    """Runs `python -m jhash ...`: (exit status, stdout, stderr)."""
    capsys.readouterr()
    try:
        status = main.main([str(argument) for argument in arguments])
    except SystemExit as wrong_use:
        status = wrong_use.code
    return status, *capsys.readouterr()
