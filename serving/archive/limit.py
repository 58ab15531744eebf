"""How many bad records a run may set aside before it stops."""

from dataclasses import dataclass

from serving.archive.parts import PartSummary
from serving.errors import InputError
from serving.terminal import counted

# A share of rejected records is judged once there are this many: one of three proves nothing.
JUDGED_FROM = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """How many records may be set aside: a `count`, or a `share` of those that were read."""

    count: int | None = None
    share: float = 0.01

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read a count (`20`) or a share (`0.05`, `5%`); raise ValueError where it is neither."""
        if text.isdecimal() and text.isascii():
            return cls(count=int(text))
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise ValueError(f"{text!r} is neither a count such as 20 nor a share such as 0.05")
        return cls(share=share)

    def check(self, total: PartSummary, *, ended: bool) -> None:
        """Raise InputError when too many were set aside; at the end also when all were."""
        if not total.rejection:
            return
        if self.count is not None:
            over = total.rejected > self.count
        else:
            over = total.records >= JUDGED_FROM and total.rejected > self.share * total.records
        useless = total.rejected == total.records and (ended or total.records >= JUDGED_FROM)
        problem, remedy = total.rejection
        if useless:
            raise InputError(problem, remedy)
        if over:
            raise InputError(
                f"set aside {total.rejected:,} of {counted(total.records, 'record')}, more than "
                f"--max-rejected {self}; the first: {problem}",
                f"{remedy} Or allow more with --max-rejected and repeat the command to continue.",
            )

    def __str__(self) -> str:
        """Return the option's value."""
        return f"{self.share:.4g}" if self.count is None else str(self.count)
