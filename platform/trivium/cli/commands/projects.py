"""`trivium projects …`."""

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_most, add_noun, add_verb


def add(nouns: Nouns) -> None:
    """Declare the commands."""
    verbs = add_noun(nouns, "projects", "list and make projects")
    add_most(add_verb(verbs, "list", "list your projects", list_projects))
    create = add_verb(verbs, "create", "make a project", create_project)
    create.add_argument("name", metavar="NAME")
    create.add_argument("--description", default="", metavar="TEXT")


def list_projects(context: Context) -> int:
    """Print the projects."""
    items = list(context.client.items("/projects", most=context.args.most))
    if context.is_json:
        show.print_json(items)
    else:
        show.print_table(
            ["slug", "name", "created"],
            [
                [item["slug"], item["name"], show.date_text(item["created"])]
                for item in items
            ],
        )
    return 0


def create_project(context: Context) -> int:
    """Make a project."""
    body = {"name": context.args.name, "description": context.args.description}
    item = context.client.post("/projects", body)
    if context.is_json:
        show.print_json(item)
    else:
        show.print_line(f"project {item['slug']} made")
    return 0
