"""`trivium campaigns …`."""

import argparse
import json
from pathlib import Path

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.reporting import print_report
from trivium.cli.commands.starting import add_start_flags, finish_start, parse_rest
from trivium.cli.errors import CliError
from trivium.cli.wire import Json

STATES = ("open", "paused", "closed")
QUESTIONS = ("axes", "strength", "acceptable", "reasons", "note")
ASKED = ("off", "optional", "required")
WHOLE = ("overlap", "shared-overlap", "target-votes", "harm-cap", "max-prompts")
SHARES = ("shared-share", "repeat-share", "gold-share", "random-share")
FIXED = ("campaign", "source_name")
"""Settings of an export that follow from its campaign."""
SAMPLED = (
    "temperature", "max_tokens", "top_k", "top_p", "min_p", "repetition_penalty",
    "presence_penalty", "frequency_penalty", "seed",
)  # fmt: skip
ANSWERER = "MODEL[,SETTING=VALUE…]"


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "campaigns", "have people compare answers of models")
    listing = add_verb(verbs, "list", "list campaigns, newest first", list_campaigns)
    listing.add_argument("--state", choices=STATES)
    add_most(listing)
    for name, about, command in (
        ("show", "show a campaign and how far it is", show_campaign),
        ("pause", "hand nothing out any more", move_campaign),
        ("open", "hand comparisons out again", move_campaign),
        ("close", "count no more votes", move_campaign),
        ("report", "print what the votes amount to", print_report),
    ):
        verb = add_verb(verbs, name, about, command)
        verb.add_argument("id", type=int, metavar="ID")
    add_create(
        add_verb(verbs, "create", "make a campaign, have prompts answered", create)
    )

    export = add_verb(verbs, "export", "make a dataset of its votes", export_votes)
    export.add_argument("id", type=int, metavar="ID")
    add_start_flags(export)
    judge = add_verb(verbs, "judge", "have a model judge its comparisons", have_judged)
    judge.add_argument("id", type=int, metavar="ID")
    judge.add_argument("model", metavar=ANSWERER)
    judge.add_argument("--rubric", type=Path, metavar="FILE", help="what to judge by")
    judge.add_argument(
        "--watch", action="store_true", help="stay until it ends; exit code as `watch`"
    )


def add_create(parser: argparse.ArgumentParser) -> None:
    """Declare how a new campaign is described."""
    parser.add_argument("name", metavar="NAME", help="labelers see it")
    parser.add_argument(
        "--prompts",
        required=True,
        metavar="FILE|ID",
        help="a file with a prompt a line, or the id of a dataset's version",
    )
    parser.add_argument(
        "--answerer",
        action="append",
        default=[],
        metavar=ANSWERER,
        help=f"who answers, two or more; settings: {', '.join(SAMPLED)}",
    )
    parser.add_argument("--guidelines", type=Path, metavar="FILE", help="Markdown")
    parser.add_argument(
        "--ask",
        action="append",
        default=[],
        metavar="QUESTION[=ASKED]",
        help=f"{', '.join(QUESTIONS)}; {', '.join(ASKED)} (default: optional)",
    )
    parser.add_argument(
        "--reason", action="append", metavar="TEXT", help="a tag `reasons` offers"
    )
    parser.add_argument(
        "--labeler",
        action="append",
        metavar="USERNAME",
        help="who alone may label; default: every labeler of the project",
    )
    parser.add_argument("--category", action="append", metavar="TEXT", help="of harm")
    parser.add_argument("--policy", choices=("random", "margin", "uncertainty"))
    for name in WHOLE:
        parser.add_argument(f"--{name}", type=int, metavar="N")
    for name in SHARES:
        parser.add_argument(f"--{name}", type=float, metavar="X", help="0 to 1")


def list_campaigns(context: Context) -> int:
    """Print the campaigns."""
    found = context.client.items(
        "/campaigns",
        project=context.filter_project,
        state=context.args.state,
        most=context.args.most,
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "name", "state", "comparisons", "votes", "done", "created"],
        [
            [
                item["id"],
                item["project"],
                item["name"],
                item["state"],
                item["progress"]["comparisons"],
                item["progress"]["votes"],
                f"{item['progress']['share']:.0%}",
                show.date_text(item["created"]),
            ]
            for item in items
        ],
    )
    return 0


def show_campaign(context: Context) -> int:
    """Print one campaign."""
    item = context.client.get(f"/campaigns/{context.args.id}")
    if context.is_json:
        show.print_json(item)
        return 0
    show.print_fields(
        item,
        [
            "id", "project", "name", "state", "created", "closed", "overlap",
            "shared_overlap", "shared_share", "repeat_share", "gold_share", "policy",
            "random_share", "target_votes", "categories", "harm_cap", "labelers",
        ],
    )  # fmt: skip
    asked = [f"{name} {item['questions'][name]}" for name in QUESTIONS]
    show.print_line(f"asks{'':12}choice required, {', '.join(asked)}")
    show.print_line("")
    print_progress(item["progress"])
    print_sources(item)
    if item["guideline"]:
        show.print_line(f"\nguidelines, version {item['guideline']['number']}")
        show.print_line(item["guideline"]["text"].rstrip())
    return 0


