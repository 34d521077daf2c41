import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import bench.train.network
import bench.train.run
from bench.train import __main__ as demo
from bench.train.folder import load_folder
from bench.train.roads import helsinki, load_lines
from bench.train.scenes import Scene

pytestmark = pytest.mark.slow  # networks are trained
ROWS = 400  # metres of Helsinki: enough for a crop of the training area


@pytest.fixture(scope="module")
def scene() -> Scene:
    return helsinki(seed=0, rows=ROWS)[0]


@pytest.fixture(scope="module", autouse=True)
def few_statistics():
    """Compute batch-norm statistics on few batches, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.train.network, "STATISTICS_BATCHES", 2)
        yield


# The data.


def test_appearance_depends_on_the_seed_and_roads_do_not(scene):
    again, other = helsinki(seed=0, rows=ROWS)[0], helsinki(seed=1, rows=ROWS)[0]
    assert np.array_equal(scene.image, again.image)
    assert np.array_equal(scene.mask, again.mask)
    assert not np.array_equal(scene.image, other.image)
    assert np.array_equal(scene.mask, other.mask)  # the roads are real


def test_rendered_scene_has_an_image_and_thin_lines(scene):
    assert scene.image.dtype == np.float32
    assert scene.image.shape == (3, *scene.mask.shape)
    assert 0 <= scene.image.min() < scene.image.max() <= 1
    assert 0 < scene.mask.mean() < 0.1


def test_decoys_change_the_image_but_not_the_mask(scene):
    none, some, again = (helsinki(seed=0, rows=ROWS, decoys=share)[0] for share in (0.0, 0.5, 0.5))
    assert np.array_equal(none.image, scene.image)
    assert np.array_equal(some.image, again.image)
    assert not np.array_equal(some.image, scene.image)
    assert np.array_equal(some.mask, scene.mask)


def test_sixty_percent_of_the_rows_are_for_training():
    train, held_out = helsinki(rows=ROWS)
    assert len(train.mask) == 0.6 * ROWS
    assert len(train.mask) + len(held_out.mask) == ROWS


def test_road_network_is_complete():
    lines = load_lines()
    assert len(lines) == 725
    length = sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines)
    assert length == pytest.approx(21_178, abs=1)


# Folders of images.


def write_pairs(directory: Path, scene: Scene, kind: str, count: int = 3, side: int = 136) -> tuple[Path, Path]:
    """Cut images and masks out of a scene, save them, and return the two directories."""
    images, masks = directory / "images", directory / "masks"
    images.mkdir()
    masks.mkdir()
    for i in range(count):
        columns = slice(200 * i, 200 * i + side)
        image, mask = scene.image[:, :side, columns].transpose(1, 2, 0), scene.mask[:side, columns]
        if kind == "png-rgb-8":
            Image.fromarray((image * 255).astype(np.uint8)).save(images / f"{i}.png")
            Image.fromarray(mask.astype(np.uint8) * 255).save(masks / f"{i}.png")
        else:
            tifffile.imwrite(images / f"area_{i}.tif", (image.mean(2) * 65535).astype(np.uint16))
            tifffile.imwrite(masks / f"roads_{i}.tiff", mask.astype(np.uint16))
    return images, masks


@pytest.mark.parametrize(("kind", "channels"), [("png-rgb-8", 3), ("tiff-gray-16", 1)])
def test_folder_is_read_as_images_and_masks(tmp_path, scene, kind, channels):
    train, held_out = load_folder(*write_pairs(tmp_path, scene, kind), held_out=0.4)
    assert (len(train), len(held_out)) == (2, 1)
    expected = scene.image[:, :136, :136]
    if channels == 1:
        expected = expected.mean(0, keepdims=True)
    assert np.allclose(train[0].image, expected, atol=1 / 255)
    assert np.array_equal(train[0].mask, scene.mask[:136, :136])
    assert np.array_equal(held_out[0].mask, scene.mask[:136, 400:536])


def test_files_are_paired_by_name_rather_than_by_order(tmp_path, scene):
    images, masks = write_pairs(tmp_path, scene, "png-rgb-8")
    for directory in (images, masks):
        (directory / "0.png").rename(directory / "later.png")
    (masks / "1.png").rename(masks / "1.tmp")
    tifffile.imwrite(masks / "1.TIF", np.asarray(Image.open(masks / "1.tmp")))
    train, held_out = load_folder(images, masks, held_out=0.4)
    for found, i in zip(train + held_out, (1, 2, 0), strict=True):
        assert np.array_equal(found.mask, scene.mask[:136, 200 * i : 200 * i + 136])


def test_alpha_channel_is_dropped_and_coloured_mask_is_read(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(2):
        Image.new("RGBA", (20, 10), (255, 0, 0, 3)).save(tmp_path / "images" / f"{i}.png")
        mask = np.zeros((10, 20, 3), np.uint8)
        mask[4, :, 1] = 200
        mask[5, :, 1] = 90  # a smoothed edge
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
    (scene,), _ = load_folder(tmp_path / "images", tmp_path / "masks", held_out=0.5)
    assert scene.image.shape == (3, 10, 20)
    assert scene.mask.sum() == scene.mask[4].sum() == 20


def test_unusable_folder_raises_and_names_the_file(tmp_path, scene):
    images, masks = write_pairs(tmp_path, scene, "png-rgb-8")
    with pytest.raises(ValueError, match="nowhere is not a directory"):
        load_folder(tmp_path / "nowhere", masks, 0.4)
    with pytest.raises(ValueError, match=r"holds no file that ends in \.png"):
        load_folder(tmp_path, masks, 0.4)

    (masks / "2.png").rename(masks / "other.png")
    with pytest.raises(ValueError, match=r"2\.png has no mask of the same name"):
        load_folder(images, masks, 0.4)
    (masks / "other.png").unlink()
    with pytest.raises(ValueError, match=r"3 images in .* but 2 masks"):
        load_folder(images, masks, 0.4)

    (images / "2.png").unlink()
    Image.new("L", (136, 100)).save(masks / "1.png")
    with pytest.raises(ValueError, match=r"1\.png is 136 x 136 pixels but .*1\.png is 100 x 136"):
        load_folder(images, masks, 0.4)
    tifffile.imwrite(images / "1.tif", np.zeros((136, 136), np.complex64))
    (images / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1\.tif holds complex64, expected real numbers"):
        load_folder(images, masks, 0.4)
    for directory in (images, masks):
        for path in list(directory.glob("1.*")):
            path.unlink()
    with pytest.raises(ValueError, match="at least two images"):
        load_folder(images, masks, 0.4)


# The command.


def command(out: Path, *more: object) -> dict:
    threads = ("--threads", torch.get_num_threads())  # sums depend on the number of threads, in the last bits
    fixed = ("--rows", ROWS, "--warmup", 2, "--weight", 0.1, *threads, "--out", out)
    return demo.main([str(word) for word in (*fixed, *more)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("finished")
    return out, command(out, "--steps", 3)


def test_train_writes_figure_numbers_and_checkpoint(finished):
    out, result = finished
    assert {path.name for path in out.iterdir()} == {"figure.png", "result.json", "checkpoint.pt"}
    assert json.loads((out / "result.json").read_text()) == result
    assert list(result["held_out"]) == ["MSE", "MSE + localized"]
    for scores in result["held_out"].values():
        assert set(scores) == {"mse", "betti", "correctness", "completeness", "quality"}
        assert np.isfinite(list(scores.values())).all()


def test_networks_differ_by_the_loss_alone(finished, tmp_path):
    _, with_loss = finished
    assert with_loss["held_out"]["MSE"] != with_loss["held_out"]["MSE + localized"]
    without = command(tmp_path, "--steps", 3, "--weight", 0)
    assert without["held_out"]["MSE"] == without["held_out"]["MSE + localized"] == with_loss["held_out"]["MSE"]


@pytest.mark.parametrize("interrupted_at", [1, 2, 4], ids=["in-the-warm-up", "at-the-fork", "after-the-fork"])
def test_resumed_run_equals_an_uninterrupted_one(finished, tmp_path, monkeypatch, interrupted_at):
    batch = demo.Crops.batch

    def interrupted(self, number):
        if number == interrupted_at:
            raise KeyboardInterrupt
        return batch(self, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(bench.train.run, "SAVE_EVERY", 1)
        patch.setattr(demo.Crops, "batch", interrupted)
        command(tmp_path, "--steps", 3)
    resumed = command(tmp_path, "--steps", 3, "--resume", tmp_path / "checkpoint.pt")

    out, result = finished
    assert resumed["held_out"] == result["held_out"]
    states = [torch.load(path / "checkpoint.pt") for path in (tmp_path, out)]
    for ours, theirs in zip(*(torch.utils._pytree.tree_leaves(state) for state in states), strict=True):
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs


def test_checkpoint_of_other_settings_is_rejected(finished, capsys):
    out, _ = finished
    with pytest.raises(SystemExit):
        command(out, "--seed", 7, "--resume", out / "checkpoint.pt")
    assert "was made with --seed 0, not 7" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["png-rgb-8", "tiff-gray-16"])
def test_train_on_a_folder_of_images(tmp_path, scene, kind):
    images, masks = write_pairs(tmp_path, scene, kind)
    result = command(tmp_path / "out", "--steps", 1, "--images", images, "--masks", masks)
    assert result["settings"]["images"] == str(images)
    assert (tmp_path / "out" / "figure.png").exists()


def test_unusable_folder_ends_the_command_with_one_line(tmp_path, scene, capsys):
    images, masks = write_pairs(tmp_path, scene, "png-rgb-8", side=100)
    with pytest.raises(SystemExit):
        command(tmp_path, "--images", images)
    assert "--images and --masks go together" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command(tmp_path, "--images", images, "--masks", masks)
    assert "100 x 100 pixels, smaller than a crop of 128" in capsys.readouterr().err


def test_invalid_arguments_end_the_command_with_one_line(tmp_path, capsys):
    for words, message in (
        (("--device", "abacus"), "--device abacus cannot be used: "),
        (("--rows", 0), "--rows must be at least 1"),
        (("--threads", 0), "--threads must be at least 1"),
        (("--weight", -1), "--warmup and --weight must be at least 0"),
    ):
        with pytest.raises(SystemExit):
            command(tmp_path, *words)
        assert message in capsys.readouterr().err
