"""The section `register` of `params.yaml`."""

from pydantic import Field

from components.common.params import Section


class RegisterParams(Section):
    """The model registry."""

    model_name: str = Field(
        pattern=r"^[\w.-]+$", description="registered model's name", examples=["fashion-mnist"]
    )
