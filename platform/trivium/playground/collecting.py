"""Conversations and votes as data: files of them, and datasets made of them."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from runspec import IngestSpec

from trivium.accounts.models import User
from trivium.comparisons.models import Comparison, Vote
from trivium.comparisons.queries import standing_votes, votes_visible_to
from trivium.datasets.conversations import conversation_of
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.datasets.preview import read_rows
from trivium.datasets.services import create_upload, forgotten_on_failure
from trivium.naming import clean_name
from trivium.playground.exchange import Messages
from trivium.playground.models import Conversation, Message
from trivium.playground.queries import branch_of, messages_of
from trivium.playground.services import title_of
from trivium.projects.models import Project
from trivium.runs.errors import SubmitError
from trivium.runs.kinds import start_run
from trivium.runs.models import Run

MOST_KEPT = 20_000
"""Rows of an earlier version that a new one takes over."""
READ_AT_ONCE = 1_000


def messages_in(conversation: Conversation) -> Messages:
    """Return the branch of a conversation that is shown, as messages."""
    return messages_of(branch_of(conversation), conversation.system)


@transaction.atomic
def import_conversations(
    *,
    project: Project,
    created_by: User,
    choice_id: str,
    conversations: Sequence[Messages],
) -> list[Conversation]:
    """Begin conversations with what was said elsewhere; all of them or none."""
    return [
        import_one(project, created_by, choice_id, messages)
        for messages in conversations
    ]


def import_one(
    project: Project, created_by: User, choice_id: str, messages: Messages
) -> Conversation:
    """Begin one conversation with what was said elsewhere."""
    has_system = messages[0]["role"] == "system"
    said = messages[1:] if has_system else messages
    conversation = Conversation.objects.create(
        project=project,
        created_by=created_by,
        choice_id=choice_id,
        title=title_of(said[0]["content"]) or "Imported",
        system=messages[0]["content"] if has_system else "",
    )
    parent: Message | None = None
    for message in said:
        parent = Message.objects.create(
            conversation=conversation, parent=parent, **message
        )
    conversation.head = parent
    conversation.save(update_fields=["head"])
    return conversation


def add_to_dataset(
    *,
    project: Project,
    created_by: User,
    conversations: Iterable[Conversation],
    name: str,
) -> Run:
    """Queue the ingest of a new version: the rows of the newest one, and these.

    Raises:
        SubmitError: nobody answers in one of them, or the dataset holds another kind.
    """
    cleaned = clean_name(name)
    if not cleaned:
        raise SubmitError("give the dataset a name", field="name")
    rows = [answered(conversation) for conversation in conversations]
    if not rows:
        raise SubmitError("choose at least one conversation", field="conversation")
    newest = newest_version(project, cleaned)
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
        for row in (*rows_kept(newest), *rows):
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        file.seek(0)
        upload = create_upload(
            project=project,
            created_by=created_by,
            file_name="conversations.jsonl",
            content=file,
        )
    spec = IngestSpec(
        source=str(upload.pk),
        file_name=upload.file_name,
        dataset_kind="conversations",
        validation_fraction=0.05,
    )
    with forgotten_on_failure(upload):
        return start_run(
            project=project, created_by=created_by, spec=spec, name=cleaned
        )


def answered(conversation: Conversation) -> dict[str, Any]:
    """Return a conversation as a row.

    Raises:
        SubmitError: nobody answers in it, so nothing could be learnt from it.
    """
    messages = messages_in(conversation)
    while messages and messages[-1]["role"] == "user":
        messages.pop()
    if not any(one["role"] == "assistant" and one["content"] for one in messages):
        raise SubmitError(
            f"nobody answers in “{conversation}”, so nothing could be learnt from it",
            field="conversation",
        )
    return {"messages": messages}


def newest_version(project: Project, name: str) -> DatasetVersion | None:
    """Return the newest version of a dataset of conversations that has its rows.

    Raises:
        SubmitError: the dataset holds another kind, is too large to be taken over, or
            its next version is being made.
    """
    dataset = Dataset.objects.filter(project=project, name=name).first()
    if dataset is None:
        return None
    if dataset.kind != Dataset.Kind.CONVERSATIONS:
        raise SubmitError(
            f"dataset {name!r} holds {dataset.get_kind_display().lower()}, not "
            "conversations; give it another name",
            field="name",
        )
    version = dataset.versions.exclude(path="").order_by("-number").first()
    if version is not None and version.rows > MOST_KEPT:
        raise SubmitError(
            f"dataset {name!r} has {version.rows:,} rows; those of at most "
            f"{MOST_KEPT:,} can be taken over. Give the new one another name",
            field="name",
        )
    return version


def rows_kept(version: DatasetVersion | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a version as they were brought in."""
    for split in version.card.get("splits", {}) if version else ():
        assert version is not None
        offset, total = 0, 1
        while offset < total:
            found, total = read_rows(version, split, offset=offset, limit=READ_AT_ONCE)
            offset += max(1, len(found))
            yield from map(conversation_of, found)


def preferences_of(user: User, project: Project) -> QuerySet[Vote]:
    """Return the playground's votes that prefer one answer; ties prefer none.

    Those of campaigns are exported by campaigns, with all that belongs to them.
    """
    votes = standing_votes(votes_visible_to(user)).filter(
        comparison__project=project,
        comparison__source=Comparison.Source.PLAYGROUND,
        judge=None,
        choice__in=[Vote.Choice.A, Vote.Choice.B],
    )
    return votes.select_related(
        "comparison__answer_a", "comparison__answer_b"
    ).order_by("pk")


def preference_lines(votes: Iterable[Vote]) -> Iterator[str]:
    """Write votes as TRL has preferences: prompt, chosen and rejected."""
    for vote in votes:
        yield json.dumps(preference_of(vote), ensure_ascii=False) + "\n"


def preference_of(vote: Vote) -> dict[str, Any]:
    """Return one vote as a row; conversational where the prompt is."""
    compared: Comparison = vote.comparison
    better, worse = compared.answer_a, compared.answer_b
    if vote.choice == Vote.Choice.B:
        better, worse = worse, better
    if isinstance(compared.prompt, str):
        chosen: Any = better.text
        rejected: Any = worse.text
    else:
        chosen = [{"role": "assistant", "content": better.text}]
        rejected = [{"role": "assistant", "content": worse.text}]
    return {"prompt": compared.prompt, "chosen": chosen, "rejected": rejected}
