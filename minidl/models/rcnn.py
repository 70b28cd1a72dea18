"""R-CNN: Girshick, Donahue, Darrell & Malik 2014, "Rich feature hierarchies for accurate object detection"."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Tensor, check_tensor, no_grad
from ..backend import to_device, to_numpy
from ..errors import ArgumentError, MissingAttributeError, NonFiniteError, OutOfRangeError, ShapeError
from ..vision import BalancedPositiveNegativeSampler, BoxCoder, Matcher, selective_search
from ..vision.ops import batched_nms, box_iou, clip_boxes_to_image, remove_small_boxes, roi_align
from ..vision.ops._checks import as_tensor, corner_boxes
from .transfer import extract_features


class RCNN(nn.Module):
    """Regions with CNN features: propose boxes, crop and warp each, and let a network look at them one by one.

    Four parts, trained one after the other (section 2)::

        model = RCNN(MiniVGG(num_classes=4), num_classes=4)              # label 0 is the background
        proposals = [model.propose(image) for image in images]           # 1. without learning
        crops, labels = model.sample(images, targets, proposals)         # 2. cross-entropy of model.network(crops),
        ...                                                              #    as for any classifier, batch by batch
        model.fit_svms(images, targets, proposals)                       # 3. a linear SVM for each class
        model.fit_boxes(images, targets, proposals)                      # 4. a box regression for each class
        model.eval()(images)[0]["boxes"]

    An image is (C, H, W); a target is a dict of "boxes" (G, 4) as (x1, y1, x2, y2) and "labels" (G,), 1 … K − 1.

    Args:      network: (N, C, size, size) → (N, K), pretrained where possible. num_classes: K, with the background.
               in_channels: C. size: side of the crops in pixels. context: so many of them on each side show its
               surroundings. mean: of the images, by channel or one number; it is subtracted, so that what lies outside
               of an image is the mean. svm_layer, box_layer: paths of the layers whose outputs the SVMs and the
               regressions see, fc7 and pool5 in the paper. pool: maps are averaged over pool × pool windows before.
               score_thresh: detections below are dropped, of the SVM's value. nms_thresh: of two detections of a class
               that overlap more, the better stays. detections_per_img: at the most. proposer: image → (R, 4), by
               default selective search
    Raises:    MissingAttributeError: the network has no such layer. ArgumentError: a setting outside its range
    """

    svm_weight: Tensor  # (K − 1, D)
    svm_bias: Tensor
    box_weight: Tensor  # (K − 1, 4, D')
    box_bias: Tensor

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        *,
        in_channels: int = 3,
        size: int = 32,
        context: int = 2,
        mean: float | Sequence[float] = 0.5,
        svm_layer: str = "classifier.1",
        box_layer: str = "features",
        pool: int = 4,
        score_thresh: float = -1.0,
        nms_thresh: float = 0.3,
        detections_per_img: int = 100,
        proposer: Callable[[Tensor], Tensor] = selective_search,
    ):
        super().__init__()
        if num_classes < 2 or not 0 <= 2 * context < size:
            raise ArgumentError(
                f"RCNN: needs num_classes ≥ 2 (with the background) and 0 ≤ 2·context < size, got {num_classes}, "
                f"{context} and {size}"
            )
        self.network, self.num_classes, self.size, self.context = network, num_classes, size, context
        self.svm_layer, self.box_layer, self.pool = svm_layer, box_layer, pool
        self.score_thresh, self.nms_thresh, self.detections_per_img = score_thresh, nms_thresh, detections_per_img
        self.propose, self.coder = proposer, BoxCoder()
        self.register_buffer("mean", F.tensor(np.reshape(np.asarray(mean, np.float32), (-1, 1, 1))))
        blank = F.zeros(1, in_channels, size, size, device=next(network.parameters()).device)
        self.widths = {layer: seen.shape[1] for layer, seen in self._see(blank, [svm_layer, box_layer]).items()}
        for name, *shape in (("svm", self.widths[svm_layer]), ("box", 4, self.widths[box_layer])):
            self.register_buffer(f"{name}_weight", F.full((num_classes - 1, *shape), math.nan))  # until it is fitted
            self.register_buffer(f"{name}_bias", F.full((num_classes - 1, *shape[:-1]), math.nan))

    def regions(self, image: Tensor, boxes: Any) -> Tensor:
        """What the network sees of each box (R, 4): (R, C, size, size), whatever the box's shape is.

        Math:      the box is enlarged about its center by size/(size − 2·context) and sampled bilinearly, 2 × 2 points
                   for each pixel of the crop ("warp with context" in appendix A)
        """
        image = check_tensor(image, "RCNN", "image")
        if image.ndim != 3 or self.mean.shape[0] not in (1, image.shape[0]):
            raise ShapeError(f"RCNN: an image is (C, H, W) with as many channels as mean has, got {image.shape}")
        corners = corner_boxes(boxes, "RCNN", sized=True).to(image.dtype)
        low, high = corners[:, :2], corners[:, 2:]
        around = (high - low) * (self.context / (self.size - 2 * self.context))
        wide = F.cat([low - around, high + around], dim=1)
        return roi_align((image - self.mean)[None], [wide], self.size, sampling_ratio=2, aligned=True)

    def sample(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Mapping[str, Any]],
        proposals: Sequence[Any],
        *,
        per_image: int = 32,
        positive_fraction: float = 0.25,
    ) -> tuple[Tensor, Tensor]:
        """Crops and labels to fine-tune the network on, from proposals and the true boxes of each image (section 2.3).

        A box that overlaps an object with an IoU of at least ½ has the label of the one it overlaps most, all others
        are background; of the boxes of an image, `per_image` are drawn, at most `positive_fraction` of them objects.
        """
        matcher, sampler = Matcher(0.5, 0.5), BalancedPositiveNegativeSampler(per_image, positive_fraction)
        crops, classes = [], []
        for image, boxes, objects, labels in self._examples(images, targets, proposals, "sample"):
            boxes = F.cat([boxes, objects])
            which = matcher(box_iou(objects, boxes)).cpu().numpy()
            own = np.append(labels, 0)[which]  # where no object fits the matcher says −1: the 0 at the end
            positive, negative = (mask[0].numpy() for mask in sampler([own]))
            drawn = np.flatnonzero(positive | negative)
            crops.append(self.regions(image, _rows(boxes, drawn)))
            classes.append(own[drawn])
        return F.cat(crops), F.tensor(np.concatenate(classes), device=crops[0].device)

    def fit_svms(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Mapping[str, Any]],
        proposals: Sequence[Any],
        *,
        cost: float = 1e-3,
        batch: int = 20,
    ) -> list[int]:
        """A linear SVM for each class against all else, with hard negative mining (section 2.3 and appendix B).

        Positives are the true boxes alone; negatives are proposals that overlap every object of the class by less than
        0.3; those in between are left out. There are too many negatives to learn from all: one pass over the images
        keeps those that score above −1, so that the SVM has something to learn from them; every `batch` images it is
        trained anew on what was kept, and forgets those below −1.2.

        Math:      :func:`squared_hinge_svm` of features scaled such that the positives' have a mean length of 20
        Args:      cost: C; positives count twice, as in the authors' code. batch: images between trainings
        Returns:   how many negatives each class has kept at the end
        """
        examples = list(self._examples(images, targets, proposals, "fit_svms"))
        vectors = np.concatenate([self._vectors(image, objects, self.svm_layer) for image, _, objects, _ in examples])
        labels = np.concatenate([own for *_, own in examples])
        if missing := [label for label in range(1, self.num_classes) if label not in labels]:
            raise ArgumentError(f"RCNN.fit_svms: there is no object with the label {missing[0]} to learn from")
        scale = 20 / max(np.linalg.norm(vectors, axis=1).mean(), 1e-12)
        of_class = [scale * vectors[labels == label] for label in range(1, self.num_classes)]
        kept = [np.zeros((0, vectors.shape[1])) for _ in of_class]
        weights = [np.zeros(vectors.shape[1] + 1) for _ in of_class]
        for number, (image, boxes, objects, own) in enumerate(examples, 1):
            found, overlaps = scale * self._vectors(image, boxes, self.svm_layer), box_iou(boxes, objects).cpu().numpy()
            for k, w in enumerate(weights):
                far = overlaps[:, own == k + 1].max(axis=1, initial=0) < 0.3
                hard = far & (found @ w[:-1] + w[-1] > -1)
                kept[k] = np.concatenate([kept[k], found[hard]])
            if number % batch == 0 or number == len(examples):
                for k, own_positives in enumerate(of_class):
                    x = np.concatenate([own_positives, kept[k]])
                    y = np.where(np.arange(len(x)) < len(own_positives), 1.0, -1.0)
                    w = weights[k] = squared_hinge_svm(x, y, np.where(y > 0, 2 * cost, cost), weights[k])
                    kept[k] = kept[k][kept[k] @ w[:-1] + w[-1] > -1.2]
        fitted = np.stack(weights)
        self.svm_weight, self.svm_bias = self._own(scale * fitted[:, :-1]), self._own(fitted[:, -1])
        return [len(each) for each in kept]

    def fit_boxes(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Mapping[str, Any]],
        proposals: Sequence[Any],
        *,
        ridge: float = 1000.0,
        min_iou: float = 0.6,
    ) -> list[int]:
        """For each class a linear map from features of a proposal to the box of its object (appendix C).

        Math:      minimizes Σ_i ‖t_i − W φ_i − b‖² + ridge · ‖W‖², with t_i the code (:class:`~minidl.vision.BoxCoder`)
                   of the object relative to the proposal
        Args:      min_iou: of a proposal with the object that it overlaps most; others have nothing to learn from
        Returns:   how many pairs each class has had
        """
        pairs: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(self.num_classes - 1)]
        for image, boxes, objects, labels in self._examples(images, targets, proposals, "fit_boxes"):
            which = Matcher(min_iou, min_iou)(box_iou(objects, boxes)).cpu().numpy()
            near = np.flatnonzero(which >= 0)
            if not len(near):
                continue
            boxes = _rows(boxes, near)
            codes = self.coder.encode_single(_rows(objects, which[near]), boxes).cpu().numpy()
            vectors = self._vectors(image, boxes, self.box_layer)
            for label in np.unique(own := labels[which[near]]):
                pairs[label - 1].append((vectors[own == label], codes[own == label]))
        if missing := [label for label, each in enumerate(pairs, 1) if not each]:
            raise ArgumentError(
                f"RCNN.fit_boxes: no proposal overlaps an object of label {missing[0]} by {min_iou} or more"
            )
        fitted = [
            ridge_regression(np.concatenate([x for x, _ in each]), np.concatenate([t for _, t in each]), ridge)
            for each in pairs
        ]
        weights, biases = (np.stack(part) for part in zip(*fitted, strict=True))
        self.box_weight, self.box_bias = self._own(weights), self._own(biases)
        return [sum(len(codes) for _, codes in each) for each in pairs]

    def forward(
        self, images: Sequence[Tensor], proposals: Sequence[Any] | None = None, *, refine: bool = True
    ) -> list[dict[str, Tensor]]:
        """What is in each image, the surest first; no graph leads to it.

        Args:      proposals: for each image (R, 4), if they are known. refine: whether boxes are regressed; needs
                   :meth:`fit_boxes`
        Returns:   for each image "boxes" (D, 4), "labels" (D,), "scores" (D,): the SVM's, above 0 for its own class
        """
        for bias, call in (("svm_bias", "fit_svms"), ("box_bias", "fit_boxes"))[: 1 + refine]:
            if np.isnan(to_numpy(getattr(self, bias).data)).any():
                raise MissingAttributeError(f"RCNN: nothing is fitted yet; call {call} first, or load_state_dict")
        proposals = [self.propose(image) for image in images] if proposals is None else proposals
        if len(proposals) != len(images):
            raise ShapeError(f"RCNN: {len(images)} images but proposals of {len(proposals)}; give a list of each")
        with no_grad():
            return [self._detect(image, boxes, refine) for image, boxes in zip(images, proposals, strict=True)]

    def _detect(self, image: Tensor, boxes: Any, refine: bool) -> dict[str, Tensor]:
        boxes = corner_boxes(boxes, "RCNN", "proposals", sized=True).to(image.dtype)
        seen = self._see(self.regions(image, boxes), [self.svm_layer, self.box_layer])
        scores = seen[self.svm_layer] @ self.svm_weight.T + self.svm_bias
        region, k = np.nonzero(scores.cpu().numpy() > self.score_thresh)
        boxes, labels = _rows(boxes, region), Tensor(to_device(k + 1, boxes.device))
        scores = _rows(scores.reshape(-1), region * (self.num_classes - 1) + k)
        if refine:
            vectors, weights = _rows(seen[self.box_layer], region), _rows(self.box_weight, k)
            codes = (weights @ vectors.unsqueeze(2)).squeeze(2) + _rows(self.box_bias, k)
            boxes = self.coder.decode_single(codes, boxes)
        boxes = clip_boxes_to_image(boxes, image.shape[1:])
        keep = remove_small_boxes(boxes, 1.0)
        boxes, labels, scores = boxes[keep], labels[keep], scores[keep]
        keep = batched_nms(boxes, scores, labels, self.nms_thresh)[: self.detections_per_img]
        return {"boxes": boxes[keep], "labels": labels[keep], "scores": scores[keep]}

    def _see(self, crops: Tensor, layers: list[str]) -> dict[str, Tensor]:
        """What the network computes in those layers, (N, D) each, at most 128 crops at a time."""
        if not len(crops):
            return {layer: F.zeros(0, self.widths[layer], device=crops.device) for layer in layers}
        return extract_features(self.network, crops, layers, pool=self.pool, batch_size=128)

    def _vectors(self, image: Tensor, boxes: Tensor, layer: str) -> np.ndarray:
        """(R, D) float64, on the host, where all fitting is done."""
        vectors = to_numpy(self._see(self.regions(image, boxes), [layer])[layer].data).astype(np.float64)
        if not np.isfinite(vectors).all():
            raise NonFiniteError(
                f"RCNN: the output of {layer!r} is not finite; has the training of the network diverged?"
            )
        return vectors

    def _own(self, array: np.ndarray) -> Tensor:
        return Tensor(to_device(array.astype(np.float32), self.mean.device))

    def _examples(
        self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Any]], proposals: Sequence[Any], call: str
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, np.ndarray]]:
        """For each image: it, its proposals (R, 4), its objects' boxes (G, 4) and labels (G,), checked."""
        op = f"RCNN.{call}"
        if not len(images) == len(targets) == len(proposals) > 0:
            raise ShapeError(
                f"{op}: {len(images)} images, {len(targets)} targets and proposals of {len(proposals)}; give as many "
                f"of each, at least one"
            )
        for number, (image, target, boxes) in enumerate(zip(images, targets, proposals, strict=True)):
            if missing := [key for key in ("boxes", "labels") if key not in target]:
                raise MissingAttributeError(f"{op}: targets[{number}] has no {missing[0]!r}, only {list(target)}")
            boxes = corner_boxes(boxes, op, "proposals", image=number, sized=True).float()
            objects = corner_boxes(target["boxes"], op, "boxes of targets", image=number, sized=True).float()
            labels = to_numpy(as_tensor(target["labels"], op, "labels").data).astype(np.int64)
            if labels.shape != (len(objects),):
                raise ShapeError(f"{op}: targets[{number}] has {len(objects)} boxes but labels {labels.shape}")
            if (wrong := np.flatnonzero((labels < 1) | (labels >= self.num_classes))).size:
                raise OutOfRangeError(
                    f"{op}: box {wrong[0]} of targets[{number}] has the label {labels[wrong[0]]}; objects have labels "
                    f"from 1 to {self.num_classes - 1}, 0 is the background"
                )
            yield image, boxes, objects, labels


