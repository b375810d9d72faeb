"""Functions that read what a display has drawn, and the labels of the stars in its tests."""

NAMES = ("teff", "logg", "Mg", "Al", "Fe")


def artists(ax):
    """Return the lines and collections of axes by their text in the legend."""
    drawn = (*ax.lines, *ax.collections)
    return {artist.get_label(): artist for artist in drawn if not artist.get_label().startswith("_")}


def legend_texts(ax):
    """Return the texts of the legend of axes."""
    return [text.get_text() for text in ax.get_legend().get_texts()]


def positions(scatter):
    """Return the positions of the points of a scatter plot: (n_points, 2)."""
    return scatter.get_offsets().data


def face_colour(collection):
    """Return the colour of a collection as a hexadecimal code in capitals."""
    from matplotlib.colors import to_hex

    return to_hex(collection.get_facecolor()[0]).upper()
