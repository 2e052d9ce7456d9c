from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_images

from skerry.errors import SpecificationError
from skerry.spec import Rkme, fit_image, image_features, mmd2, rank
from skerry.spec.extractors.patches import DIMENSION, _edges, resized


def photographs() -> list[np.ndarray]:
    """Tiles of scikit-learn's two photographs (CC BY), 64 x 64 pixels: a temple's roofs, and a flower."""
    return [
        np.stack([photo[y : y + 64, x : x + 64] for y in range(0, 384, 64) for x in range(0, 640, 64)])
        for photo in load_sample_images().images
    ]


def test_tiles_of_one_photograph_are_nearer_than_those_of_another() -> None:
    temple, flower = photographs()
    market = [fit_image(flower[::2]), fit_image(temple[::2])]
    found = rank(fit_image(temple[1::2]), market)
    assert found.indices.tolist() == [1, 0]
    assert found.mmd2[0] < 0.5 * found.mmd2[1]


def test_digits_are_told_apart_by_shape_alone() -> None:
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8)
    zero, one = (fit_image(images[y == digit][:100], white=16) for digit in (0, 1))
    wanted = fit_image(images[y == 1][100:], white=16)
    assert 2 * mmd2(wanted, one) < mmd2(wanted, zero)


def test_points_lie_on_the_unit_sphere_and_the_island_names_the_extractor() -> None:
    rkme = fit_image(photographs()[0])
    assert (rkme.kind, rkme.island.extractor, rkme.dimension) == (
        "image",
        "skerry/pixels-colours-edges/1",
        360,
    )
    np.testing.assert_allclose(np.linalg.norm(rkme.points, axis=1), 1, atol=1e-5)
    assert Rkme.from_bytes(rkme.to_bytes()) == rkme == fit_image(photographs()[0])


def test_size_type_and_order_of_axes_hardly_matter() -> None:
    tiles = photographs()[1][:20]
    rows = image_features(tiles)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(image_features(tiles.transpose(0, 3, 1, 2)), rows, atol=1e-6)
    np.testing.assert_allclose(image_features(tiles / 255), rows, atol=1e-5)
    np.testing.assert_allclose(image_features(list(tiles)), rows, atol=1e-6)
    double = np.repeat(np.repeat(tiles, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(image_features(double), rows, atol=1e-5)
    half = tiles.reshape(20, 32, 2, 32, 2, 3).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(image_features(half), rows, atol=1e-5)


def test_a_list_may_mix_sizes_and_channels() -> None:
    tile = photographs()[1][3]
    rows = image_features([tile, tile[:, :, 0], tile[:, :, :1], tile[:50, :40]])
    np.testing.assert_array_equal(rows[1], rows[2])
    np.testing.assert_allclose(rows[0], image_features(tile[None])[0], atol=1e-6)
    grey = np.repeat(tile[:, :, :1], 3, axis=2)
    np.testing.assert_allclose(image_features(grey[None])[0], rows[1], atol=1e-6)


def test_resizing_keeps_the_mean_and_straight_ramps() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 96)[None, :, None, None], (1, 96, 96, 3))
    small = resized(ramp, 32)
    assert small.mean() == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_allclose(np.diff(small[0, :, 5, 0]), 3 / 95, atol=1e-6)
    np.testing.assert_allclose(resized(np.ones((1, 7, 5, 3)), 32), 1, atol=1e-6)
    large = resized(ramp[:, ::12, ::12], 32)
    assert (np.diff(large[0, :, 5, 0]) >= 0).all()


def test_edges_fall_into_the_bin_of_their_direction() -> None:
    across = np.zeros((1, 32, 32))
    across[:, :, 4:] = 1
    histogram = _edges(across).reshape(4, 4, 9)
    assert np.flatnonzero(histogram[0, 0]).tolist() == [0]
    turned = _edges(across.transpose(0, 2, 1)).reshape(4, 4, 9)
    assert np.flatnonzero(turned[0, 0]).tolist() == [4, 5]


def test_images_of_one_colour_and_one_image_are_taken() -> None:
    black, white = np.zeros((3, 16, 16), np.uint8), np.full((3, 16, 16), 255, np.uint8)
    assert mmd2(fit_image(black), fit_image(white)) > 0.5
    one = fit_image(photographs()[0][:1])
    assert len(one) == 1
    np.testing.assert_allclose(one.points, image_features(photographs()[0][:1]), atol=1e-5)


def test_what_the_extractor_computes_is_fixed_by_its_id() -> None:
    """A change here splits the network: it takes a new id."""
    image = (np.arange(32 * 32 * 3).reshape(1, 32, 32, 3) * 7919 % 251).astype(np.uint8)
    row = image_features(image)[0]
    assert row.shape == (DIMENSION,)
    np.testing.assert_allclose(row[[0, 100, 195, 230, 300]], FROZEN, atol=2e-6)


FROZEN = [0.02915, 0.050609, 0.119224, 0.065803, 0.028292]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((0, 8, 8)), "0 images"),
        (np.zeros((8, 8)), "one image"),
        (np.zeros((8, 8, 3)), "one image"),
        (np.zeros((2, 8, 8, 3, 1)), "its shape"),
        (np.zeros((2, 8, 8, 2)), "image 0.*1 or 3 channels"),
        (np.zeros((2, 8, 8, 4)), "transparency"),
        (np.zeros((2, 3, 3)), "one image|pixels"),
        (np.full((2, 8, 8), np.nan), "image 0.*nan"),
        (np.full((2, 8, 8), np.inf), "image 0"),
        (np.full((2, 8, 8), 16.0), "white"),
        (np.full((2, 8, 8), -5), "image 0"),
        (np.full((2, 8, 8), 300), "image 0"),
        (np.full((2, 8, 8), "a"), "numbers are needed"),
        (np.zeros((2, 8, 8), complex), "complex"),
        ([np.zeros((8, 8)), b"not an image"], "image 1"),
        ([np.zeros((8, 8)), None], "image 1"),
        ([[[0, 1], [2]]], "image 0"),
        (7, "not int"),
    ],
)
def test_broken_images_are_refused_by_their_place(images: object, words: str) -> None:
    with pytest.raises(SpecificationError, match=words) as caught:
        fit_image(images)
    assert caught.value.code == "E-SPEC-DATA"


@pytest.mark.parametrize("white", [0, -1, float("nan")])
def test_an_impossible_white_is_refused(white: float) -> None:
    with pytest.raises(SpecificationError, match="white"):
        fit_image(np.zeros((2, 8, 8)), white=white)


def test_one_broken_image_among_many_is_named() -> None:
    images = np.zeros((40, 8, 8))
    images[17, 3, 3] = np.nan
    with pytest.raises(SpecificationError, match="image 17"):
        fit_image(images)


def test_an_unknown_extractor_is_refused_by_name() -> None:
    with pytest.raises(SpecificationError, match="oracle") as caught:
        fit_image(np.zeros((2, 8, 8)), extractor="oracle")
    assert caught.value.code == "E-SPEC-EXTRACTOR"
