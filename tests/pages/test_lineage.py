"""What was made of what: any number of levels, hostile names, who may see it."""

from itertools import pairwise

import pytest
from django.urls import reverse
from trivium.datasets.models import Dataset, DatasetVersion
from trivium.models.models import LanguageModel
from trivium.pages import lineage, lineage_graph
from trivium.pages.lineage_graph import Key
from trivium.projects.models import Project
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>\u202e" + "אב" * 60


def add_version(project: Project, name: str, number: int = 1) -> DatasetVersion:
    dataset, _ = Dataset.objects.get_or_create(project=project, name=name)
    return DatasetVersion.objects.create(dataset=dataset, number=number, path="x")


def add_model(project: Project, name: str, *parents: LanguageModel, **values):
    model = LanguageModel.objects.create(
        project=project,
        name=name,
        architecture="decoder",
        **{"stage": "instruct" if parents else "base", **values},
    )
    model.parents.set(parents)
    return model


@pytest.fixture
def world(project) -> dict:
    """Book → letters → base, base + two datasets → instruct."""
    book = add_version(project, "Book")
    letters = Tokenizer.objects.create(project=project, name="Letters", dataset=book)
    base = add_model(project, "Base", dataset=book, tokenizer=letters)
    questions, chats = (add_version(project, name) for name in ("Questions", "Chats"))
    run = Run.objects.create(
        project=project,
        kind="sft",
        name="Tuned",
        spec={
            "kind": "sft",
            "model": str(base.pk),
            "datasets": [str(questions.pk), str(chats.pk)],
        },
        spec_sha256="0",
    )
    tuned = add_model(
        project, "Tuned", base, dataset=questions, tokenizer=letters, run=run
    )
    return locals()


def labels(picture: lineage.Picture) -> list[str]:
    """Return what is drawn on a phone, from top to bottom."""
    boxes = sorted(picture.tall.boxes, key=lambda box: (box.y, box.node.label))
    return [box.node.label for box in boxes]


def test_a_dataset_knows_all_that_was_made_of_it_in_the_end(world):
    picture = lineage.dataset_levels(world["book"])
    assert labels(picture) == ["Book v1", "Letters", "Base", "Tuned"]
    assert picture.made == "1 tokenizer and 2 models"


def test_every_dataset_of_a_mix_leads_to_its_model(world):
    picture = lineage.dataset_levels(world["chats"])
    assert labels(picture) == ["Chats v1", "Tuned"]


def test_a_model_shows_everything_it_came_from_beside_its_nearest(world):
    picture = lineage.model_levels(world["tuned"])
    run = f"Fine-tuning #{world['run'].pk}"
    assert labels(picture)[:2] == ["Book v1", "Letters"]
    assert set(labels(picture)[2:5]) == {"Base", "Chats v1", "Questions v1"}
    assert labels(picture)[5:] == [run, "Tuned"]
    edges = {(line.count("M"), line.count("C")) for line in picture.wide.lines}
    assert edges == {(1, 1)}
    # Book to tokenizer and base, tokenizer to base, three to the run, run to model.
    assert len(picture.wide.lines) == len(picture.tall.lines) == 7


def test_a_run_stands_between_what_it_read_and_what_it_made(world):
    picture = lineage.run_levels(world["run"])
    assert labels(picture)[-2:] == [f"Fine-tuning #{world['run'].pk}", "Tuned"]
    (current,) = [box.node for box in picture.wide.boxes if box.node.is_current]
    assert current.noun == "Run"


def test_nothing_is_drawn_left_of_what_it_was_made_of(world, project):
    graph = lineage_graph.read_graph(project)
    keys = [key for noun in graph.parents.copy() for key in (noun,)]
    levels = lineage_graph.levels_of(graph, [*keys, *graph.children.copy()])
    place = {key: index for index, level in enumerate(levels) for key in level}
    for child, parents in graph.parents.items():
        assert all(place[parent] < place[child] for parent in parents)


