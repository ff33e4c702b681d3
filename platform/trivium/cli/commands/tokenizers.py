"""`trivium tokenizers …`."""

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb
from trivium.cli.commands.downloading import add_download, download_files
from trivium.cli.commands.starting import add_start_flags, finish_start, parse_rest


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "tokenizers", "train and look at tokenizers")
    add_most(add_verb(verbs, "list", "list tokenizers", list_tokenizers))
    one = add_verb(verbs, "show", "show a tokenizer and its report", show_tokenizer)
    one.add_argument("id", type=int, metavar="ID")
    trying = add_verb(verbs, "try", "see how a text splits", try_tokenizer)
    trying.add_argument("id", type=int, metavar="ID")
    trying.add_argument("text", metavar="TEXT")
    add_start_flags(add_verb(verbs, "create", "train a tokenizer", create_tokenizer))
    add_download(add_verb(verbs, "download", "fetch its files", download_tokenizer))

    delete = add_verb(
        verbs, "delete", "delete a tokenizer nothing needs", delete_tokenizer
    )
    delete.add_argument("id", type=int, metavar="ID")


def list_tokenizers(context: Context) -> int:
    """Print the tokenizers."""
    found = context.client.items(
        "/tokenizers", project=context.filter_project, most=context.args.most
    )
    items = list(found)
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["id", "project", "name", "algorithm", "vocabulary", "state"],
        [
            [
                item["id"],
                item["project"],
                item["name"],
                item["algorithm"],
                item["vocabulary_size"],
                "ready" if item["is_ready"] else "being prepared",
            ]
            for item in items
        ],
    )
    return 0


def show_tokenizer(context: Context) -> int:
    """Print one tokenizer."""
    item = context.client.get(f"/tokenizers/{context.args.id}")
    if context.is_json:
        show.print_json(item)
        return 0
    show.print_fields(
        item,
        ["id", "project", "name", "algorithm", "vocabulary_size", "run_id", "sha256"],
    )
    report = item["report"]
    if report:
        show.print_fields(
            report,
            [
                "bytes_per_token",
                "characters_per_token",
                "unused_tokens",
                "unknown_tokens",
                "is_lossless",
            ],
        )
    return 0


def try_tokenizer(context: Context) -> int:
    """Print how a text splits."""
    answer = context.client.post(
        f"/tokenizers/{context.args.id}/try", {"text": context.args.text}
    )
    if context.is_json:
        show.print_json(answer)
        return 0
    show.print_table(
        ["id", "token"],
        [[item["id"], repr(item["token"])] for item in answer["tokens"]],
    )
    show.print_line(f"{answer['num_tokens']} tokens, {answer['num_bytes']} bytes")
    return 0


def create_tokenizer(context: Context) -> int:
    """Queue the training of a tokenizer."""
    spec = parse_rest(context, "tokenizer", prog="trivium tokenizers create")
    body = {"project": context.project, "spec": spec, "name": context.args.name}
    return finish_start(context, context.client.post("/tokenizers", body))


def download_tokenizer(context: Context) -> int:
    """Fetch its files."""
    return download_files(context, f"/tokenizers/{context.args.id}")


def delete_tokenizer(context: Context) -> int:
    """Delete it for good."""
    context.client.delete(f"/tokenizers/{context.args.id}")
    if context.is_json:
        show.print_json({"deleted": context.args.id})
    else:
        show.print_line(f"tokenizer {context.args.id} deleted")
    return 0
