"""Every write of the playground: conversations, messages, answers, presets."""

import secrets
from typing import Any

from django.db import transaction
from django.utils import timezone
from runspec.serving import Prompt, Sampling

from trivium.accounts.models import User
from trivium.playground.fitting import Fit, fit, prompt_of
from trivium.playground.log import stop_writing
from trivium.playground.models import Conversation, Generation, Message, Preset
from trivium.playground.queries import branch_of, leaf_below, messages_of
from trivium.projects.models import Project
from trivium.serving.choices import ModelChoice

TITLE_CHARACTERS = 60
SEED_BITS = 53
"""So that browsers' numbers hold a seed exactly."""


class StillAnsweringError(ValueError):
    """A message would stand behind an answer that is not there yet."""


def start_conversation(
    *, project: Project, created_by: User, choice_id: str, **settings: Any
) -> Conversation:
    """Begin an empty conversation."""
    return Conversation.objects.create(
        project=project, created_by=created_by, choice_id=choice_id, **settings
    )


def change_conversation(conversation: Conversation, **changes: Any) -> None:
    """Change title, model, settings or who sees it."""
    for name, value in changes.items():
        setattr(conversation, name, value)
    conversation.save(update_fields=[*changes, "updated"])


def delete_conversation(conversation: Conversation, *, is_deleted: bool = True) -> None:
    """Hide a conversation, or bring it back."""
    when = timezone.now() if is_deleted else None
    Conversation.objects.filter(pk=conversation.pk).update(deleted=when)


def send_message(
    conversation: Conversation,
    *,
    sender: User,
    choice: ModelChoice,
    content: str,
    parent: Message | None,
) -> Generation:
    """Add what somebody says behind `parent`, and ask the model to answer.

    An edited message is sent with the parent of the one it replaces.

    Raises:
        StillAnsweringError: `parent` is an answer that is still being written.
        DoesNotFitError: the conversation is longer than the model sees.
        ServingError: nobody can say whether it is.
    """
    if is_being_written(parent):
        raise StillAnsweringError(
            "The model is still answering. Stop it (Esc) or wait, then send this."
        )
    before = branch_up_to(conversation, parent)
    said = [*messages_of(before, conversation.system)]
    said.append({"role": "user", "content": content})
    fitted = fit(choice, said, overflow=conversation.overflow)
    with transaction.atomic():
        message = Message.objects.create(
            conversation=conversation,
            parent=parent,
            role=Message.Role.USER,
            content=content,
        )
        if not conversation.title:
            change_conversation(conversation, title=title_of(content))
        return _answer(conversation, sender, choice, message, fitted)


def is_being_written(message: Message | None) -> bool:
    """Whether a message is an answer whose end is not known."""
    if message is None:
        return False
    running = Generation.objects.filter(message=message)
    return running.exclude(state__in=Generation.OVER).exists()


def answer_again(
    conversation: Conversation, *, sender: User, choice: ModelChoice, message: Message
) -> Generation:
    """Have another version of an answer made, with another seed unless one is set.

    Raises:
        DoesNotFitError, ServingError: as `send_message`.
    """
    assert message.parent is not None
    before = branch_up_to(conversation, message.parent)
    fitted = fit(
        choice,
        messages_of(before, conversation.system),
        overflow=conversation.overflow,
    )
    return _answer(conversation, sender, choice, message.parent, fitted)


def go_on(
    generation: Generation,
    *,
    sender: User,
    token_ids: list[int] | None = None,
    text: str | None = None,
) -> Generation:
    """Have an answer go on behind its last token, as a new version of it.

    With `token_ids` and their `text` it goes on behind those instead: a branch from
    the middle of an answer, or from another token.
    """
    begins = generation.token_ids if token_ids is None else token_ids
    with transaction.atomic():
        message = None
        if generation.message is not None:
            message = Message.objects.create(
                conversation=generation.message.conversation,
                parent=generation.message.parent,
                role=Message.Role.ASSISTANT,
            )
            change_conversation(message.conversation, head=message)
        return Generation.objects.create(
            project=generation.project,
            created_by=sender,
            message=message,
            choice_id=generation.choice_id,
            choice_title=generation.choice_title,
            prompt=generation.prompt,
            sampling=grown(generation, len(begins)),
            given_ids=begins,
            given_text=generation.text if text is None else text,
            dropped=generation.dropped,
        )


def grown(generation: Generation, num_given: int) -> dict[str, Any]:
    """Return the settings of an answer, with room for as many more tokens.

    `max_tokens` counts those that are given, so that a broken off answer ends where it
    would have ended; one that is asked to go on shall have room.
    """
    sampling: dict[str, Any] = dict(generation.sampling)
    if sampling.get("max_tokens"):
        sampling["max_tokens"] = num_given + int(sampling["max_tokens"])
    return sampling


