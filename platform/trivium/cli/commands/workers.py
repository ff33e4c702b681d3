"""`trivium workers …`."""

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "workers", "see what works where")
    add_most(add_verb(verbs, "list", "list workers and devices", list_workers))


def list_workers(context: Context) -> int:
    """Print the workers."""
    items = list(context.client.items("/workers", most=context.args.most))
    if context.is_json:
        show.print_json(items)
        return 0
    show.print_table(
        ["worker", "device", "name", "busy", "run", "last seen"],
        [
            [
                item["name"],
                f"{device['kind']}:{device['index']}",
                device["name"],
                device["is_busy"],
                device["run"],
                show.date_text(item["heartbeat"]),
            ]
            for item in items
            for device in item["devices"]
        ],
    )
    return 0
