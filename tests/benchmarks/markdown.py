"""Print tables in Markdown."""


def print_table(header, rows, title=None):
    """Print a table.

    Parameters
    ----------
    header : sequence of str
        Titles of the columns.
    rows : iterable of sequence
        Cells of each row. Rows are printed as they are computed.
    title : str, default=None
        Text above the table.
    """
    print(f"\n{title}\n" if title else "")
    _print_row(header)
    print("|" + "---|" * len(header))
    for row in rows:
        _print_row(row)


def _print_row(cells):
    print("|", " | ".join(map(str, cells)), "|", flush=True)
