"""Metrics beside the programs that papers score with, on six pairs of road networks."""

from __future__ import annotations

import pytest

from gpuph.metrics import apls, topo
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
    assert apls(*PAIRS[pair](), points=None, min_curvature=curvature) == pytest.approx(APLS[curvature][pair], abs=6e-5)


@pytest.mark.parametrize("pair", PAIRS)
def test_apls_depends_little_on_the_control_points_of_short_edges(pair):
    assert apls(*PAIRS[pair](), points=None).score == pytest.approx(APLS[0.0][pair][0], abs=0.02)


# Precision, and recall times the share of starting points that the prediction has, of the program of He et al. in the
# version for Python 3 of htcr/sam_road on GitHub (cityscale_metrics/topo, whose walks and matching are those of
# songtaohe/Sat2Graph at commit 7ca4a34): starting points every 50 m, walks of 300 m, an interval of 5 m and thresholds
# of 10 m, all in the program's degrees of 111,111 m, and a region so wide that no point is near its border.
TOPO = {
    "blocks": (1.0000, 0.8155),
    "bends": (0.8905, 0.6864),
    "missing": (0.9998, 0.2836),
    "broken": (1.0000, 0.6072),
    "joined": (0.7723, 1.0000),
    "mixed": (0.9126, 0.7173),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_topo_is_near_that_of_the_program_of_he_et_al(pair):
    """Its starting points, and its marbles on the edge of a starting point, are elsewhere."""
    result = topo(*PAIRS[pair](), average="macro", marbles_per_hole=2, starts=400)
    assert result[:2] == pytest.approx(TOPO[pair], abs=0.02)
