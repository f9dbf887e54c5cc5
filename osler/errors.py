"""What goes wrong because of what a user gave: said plainly, with the rule and the cure."""

from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 30  # names that are shown of many


class ProcessLost(Exception):
    """Another of the processes that train together has ended, so this one cannot go on."""


class InputError(ValueError):
    """Something given cannot be used; the message says what was received, the rule, and the cure.

    The command line prints it as one line and exits with code 2; it never shows a traceback.
    """


def plain(name: str) -> str:
    """The name as it is compared: lower case, with hyphens and blanks as underscores."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` known names that a typo of `name` most likely meant, the nearest first."""
    by_plain = {plain(k): k for k in known}
    wanted = plain(name)
    close = get_close_matches(wanted, by_plain, n=count, cutoff=0.6)
    # A beginning or a part ("cross_entropy") is a likelier meaning than a distant spelling.
    part = [k for k in by_plain if len(wanted) >= 3 and (wanted in k or (len(k) >= 3 and k in wanted))]
    return [by_plain[k] for k in dict.fromkeys([*close, *part])][:count]


def unknown_name(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that does not exist: it proposes the nearest ones, or lists the known when none is near."""
    names = sorted(known)
    near = nearest(str(name), names)
    if near:
        return InputError(f"unknown {kind} {str(name)!r}; did you mean {' or '.join(map(repr, near))}?")
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return InputError(f"unknown {kind} {str(name)!r}; known: {', '.join(names[:LISTED]) or 'none'}{more}")
