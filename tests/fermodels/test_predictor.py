"""From a picture to faces in Python: what holds for every batch, order, colour order, size and turn."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from counted_faces import assert_same, detector, pictures
from PIL import Image
from tiny_nets import CONFIG, STORED, tiny_checkpoint
from tiny_sets import noise, save

import fermodels
from fermodels.faces.align import moved, template
from fermodels.faces.detect import Detector
from fermodels.predict.pictures import Frame, Photograph, photograph_of
from fermodels.predict.predictor import FRAMES_AT_ONCE, FaceExpression, Predictor, predictions
from fermodels.predict.rows import rows


@pytest.fixture(scope="module", params=["mrf", "vggnet"])
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    torch.set_num_threads(1)
    return Predictor(tiny_checkpoint(request.param, tmp_path_factory.mktemp("net") / request.param), detector())


def test_a_batch_gives_what_each_picture_gives(predictor: Predictor):
    together = predictor.predict(pictures())
    assert [len(faces) for faces in together] == [1, 2, 0, 1, 2, 0, 1]
    for picture, faces in zip(pictures(), together, strict=True):
        assert_same(faces, predictor.predict(picture))


def test_the_order_of_the_pictures_changes_nothing(predictor: Predictor):
    order = np.random.default_rng(0).permutation(7).tolist()
    forward = predictor.predict(pictures())
    for index, faces in zip(order, predictor.predict([pictures()[i] for i in order]), strict=True):
        assert_same(faces, forward[index])


def test_the_same_pictures_give_the_same_rows(predictor: Predictor):
    def all_rows() -> list[dict]:
        stream = (Frame(file=str(i), picture=photograph_of(Image.fromarray(p))) for i, p in enumerate(pictures(20)))
        return [row for frame, faces in predictions(predictor, stream) for row in rows(frame, faces, 7)]

    first = all_rows()
    assert first == all_rows() and len(first) == 7 * 1 + 7 * 2 + 6


def test_every_form_of_a_picture_gives_the_same(predictor: Predictor):
    rgb = pictures()[1]
    expected = predictor.predict(rgb)
    assert_same(predictor.predict(rgb[..., ::-1], color="bgr"), expected)
    assert_same(predictor.predict(Image.fromarray(rgb)), expected)
    exif = Image.Exif()
    exif[0x0112] = 3  # the camera was upside down
    turned = Image.fromarray(np.ascontiguousarray(rgb[::-1, ::-1]))
    turned.info["exif"] = exif.tobytes()
    assert_same(predictor.predict(turned), expected)


def test_a_region_is_a_picture_of_its_own_whose_boxes_lie_in_the_whole(predictor: Predictor):
    whole = np.zeros((90, 120, 3), np.uint8)
    part = pictures()[1]
    height, width = part.shape[:2]
    whole[7 : 7 + height, 11 : 11 + width] = part
    part_of_it = Predictor(predictor.model, detector(), roi=(11, 7, width, height))
    found, wanted = part_of_it.predict(whole), predictor.predict(part)
    assert len(found) == len(wanted) == 2
    for one, other in zip(found, wanted, strict=True):
        assert one.box == pytest.approx(np.add(other.box, (11, 7, 11, 7)))
        if one.box[2] < 11 + width and one.box[3] < 7 + height:  # nothing beyond the part is seen
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    cropped = Predictor(predictor.model, None, roi=(11, 7, width, height))
    assert_same_answers(cropped.predict(whole), Predictor(predictor.model, None).predict(part))


def assert_same_answers(found: list[FaceExpression], wanted: list[FaceExpression]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_region_is_in_pixels_of_the_file_and_must_meet_the_picture(predictor: Predictor):
    drafted = Photograph(pixels=pictures()[1], scale=8.0)  # of a JPEG file eight times as large
    height, width = drafted.pixels.shape[:2]
    everything = Predictor(predictor.model, detector(), roi=(0, 0, 8 * width, 8 * height))
    assert_same(everything.faces([drafted])[0], predictor.faces([drafted])[0])
    beside = Predictor(predictor.model, detector(), roi=(500, 0, 10, 10))
    with pytest.raises(ValueError, match=r"\(500, 0, 10, 10\).*lies beside this picture of 80 x 55"):
        beside.predict(pictures()[1])
    with pytest.raises(ValueError, match="at least 1"):
        Predictor(predictor.model, detector(), roi=(0, 0, 0, 5))


def test_probabilities_are_those_of_the_network_on_the_aligned_face(tmp_path: Path):
    """By hand: a photograph that is an aligned face, whose pixels need no resampling, and the network as it is."""
    net, _ = fermodels.load(tiny_checkpoint("vggnet", tmp_path / "net"))
    pixels, corner = noise(5, STORED, 3), (STORED - CONFIG.size) // 2
    crop = torch.from_numpy(pixels[corner : -corner or None, corner : -corner or None]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = net((crop.float() / 255 - CONFIG.mean) / CONFIG.std).logits[0, 0]
    (face,) = Predictor(tmp_path / "net", None).predict(pixels)
    assert list(face.probabilities.values()) == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
    assert tuple(face.probabilities) == fermodels.EXPRESSIONS and face.detection is None
    assert face.probability == max(face.probabilities.values()) == face.ranked()[0][1]
    assert sum(face.probabilities.values()) == pytest.approx(1)


def test_the_map_leads_from_the_photograph_to_what_the_network_sees(predictor: Predictor):
    """The five points lie on the template; of the aligned face the network sees the centre, 56 of 64 pixels."""
    pixels = pictures()[0]
    (face,) = predictor.predict(pixels)
    side = min(pixels.shape[:2])
    points = template(0.8 * side) + np.array([0.1, 0.05]) * side
    expected = (template(STORED) - (STORED - CONFIG.size) / 2) / CONFIG.size
    np.testing.assert_allclose(moved(face.matrix, points), expected, atol=1e-9)
    assert face.box == pytest.approx([0.1 * side, 0.05 * side, 0.9 * side, 0.85 * side], rel=1e-5)


def test_a_face_in_a_drafted_photograph_is_told_in_the_pixels_of_the_file(predictor: Predictor):
    small, repeats = pictures()[0], 8
    ((face,),) = predictor.faces([Photograph(pixels=small, scale=repeats)])
    (expected,) = predictor.predict(small)
    assert face.box == pytest.approx([repeats * value for value in expected.box], rel=1e-6)
    corners = np.array([[0.0, 0], [1, 0.5]]) * small.shape[:2]
    np.testing.assert_allclose(moved(face.matrix, repeats * corners), moved(expected.matrix, corners), atol=0.05)


def test_no_face_is_an_empty_list(predictor: Predictor):
    assert predictor.predict(pictures()[2]) == [] and predictor.predict([]) == []


@pytest.mark.parametrize(
    ("image", "color", "sentence"),
    [
        (None, "rgb", "image 0 is NoneType: give a path, a Pillow image, or an array"),
        ([None], "rgb", "image 0 is NoneType"),
        (7, "rgb", "image 0 is int"),
        ([[1, 2], [3, 4]], "rgb", "image 0 is list"),
        (b"bytes", "rgb", "image 0 is bytes"),
        (Path("gone.jpg"), "rgb", r"gone\.jpg: there is no such file"),
        (np.zeros((0, 0, 3), np.uint8), "rgb", r"of shape \(0, 0, 3\) has no pixels"),
        (np.zeros((0, 0), np.uint8), "rgb", "has no pixels"),
        (np.zeros((9, 9, 4), np.uint8), "rgb", "without alpha"),
        (np.zeros(9, np.uint8), "rgb", "no picture in colour or grey"),
        (np.full((9, 9, 3), 1.5), "rgb", "is float64 with values from 1.5 to 1.5: give uint8, or 0 to 1"),
        (np.full((9, 9, 3), np.nan), "rgb", "values from nan"),
        (np.zeros((9, 9, 3), np.uint16), "rgb", "is uint16"),
        (np.full((9, 9, 3), None), "rgb", "image 0 is object: give uint8"),
        (np.full((9, 9), "a"), "rgb", "image 0 is <U1: give uint8"),
        (np.zeros((9, 9), [("r", "u1")]), "rgb", "give uint8"),
        (np.zeros((9, 9), "M8[s]"), "rgb", "give uint8"),
        (memoryview(b"bytes"), "rgb", "image 0 is memoryview"),
        (torch.zeros(9, 9).to_sparse(), "rgb", "a tensor of torch.float32 cannot be read"),
        (torch.zeros(9, 9, 3, device="meta"), "rgb", "cannot be read"),
        (Image.new("RGB", (0, 9)), "rgb", "it has no pixels"),
        (Image.new("F", (9, 0)), "rgb", "it has no pixels"),
        (np.zeros((9, 9, 3), np.uint8), "hsv", '"rgb" and "bgr"'),
    ],
)
def test_what_is_no_picture_is_named(predictor: Predictor, image: object, color: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        predictor.predict(image, color)


def test_a_pillow_image_that_breaks_while_it_is_read_is_a_sentence(predictor: Predictor):
    stream = BytesIO()
    Image.fromarray(noise(1, 60, 3)).save(stream, "PNG")
    broken = Image.open(BytesIO(stream.getvalue()[:4000]))  # its header alone is read
    with pytest.raises(ValueError, match=r"image 1 cannot be read: .*truncated"):
        predictor.predict([Image.new("RGB", (60, 60)), broken])


def test_a_cropped_face_that_is_too_small_is_refused(predictor: Predictor):
    with pytest.raises(ValueError, match="1x1 pixels are too few"):
        Predictor(predictor.model, None).predict(np.zeros((1, 1, 3), np.uint8))


def test_of_a_cropped_picture_the_central_square_is_taken(predictor: Predictor):
    cropped = Predictor(predictor.model, None)
    square = noise(4, 40, 3)
    wide = np.concatenate((noise(1, 40, 3)[:, :10], square, noise(2, 40, 3)[:, :10]), 1)
    (face,), (expected,) = cropped.predict(wide), cropped.predict(square)
    assert face.box == (10, 0, 50, 40) and face.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    np.testing.assert_allclose(moved(face.matrix, [[30, 20]]), [[0.5, 0.5]], atol=1e-12)


def test_frames_are_read_a_batch_at_a_time(predictor: Predictor):
    pulled = []

    def endless():
        while True:
            pulled.append(1)
            yield Frame(file="f", picture=photograph_of(Image.fromarray(pictures()[0])))

    stream = predictions(predictor, endless())
    for number in range(1, 2 * FRAMES_AT_ONCE + 2):
        next(stream)
        assert len(pulled) == FRAMES_AT_ONCE * -(-number // FRAMES_AT_ONCE)


def test_what_is_plainly_a_picture_is_taken(predictor: Predictor, tmp_path: Path):
    """By the path of a file, in real numbers, in whole ones, as a tensor with its colours first or last, in grey."""
    rgb = pictures()[1]
    expected = predictor.predict(rgb)
    path = save(tmp_path / "a.png", rgb)
    tensor = torch.from_numpy(rgb)
    forms = (path, str(path), rgb.astype(np.int64), rgb / 255, (rgb / 255).astype(np.float32))
    for form in (*forms, tensor, tensor.permute(2, 0, 1), tensor.float() / 255):
        assert_same(predictor.predict(form), expected)
    for several in (np.stack([rgb, rgb]), torch.stack([tensor, tensor]), [path, rgb], (tensor, Image.fromarray(rgb))):
        assert [len(faces) for faces in predictor.predict(several)] == [2, 2]
    coarse = (tensor / 255).bfloat16()
    assert_same(predictor.predict(coarse), predictor.predict(coarse.float().numpy()))
    grey = np.ascontiguousarray(rgb[..., 1])
    as_colour = predictor.predict(np.repeat(grey[..., None], 3, 2))
    for form in (grey, grey[..., None], torch.from_numpy(grey), Image.fromarray(grey)):
        assert_same(predictor.predict(form), as_colour)


def test_a_predictor_is_shared_by_threads_and_can_be_pickled(predictor: Predictor):
    given = [noise(seed, 60 + 10 * (seed % 4), 3) for seed in range(30)]
    alone = [predictor.predict(picture) for picture in given]
    again: Predictor = pickle.loads(pickle.dumps(predictor))
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda one: [one.predict(picture) for picture in given], [predictor, again] * 2))
    for run in runs:
        for found, wanted in zip(run, alone, strict=True):
            assert_same(found, wanted)


class Upright:
    """Sees one face where the upper left corner is red: a photograph that stands as it should."""

    version = "1"

    def find(self, photographs: np.ndarray):
        found = []
        for photograph in photographs:
            seen, side = int(photograph[0, 0, 0] > 200), 0.5 * min(photograph.shape[:2])
            box, points = np.array([[5, 3, 5 + side, 3 + side]]), template(side)[None] + (5, 3)
            found.append((box[:seen], points[:seen], np.ones(seen)))
        return found


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turned_photograph_is_tried_in_other_turns(predictor: Predictor, quarters: int):
    upright = noise(1, 80, 3)[:60].copy()
    upright[..., 0] = 0
    upright[0, 0, 0] = 255
    turned = np.ascontiguousarray(np.rot90(upright, quarters))
    seeing = Detector(name="upright", smallest=12, backend=Upright())
    assert bool(Predictor(predictor.model, seeing).predict(turned)) == (quarters == 0)
    trying = Predictor(predictor.model, seeing, turns=True)
    (face,), (expected,) = trying.predict(turned), trying.predict(upright)
    assert face.probabilities == pytest.approx(expected.probabilities, abs=0.02)  # resampled once more
    x0, y0, x1, y1 = (round(value) for value in face.box)
    pixels = np.zeros((60, 80), bool)
    pixels[3:33, 5:35] = True
    wanted = np.flatnonzero(np.rot90(pixels, quarters).any(0)), np.flatnonzero(np.rot90(pixels, quarters).any(1))
    assert (x0, y0, x1, y1) == (wanted[0][0], wanted[1][0], wanted[0][-1] + 1, wanted[1][-1] + 1)


def test_a_face_whose_points_lie_in_one_place_is_none(predictor: Predictor):
    class OnePlace:
        version = "1"

        def find(self, photographs: np.ndarray):
            return [(np.array([[0.0, 0, 40, 40]]), np.full((1, 5, 2), 7.0), np.ones(1))] * len(photographs)

    blind = Predictor(predictor.model, Detector(name="one place", smallest=12, backend=OnePlace()))
    assert blind.predict(pictures()[0]) == []
