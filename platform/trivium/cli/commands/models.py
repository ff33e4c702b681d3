"""`trivium models …`."""

from pathlib import Path

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.downloading import add_download, download_files
from trivium.cli.commands.importing import add_import, import_model
from trivium.cli.errors import CliError, Exit

ADAPTER = "adapter/"


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "models", "bring models in, look at them, fetch them")
    listing = add_verb(verbs, "list", "list models", list_models)
    add_most(listing)
    listing.add_argument("--stage", metavar="STAGE", help="base, instruct, reward…")
    listing.add_argument("--architecture", metavar="KIND", help="decoder, encoder…")
    listing.add_argument("--family", metavar="NAME", help="llama, bert, t5…")
    listing.add_argument("--search", metavar="TEXT", help="part of the name")
    one = add_verb(verbs, "show", "show a model", show_model)
    one.add_argument("id", type=int, metavar="ID")
    download = add_verb(
        verbs, "download", "fetch a model's files into DIR", download_model
    )
    add_download(download)
    download.add_argument(
        "--part",
        choices=("whole", "merged", "adapter"),
        default="whole",
        help="of a model with an adapter: all, without it, or it alone",
    )
    add_import(
        add_verb(verbs, "import", "bring in a model made elsewhere", import_model)
    )
    describe = add_verb(
        verbs, "describe", "say licence and notes, for its card", describe_model
    )
    describe.add_argument("id", type=int, metavar="ID")
    describe.add_argument("--licence", metavar="TEXT", help="like apache-2.0")
    describe.add_argument("--notes", metavar="FILE", type=Path, help="Markdown")

    delete = add_verb(verbs, "delete", "delete a model nothing needs", delete_model)
    delete.add_argument("id", type=int, metavar="ID")


def list_models(context: Context) -> int:
    """Print the models."""
    args = context.args
    found = context.client.items(
        "/models",
        project=context.filter_project,
        most=args.most,
        stage=args.stage,
        architecture=args.architecture,
        family=args.family,
        q=args.search,
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "name", "stage", "family", "parameters", "loss", "state"],
        [
            [
                item["id"],
                item["project"],
                item["name"],
                item["stage"],
                item["family"],
                item["num_parameters"],
                item["validation_loss"],
                "ready" if item["is_ready"] else "being prepared",
            ]
            for item in items
        ],
    )
    return 0


def show_model(context: Context) -> int:
    """Print one model and its files."""
    item = context.client.get(f"/models/{context.args.id}")
    files = context.client.get(f"/models/{context.args.id}/files")["items"]
    if context.is_json:
        show.print_json({**item, "files": files})
        return 0
    show.print_fields(
        item,
        [
            "id",
            "project",
            "name",
            "stage",
            "architecture",
            "family",
            "num_parameters",
            "validation_loss",
            "run_id",
            "dataset_version_id",
            "tokenizer_id",
            "licence",
        ],
    )
    for warning in item["warnings"]:
        show.print_line(f"warning: {warning}")
    show.print_line("")
    show.print_table(
        ["file", "size"],
        [[file["name"], show.bytes_text(file["size"])] for file in files],
    )
    return 0


def download_model(context: Context) -> int:
    """Fetch its files."""
    part = context.args.part

    def choose(name: str) -> str | None:
        if part == "adapter":
            is_part = name.startswith(ADAPTER) or name == "README.md"
            return name.removeprefix(ADAPTER) if is_part else None
        return None if part == "merged" and name.startswith(ADAPTER) else name

    return download_files(context, f"/models/{context.args.id}", choose)


def describe_model(context: Context) -> int:
    """Say licence and notes; what is not given stays."""
    args = context.args
    body = {}
    if args.licence is not None:
        body["licence"] = args.licence
    if args.notes is not None:
        try:
            body["notes"] = args.notes.read_text()
        except (OSError, ValueError) as error:
            raise CliError(f"{args.notes} cannot be read: {error}") from None
    if not body:
        raise CliError("give --licence or --notes", Exit.USAGE)
    item = context.client.patch(f"/models/{args.id}", body)
    if context.is_json:
        show.print_json(item)
    else:
        show.print_line(f"model {args.id} described")
    return 0


def delete_model(context: Context) -> int:
    """Delete it for good."""
    context.client.delete(f"/models/{context.args.id}")
    if context.is_json:
        show.print_json({"deleted": context.args.id})
    else:
        show.print_line(f"model {context.args.id} deleted")
    return 0
