"""A campaign of one prompt: is what a policy answers now better than before?"""

from runspec.serving import Sampling

from trivium.accounts.models import User
from trivium.campaigns.models import Campaign
from trivium.campaigns.starting import start_campaign
from trivium.models.models import LanguageModel
from trivium.naming import MAX_NAME, free_name
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run, Sample
from trivium.serving.choices import ModelChoice, checkpoint_choices, of_model

MAX_WORDS = 60
"""Characters of the prompt that the campaign's name begins with."""


def start_campaign_of(sample: Sample, *, created_by: User) -> Campaign:
    """Have a sample's prompt answered by the run's start and by its newest model.

    Raises:
        SubmitError: one of the two is not there, or cannot be talked to.
    """
    run = sample.run
    project = run.project
    sampling = Sampling(max_tokens=int(run.spec.get("max_answer_tokens", 256)))
    before, after = start_of(run), newest_of(run)
    words = " ".join(sample.prompt.split())[:MAX_WORDS] or "A sample"
    name = free_name(
        words[:MAX_NAME],
        lambda one: Campaign.objects.filter(project=project, name=one).exists(),
    )
    return start_campaign(
        project=project,
        created_by=created_by,
        name=name,
        prompts=[sample.prompt],
        answerers=[(before.id, sampling), (after.id, sampling)],
    )


def start_of(run: Run) -> ModelChoice:
    """Return the model a run started from.

    Raises:
        SubmitError: it is gone.
    """
    pk = str(run.spec.get("model", ""))
    models = LanguageModel.objects.filter(project=run.project).exclude(path="")
    found = models.filter(pk=pk).first() if pk.isdecimal() else None
    if found is None:
        raise SubmitError("the model this run started from is not there any more")
    return of_model(found)


def newest_of(run: Run) -> ModelChoice:
    """Return the model a run made, or else its newest checkpoint.

    Raises:
        SubmitError: there is neither that can be talked to.
    """
    made = LanguageModel.objects.filter(run=run).exclude(path="").first()
    if made is not None:
        return of_model(made)
    if choices := checkpoint_choices(run):
        return choices[-1]
    raise SubmitError(
        "this run has nothing yet that can answer: no checkpoint with all weights "
        "(those of LoRA hold an adapter alone); wait for its next one, or its end"
    )
