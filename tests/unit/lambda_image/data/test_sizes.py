import pytest

from lambda_image.data.sizes import PUBLISHED, Sizes, image_layout, magnitude_columns


def test_the_published_sizes():
    assert PUBLISHED.image == (5, 32, 32)
    assert PUBLISHED.row_bytes == 4 * (5 * 32 * 32 + 5 + 1)
    assert str(PUBLISHED) == "images [5, 32, 32] and 5 magnitudes"
    assert str(Sizes(1, 8, 0)) == "images [1, 8, 8] and no magnitudes"


def test_only_five_magnitudes_have_the_names_of_the_published_bands():
    assert magnitude_columns(5) == ("mag_u", "mag_g", "mag_r", "mag_i", "mag_z")
    assert magnitude_columns(3) == ("mag_1", "mag_2", "mag_3")
    assert magnitude_columns(0) == ()


@pytest.mark.parametrize(
    ("shape", "wanted", "layout"),
    [
        ((5, 32, 32), None, (5, 32)),
        ((64, 64, 5), None, (5, 32)),  # as the published documents describe the full cutouts
        ((64, 64, 6), None, (6, 64)),
        ((7, 7, 7), None, (7, 7)),
        ((5, 32, 31), None, None),
        ((5, 32), None, None),
        ((0, 8, 8), None, None),
        ((5, 5000, 5000), None, None),
        ((64, 64, 5), PUBLISHED, (5, 32)),
        ((64, 64, 5), Sizes(5, 64), (5, 64)),
        ((33, 33, 5), PUBLISHED, None),
        ((5, 64, 64), PUBLISHED, None),
        ((6, 32, 32), PUBLISHED, None),
    ],
)
def test_the_layout_of_images(shape, wanted, layout):
    assert image_layout(shape, wanted) == layout
