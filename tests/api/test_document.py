"""The OpenAPI document and the page that shows it."""

import re
from contextlib import closing

import pytest
from runspec import SPECS


def test_the_document_describes_every_setting_of_every_spec(client):
    document = client.get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    for spec in SPECS.values():
        described = schemas[spec.__name__]
        assert described["additionalProperties"] is False
        for name, field in spec.model_fields.items():
            if name != "kind":
                described_field = described["properties"][name]
                assert described_field["description"] == field.description


def test_the_document_tells_of_errors_and_idempotency(client):
    document = client.get("/api/v1/openapi.json").json()
    operations = [
        (method, operation)
        for path in document["paths"].values()
        for method, operation in path.items()
    ]
    assert len(operations) > 30
    for method, operation in operations:
        assert "default" in operation["responses"]
        names = {item["name"] for item in operation.get("parameters", [])}
        assert ("Idempotency-Key" in names) == (method == "post")


def test_every_operation_has_its_own_id_and_needs_a_caller(client):
    document = client.get("/api/v1/openapi.json").json()
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]
    assert len(ids) == len(set(ids))
    assert all(
        operation["security"]
        for path in document["paths"].values()
        for operation in path.values()
    )


@pytest.mark.django_db
def test_the_documentation_page_loads_nothing_from_elsewhere(client):
    response = client.get("/api/v1/docs")
    assert response.status_code == 200
    html = response.content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert addresses
    for address in addresses:
        assert address.startswith("/static/ninja/"), address
        with closing(client.get(address)) as file:
            assert file.status_code == 200
    assert not re.search(r"<script(?![^>]*(src=|application/json))[^>]*>", html)
    assert "unsafe" not in response["Content-Security-Policy"]
