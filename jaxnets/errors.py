"""Errors meant for the person at the keyboard."""


class UserError(Exception):
    """Something the user can mend. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2. Everything else that is raised is a defect of
    jaxnets and keeps its traceback.
    """


class Diverged(UserError):  # noqa: N818
    """Every seed of a run came to a loss or weights that are not finite."""


def first_line(error: BaseException) -> str:
    """The first non-empty line of an error's text, for quoting a library's error inside a message of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
