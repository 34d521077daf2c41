import itertools
import math
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

import bench.train.network
import bench.train.neurons
from bench.train import __main__ as demo
from bench.train.crops import Crops
from bench.train.neurons import BRIDGES, DETOUR, hemibrain, load_skeletons
from bench.train.scenes import Scene

pytestmark = pytest.mark.slow  # networks are trained
SIDE = 64


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Render small volumes, and compute batch-norm statistics on few batches, for speed."""
    monkeypatch.setattr(bench.train.neurons, "SIDE", SIDE)
    monkeypatch.setattr(bench.train.network, "STATISTICS_BATCHES", 2)


def test_appearance_depends_on_the_seed_and_neurons_do_not():
    scenes, again, others = hemibrain(0), hemibrain(0), hemibrain(1)
    assert len(scenes) == 3
    for scene, same, other in zip(scenes, again, others, strict=True):
        assert np.array_equal(scene.image, same.image)
        assert not np.array_equal(scene.image, other.image)
        assert np.array_equal(scene.mask, same.mask)
        assert np.array_equal(scene.mask, other.mask)  # the neurons are real
    for scene, other in itertools.combinations(scenes, 2):
        assert not np.array_equal(scene.mask, other.mask)


def test_rendered_volume_has_an_image_and_thin_lines():
    for scene in hemibrain(0, rows=48):
        assert scene.mask.shape == (SIDE, 48, SIDE)
        assert scene.image.shape == (1, *scene.mask.shape)
        assert scene.image.dtype == np.float32
        assert 0 <= scene.image.min() < scene.image.max() <= 1
        assert 0 < scene.mask.mean() < 0.05
        bright, dark = scene.image[0][scene.mask], scene.image[0][~scene.mask]
        assert np.median(bright) > np.quantile(dark, 0.95)


@pytest.mark.parametrize("every", [bench.train.neurons.GAP_EVERY, 10**9], ids=["gaps", "no-gaps"])
def test_neurites_are_dark_only_in_gaps(monkeypatch, every):
    monkeypatch.setattr(bench.train.neurons, "GAP_EVERY", every)
    for scene in hemibrain(0):
        bright, dark = scene.image[0][scene.mask], scene.image[0][~scene.mask]
        assert (np.quantile(bright, 0.05) < np.quantile(dark, 0.9)) == (every < 10**9)


def test_false_bridges_connect_points_far_apart_along_the_neuron():
    neuron = load_skeletons()[0]
    points = neuron.points[:, ::-1] / bench.train.neurons.FINE
    start, stop = bench.train.neurons._bridges(neuron, points, np.arange(len(points)), 20, np.random.default_rng(0))
    assert len(start) == 20
    tree = nx.Graph()
    for a, b in zip(*neuron.edges(), strict=True):
        tree.add_edge(a, b, length=math.dist(points[a], points[b]))
    for a, b in zip(start, stop, strict=True):
        assert BRIDGES[0] <= math.dist(points[a], points[b]) <= BRIDGES[1]
        assert nx.shortest_path_length(tree, a, b, "length") > DETOUR


@pytest.mark.parametrize(("rank", "symmetries"), [(2, 8), (3, 48)])
def test_crops_have_all_symmetries_of_the_grid_with_their_maps(rank, symmetries):
    rng = np.random.default_rng(0)
    mask = rng.random((3,) * rank) < 0.3
    scene = Scene(np.stack((mask, rng.random(mask.shape))).astype(np.float32), mask)
    images, maps = Crops([scene], side=3, count=1000, seed=0, device=torch.device("cpu")).batch(0)
    assert torch.equal(images[:, 0] == 1, maps[:, 0] == 0)
    assert len(images[:, 1].flatten(1).unique(dim=0)) == symmetries


def command(out: Path, *more: object) -> dict:
    threads = ("--threads", torch.get_num_threads())  # sums depend on the number of threads, in the last bits
    fixed = ("--data", "neurons", "--warmup", 1, "--out", out, *threads)
    return demo.main([str(word) for word in (*fixed, *more)])


def test_train_on_neurons_and_resume(tmp_path):
    whole = command(tmp_path / "whole", "--steps", 2)
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"figure.png", "result.json", "checkpoint.pt"}
    for scores in whole["held_out"].values():
        assert np.isfinite(list(scores.values())).all()
    assert whole["held_out"]["MSE"] != whole["held_out"]["MSE + localized"]
    command(tmp_path / "parts", "--steps", 1)
    parts = command(tmp_path / "parts", "--steps", 2, "--resume", tmp_path / "parts" / "checkpoint.pt")
    assert parts["held_out"] == whole["held_out"]


def test_arguments_that_do_not_fit_neurons_end_the_command(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command(tmp_path, "--images", tmp_path, "--masks", tmp_path)
    assert "holds no file that ends in .png, .gif, .tif" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command(tmp_path, "--rows", 20)
    assert "64 x 20 x 64 pixels, smaller than a crop of 48" in capsys.readouterr().err
