"""The two ways a command may fail, each with its exit code."""


class RasdError(Exception):
    """Something failed that is not the caller's doing. Exit code 1."""

    exit_code = 1


class InputError(RasdError):
    """Wrong usage or bad input: nothing was written. Exit code 2.

    `problem` names file, line and value; `remedy` says what would be right. Together they are
    the two lines that a person sees.
    """

    exit_code = 2

    def __init__(self, problem: str, remedy: str) -> None:
        """Keep both lines; `str(error)` joins them with a newline."""
        super().__init__(f"{problem}\n{remedy}")
        self.problem = problem
        self.remedy = remedy