def replay(generation: Generation, *, sender: User) -> Generation:
    """Ask the same again, word for word, to see whether the same comes."""
    receipt = generation.receipt or {}
    return Generation.objects.create(
        project=generation.project,
        created_by=sender,
        choice_id=generation.choice_id,
        choice_title=generation.choice_title,
        prompt=generation.prompt,
        sampling=receipt.get("sampling", generation.sampling),
        given_ids=generation.given_ids,
        given_text=generation.given_text,
        replay_of=generation,
    )


def generate(
    *,
    project: Project,
    sender: User,
    choice: ModelChoice,
    prompt: Prompt,
    sampling: Sampling,
    dropped: list[dict[str, str]] | None = None,
    message: Message | None = None,
) -> Generation:
    """Write down an answer that shall be made; the first reader sets it going."""
    return Generation.objects.create(
        project=project,
        created_by=sender,
        message=message,
        choice_id=choice.id,
        choice_title=choice.title,
        prompt=prompt.model_dump(mode="json"),
        sampling=with_seed(sampling).model_dump(mode="json"),
        dropped=dropped or [],
    )


def with_seed(sampling: Sampling) -> Sampling:
    """Draw the seed now, so that whoever goes on with the answer has it too."""
    if sampling.seed is not None:
        return sampling
    return sampling.model_copy(update={"seed": secrets.randbits(SEED_BITS)})


def choose_version(conversation: Conversation, message: Message) -> None:
    """Show another version of a message, and the newest of what followed it."""
    change_conversation(conversation, head=leaf_below(message))


def edit_answer(conversation: Conversation, message: Message, content: str) -> Message:
    """Put what a person would rather have read beside an answer, and go on from it.

    The answer itself stays as it is, and so does its receipt.
    """
    with transaction.atomic():
        edited = Message.objects.create(
            conversation=conversation,
            parent=message.parent,
            role=Message.Role.ASSISTANT,
            content=content,
        )
        change_conversation(conversation, head=edited)
    return edited


def delete_message(conversation: Conversation, message: Message) -> None:
    """Hide a message and all that follows it; a neighbour is shown instead.

    An answer that nobody will see any more is not written further.
    """
    with transaction.atomic():
        siblings = conversation.messages.filter(parent=message.parent, deleted=None)
        neighbour = siblings.exclude(pk=message.pk).order_by("-pk").first()
        head = leaf_below(neighbour) if neighbour is not None else message.parent
        change_conversation(conversation, head=head)
        Message.objects.filter(pk=message.pk).update(deleted=timezone.now())
        written = Generation.objects.filter(message__conversation=conversation)
        for generation in written.exclude(state__in=Generation.OVER):
            if generation.message and not is_reachable(generation.message):
                stop_writing(generation, None)


def restore_message(conversation: Conversation, message: Message) -> None:
    """Show a deleted message again, and the newest of what followed it."""
    with transaction.atomic():
        Message.objects.filter(pk=message.pk).update(deleted=None)
        change_conversation(conversation, head=leaf_below(message))


def is_reachable(message: Message) -> bool:
    """Whether neither a message nor any before it is deleted."""
    at: Message | None = message
    while at is not None:
        if at.deleted is not None:
            return False
        at = at.parent
    return True


def branch_up_to(conversation: Conversation, message: Message | None) -> list[Any]:
    """Return the turns from the beginning to a message, whatever is shown now."""
    if message is None:
        return []
    shown = Conversation(pk=conversation.pk, head=message)
    return branch_of(shown)


def title_of(content: str) -> str:
    """Return a title for a conversation that begins so."""
    line = " ".join(content.split())
    if len(line) <= TITLE_CHARACTERS:
        return line
    return line[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0] + "…"


def save_preset(
    *, project: Project, created_by: User, name: str, **settings: Any
) -> Preset:
    """Keep settings under a name; those under the same name are replaced."""
    preset, _ = Preset.objects.update_or_create(
        project=project, created_by=created_by, name=name, defaults=settings
    )
    return preset


def delete_preset(*, preset: Preset) -> None:
    """Forget a preset."""
    preset.delete()


def _answer(
    conversation: Conversation,
    sender: User,
    choice: ModelChoice,
    parent: Message,
    fitted: Fit,
) -> Generation:
    with transaction.atomic():
        message = Message.objects.create(
            conversation=conversation, parent=parent, role=Message.Role.ASSISTANT
        )
        change_conversation(conversation, head=message, choice_id=choice.id)
        return generate(
            project=conversation.project,
            sender=sender,
            choice=choice,
            prompt=prompt_of(choice, fitted.messages),
            sampling=Sampling.model_validate(conversation.sampling),
            dropped=fitted.dropped,
            message=message,
        )
