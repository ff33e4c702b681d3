"""What bodies have in common."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A JSON body; a field it does not know is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
