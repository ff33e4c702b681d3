"""Run one attempt of one run: `python -m trainer SPEC --folder FOLDER --fence N`.

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
from pathlib import Path
from types import FrameType

from pydantic import ValidationError
from runspec import IngestSpec, PretrainSpec, Spec, TokenizerSpec, parse_spec
from runspec.layout import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, events_file

from trainer.context import Context, Reporter
from trainer.errors import BadInputError, NotFiniteError, Stopped

logger = logging.getLogger(__name__)

OUT_OF_MEMORY_ADVICE = (
    "Halve batch_size and double accumulation, or take a smaller context or model."
)


def run(argv: list[str]) -> int:
    """Run a stage to its end; return the exit code. Call it in the main thread."""
    options = _parse(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    is_first = int(os.environ.get("RANK", "0")) == 0
    report = Reporter(events_file(options.folder, options.fence) if is_first else None)
    context = Context(
        folder=options.folder,
        fence=options.fence,
        resume=options.resume,
        cache=options.cache or options.folder / "cache",
        report=report,
        stop=threading.Event(),
    )
    _listen(context.stop, options.lifeline)
    # Compiled kernels outlive the run: the second start of a model shape is quick.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(context.cache / "inductor"))
    try:
        _run_stage(_load_spec(options.spec), context)
    except Stopped:
        logger.info("Stopped on request")
        return EXIT_STOPPED
    except Exception as error:
        logger.exception("The run failed")
        _report_failure(report, error)
        return EXIT_FAILED
    finally:
        report.close()
    return EXIT_OK


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainer", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("spec", type=Path, help="JSON file with local paths")
    parser.add_argument("--folder", type=Path, required=True, help="the run's folder")
    parser.add_argument("--fence", type=int, default=1, help="number of this attempt")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--cache", type=Path, help="folder of caches that runs share")
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


def _run_stage(spec: Spec, context: Context) -> None:
    """Import only what the stage needs: an ingest run starts without torch."""
    match spec:
        case IngestSpec():
            from trainer.ingest import run_ingest

            run_ingest(spec, context=context)
        case TokenizerSpec():
            from trainer.tokenizer import run_tokenizer

            run_tokenizer(spec, context=context)
        case PretrainSpec():
            from trainer.pretrain import run_pretrain

            run_pretrain(spec, context=context)
        case _:
            raise BadInputError(f"no stage runs specs of kind {spec.kind!r}")


def _listen(stop: threading.Event, lifeline: int | None) -> None:
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
