"""Errors meant for the person at the keyboard."""

import contextlib
import difflib
import errno
import os
from collections.abc import Iterable, Iterator


class UserError(Exception):
    """Something the user can fix. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2. Everything else that is raised is a defect of
    jaxnets and keeps its traceback.
    """


class Diverged(UserError):  # noqa: N818
    """Every seed of a run came to a loss or weights that are not finite."""


def first_line(error: BaseException) -> str:
    """The first non-empty line of an error's text, for quoting a library's error inside a message of ours.

    Of a long one its beginning.
    """
    line = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
    return line if len(line) <= 300 else f"{line[:300]}…"


def one_line(message: str) -> str:
    r"""A message as it is printed: on one line, without control characters; of a very long one the two ends.

    >>> one_line("no file\n'a\x1b[1m' here"), len(one_line("x" * 10_000)) < 2_000
    ("no file 'a�[1m' here", True)
    """
    line = "".join(character if character.isprintable() else "�" for character in " ".join(message.split()))
    return line if len(line) < 2_000 else f"{line[:1_200]} … {line[-600:]}"


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint for the end of a message about an unknown name: the nearest known one, or else `otherwise`.

    >>> did_you_mean("cifar100", ["cifar10", "mnist"], "see the list"), did_you_mean("x", ["mnist"], "see the list")
    ('did you mean cifar10?', 'see the list')
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def remedy(error: BaseException) -> str:
    """What to do about a failed write, for the end of a message.

    >>> remedy(OSError(errno.EACCES, "Permission denied"))
    'when that is fixed, run the same command again'
    """
    full = any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT))
    return f"{'free space there' if full else 'when that is fixed'}, {'then ' if full else ''}run the same command again"


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Surrounds work on `what`: a UserError that does not name it begins with it.

    >>> with naming("eng_fra"):
    ...     raise UserError("there are only 3 pairs")
    Traceback (most recent call last):
    jaxnets.errors.UserError: eng_fra: there are only 3 pairs
    """
    try:
        yield
    except UserError as error:
        if what in str(error):
            raise
        raise type(error)(f"{what}: {error}") from error


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Surrounds the import of a package that only the extra `name` of pyproject.toml installs.

    Raises UserError, which names the extra, where the package is missing.

    >>> with extra("ocr"):
    ...     import a_package_that_is_missing
    Traceback (most recent call last):
    jaxnets.errors.UserError: this needs the package a_package_that_is_missing: pip install 'jaxnets[ocr]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"this needs the package {error.name}: pip install 'jaxnets[{name}]'") from None
