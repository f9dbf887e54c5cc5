"""Names for things: the one way to look something up by name, at the edge (shell, recipe, `osler.model("mlp")`)."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from osler.errors import InputError, plain, unknown_name

T = TypeVar("T")


class Registry(Mapping[str, Callable[..., T]], Generic[T]):
    """A table from names to factories (classes or functions), with other spellings beside them.

    Hyphens, blanks and capitals don't matter. A factory's docstring describes its entry: the first line in lists,
    the whole of it where one entry is shown.

        >>> shapes = Registry("shape", {"square": lambda side=1.0: side**2}, aliases={"quadrate": "square"})
        >>> shapes.create("Quadrate", side=3.0)
        9.0
    """

    def __init__(self, kind: str, factories: Mapping[str, Callable[..., T]], aliases: Mapping[str, str] | None = None):
        self.kind = kind
        self.aliases = dict(aliases or {})
        self._factories = dict(factories)
        assert not self._factories.keys() & self.aliases.keys(), f"{kind}: a name is also an alias"
        assert set(self.aliases.values()) <= self._factories.keys(), f"{kind}: an alias of an unknown name"

    def resolve(self, name: str) -> str:
        """The registered name that `name` (any spelling or alias) stands for; InputError when there is none."""
        wanted = plain(str(name))
        wanted = self.aliases.get(wanted, wanted)
        if wanted not in self._factories:
            raise unknown_name(self.kind, name, [*self._factories, *self.aliases])
        return wanted

    def __getitem__(self, name: str) -> Callable[..., T]:
        return self._factories[self.resolve(name)]

    def __contains__(self, name: object) -> bool:
        wanted = plain(str(name))
        return wanted in self._factories or wanted in self.aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._factories)

    def __len__(self) -> int:
        return len(self._factories)

    def create(self, name: str, /, *arguments: Any, **options: Any) -> T:
        """Calls the factory of that name.

        Raises InputError for an option that it does not have (naming the nearest one), that is given by the caller
        already, or that is missing.
        """
        self.check_options(name, options)
        factory = self[name]
        try:
            inspect.signature(factory).bind(*arguments, **options)
        except TypeError as error:
            raise InputError(f"{self.kind} {self.resolve(name)!r}: {error}") from None
        return factory(*arguments, **options)

    def check_options(self, name: str, options: Mapping[str, Any]) -> None:
        """Raises InputError for an option that the factory of that name does not take."""
        parameters = inspect.signature(self[name]).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return
        known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        for option in options:
            if option not in known:
                raise unknown_name(f"option of {self.kind} {self.resolve(name)!r}:", option, known)

    def summary(self, name: str) -> str:
        """The first line of the entry's docstring."""
        return (inspect.getdoc(self[name]) or "").partition("\n")[0]