def squared_hinge_svm(x: np.ndarray, y: np.ndarray, cost: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The linear SVM with the squared hinge loss, by Newton's method.

    Math:      min over w of f(w) = ½‖w‖² + Σ_i c_i max(0, 1 − y_i wᵀx_i)², each x_i with a 1 at its end. Where the same
               set A is inside the margin f is quadratic, so a full step is a ridge regression of y on A:
               (I + 2 Σ_A c_i x_i x_iᵀ) w = 2 Σ_A c_i y_i x_i. It is halved until f falls; f is convex, and once A no
               longer changes w is its only minimum
    Args:      x: (n, D). y: (n,) ±1. cost: (n,). start: (D + 1,), where to begin
    Returns:   (D + 1,), the bias at the end
    Source:    Chapelle 2007, "Training a support vector machine in the primal"; the paper's SVM has the hinge itself
    """
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)

    def objective(w: np.ndarray) -> float:
        return float(w @ w / 2 + cost @ np.maximum(0, 1 - y * (x @ w)) ** 2)

    w, best = start, objective(start)
    for _ in range(50):
        inside = y * (x @ w) < 1
        active, weighted = x[inside], 2 * cost[inside, None] * x[inside]
        goal = np.linalg.solve(np.eye(x.shape[1]) + weighted.T @ active, weighted.T @ y[inside])
        tries = ((objective(w + step * (goal - w)), step) for step in 0.5 ** np.arange(20))
        value, step = next((found for found in tries if found[0] < best), (best, 0.0))
        w, gained, best = w + step * (goal - w), best - value, value
        if gained <= 1e-12 * best:
            break
    return w


def ridge_regression(x: np.ndarray, t: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """W (T, D) and b (T,) that minimize Σ_i ‖t_i − W x_i − b‖² + ridge · ‖W‖², for x (n, D) and t (n, T).

    With fewer examples than features the n equations of the dual problem are solved: W = Tᵀ (X Xᵀ + ridge I)⁻¹ X.
    """
    x_mean, t_mean = x.mean(axis=0), t.mean(axis=0)
    x, t = x - x_mean, t - t_mean
    if len(x) < x.shape[1]:
        weights = np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), t).T @ x
    else:
        weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ t).T
    return weights, t_mean - weights @ x_mean


def _rows(x: Tensor, index: np.ndarray) -> Tensor:
    return x[Tensor(to_device(index, x.device))]
