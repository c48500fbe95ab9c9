"""Which types and shapes the tensors of a partition may have. partition.py says what they are."""

from collections.abc import Mapping

from lambda_image.data.columns import check_columns
from lambda_image.data.file_content import BANDS_FLAG, Column, ForeignFormat, FormatError
from lambda_image.data.sizes import MAX_MAGNITUDES, PUBLISHED, WIDE_IMAGE, Sizes, image_layout

PARTS = ("images", "magnitudes", "redshifts")  # what a file holds beside columns of the user
FLOAT_DTYPES = {"float16", "bfloat16", "float32", "float64"}


def check_shapes(columns: Mapping[str, Column], wanted: Sizes | None) -> tuple[int, Sizes]:
    """The common number of rows and their sizes, once every tensor has a type and shape that can be read."""
    further = {name: column for name, column in columns.items() if name not in PARTS}
    columns = {name: columns[name] for name in PARTS if name in columns}
    if "magnitudes" not in columns and wanted is not None and wanted.magnitudes:
        problem = f"it holds no magnitudes; [N, {wanted.magnitudes}] are needed"
        raise ForeignFormat(problem, f"--magnitudes NAME {BANDS_FLAG}")
    for name, column in columns.items():
        if column.dtype not in FLOAT_DTYPES:
            raise FormatError(f"{name} are {column.dtype}; floating-point numbers are needed")
    sizes = _sizes({name: column.shape for name, column in columns.items()}, wanted)
    lengths = {name: column.shape[0] for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise FormatError(f"lengths differ: {found}; one of each is needed for each galaxy")
    check_columns(further, lengths["images"], sizes.magnitudes)
    return lengths["images"], sizes


def _sizes(shapes: Mapping[str, tuple[int, ...]], wanted: Sizes | None) -> Sizes:
    """The sizes as read, once images, magnitudes and redshifts have shapes that can be read."""

    def wrong(name: str, needed: str) -> FormatError:
        problem = f"{name} have the shape {list(shapes[name])}; {needed} is needed"
        if name == "images" and len(shapes[name]) == 4:  # of other bands, or larger
            return ForeignFormat(problem, "--bands BANDS")
        return FormatError(problem)

    layout = image_layout(shapes["images"][1:], wanted)
    if layout is None:
        bands, side = ("bands", "side") if wanted is None else (wanted.bands, wanted.side)
        wide = (WIDE_IMAGE[0], WIDE_IMAGE[0]) if wanted == PUBLISHED else (side, side)
        raise wrong("images", f"[N, {bands}, {side}, {side}] or [N, {wide[0]}, {wide[1]}, {bands}]")
    magnitudes = shapes.get("magnitudes", (0, 0))
    count = magnitudes[1] if len(magnitudes) == 2 else -1
    if wanted is not None and wanted.magnitudes and count != wanted.magnitudes:
        raise wrong("magnitudes", f"[N, {wanted.magnitudes}]")
    if not 0 <= count <= MAX_MAGNITUDES:
        raise wrong("magnitudes", "[N, M]")
    if shapes.get("redshifts", (0,))[1:] not in ((), (1,)) or shapes.get("redshifts") == ():
        raise wrong("redshifts", "[N] or [N, 1]")
    return Sizes(*layout, count if wanted is None else wanted.magnitudes)
