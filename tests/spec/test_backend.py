from __future__ import annotations

import numpy as np
import pytest

from skerry.errors import SpecificationError
from skerry.spec import fit_table, mmd2, unreduced
from skerry.spec.backend import NumpyRows, TorchRows, filled, gpu_available, open_rows
from skerry.spec.metric import Scale, column_scale, kernel_block
from skerry.spec.rkme import Floats


def rows() -> Floats:
    values = np.random.default_rng(0).normal([3, -50, 1e4], [1, 9, 30], size=(700, 3))
    values[::7, 1] = np.nan
    return values


def test_torch_and_numpy_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The torch path runs on a CPU here; on a GPU it is the same code."""
    monkeypatch.setattr("skerry.spec.backend.BLOCK_FLOATS_MAX", 200)
    values = rows()
    numpy_rows, torch_rows = NumpyRows(values), TorchRows(values, "cpu")
    for name in ("location", "spread", "missing_rate"):
        np.testing.assert_allclose(
            getattr(torch_rows.moments(), name), getattr(numpy_rows.moments(), name), rtol=1e-10
        )
    base = column_scale(numpy_rows.moments())
    scale = Scale(base.location, base.spread, base.bound, 0.4)
    points = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_allclose(
        torch_rows.embedding(points, scale), numpy_rows.embedding(points, scale), rtol=1e-5
    )
    index = np.array([0, 3, 699])
    np.testing.assert_array_equal(torch_rows.take(index), numpy_rows.take(index))
    drawn = filled(scale, values[index], np.float64)
    for skip in (None, index):
        ours, company = numpy_rows.nearest(drawn, scale, np.full(3, 0.3), skip)
        theirs, their_company = torch_rows.nearest(drawn, scale, np.full(3, 0.3), skip)
        np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(their_company, company)
        assert (ours < 1e-6).all() == (skip is None)


def test_a_whole_fit_runs_on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    values = rows()
    values.setflags(write=False)
    by_numpy = fit_table(values, 30)
    monkeypatch.setattr("skerry.spec.fit.open_rows", lambda values, device: TorchRows(values, "cpu"))
    by_torch = fit_table(values, 30)
    exact = unreduced(values)
    assert mmd2(exact, by_torch) == pytest.approx(mmd2(exact, by_numpy), rel=0.2)
    np.testing.assert_allclose(by_torch.marginals.location, by_numpy.marginals.location)


def test_the_embedding_is_the_mean_kernel_value() -> None:
    values = np.nan_to_num(rows())
    scale = Scale.raw(3, 1e-4)
    points = values[:4]
    expected = kernel_block(points, values, 1e-4).mean(axis=1)
    np.testing.assert_allclose(NumpyRows(values).embedding(points, scale), expected, rtol=1e-9)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(SpecificationError, match="device"):
        open_rows(rows(), "tpu")  # type: ignore[arg-type] # wrong on purpose


def test_a_gpu_is_used_or_missed_aloud() -> None:
    if gpu_available():
        assert len(fit_table(rows(), device="cuda")) == 70
    else:
        with pytest.raises(SpecificationError, match="no GPU"):
            fit_table(rows(), device="cuda")
