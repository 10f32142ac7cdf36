"""Small copies of every data set's form, drawn with a seed, for the tests of the loaders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fermodels.faces.align import template
from fermodels.faces.detect import Detector
from fermodels.faces.prepare import prepare
from fermodels.faces.prepare_chunks import Job

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
USAGES = ("Training", "PublicTest", "PrivateTest")
RAF = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")  # numbered from 1
LFW = ("anger", "happiness", "sadness", "surprise", "neutral")
AFFECT = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")  # numbered from 0


def noise(seed: int, side: int = 48, channels: int = 1) -> np.ndarray:
    shape = (side, side) if channels == 1 else (side, side, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def fer_rows(each: tuple[int, int, int] = (10, 2, 3)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, labels and usages: of every class `each` rows in Training, PublicTest and PrivateTest, mixed."""
    labels = np.concatenate([np.repeat(np.arange(7), count) for count in each])
    usage = np.concatenate([np.full(7 * count, position) for position, count in enumerate(each)])
    order = np.random.default_rng(0).permutation(len(labels))
    return np.stack([noise(seed) for seed in range(len(labels))]), labels[order], usage[order]


def fer_npz(folder: Path, images: np.ndarray, labels: np.ndarray, usage: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "fer2013.npz", images=images, labels=labels, usage=usage)
    return folder / "fer2013.npz"


def fer_csv(folder: Path, images: np.ndarray, labels: np.ndarray, usage: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["emotion,pixels,Usage"]
    for image, label, kind in zip(images, labels, usage, strict=True):
        lines.append(f"{label},{' '.join(map(str, image.ravel().tolist()))},{USAGES[kind]}")
    (folder / "fer2013.csv").write_text("\n".join(lines) + "\n")
    return folder / "fer2013.csv"


def fer_votes(folder: Path, usage: np.ndarray, votes: np.ndarray) -> Path:
    """FER+'s csv of the (n, 10) `votes`, columns as its own: neutral, happiness, surprise, sadness, anger, ..."""
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    lines = [f"{USAGES[kind]},fer{row:07}.png,{','.join(map(str, votes[row]))}" for row, kind in enumerate(usage)]
    (folder / "fer2013new.csv").write_text("\ufeff" + "\n".join([header, *lines]) + "\n")
    return folder / "fer2013new.csv"


def ferplus(folder: Path) -> Path:
    """fer2013.csv, and votes of which most agree with its labels."""
    images, labels, usage = fer_rows()
    columns = np.array([4, 5, 6, 1, 3, 2, 0])[labels]
    votes = 6 * np.eye(10, dtype=int)[columns] + 4 * np.eye(10, dtype=int)[9]
    path = fer_csv(folder, images, labels, usage)
    fer_votes(folder, usage, votes)
    return path


def class_folders(
    root: Path, names: tuple[str, ...] = CLASSES, splits: tuple[str, ...] = ("train", "test"), each: int = 10
) -> Path:
    seed = 0
    for split in splits:
        for name in names:
            for number in range(each if split == "train" else 3):
                save(root / split / name / f"{number:03}.png", noise(seed, 20, 3))
                seed += 1
    return root


def rafdb(root: Path, train: int = 10, test: int = 2) -> Path:
    lines, seed = [], 0
    for split, count in (("train", train), ("test", test)):
        for label in [label for label in range(1, 8) for _ in range(count)]:
            seed += 1
            lines.append(f"{split}_{seed:05}.jpg {label}")
            save(root / "Image/aligned" / f"{split}_{seed:05}_aligned.jpg", noise(seed, 24, 3))
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return root


def affectnet_newer(root: Path, train: int = 10, test: int = 2) -> Path:
    seed = 0
    for folder, count in (("train_set", train), ("val_set", test)):
        (root / folder / "annotations").mkdir(parents=True)
        for code in [code for code in range(8) for _ in range(count)]:
            seed += 1
            save(root / folder / "images" / f"{seed}.jpg", noise(seed, 24, 3))
            np.save(root / folder / "annotations" / f"{seed}_exp.npy", np.array(str(code)))  # text, as the set has it
    return root


def affectnet_first(root: Path, train: int = 10, test: int = 2) -> Path:
    """Images of 60x50 with a box at (10, 5) of 32x30; the points walk along the box's diagonal."""
    points = ";".join(f"{10 + 31 * i / 67:.2f};{4 + 31 * i / 67:.2f}" for i in range(68))
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    seed = 0
    for file, count in (("training.csv", train), ("validation.csv", test)):
        lines = [header]
        for code in [code for code in range(11) for _ in range(count)]:
            seed += 1
            box = "10,5,32,30" if code < 8 else "-1,-1,-1,-1"
            lines.append(f"{seed % 3}/{seed}.png,{box},{points},{code},0.1,-0.2")
            if code < 8:
                pixels = np.random.default_rng(seed).integers(0, 256, (50, 60, 3), np.uint8)
                save(root / "Manually_Annotated_Images" / f"{seed % 3}/{seed}.png", pixels)
        (root / file).write_text("\n".join(lines) + "\n")
    return root


def lfw(root: Path, persons: int = 24, side: int = 40) -> Path:
    """Two photographs a person, of five expressions; and one of an expression that is not scored."""
    lines = ["file,person,emotion,annotator,sha256"]
    for number in range(persons):
        for shot in range(2):
            emotion = LFW[(number + shot) % 5]
            lines.append(f"images/P{number:02}_{shot}.jpg,P{number:02},{emotion},a,0")
            save(root / f"images/P{number:02}_{shot}.jpg", noise(2 * number + shot, side, 3))
    lines.append("images/P00_0.jpg,P00,fear,a,0")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


class OneFace:
    """A detector's backend that sees one face in every photograph, `shifted` by as many pixels."""

    version = "1"

    def __init__(self, shifted: float = 0) -> None:
        self.shifted, self.searched = shifted, 0

    def find(self, photographs: np.ndarray):
        self.searched += len(photographs)
        side = photographs.shape[1]
        points = template(side * 0.8)[None] + 0.1 * side + self.shifted
        box = np.array([[0.1, 0.1, 0.9, 0.9]]) * side + self.shifted
        return [(box, points, np.ones(1))] * len(photographs)


def prepared(root: Path) -> Path:
    detector = Detector(name="mtcnn", smallest=12, backend=OneFace())
    prepare(f"lfw:{lfw(root / 'photographs')}", root / "faces", Job(detector=detector, size=48))
    return root / "faces"


MAKERS: dict[str, Callable[[Path], str]] = {
    "synthetic": lambda _: "synthetic:train=70,validation=21,test=21,seed=3",
    "fer2013": lambda place: f"fer2013:{fer_npz(place, *fer_rows())}",
    "ferplus": lambda place: f"ferplus:{ferplus(place)}",
    "rafdb": lambda place: f"rafdb:{rafdb(place)}",
    "affectnet": lambda place: f"affectnet:{affectnet_first(place)}",
    "affectnet8": lambda place: f"affectnet8:{affectnet_newer(place)}",
    "folder": lambda place: f"folder:{class_folders(place)}",
    "lfw": lambda place: f"lfw:{lfw(place)}",
    "prepared": lambda place: f"prepared:{prepared(place)}",
}
"""Name of a data set -> makes a small copy of it in a folder and gives its spec."""
