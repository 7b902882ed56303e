"""The command `python -m jhash export`: a run's model as a folder that can be given away."""

from jhash.commands import add_json, add_trust, parser, tell
from jhash.errors import in_config

_SUMMARY = "write the model of a run as a folder to give away"
_DETAILS = """
The folder has the layout of the model hubs, and can be uploaded as it is:
  README.md    the model card: method, data, metrics and their conventions, limits, use
  config.json  what the files hold
  encoder.bin  the model, for jhash: jhash.load(FOLDER), or FOLDER in place of RUN
  forward.jax  the forward pass, for JAX without jhash
  codes/       with --codes: the database's codes, with ids and labels

Of the run's config it has what shapes the forward pass, and the names of the data. Read
the card before you publish it: the license of the model is yours to say (--license), and
so is that of data which jhash does not know (--data-license).

The folder is written whole or not at all.
"""
_EXAMPLES = ("export RUN --output model/ --license apache-2.0",)


def add(commands):
    """Adds the command and its arguments."""
    command = parser(commands, "export", _SUMMARY, _DETAILS, _EXAMPLES)
    command.add_argument("workdir", metavar="RUN", help="a run's folder")
    command.add_argument("--output", required=True, metavar="FOLDER", help="the folder to write")
    command.add_argument("--codes", action="store_true", help="add the codes of the database")
    command.add_argument(
        "--overwrite", action="store_true", help="replace a folder that an export has written"
    )
    command.add_argument(
        "--license",
        default="unknown",
        metavar="ID",
        help="license of the model, such as apache-2.0 (default: unknown)",
    )
    command.add_argument(
        "--data-license", default="", metavar="TEXT", help="license of the data, for the card"
    )
    add_json(command)
    add_trust(command)
    command.set_defaults(run=run)


def run(arguments):
    """Writes the folder."""
    from jhash import publishing

    with in_config({"workdir": "RUN", "workdirs": "RUN", "output": "--output", "codes": "--codes"}):
        made = publishing.export(
            arguments.workdir,
            arguments.output,
            codes=arguments.codes,
            overwrite=arguments.overwrite,
            model_license=arguments.license,
            data_license=arguments.data_license,
            trust_modules=arguments.trust_modules,
        )
    batch = "batches of any size" if made.batch is None else f"{made.batch} image at a time"
    size = f"{made.bytes / 1e6:.1f} MB"
    tell(
        arguments,
        f"The model is in {arguments.output}: {', '.join(made.files)} ({size}).\n"
        f"forward.jax takes {batch}, on {', '.join(made.platforms)}.",
        output=arguments.output,
        files=made.files,
        bytes=made.bytes,
        batch=made.batch,
        platforms=list(made.platforms),
    )