def print_progress(progress: Json) -> None:
    """Print how far a campaign is, with a bar where a person looks on."""
    from rich.console import Console
    from rich.progress_bar import ProgressBar

    console = Console()
    if console.is_terminal:
        console.print(ProgressBar(total=1.0, completed=progress["share"], width=40))
    show.print_line(
        f"{progress['given']:,} of {progress['wanted']:,} votes "
        f"({progress['share']:.0%}); {progress['done']:,} of "
        f"{progress['comparisons']:,} comparisons have all of theirs"
    )


def print_sources(item: Json) -> None:
    """Print who answers, and the runs answers come from, as far as one is told."""
    if item["answerers"]:
        show.print_line("")
        show.print_table(
            ["answerer", "temperature", "max tokens"],
            [
                [
                    one["model"] or one["title"],
                    one["sampling"].get("temperature"),
                    one["sampling"].get("max_tokens"),
                ]
                for one in item["answerers"]
            ],
        )
    if item["batches"]:
        show.print_line("")
        show.print_table(
            ["batch", "run", "state", "brought in"],
            [
                [
                    one["id"],
                    one["run_id"],
                    one["run_state"],
                    ", ".join(f"{count} {name}" for name, count in one["facts"].items())
                    or None,
                ]
                for one in item["batches"]
            ],
        )


def move_campaign(context: Context) -> int:
    """Pause, open or close."""
    item = context.client.post(f"/campaigns/{context.args.id}/{context.args.verb}")
    return _report(context, item)


def create(context: Context) -> int:
    """Make a campaign."""
    args = context.args
    body: Json = {
        "project": context.project,
        "name": args.name,
        **prompts_in(args.prompts),
        "answerers": [answerer_in(text) for text in args.answerer],
    }
    if args.guidelines:
        body["guidelines"] = read_text(args.guidelines)
    if questions := questions_in(args.ask, args.reason):
        body["questions"] = questions
    others = {"labelers": args.labeler, "categories": args.category}
    for flag in ("policy", *WHOLE, *SHARES):
        name = flag.replace("-", "_")
        others[name] = getattr(args, name)
    body |= {name: value for name, value in others.items() if value is not None}
    return _report(context, context.client.post("/campaigns", body))


def prompts_in(text: str) -> Json:
    """Return what is asked: a dataset's version by its id, or the lines of a file."""
    if text.isascii() and text.isdecimal():
        return {"dataset_version_id": int(text)}
    lines = (line.strip() for line in read_text(Path(text)).splitlines())
    prompts = list(dict.fromkeys(filter(None, lines)))
    if not prompts:
        raise CliError(f"{text} holds no prompt; write one a line")
    return {"prompts": prompts}


def answerer_in(text: str) -> Json:
    """Return what `MODEL,temperature=0.7` describes; a model's name may hold commas.

    Raises:
        CliError: it names no model, or a setting has no number.
    """
    model, *parts = text.split(",")
    sampling: Json = {}
    for part in parts:
        name, sign, value = part.partition("=")
        setting = name.strip().replace("-", "_")
        if not (sign and setting in SAMPLED):
            if sampling:
                raise CliError(
                    f"{part!r} in {text!r} is no setting; known: {', '.join(SAMPLED)}"
                )
            model += f",{part}"
            continue
        try:
            sampling[setting] = json.loads(value)
        except ValueError:
            raise CliError(f"{part!r} in {text!r} has no number") from None
    if not model.strip():
        raise CliError(f"{text!r} names no model: write {ANSWERER}")
    found: Json = {"model": model.strip()}
    return found | ({"sampling": sampling} if sampling else {})


def questions_in(asked: list[str], reasons: list[str] | None) -> Json:
    """Return what is asked beside the choice, from `--ask` and `--reason`."""
    questions: Json = {}
    for text in asked:
        name, _, how = text.partition("=")
        if name not in QUESTIONS or (how or "optional") not in ASKED:
            raise CliError(
                f"--ask {text!r}: write one of {', '.join(QUESTIONS)}, like "
                "axes=required"
            )
        questions[name] = how or "optional"
    if reasons:
        questions = {"reasons": "optional", **questions, "reason_tags": reasons}
    return questions


def read_text(path: Path) -> str:
    """Return what a file of this machine holds."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CliError(f"{path} is no text in UTF-8") from None


def export_votes(context: Context) -> int:
    """Queue the run that makes a dataset of the votes."""
    settings = parse_rest(
        context, "export", prog="trivium campaigns export ID", without=FIXED
    )
    address = f"/campaigns/{context.args.id}/export"
    body = {"name": context.args.name, **settings}
    return finish_start(context, context.client.post(address, body))


def have_judged(context: Context) -> int:
    """Queue the run in which a model judges."""
    args = context.args
    told = answerer_in(args.model)
    body: Json = {"judge": told["model"]}
    if "sampling" in told:
        # What is not said stays as it is for judges: the likeliest words, not many.
        body["sampling"] = {"temperature": 0, "max_tokens": 512, **told["sampling"]}
    if args.rubric:
        body["rubric"] = read_text(args.rubric)
    return finish_start(
        context, context.client.post(f"/campaigns/{args.id}/judge", body)
    )


def _report(context: Context, item: Json) -> int:
    if context.is_json:
        show.print_json(item)
        return 0
    runs = [one["run_id"] for one in item["batches"] or [] if not one["facts"]]
    waits = f"; answers come from run {', '.join(map(str, runs))}" if runs else ""
    show.print_line(f"campaign {item['id']} {item['name']}: {item['state']}{waits}")
    return 0
