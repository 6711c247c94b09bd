"""Boxes, arrows and text as SVG, for pictures of networks."""

import math
from collections.abc import Sequence
from xml.etree import ElementTree

INK, SOFT, CARD, BAND, BORDER = "#24272e", "#5d626d", "#fbfbfd", "#eef0f5", "#d9dce3"
# Frames of what belongs to no branch.
NEUTRAL = "#6b7280"

_NAMESPACE = "http://www.w3.org/2000/svg"
_FONTS = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
_HEAD_LENGTH, _HEAD_WIDTH = 10, 7
# Of a bold character, in units of the font's size, in the widest of the fonts.
_BOLD_WIDTH = 0.72

Point = tuple[float, float]


class Canvas:
    """A picture on a light card, so that it reads the same on dark pages.

    All coordinates are in pixels from the upper left corner.

    Args:
        width: of the picture.
        height: of the picture.
        title: what screen readers say.
    """

    def __init__(self, width: float, height: float, title: str):
        self._root = ElementTree.Element(
            "svg",
            {
                "xmlns": _NAMESPACE,
                "viewBox": f"0 0 {width:g} {height:g}",
                "width": f"{width:g}",
                "height": f"{height:g}",
                "role": "img",
                "font-family": _FONTS,
            },
        )
        ElementTree.SubElement(self._root, "title").text = title
        self._rectangle(1, 1, width - 2, height - 2, 18, CARD, stroke=BORDER)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 15,
        colour: str = INK,
        *,
        bold: bool = False,
        anchor: str = "middle",
    ) -> None:
        """Writes one line around x (or from there: `start`), centred on y."""
        element = ElementTree.SubElement(
            self._root,
            "text",
            {
                # Baselines: `dominant-baseline` is not known to every renderer.
                **_numbers(x=x, y=y + 0.35 * size),
                "font-size": f"{size:g}",
                "fill": colour,
                "text-anchor": anchor,
            },
        )
        if bold:
            element.set("font-weight", "bold")
        element.text = words

    def band(self, x: float, y: float, width: float, height: float) -> None:
        """Draws the background of a group."""
        self._rectangle(x, y, width, height, 12, BAND)

    def box(
        self, centre: Point, size: Point, lines: Sequence[str], colour: str, name: str
    ) -> None:
        """Draws a framed box around `centre`, its first line bold."""
        (x, y), (width, height) = centre, size
        frame = self._rectangle(
            x - width / 2, y - height / 2, width, height, 7, tint(colour), stroke=colour
        )
        frame.set("stroke-width", "1.8")
        frame.set("id", name)
        step = 20
        first = y - step * (len(lines) - 1) / 2
        fitting = (width - 8) / (_BOLD_WIDTH * len(lines[0]))
        self.text(x, first, lines[0], min(15.5, fitting), bold=True)
        for index, line in enumerate(lines[1:], start=1):
            self.text(x, first + step * index, line, 14, SOFT)

    def swatch(self, x: float, y: float, colour: str) -> None:
        """Draws a small square to explain a colour."""
        self._rectangle(x - 8, y - 8, 16, 16, 4, tint(colour), stroke=colour)

    def sum(self, centre: Point, radius: float, colour: str, dashed: bool) -> None:
        """Draws a circle with a plus."""
        x, y = centre
        circle = ElementTree.SubElement(
            self._root,
            "circle",
            {
                **_numbers(cx=x, cy=y, r=radius),
                "fill": "#ffffff",
                "stroke": colour,
                "stroke-width": "1.8",
            },
        )
        if dashed:
            circle.set("stroke-dasharray", "3 3")
        arm = radius * 0.55
        self._path(
            f"M {x - arm:.1f} {y:.1f} h {2 * arm:.1f} "
            f"M {x:.1f} {y - arm:.1f} v {2 * arm:.1f}",
            colour,
            1.8,
        )

    def arrow(
        self,
        start: Point,
        end: Point,
        colour: str,
        kind: str = "",
        *,
        corner: Point | None = None,
        dashed: bool = False,
    ) -> None:
        """Draws an arrow, straight or bent towards a corner.

        Args:
            start: where it begins.
            end: the tip.
            colour: of line and head.
            kind: kept as its class.
            corner: control point of a quadratic curve.
            dashed: whether the line is.
        """
        behind = corner or start
        angle = math.atan2(end[1] - behind[1], end[0] - behind[0])
        along = (math.cos(angle), math.sin(angle))
        foot = (end[0] - _HEAD_LENGTH * along[0], end[1] - _HEAD_LENGTH * along[1])
        bend = f"Q {corner[0]:.1f} {corner[1]:.1f}" if corner else "L"
        line = self._path(
            f"M {start[0]:.1f} {start[1]:.1f} {bend} {foot[0]:.1f} {foot[1]:.1f}",
            colour,
            1.7,
        )
        if kind:
            line.set("class", kind)
        if dashed:
            line.set("stroke-dasharray", "5 4")
        across = (-along[1] * _HEAD_WIDTH / 2, along[0] * _HEAD_WIDTH / 2)
        corners = (
            end,
            (foot[0] + across[0], foot[1] + across[1]),
            (foot[0] - across[0], foot[1] - across[1]),
        )
        ElementTree.SubElement(
            self._root,
            "polygon",
            {
                "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in corners),
                "fill": colour,
            },
        )

    def source(self) -> str:
        """The picture as XML, with one element a line."""
        ElementTree.indent(self._root)
        return ElementTree.tostring(self._root, encoding="unicode")

    def _rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        radius: float,
        fill: str,
        stroke: str = "none",
    ) -> ElementTree.Element:
        return ElementTree.SubElement(
            self._root,
            "rect",
            {
                **_numbers(x=x, y=y, width=width, height=height, rx=radius),
                "fill": fill,
                "stroke": stroke,
            },
        )

    def _path(self, course: str, colour: str, width: float) -> ElementTree.Element:
        return ElementTree.SubElement(
            self._root,
            "path",
            {"d": course, "fill": "none", "stroke": colour, "stroke-width": f"{width}"},
        )


def tint(colour: str, share: float = 0.87) -> str:
    """A colour `#rrggbb` moved towards white."""
    parts = (int(colour[index : index + 2], 16) for index in (1, 3, 5))
    mixed = (round(255 * share + part * (1 - share)) for part in parts)
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _numbers(**values: float) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}
