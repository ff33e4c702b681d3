"""What the OpenAPI document says of every operation alike."""

from typing import Any

from ninja import NinjaAPI

ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"type": "string", "examples": ["not_found"]},
                "message": {"type": "string", "description": "A sentence to show."},
                "field": {"type": "string", "description": "What was wrong, if one."},
            },
        }
    },
}
REFUSED = {
    "description": "Refused, or failed",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "maxLength": 200},
    "description": "Repeated with the same key and body, a request is done once.",
}


class DescribedApi(NinjaAPI):
    """A Ninja API whose document also tells of errors and idempotency."""

    def get_openapi_schema(self, **options: Any) -> Any:
        """Return the document."""
        document = super().get_openapi_schema(**options)
        document["components"]["schemas"]["Error"] = ERROR
        for path in document["paths"].values():
            for method, operation in path.items():
                operation["responses"]["default"] = REFUSED
                if method == "post":
                    operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
        return document
