"""The one base of all values that are stored or sent: validated, frozen, strict about unknown fields."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Frozen(BaseModel):
    """A value. Two values with equal fields are equal; a change is a new value."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


def sentence(error: ValidationError) -> str:
    """The first fault of a failed validation, as one sentence for a person."""
    fault = error.errors()[0]
    if not fault["loc"]:  # several fields together: the sentence names them
        return fault["msg"].removeprefix("Value error, ")
    field = next((str(part).replace("_", " ") for part in reversed(fault["loc"]) if isinstance(part, str)), "value")
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{field}: {message[0].lower()}{message[1:]} (got {fault['input']!r})."
