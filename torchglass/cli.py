"""The command `torchglass`: parse, call one room, print. Exit codes: 0 done, 1 no epoch was completed, 2 a request that
cannot be met (one sentence on stderr), 130 interrupted."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from torchglass import __version__
from torchglass.benching import add_bench_model
from torchglass.changing import add_what_if
from torchglass.comparing import add_compare
from torchglass.devices import add_devices
from torchglass.errors import MissingExtraError, OptionError, TorchglassError
from torchglass.kept_traces import add_trace
from torchglass.managing import add_verbs
from torchglass.models import add_models
from torchglass.overview import add_overview
from torchglass.password_verb import add_password
from torchglass.reporting import add_report
from torchglass.shortcuts import add_shortcuts
from torchglass.sweeping import add_sweep
from torchglass.terminal import complain, say, shortened
from torchglass.training import add_train

RUNS_EPILOG = """\
A condition compares names with numbers, texts and each other: < <= == != >= > in, is None, and, or, not.
A name is one of these, in this order; what a run lacks meets no condition:
  name status tags note host error created ended duration steps archived parent (of the run)
  lr, optimizer.lr                        an entry of the configuration
  test/accuracy, accuracy, loss.min       the last value of a series, or its .min .max .mean .count .nonfinite
                                          .min_step .max_step .last_step; the key's last part is enough if clear
  config.lr  series.lr  `val-loss`.min    says which is meant; backquotes take any characters
  'good' in tags and created > '2026-11-01' and status in ('failed', 'lost')"""
EXIT_REFUSED, EXIT_INTERRUPTED = 2, 130
MOST_OF_AN_ERROR = 4000  # characters


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Kineto prints two lines whenever a profiler window opens; it reads this before torch loads.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names hold characters that not every terminal has
    try:
        code: int = options.command(options)
    except TorchglassError as error:
        complain(f"torchglass: {shortened(str(error), MOST_OF_AN_ERROR)}")  # it may name runs, as others called them
        return EXIT_REFUSED
    except KeyboardInterrupt:
        complain("torchglass: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough, as of `| head`
        return 0
    return code


def _demo(options: argparse.Namespace) -> int:
    from torchglass.demo import run_demo

    return run_demo(options.store, options.report, serve=not options.no_ui, port=options.port, device=options.device)


def _ui(options: argparse.Namespace) -> int:
    try:
        from torchglass.dashboard import serve
    except ModuleNotFoundError as missing:
        raise MissingExtraError(missing.name or "streamlit", "dashboard") from missing
    from torchglass.dashboard.serving.login.admission import admission, admission_of_environment

    asked = (options.password_file, options.login, options.insecure, options.allow_host)
    admitted = admission(*asked) if any(asked) else admission_of_environment()
    serve(options.store, host=options.host, port=options.port, open_browser=options.open, admitted=admitted)
    return 0


def _runs(options: argparse.Namespace) -> int:
    from torchglass.listing import print_runs

    print_runs(
        options.store,
        condition=options.filter,
        sort=options.sort,
        tags=options.tag,
        archived=options.archived,
        deleted=options.deleted,
        as_json=options.json,
    )
    return 0


def _show(options: argparse.Namespace) -> int:
    from torchglass.listing import print_run

    print_run(options.store, options.run, as_json=options.json)
    return 0


def _explain(options: argparse.Namespace) -> int:
    if options.episode:
        from torchglass.episodes import EpisodeRequest, explain_episode

        methods = options.methods or ("shap",)
        for line in explain_episode(options.store, EpisodeRequest(options.run, methods, options.seed)):
            say(line)
        return 0
    from torchglass.explaining import Request, explain_run

    request = Request(
        run=options.run,
        samples=options.samples,
        methods=options.methods,
        target=options.target,
        layer=options.layer,
        seed=options.seed,
        weights=options.weights,
        checkpoints=options.checkpoints,
        checks=options.checks,
        input=options.input,
        invert=options.invert,
    )
    if options.engine == "ray":
        if options.input is not None:
            raise OptionError("--input names one file of this machine: leave --engine ray out")
        from torchglass.spreading import explain_over_ray

        lines = explain_over_ray(options.store, request)
    else:
        lines = explain_run(options.store, request)
    for line in lines:
        say(line)
    return 0


def _import(options: argparse.Namespace) -> int:
    if options.format == "trace":
        from torchglass.tracing import print_trace_import

        print_trace_import(options.paths, options.store, options.run)
        return 0
    from torchglass.exchanging import print_import

    if len(options.paths) > 1:
        raise OptionError(f"import tensorboard takes one folder, and {len(options.paths)} were given: import each")
    print_import(options.paths[0], options.store, options.run)
    return 0


def _export(options: argparse.Namespace) -> int:
    from torchglass.exchanging import print_export

    print_export(options.store, options.run, options.format, options.output)
    return 0


class _Parser(argparse.ArgumentParser):
    """One whose complaints quote what was given without letting it steer the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(shortened(message, MOST_OF_AN_ERROR))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="torchglass",
        description="A looking glass on PyTorch training: watch it learn, see what it costs and what it looks at.",
    )
    parser.add_argument("--version", action="version", version=f"torchglass {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, command: object, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        where = "a file, or postgresql://... (default: TORCHGLASS_STORE, else ./torchglass.db)"
        added.add_argument("--store", help=where)
        added.set_defaults(command=command)
        return added

    demo = verb("demo", _demo, "Train a reference model, explain test images, write a report and serve the page.")
    demo.add_argument("--no-ui", action="store_true", help="do all but serve the page, and end")
    demo.add_argument("--port", type=_port, default=8501, help="port of the page (8501)")
    demo.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    demo.add_argument("--report", type=Path, default=Path("torchglass-report.html"), help="where the report goes")

    add_models(verb)
    add_train(verb)
    add_sweep(verb)

    ui = verb("ui", _ui, "Serve the page.")
    ui.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1: this machine only)")
    ui.add_argument("--port", type=_port, default=8501)
    ui.add_argument("--open", action="store_true", help="open the page in a browser")
    ui.add_argument(
        "--password-file", type=Path, metavar="FILE", help="ask for names and passwords (see `torchglass password`)"
    )
    ui.add_argument(
        "--login", choices=["oidc"], help="log in through Streamlit's OpenID Connect (secrets.toml, [auth])"
    )
    ui.add_argument("--insecure", action="store_true", help="let everybody in who can reach the server")
    ui.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name that browsers call it by, too"
    )
    add_password(verb)

    runs = verb("runs", _runs, "List the runs in a store.")
    runs.add_argument("--filter", metavar="CONDITION", help="such as 'lr<0.01 and test/accuracy.max>0.9'")
    runs.add_argument("--sort", metavar="VALUE", help="smallest first, such as loss.min; --sort=-VALUE: largest first")
    runs.add_argument("--tag", action="append", default=[], help="only those with this tag; may be given again")
    runs.add_argument("--archived", action="store_true", help="list those put out of the way instead")
    runs.add_argument("--deleted", action="store_true", help="list those deleted instead")
    runs.add_argument("--json", action="store_true", help="for a machine to read")
    runs.formatter_class = argparse.RawDescriptionHelpFormatter
    runs.epilog = RUNS_EPILOG

    show = verb("show", _show, "Show one run: status, configuration, and the summary of every series.")
    show.add_argument("run", help="name, or beginning of the uid")
    show.add_argument("--json", action="store_true", help="for a machine to read")

    add_verbs(verb)
    add_compare(verb)
    add_bench_model(verb)
    add_devices(verb)
    add_trace(verb)

    explain = verb("explain", _explain, "Explain test samples with a run's trained model, and store what comes out.")
    explain.add_argument("run", help="a run of a reference model, or the model's name for its newest run")
    explain.add_argument("--samples", type=_numbers, default=(0, 1, 2), metavar="0,1,2", help="indices of test samples")
    explain.add_argument("--sample", type=_numbers, dest="samples", help=argparse.SUPPRESS)
    explain.add_argument(
        "--input",
        type=Path,
        metavar="FILE",
        help="an input of your own instead: PNG, JPEG, WebP or .npy; a text; or a row as JSON, in the columns' units",
    )
    explain.add_argument("--invert", action="store_true", help="take dark for light in the picture --input")
    explain.add_argument(
        "--methods", type=_names, default=(), metavar="gradcam,shap,lime", help="default: those that suit the model"
    )
    explain.add_argument("--target", type=int, help="class to explain (default: the predicted one)")
    explain.add_argument("--layer", help="layer for Grad-CAM (default: found)")
    explain.add_argument("--seed", type=int, default=0)
    explain.add_argument("--episode", action="store_true", help="of an agent: play one episode and explain every step")
    explain.add_argument(
        "--checkpoints",
        type=_checkpoints,
        default=1,
        metavar="all|N",
        help="how many of the run's checkpoints to explain, evenly spaced (1: the last)",
    )
    explain.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray: a sample per task, on every machine of a Ray cluster (pip install 'torchglass[ray]')",
    )
    explain.add_argument("--weights", type=Path, help="a state_dict file instead of the run's last checkpoint")
    explain.add_argument(
        "--checks",
        choices=("none", "quick", "full"),
        default="quick",
        help="how thoroughly each explanation is judged: quick hides and shows parts, full explains again, too",
    )

    add_shortcuts(verb)
    add_what_if(verb)

    add_overview(verb)

    add_report(verb)

    imported = verb("import", _import, "Import what another tool recorded: TensorBoard's logs, profiler traces.")
    imported.epilog = (
        "tensorboard: each folder with event files becomes a run. Every scalar is kept, with its step and wall time; "
        "of several at one step the last counts. Histograms are counted again in the store's bins. "
        "trace: all files together, one per rank, become one run with a profiler window each; any JSON that "
        "torch.profiler or Chrome writes, gzipped or not. A second import makes a second run."
    )
    imported.add_argument("format", choices=["tensorboard", "trace"], help="what is to be imported")
    imported.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="tensorboard: a folder of event files, or of folders with such, or one file; trace: .json, .json.gz files",
    )
    imported.add_argument("--run", help="name of the run (default: of the folder, or what the files' names share)")

    export = verb("export", _export, "Write every point of one run for other tools, in full precision.")
    export.epilog = (
        "csv and parquet are long tables, a row per point: key, kind, unit, rank, step, time (seconds since the epoch) "
        "and value; a pivot on key makes them wide. tensorboard is a folder of event files, one folder per rank where "
        "there are several; it has histograms, texts, images and the configuration too."
    )
    export.add_argument("run", help="name, or beginning of the uid")
    export.add_argument("--format", required=True, choices=["csv", "parquet", "tensorboard"])
    export.add_argument("-o", "--output", type=Path, help="the file or folder (default: RUN.csv and so on, replaced)")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 0,1,2") from None


def _checkpoints(text: str) -> int | None:
    if text == "all":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of checkpoints: give all, or a whole number from 1 on")


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return port


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
