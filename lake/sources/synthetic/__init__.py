"""A small flora, invented and drawn: pictures to try the whole lake on where there is no network and no data.

It knows how an invented plant grows, how light falls on it and where its pictures lie in a folder. It leaves
the tables to ``lake.intake`` and every judgement of the pictures to ``modeling``: what it writes is a folder of
JPEG files with two CSV files beside them.

Lengths are in spans: a span is the side of one tile, and a grown plant is a little less than a span across.
"""

from lake.sources.synthetic.drawing import Drawn, draw
from lake.sources.synthetic.flora import Flora
from lake.sources.synthetic.species import Species, species_of

__all__ = ["Drawn", "Flora", "Species", "draw", "species_of"]
