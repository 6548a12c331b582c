"""Image tasks: classification, detection, segmentation; what tells them apart, on a picture of three objects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from torchvision import models

from repro.lectures.judging import Numbers
from repro.lectures.running import Rows, bound
from repro.tables import load_ledger

#: The classes of a drawn picture of 24x36 pixels: 0 background, 1 (two objects of one class, apart), 2 (one object).
BACKGROUND, CATS, DOG = 0, 1, 2

#: Models that don't come and go with torchvision's releases. The one with masks does instance segmentation.
MODELS = {
    "detection": ("fasterrcnn_resnet50_fpn", "retinanet_resnet50_fpn", "maskrcnn_resnet50_fpn"),
    "segmentation": ("fcn_resnet50", "deeplabv3_resnet50", "lraspp_mobilenet_v3_large"),
}


def picture_classes() -> np.ndarray:
    """The class of each pixel: int64 (24, 36)."""
    classes = np.zeros((24, 36), dtype=np.int64)
    classes[4:14, 3:12] = CATS
    classes[9:21, 15:22] = CATS
    classes[3:16, 26:33] = DOG
    return classes


def picture_objects() -> np.ndarray:
    """The number of each pixel's object, 0 for background: int64 (24, 36)."""
    classes, objects = picture_classes(), np.zeros((24, 36), dtype=np.int64)
    for kind in (CATS, DOG):
        numbered, _ = ndimage.label(classes == kind)
        objects[numbered > 0] = numbered[numbered > 0] + objects.max()
    return objects


def segmentation() -> Numbers:
    """Semantic and instance labels of the same picture: classes, objects, and pixels at an outline; and how many pixels torchvision's FCN
    gives scores for."""
    classes, objects = picture_classes(), picture_objects()
    inside = objects > 0
    outline = inside & ~ndimage.binary_erosion(inside)
    return {
        "classes_semantic": len(np.unique(classes[inside])),
        "classes_instance": len({(classes[objects == number])[0] for number in range(1, objects.max() + 1)}),
        "labels_semantic": len(np.unique(classes[inside])),
        "labels_instance": len(np.unique(objects[inside])),
        "pixels": int(classes.size),
        "pixels_labelled": _labelled(classes.shape),
        "pixels_outline": int(outline.sum()),
    }


def boxes() -> Numbers:
    """The box around each object of the picture, and the class of what is in it."""
    classes, objects = picture_classes(), picture_objects()
    found = [(number, place) for number, place in enumerate(ndimage.find_objects(objects), 1) if place is not None]
    kinds = [set(classes[place][objects[place] == number].tolist()) for number, place in found]
    return {
        "objects": sum(ndimage.label(classes == kind)[1] for kind in (CATS, DOG)),
        "boxes": len(found),
        "of_one_class": sum(len(kind) == 1 for kind in kinds),
        "classes": len(set().union(*kinds)),
        "detection": len(set(MODELS["detection"]) & set(models.list_models(module=models.detection))),
    }


def binary() -> Numbers:
    """Two classes by softmax, and by one sigmoid of the difference of their scores."""
    scores = torch.randn(1_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ledger = load_ledger()
    return {
        "off": bound((scores.softmax(1)[:, 1] - (scores[:, 1] - scores[:, 0]).sigmoid()).tolist()),
        "imagenet_classes": ledger.network("alexnet").layers[-1].output[0],
        "mnist_classes": ledger.network("lenet5").layers[-1].output[0],
    }


def elsewhere() -> Numbers:
    """How many of a few well-known models of the other tasks torchvision has, those with masks apart."""
    rooms = {"detection": models.detection, "segmentation": models.segmentation}
    found = {task: set(names) & set(models.list_models(module=rooms[task])) for task, names in MODELS.items()}
    masks = {name for name in found["detection"] if name.startswith("mask")}
    return {"detection": len(found["detection"] - masks), "instance": len(masks), "segmentation": len(found["segmentation"])}


CHECKS = {"segmentation": segmentation, "binary": binary, "boxes": boxes, "elsewhere": elsewhere}


def figure_rows(numbers: Mapping[str, Numbers]) -> Rows:
    """The picture, its classes and its objects."""
    return [{"classes": picture_classes().tolist(), "objects": picture_objects().tolist()}]


def _labelled(shape: tuple[int, ...]) -> int:
    """Pixels for which an untrained FCN of torchvision gives scores, for an image of this shape. Nothing is computed: shapes alone."""
    with torch.device("meta"):
        net = models.get_model("fcn_resnet50", weights=None, weights_backbone=None).eval()
        scores = net(torch.empty(1, 3, *shape))["out"]
    return int(scores[0, 0].numel())