def test_a_deep_line_of_models_is_cut_in_the_picture_and_listed_whole(
    client, vera, project, django_assert_max_num_queries
):
    models = [add_model(project, "m0")]
    for number in range(1, 300):
        models.append(add_model(project, f"m{number}", models[-1]))
    with django_assert_max_num_queries(10):
        picture = lineage.model_levels(models[150])
    assert picture.num_before == 150
    assert picture.num_after == 149
    assert len(picture.wide.boxes) == 2 * lineage.MAX_EACH_WAY + 1
    assert picture.num_hidden == 300 - len(picture.wide.boxes)
    ys = {box.node.label: box.y for box in picture.wide.boxes}
    assert all(ys[f"m{a}"] < ys[f"m{b}"] for a, b in pairwise(range(134, 167)))
    client.force_login(vera)
    address = reverse("pages:lineage", args=[project.slug, "model", models[0].pk])
    page = client.get(address)
    assert len(page.context["family"].after) == 299


def test_many_siblings_do_not_crowd_out_a_line(project):
    base = add_model(project, "Base")
    for number in range(60):
        add_model(project, f"try {number}", base)
    tuned = add_model(project, "Tuned", base)
    add_model(project, "Aligned", tuned, stage="aligned")
    picture = lineage.model_levels(base)
    assert {"Tuned", "Aligned"} <= set(labels(picture))
    assert len(picture.wide.boxes) == lineage.MAX_EACH_WAY + 1
    assert picture.num_hidden == 62 - lineage.MAX_EACH_WAY


def test_a_cycle_which_cannot_be_does_not_hang(project):
    first = add_model(project, "First")
    second = add_model(project, "Second", first)
    first.parents.set([second])
    assert set(labels(lineage.model_levels(first))) == {"First", "Second"}


def test_boxes_of_a_picture_do_not_overlap(world, project):
    for number in range(9):
        add_model(project, f"child {number}", world["base"])
    picture = lineage.dataset_levels(world["book"])
    for drawing in (picture.wide, picture.tall):
        for index, one in enumerate(drawing.boxes):
            assert one.x >= 0
            assert one.x + one.width <= drawing.width
            assert one.y + one.height <= drawing.height
            for other in drawing.boxes[index + 1 :]:
                is_apart = (
                    one.x + one.width <= other.x
                    or other.x + other.width <= one.x
                    or one.y + one.height <= other.y
                    or other.y + other.height <= one.y
                )
                assert is_apart, (one, other)


def test_a_hostile_name_is_text(client, vera, project):
    version = add_version(project, EVIL[:150])
    add_model(project, EVIL[:150], dataset=version)
    client.force_login(vera)
    address = reverse("pages:lineage", args=[project.slug, "dataset", version.pk])
    text = client.get(address).content.decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


def test_what_is_deleted_leaves_the_picture(world, project):
    Tokenizer.objects.all().delete()
    assert labels(lineage.dataset_levels(world["book"])) == ["Book v1", "Base", "Tuned"]


def test_the_list_names_both_directions(client, vera, world):
    client.force_login(vera)
    base = world["base"]
    page = client.get(reverse("pages:lineage", args=["grammar", "model", base.pk]))
    family = page.context["family"]
    assert [node.label for node in family.after] == ["Tuned"]
    assert {node.label for node in family.before} == {"Letters", "Book v1"}


@pytest.mark.parametrize("noun", ["run", "person", "dataset"])
def test_what_is_not_there_is_not_found(noun, client, vera, world):
    client.force_login(vera)
    for pk in (10**6, 10**30):
        assert client.get(f"/p/grammar/lineage/{noun}/{pk}/").status_code == 404


def test_strangers_and_anonymous_people_see_no_lineage(client, mallory, world):
    pk = world["book"].pk
    client.force_login(mallory)
    assert client.get(f"/p/grammar/lineage/dataset/{pk}/").status_code == 404
    assert client.get(f"/p/elsewhere/lineage/dataset/{pk}/").status_code == 404
    client.logout()
    assert client.get(f"/p/grammar/lineage/dataset/{pk}/").status_code == 302


def test_another_projects_things_are_in_no_picture(world, mallory):
    other = Project.objects.get(slug="elsewhere")
    add_model(other, "Stolen", dataset=world["book"])
    assert "Stolen" not in labels(lineage.dataset_levels(world["book"]))
    assert Key("dataset", world["book"].pk) not in lineage.items_of(
        other, [Key("dataset", world["book"].pk)]
    )
