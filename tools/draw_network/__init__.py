"""Pictures of networks as SVG, such as those of docs/networks.md.

    python scripts/models.py segmentation/w48 --svg=network.svg

`picture` draws stem, stages and exchanges, `heads` everything behind the stages;
`layout` has places, colours and elements of both, `svg` writes the file.
"""

from tools.draw_network.picture import draw

__all__ = ["draw"]
