"""Image tasks: labels of the drawn picture."""

from __future__ import annotations

import numpy as np
import pytest

from repro.lectures import tasks


def test_instances_are_more_than_classes_of_the_same_picture() -> None:
    found = tasks.segmentation()
    assert (found["classes_semantic"], found["classes_instance"]) == (2, 2)
    assert (found["labels_semantic"], found["labels_instance"]) == (2, 3)
    assert found["pixels_outline"] < found["pixels_labelled"] == 24 * 36


def test_objects_of_two_classes_that_touch_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    touching = np.zeros((24, 36), dtype=np.int64)
    touching[2:8, 2:8], touching[2:8, 8:14] = tasks.CATS, tasks.DOG
    monkeypatch.setattr(tasks, "picture_classes", lambda: touching)
    assert tasks.segmentation()["labels_instance"] == 2


def test_binary_softmax_is_a_sigmoid() -> None:
    found = tasks.binary()
    assert found["off"] <= 1e-5
    assert (found["mnist_classes"], found["imagenet_classes"]) == (10, 1_000)


def test_each_object_has_a_box_and_touching_objects_of_one_class_would_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tasks.boxes()
    assert (found["objects"], found["boxes"], found["of_one_class"], found["classes"]) == (3, 3, 3, 2)
    monkeypatch.setattr(tasks, "picture_objects", lambda: (tasks.picture_classes() > 0).astype(np.int64))
    found = tasks.boxes()
    assert (found["objects"], found["boxes"], found["of_one_class"]) == (3, 1, 0)


def test_torchvision_has_models_for_the_other_tasks() -> None:
    found = tasks.elsewhere()
    assert (found["detection"], found["instance"], found["segmentation"]) == (2, 1, 3)
