"""Data sets as torchvision keeps them, in miniature."""

import pickle

import numpy as np
from PIL import Image
from torchvision import datasets


def write_cifar10(root, monkeypatch):
    """Four pictures a file, whose red is their label, the number of the file."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for kind in ("train_list", "test_list"):
        files = [name for name, _ in getattr(datasets.CIFAR10, kind)]
        monkeypatch.setattr(datasets.CIFAR10, kind, [[name, None] for name in files])
        for index, name in enumerate(files):
            red = np.full((4, 3, 1024), 0, np.uint8)
            red[:, 0] = index
            (folder / name).write_bytes(pickle.dumps({"data": red.reshape(4, -1), "labels": [index] * 4}))
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": None})
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a"]}))


def write_celeba(root, monkeypatch):
    """Seven faces of one colour with two attributes -> the names of their files."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    monkeypatch.setattr(datasets.CelebA, "file_list", [(a, None, c) for a, _, c in datasets.CelebA.file_list])
    names = [f"{index:06d}.jpg" for index in range(7)]
    for name in names:
        Image.new("RGB", (178, 218), (200, 0, 0)).save(folder / "img_align_celeba" / name)
    rows = {"list_eval_partition": ["0", "0", "0", "1", "1", "2", "2"], "identity_CelebA": ["1"] * 7}
    rows |= {file: ["1"] * 7 for file in ("list_bbox_celeba", "list_landmarks_align_celeba")}
    rows["list_attr_celeba"] = ["1 -1", "-1 -1", "1 1", "-1 1", "1 -1", "-1 -1", "1 -1"]
    for file, values in rows.items():
        head = "" if file in ("list_eval_partition", "identity_CelebA") else "7\nvalue\n"
        head = "7\nMale No_Beard \n" if file == "list_attr_celeba" else head  # as in the original, a blank at the end
        lines = "".join(f"{name} {value}\n" for name, value in zip(names, values, strict=True))
        (folder / f"{file}.txt").write_text(head + lines)
    return names
