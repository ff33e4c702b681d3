"""No request whatever makes the server fail: never a 5xx, always the one shape."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runspec import SPECS
from trivium.campaigns.api_schema import SettingsIn

pytestmark = pytest.mark.django_db(databases="__all__")

FUZZ = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "\0", "\ud800", "-1", "9" * 30, "1e999", "nan", "../x", "%"]),
)
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**63, 10**400]),
    st.floats(),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)
IDS = st.sampled_from([1, 2, 0, 10**30])
NAMES = st.sampled_from(["tokenizer.json", "..%2f..%2fx", "%00", "a/b", "%ff"])
PARAMETERS = [
    "cursor", "limit", "project", "state", "kind", "q", "name", "max_points",
    "after_step", "attempt", "offset", "split", "text", "x", "after", "wait",
    "comparison", "undone", "source", "campaign",
]  # fmt: skip
READS = [
    "/projects", "/projects/grammar", "/datasets", "/datasets/{id}",
    "/datasets/{id}/versions", "/datasets/{id}/versions/{id}",
    "/datasets/{id}/versions/{id}/rows", "/tokenizers", "/tokenizers/{id}",
    "/tokenizers/{id}/files", "/tokenizers/{id}/files/{name}", "/models",
    "/models/{id}", "/models/{id}/files", "/models/{id}/files/{name}", "/runs",
    "/runs/{id}", "/runs/{id}/metrics", "/runs/{id}/samples",
    "/runs/{id}/checkpoints", "/runs/{id}/warnings", "/runs/{id}/history",
    "/runs/{id}/log", "/workers", "/workers/{id}", "/generations",
    "/generations/{id}", "/generations/{id}/events", "/comparisons",
    "/comparisons/{id}", "/votes", "/campaigns", "/campaigns/{id}",
    "/campaigns/{id}/report", "/pipelines", "/pipelines/{id}", "/pipelines/{id}/yaml",
]  # fmt: skip
WRITES = [
    "/projects", "/datasets", "/datasets/uploads/{id}/look", "/tokenizers",
    "/tokenizers/{id}/try", "/runs",
    "/runs/{id}/cancel", "/runs/{id}/pause", "/runs/{id}/resume",
    "/runs/{id}/retry", "/runs/{id}/priority", "/generations",
    "/generations/{id}/stop", "/campaigns", "/campaigns/{id}/answers",
    "/campaigns/{id}/votes", "/campaigns/{id}/undo", "/campaigns/{id}/flags",
    "/campaigns/{id}/export", "/campaigns/{id}/judge", "/pipelines",
    "/pipelines/{id}/cancel", "/pipelines/{id}/round",
    "/pipelines/{id}/steps/{name}/retry",
]  # fmt: skip
FIELDS = [
    "project", "name", "description", "spec", "priority", "changes", "path",
    "settings", "text", "kind", "upload", "x", "model", "messages", "sampling", "seen",
    "prompts", "answerers", "dataset_version_id", "questions", "labelers", "key",
    "choice", "strength", "axes", "ms_active", "reason", "min_share", "judge", "rubric",
]  # fmt: skip


def assert_sound(response) -> None:
    assert response.status_code < 500, response.content
    if response.status_code >= 400:
        assert set(response.json()["error"]) <= {"type", "message", "field"}
    elif not response.streaming:
        json.loads(response.content, parse_constant=refuse_constant)


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def fill(path: str, ident: int, name: str) -> str:
    return path.replace("{id}", str(ident)).replace("{name}", name)


@pytest.mark.parametrize("path", READS)
@FUZZ
@given(
    params=st.dictionaries(st.sampled_from(PARAMETERS), TEXTS, max_size=4),
    target=st.tuples(IDS, NAMES),
)
def test_reading_never_fails(path, params, target, ada, tokenizer_run, campaign):
    params = {
        key: value.encode(errors="surrogatepass") for key, value in params.items()
    }
    assert_sound(ada.client.get("/api/v1" + fill(path, *target), params))


@pytest.mark.parametrize("path", WRITES)
@FUZZ
@given(
    body=st.one_of(
        VALUES, st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5)
    ),
    ident=IDS,
)
def test_writing_never_fails(path, body, ident, ada, tokenizer_run, campaign):
    assert_sound(ada.post(fill(path, ident, "x"), body))


SOUND = {
    "/campaigns": {
        "project": "grammar",
        "name": "Fuzzed",
        "prompts": ["Why?"],
        "answerers": [{"model": "a"}, {"model": "b"}],
    },
    "/campaigns/{id}": {},
    "/campaigns/{id}/answers": {"prompts": ["Why?"]},
    "/campaigns/{id}/votes": {"key": "k", "choice": "left", "ms_active": 1},
    "/campaigns/{id}/export": {},
    "/campaigns/{id}/judge": {"judge": "a"},
}
"""Bodies that are accepted, or nearly; what is drawn replaces parts of them."""


@pytest.mark.parametrize("path", SOUND)
@FUZZ
@given(data=st.data())
def test_no_campaign_makes_the_server_fail(path, data, ada, campaign):
    fields = ["prompts", "guidelines", "max_prompts", "answerers", "axes", "acceptable"]
    fields += [
        *SettingsIn.model_fields,
        "name",
        "note",
        "reasons",
        "min_share",
        "rubric",
    ]
    drawn = st.dictionaries(st.sampled_from(fields), VALUES, max_size=2)
    body = SOUND[path] | data.draw(drawn)
    method = "PATCH" if path == "/campaigns/{id}" else "POST"
    address = path.replace("{id}", str(campaign.pk))
    assert_sound(ada.change(method, address, body))


@pytest.mark.parametrize("kind", SPECS)
@FUZZ
@given(data=st.data())
def test_no_spec_makes_the_server_fail(kind, data, ada, tokenizer_run):
    fields = sorted(set(SPECS[kind].model_fields) - {"kind"})
    drawn = data.draw(
        st.dictionaries(
            st.sampled_from(fields), VALUES | st.sampled_from(["1", "2"]), max_size=5
        )
    )
    sound = {"dataset": "1", "tokenizer": "1", "source": "1", "file_name": "a.txt"}
    spec = {
        **{name: value for name, value in sound.items() if name in fields},
        **drawn,
        "kind": kind,
    }
    name = data.draw(TEXTS)
    assert_sound(ada.post("/runs", {"project": "grammar", "spec": spec, "name": name}))
