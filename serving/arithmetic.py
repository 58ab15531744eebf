"""What decides the last bit of a score: the processor's instructions and two libraries."""

from pydantic import BaseModel, ConfigDict

from serving.cpu import cpu_flags


class Arithmetic(BaseModel):
    """Where the same bundle gives the same sentence the same probabilities, bit for bit.

    `cpu_flags` are those of `serving.cpu.RELEVANT_FLAGS`; int8 and exponentials are computed
    otherwise by other instructions and by other versions of the libraries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_flags: tuple[str, ...]
    onnxruntime: str
    numpy: str

    @classmethod
    def here(cls) -> "Arithmetic":
        """Return that of this process."""
        import numpy as np
        import onnxruntime

        return cls(
            cpu_flags=tuple(cpu_flags()),
            onnxruntime=onnxruntime.__version__,
            numpy=np.__version__,
        )

    def same_as(self, other: "Arithmetic | None") -> bool:
        """Tell whether bits can be compared; never where the processor's flags are unknown."""
        return self == other and bool(self.cpu_flags)
