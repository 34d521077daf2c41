"""Metrics beside the programs that papers score with, on six pairs of road networks."""

from __future__ import annotations

import pytest

from gpuph.metrics import apls
from support.road_pairs import PAIRS

# The score, and the similarities from truth to prediction and back, of the program of Van Etten et al. (CosmiQ/apls on
# GitHub, commit 4a78807): `make_graphs` and `compute_apls_metric` on graphs without nodes of degree 2, with a spacing
# of 50 m, snapping within 4 m, min_path_length=0.001 as on its command line, and two values of `is_curved_eps`.
APLS = {
    0.0: {
        "blocks": (0.9299, 0.8882, 0.9756),
        "bends": (0.6640, 0.6274, 0.7051),
        "missing": (0.1911, 0.1057, 0.9978),
        "broken": (0.3772, 0.2325, 0.9982),
        "joined": (0.8065, 0.9437, 0.7041),
        "mixed": (0.4952, 0.3878, 0.6850),
    },
    0.012: {
        "blocks": (0.9765, 0.9721, 0.9810),
        "bends": (0.6640, 0.6274, 0.7051),
        "missing": (0.1708, 0.0934, 0.9976),
        "broken": (0.3662, 0.2243, 0.9969),
        "joined": (0.8982, 0.9328, 0.8661),
        "mixed": (0.4625, 0.3283, 0.7823),
    },
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("curvature", APLS)
def test_apls_with_the_published_control_points_is_that_of_its_authors_program(curvature, pair):
    assert apls(*PAIRS[pair](), points=None, min_curvature=curvature) == pytest.approx(APLS[curvature][pair], abs=2e-4)


@pytest.mark.parametrize("pair", PAIRS)
def test_apls_depends_little_on_the_control_points_of_short_edges(pair):
    assert apls(*PAIRS[pair](), points=None).score == pytest.approx(APLS[0.0][pair][0], abs=0.02)
