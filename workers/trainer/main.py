"""Run one attempt of one run: `python -m trainer SPEC --folder FOLDER --fence N`.

Also as `torchrun --nproc-per-node K -m trainer …`, or with `--launcher torchrun|ray`.

Exit codes are those of `runspec.layout`. SIGTERM, SIGINT and the end of the lifeline
(a pipe whose other end a supervisor holds) all ask the stage to save and stop.
SIGUSR1 writes every thread's stack to the log.
"""

import argparse
import faulthandler
import json
import logging
import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import get_args

from pydantic import ValidationError
from runspec import Spec, parse_spec
from runspec.layout import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, events_file

from trainer.context import Context, Reporter
from trainer.errors import BadInputError, NotFiniteError, Stopped
from trainer.launch import Job, Launcher, launch
from trainer.ranks import join_ranks, leave_ranks

logger = logging.getLogger(__name__)

OUT_OF_MEMORY_ADVICE = (
    "Halve batch_size and double accumulation, or take a smaller context or model."
)


def run(argv: list[str]) -> int:
    """Run a stage to its end; return the exit code. Call it in the main thread."""
    options = _parse(argv)
    prepare_logging()
    job = Job(
        spec=options.spec,
        folder=options.folder,
        fence=options.fence,
        resume=options.resume,
        cache=options.cache or options.folder / "cache",
    )
    stop = threading.Event()
    listen(stop, options.lifeline)
    if options.launcher == "local":
        return run_stage(job, stop)
    try:
        num_devices = getattr(_load_spec(job.spec), "num_devices", 1)
        return launch(options.launcher, job, num_devices=num_devices, stop=stop)
    except Exception as error:
        logger.exception("The run failed")
        return _fail(job, error)


def run_stage(job: Job, stop: threading.Event) -> int:
    """Run the stage in this process, alone or as the rank the environment says."""
    # Compiled kernels outlive the run: the second start of a model shape is quick.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(job.cache / "inductor"))
    report: Reporter | None = None
    try:
        spec = _load_spec(job.spec)
        ranks = join_ranks()
        file = events_file(job.folder, job.fence) if ranks.is_first else None
        report = Reporter(file)
        context = Context(
            folder=job.folder,
            fence=job.fence,
            resume=job.resume,
            cache=job.cache,
            report=report,
            stop=stop,
            ranks=ranks,
        )
        _run_stage(spec, context)
        leave_ranks(ranks)
    except Stopped:
        logger.info("Stopped on request")
        return EXIT_STOPPED
    except Exception as error:
        logger.exception("The run failed")
        return _fail(job, error)
    finally:
        if report is not None:
            report.close()
    return EXIT_OK


def prepare_logging() -> None:
    """Let the log of the attempt say when, how bad and where."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def _fail(job: Job, error: Exception) -> int:
    """Say what went wrong, also where this rank does not speak otherwise."""
    report = Reporter(events_file(job.folder, job.fence))
    _report_failure(report, error)
    report.close()
    return EXIT_FAILED


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("spec", type=Path, help="JSON file with local paths")
    parser.add_argument("--folder", type=Path, required=True, help="the run's folder")
    parser.add_argument("--fence", type=int, default=1, help="number of this attempt")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--cache", type=Path, help="folder of caches that runs share")
    parser.add_argument(
        "--launcher", choices=get_args(Launcher), default="local", help="who starts it"
    )
    parser.add_argument("--lifeline", type=int, help="file descriptor; its end stops")
    return parser.parse_args(argv)


def _load_spec(path: Path) -> Spec:
    try:
        return parse_spec(json.loads(path.read_text()))
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, wrong["loc"])) or "spec"
        raise BadInputError(f"{field}: {wrong['msg']}") from error
    except (OSError, ValueError) as error:
        raise BadInputError(f"the spec cannot be read: {error}") from error


STAGES = {
    "ingest": ("trainer.ingest", "run_ingest"),
    "tokenizer": ("trainer.tokenizer", "run_tokenizer"),
    "pretrain": ("trainer.pretrain", "run_pretrain"),
    "sft": ("trainer.sft", "run_sft"),
    "dpo": ("trainer.align", "run_dpo"),
    "reward": ("trainer.align", "run_reward"),
    "rlhf": ("trainer.rlhf", "run_rlhf"),
    "preflight": ("trainer.preflight", "run_preflight"),
    "import": ("trainer.importing.stage", "run_import"),
    "generate": ("trainer.generating", "run_generate"),
    "judge": ("trainer.judging", "run_judge"),
    "export": ("trainer.exporting", "run_export"),
}
"""Kind of a spec → module and function of its stage."""


def _run_stage(spec: Spec, context: Context) -> None:
    """Import only what the stage needs: an ingest run starts without torch."""
    if spec.kind not in STAGES:
        raise BadInputError(f"no stage runs specs of kind {spec.kind!r}")
    module, function = STAGES[spec.kind]
    getattr(import_module(module), function)(spec, context=context)


def listen(stop: threading.Event, lifeline: int | None) -> None:
    """Let signals and the end of the lifeline set `stop`; later ones change nothing."""

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        logger.info("Asked to stop by signal %s", number)
        stop.set()

    def watch(descriptor: int) -> None:
        while os.read(descriptor, 1024):
            pass
        logger.warning("The supervisor is gone: stopping")
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
    if lifeline is not None:
        threading.Thread(
            target=watch, args=(lifeline,), name="lifeline", daemon=True
        ).start()


def _report_failure(report: Reporter, error: Exception) -> None:
    """Say in one event what class of failure this is, and what to change."""
    if isinstance(error, BadInputError):
        report.error("bad_input", str(error), error.advice)
    elif isinstance(error, NotFiniteError):
        report.error("not_finite", str(error), error.advice)
    elif _is_out_of_memory(error):
        first_line = (str(error).splitlines() or ["memory ran out"])[0]
        report.error("out_of_memory", first_line, OUT_OF_MEMORY_ADVICE)
    else:
        report.error("crash", f"{type(error).__name__}: {error}")


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    # Torch says so by a class on a GPU, and only by its words on a CPU.
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
