"""Any loss on several classes, each of them against all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .. import checks, hints
from . import inputs, labels, region
from .base import WindowLoss, reduce_windows, show_settings
from .betti import BettiPriorLoss
from .precision import promote


class OneVsRest(torch.nn.Module):
    """Apply a loss to each of several classes, in one call.

    The losses of this package compare one predicted channel with one map. `OneVsRest` treats each class as a problem of
    its own, with all other classes as its background: it compares channel c of the prediction with the mask or the
    distance map of class c. Values and gradients are those of a loop over the channels, bit for bit, but all classes
    are computed in one batch.

    Settings have the names and meanings of those of MONAI's `DiceLoss`; the notes list the differences.

    Parameters
    ----------
    loss : WindowLoss or BettiPriorLoss
        The loss of one class, with its default reduction.
    include_background : bool
        Whether channel 0 counts. If not, it is dropped after the activation.
    to_onehot_y : bool
        Whether the target holds labels from 0 to C - 1, which are converted to one mask per class.
    softmax, sigmoid : bool
        Apply softmax over the channels, or sigmoid, to the prediction first. If the network returns logits, losses on
        probabilities need one of them: softmax if classes exclude each other, sigmoid if they may overlap.
    other_act : callable, optional
        Another activation, which maps a tensor (B, C, ...) to one of the same shape. Only one of `softmax`, `sigmoid`
        and `other_act` may be set.
    weight : float or sequence of float, optional
        Weight of all classes, or one weight per class. If the background is dropped, it has no weight.
    ignore_index : int, optional
        Label of pixels to ignore. There, the truth replaces the prediction in all classes.
    reduction : {"mean", "sum", "image", "none"}
        Over images, classes and windows, after weighting. "image" adds up the windows of a class of an image, and
        averages over images and classes. "none" gives the weighted values, shape (B, C, windows), or
        (B, C) for `BettiPriorLoss`. A dropped background has no values.

    Raises
    ------
    TypeError, ValueError
        If a setting is not one of those above, or if `to_onehot_y` or `ignore_index` is set and `loss` does not take
        masks, like the losses on distance maps and `BettiPriorLoss`. In a call: if an input is not as `forward`
        describes, or `weight` does not have one number per class; also see the loss. On the CPU, a NaN raises, and so
        does a label that is neither a class nor `ignore_index`. On other devices, a NaN makes the values of its class
        NaN (with softmax, of all classes), and an unknown label makes those of all classes NaN.

    Warns
    -----
    UserWarning
        Once in a process for each of `include_background=False`, `softmax=True` and `to_onehot_y=True`, if `pred` has
        one channel. As in MONAI, the setting is then ignored. Also see the loss.

    Notes
    -----
    A sum over pixels can leave some of them out, but topology cannot: cutting them out would make holes. Prediction and
    truth are made equal at ignored pixels instead, so the value does not depend on the prediction there, and its
    gradient there is 0. If the label of ignored pixels is not a class, such as 255, they are background in all classes.
    If it is class k, they belong to class k and are background in the others, whereas in MONAI they are background in
    class k too. In a target of one channel, ignored pixels are those equal to `ignore_index`; in one of C channels,
    those where channel `ignore_index` exceeds 0.5 or, if there is no such channel, where all channels are 0.

    Also unlike MONAI, `weight` applies to a single channel as well, "none" does not keep axes of size 1, and unknown
    labels are errors. As in MONAI, the mean is over all values and is not divided by the weights.

    Activations of half precision are computed in float32. Random heights differ between classes, except with
    `RandomLinear(per_window=False)`. `BettiPriorLoss` expects the same Betti numbers in each class. Losses on distance
    maps need one map per class: concatenate `gpuph.truncated_distance_map(labels == c)` over the classes c.

    Examples
    --------
    Class 1 is a road with a weak spot of probability 0.5; class 2 is predicted as it is.

    >>> import torch, gpuph
    >>> labels = torch.zeros(1, 1, 64, 64, dtype=torch.int64)
    >>> labels[..., 20, :] = 1
    >>> labels[..., 40, :] = 2
    >>> pred = (labels == torch.arange(3).view(1, 3, 1, 1)).float()
    >>> pred[:, 0, 20, 30:33] = pred[:, 1, 20, 30:33] = 0.5
    >>> settings = dict(include_background=False, to_onehot_y=True)
    >>> gpuph.OneVsRest(gpuph.LikelihoodPHLoss(), **settings, reduction="none")(pred, labels)
    tensor([[[0.2500],
             [0.0000]]])
    >>> gpuph.OneVsRest(gpuph.LikelihoodPHLoss(), **settings, weight=[3.0, 1.0])(pred, labels)  # 3 * 0.25 / 2
    tensor(0.3750)
    """

    def __init__(
        self,
        loss: WindowLoss | BettiPriorLoss,
        *,
        include_background: bool = True,
        to_onehot_y: bool = False,
        softmax: bool = False,
        sigmoid: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        weight: float | Sequence[float] | None = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if not isinstance(loss, (WindowLoss, BettiPriorLoss)):
            raise TypeError(f"loss must be one of gpuph's losses of one class, got {checks.shown(loss)}")
        if loss.reduction != "mean":
            raise ValueError(
                f'loss must have the default reduction, "mean", got {loss.reduction!r}; give OneVsRest the reduction,'
                " as it reduces over classes as well"
            )
        self.loss = loss
        self.include_background = checks.boolean("include_background", include_background)
        self.to_onehot_y = checks.boolean("to_onehot_y", to_onehot_y)
        self.softmax = checks.boolean("softmax", softmax)
        self.sigmoid = checks.boolean("sigmoid", sigmoid)
        if other_act is not None and not callable(other_act):
            raise TypeError(f"other_act must be a callable or None, got {checks.shown(other_act)}")
        self.other_act = other_act
        self.weight = checks.class_weights(weight)
        self.ignore_index = (
            None if ignore_index is None else checks.integer("ignore_index", ignore_index, -checks.LARGEST)
        )
        self.reduction = checks.reduction(reduction)

        activations = {"softmax": self.softmax, "sigmoid": self.sigmoid, "other_act": other_act is not None}
        chosen = [name for name, is_set in activations.items() if is_set]
        if len(chosen) > 1:
            raise ValueError(f"one of softmax, sigmoid and other_act may be set, got {' and '.join(chosen)}")
        of_masks = {"to_onehot_y": self.to_onehot_y, "ignore_index": self.ignore_index is not None}
        for name, is_set in of_masks.items():
            if is_set and not (isinstance(loss, WindowLoss) and loss.takes_masks):
                raise ValueError(f"{name} needs a loss that takes masks, got {type(loss).__name__}")

    def forward(self, pred: Tensor, target: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        pred : Tensor, shape (B, C, H, W) or (B, C, D, H, W), floating point
            Predicted maps of C classes, before the activation, if one is set.
        target : Tensor, of pred's shape, or shape (B, 1, ...) with `to_onehot_y`
            Masks or distance maps of the classes, or labels. Masks and labels may be floating point, bool or integers,
            distance maps floating point. None for `BettiPriorLoss`.
        mask : Tensor, shape (B, 1, ...) or one that broadcasts to it, bool, optional
            The region of interest of all classes: True on the pixels that count. The others are ignored as those of
            `ignore_index` are; see the loss for values that no truth has. They may have unknown labels.

        Returns
        -------
        Tensor
            A scalar, or all values if reduction="none".
        """
        inputs.maps("pred", pred, channels="C")
        images, channels = pred.shape[:2]
        first = 1 if _applies("include_background=False", not self.include_background, channels) else 0
        classes = channels - first
        if isinstance(self.weight, tuple) and len(self.weight) != classes:
            without = ", without the background" if first else ""
            raise ValueError(f"weight must have one number for each of {classes} classes{without}, got {self.weight}")

        if mask is not None:
            mask = region.checked(mask, pred)

        if isinstance(self.loss, BettiPriorLoss):
            if target is not None:
                raise TypeError(f"target must be None for BettiPriorLoss, got {checks.shown(target)}")
            pred = self._activate(pred, None if mask is None else ~mask)[:, first:]
            values = self.loss._per_window(_fold(pred), None if mask is None else _fold(mask.expand(pred.shape)))
        else:
            masks, ignored = self._separate(pred, target, mask)
            masks, pred = masks[:, first:], self._activate(pred, ignored)[:, first:]
            if ignored is not None:
                pred, truth = promote(pred, masks)
                pred = region.replace_outside(pred, truth, ~ignored)
            values = self.loss._per_window(_fold(pred), _fold(masks))
        values = self._weigh(values.view(images, classes, *values.shape[1:]))
        reduction = "mean" if self.reduction == "image" and values.dim() == 2 else self.reduction
        return reduce_windows(values, reduction)

    def _probabilities_and_masks(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the activated prediction and the masks of the classes that count, shape (B, C, *image) each."""
        inputs.maps("pred", pred, channels="C")
        first = 1 if _applies("include_background=False", not self.include_background, pred.shape[1]) else 0
        masks, ignored = self._separate(pred, target, None)
        activated, truth = promote(self._activate(pred, ignored), masks)
        return activated[:, first:], truth[:, first:]

    def _separate(self, pred: Tensor, target: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the truth of each class, shape (B, C, *image), and which pixels are ignored, shape (B, 1, *image)."""
        assert isinstance(self.loss, WindowLoss)
        if target is None:
            raise TypeError(f"target must be a torch.Tensor for {type(self.loss).__name__}, got None")
        inputs.truth(target, pred, masks=self.loss.takes_masks)
        channels = pred.shape[1]
        labelled = _applies("to_onehot_y=True", self.to_onehot_y, channels)
        expected = (len(pred), 1, *pred.shape[2:]) if labelled else tuple(pred.shape)
        if target.shape != expected:
            what = "the labels of" if labelled else "the shape of"
            hint = "; labels need to_onehot_y=True" if target.shape[1:2] == (1,) and not self.to_onehot_y else ""
            raise ValueError(f"target must have the shape {expected}, {what} pred, got {tuple(target.shape)}{hint}")

        labelled_ignored = None if self.ignore_index is None else labels.equal_to(target, self.ignore_index)
        if labelled_ignored is not None and channels == 1:
            target = target.masked_fill(labelled_ignored, 0)
        if mask is None:
            ignored = labelled_ignored
        else:
            ignored = ~mask if labelled_ignored is None else labelled_ignored | ~mask
            if not labelled:
                target = region.fill_unknown(target, mask, masks=self.loss.takes_masks)
        return (labels.one_hot(target, channels, ignored) if labelled else target), ignored

    def _activate(self, pred: Tensor, ignored: Tensor | None) -> Tensor:
        """Return the activated prediction."""
        softmax = _applies("softmax=True", self.softmax, pred.shape[1])
        if not (softmax or self.sigmoid or self.other_act):
            return pred
        (x,) = promote(pred)
        if ignored is not None:
            x = x.masked_fill(ignored, 0.0)  # so that no activation spreads what is ignored, such as a NaN
        if self.other_act is None:
            return x.softmax(dim=1) if softmax else x.sigmoid()
        activated = self.other_act(x)
        if not isinstance(activated, Tensor) or activated.shape != pred.shape:
            shape = tuple(pred.shape)
            raise ValueError(f"other_act must return a tensor of the shape {shape}, got {checks.shown(activated)}")
        return activated

    def _weigh(self, values: Tensor) -> Tensor:
        """Multiply values (B, C, ...) by the weights of their classes."""
        if not isinstance(self.weight, tuple):
            return values if self.weight is None else values * self.weight
        # Filled on the device, as copying a list to it would wait for the device.
        weights = torch.cat([values.new_full((1,), weight) for weight in self.weight])
        return values * weights.view(-1, *[1] * (values.dim() - 2))

    def extra_repr(self) -> str:
        names = ("include_background", "to_onehot_y", "softmax", "sigmoid", "other_act", "weight", "ignore_index")
        return show_settings(self, (*names, "reduction"))


def _applies(setting: str, is_set: bool, channels: int) -> bool:
    """Return whether a setting for several channels applies; warn if it is set for one."""
    if is_set and channels == 1 and not torch.compiler.is_compiling():
        hints.one_channel(setting)
    return is_set and channels > 1


def _fold(x: Tensor) -> Tensor:
    """Fold the classes of maps (B, C, *image) into the batch, shape (B C, 1, *image)."""
    return x.flatten(0, 1).unsqueeze(1)
