"""What a student opens beside the notes: every building block by name, with formula, advice and picture."""

from osler.show.catalogue import asked, listing, names, only, several
from osler.show.page import contents, overview, page
from osler.show.plot import picture, plot
from osler.show.record import record

__all__ = ["asked", "contents", "listing", "names", "only", "overview", "page", "picture", "plot", "record", "several"]
