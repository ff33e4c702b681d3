"""Licence, notes, and the card they become part of."""

import pytest
import yaml
from django.test import Client
from django.urls import reverse
from trivium.accounts.models import User
from trivium.models.card import card_text
from trivium.models.models import LanguageModel
from trivium.models.services import describe_model
from trivium.runs.errors import SubmitError


def describe(client: Client, model: LanguageModel, **sent: str):
    url = reverse("models:describe", args=[model.project.slug, model.pk])
    return client.post(url, sent)


def front_matter(model: LanguageModel) -> dict[str, object]:
    return yaml.safe_load(card_text(model).split("---")[1])


def test_an_engineer_says_licence_and_notes(
    client: Client, bob: User, model: LanguageModel
):
    client.force_login(bob)
    response = describe(client, model, licence=" Apache-2.0 ", notes="Ask *me*.")
    assert response.status_code == 302
    model.refresh_from_db()
    assert (model.licence, model.notes) == ("Apache-2.0", "Ask *me*.")
    assert front_matter(model)["license"] == "apache-2.0"
    assert "## Notes\n\nAsk *me*." in card_text(model)
    page = client.get(reverse("models:detail", args=["grammar", model.pk])).text
    assert 'value="Apache-2.0"' in page


@pytest.mark.parametrize(
    "licence", ['our "own": {x}', "null", "- [a", "line\nlicense: mit", "é\u202e"]
)
def test_any_licence_is_valid_front_matter(licence: str, model: LanguageModel):
    describe_model(model, licence=licence)
    matter = front_matter(model)
    assert matter["license"] == "other"
    assert matter["license_name"] == " ".join(licence.split())


def test_a_card_that_names_another_licence_is_overruled(model: LanguageModel):
    assert "license: mit" not in card_text(model)
    describe_model(model, licence="gpl-3.0")
    assert card_text(model).count("license:") == 1


def test_the_card_names_what_only_the_platform_knows(model: LanguageModel):
    parent = LanguageModel.objects.create(project=model.project, name="[x](y)<b>")
    model.parents.add(parent)
    text = card_text(model)
    assert "- model: Fabler" in text
    assert "- dataset: Fables v1" in text
    assert "- parent: \\[x\\](y)\\<b>" in text


def test_what_is_left_out_stays(model: LanguageModel):
    describe_model(model, licence="mit", notes="one")
    describe_model(model, notes="two")
    model.refresh_from_db()
    assert (model.licence, model.notes) == ("mit", "two")


@pytest.mark.parametrize(
    "sent", [{"licence": "x" * 101}, {"notes": "x" * 20_001}, {"notes": "a\0b"}]
)
def test_too_long_or_odd_texts_are_refused(sent, client, bob, model):
    client.force_login(bob)
    assert describe(client, model, **sent).status_code == 422
    with pytest.raises(SubmitError):
        describe_model(model, **sent)
    model.refresh_from_db()
    assert (model.licence, model.notes) == ("", "")


def test_others_may_not(client: Client, lara: User, mallory: User, model):
    client.force_login(lara)
    assert describe(client, model, licence="mit").status_code == 403
    page = client.get(reverse("models:detail", args=["grammar", model.pk])).text
    assert "Save licence" not in page
    client.force_login(mallory)
    assert describe(client, model, licence="mit").status_code == 404
    model.refresh_from_db()
    assert model.licence == ""


def test_hostile_notes_are_shown_as_text(client, vera, model):
    describe_model(model, notes="<script>alert(1)</script>")
    client.force_login(vera)
    page = client.get(reverse("models:detail", args=["grammar", model.pk])).text
    assert "<script>alert" not in page
