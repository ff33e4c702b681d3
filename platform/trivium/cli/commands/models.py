"""`trivium models …`."""

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.downloading import add_download, download_files


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "models", "look at models and fetch them")
    add_most(add_verb(verbs, "list", "list models", list_models))
    one = add_verb(verbs, "show", "show a model", show_model)
    one.add_argument("id", type=int, metavar="ID")
    add_download(
        add_verb(verbs, "download", "fetch a model's files into DIR", download_model)
    )

    delete = add_verb(verbs, "delete", "delete a model nothing needs", delete_model)
    delete.add_argument("id", type=int, metavar="ID")


def list_models(context: Context) -> int:
    """Print the models."""
    found = context.client.items(
        "/models", project=context.filter_project, most=context.args.most
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
        ],
    )
    show.print_line("")
    show.print_table(
        ["file", "size"],
        [[file["name"], show.bytes_text(file["size"])] for file in files],
    )
    return 0


def download_model(context: Context) -> int:
    """Fetch its files."""
    return download_files(context, f"/models/{context.args.id}")


def delete_model(context: Context) -> int:
    """Delete it for good."""
    context.client.delete(f"/models/{context.args.id}")
    if context.is_json:
        show.print_json({"deleted": context.args.id})
    else:
        show.print_line(f"model {context.args.id} deleted")
    return 0
