"""Pretraining: the pairs, the loop, and the command from data to an encoder that a classifier starts from."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_nets import RESNET18, VGG
from tiny_sets import noise, save

import fermodels
from compress.training.schedule import TrainConfig
from fermodels import checkpoint
from fermodels.data.unlabelled import pool_of
from fermodels.info import told
from fermodels.nets.pretrained import COUNTER, load_encoder
from fermodels.pretrain import arguments, config_of, main, network
from fermodels.training.contrast import Pairs, PretrainConfig, pretrain
from fermodels.training.contrast_views import AugmentConfig, augmented, simclr
from fermodels.training.losses import nt_xent

TRAIN = TrainConfig(epochs=2, batch=8, optimizer="adam", lr=1e-3, bf16=False)
CONFIG = PretrainConfig(train=TRAIN, augment=AugmentConfig(size=16))
WORDS = ["--epochs", "2", "--batch", "16", "--size", "28", "--width", "0.05", "--probe-every", "2"]
SYNTHETIC = "synthetic:train=40,validation=20,test=4"


def faces(count: int) -> np.ndarray:
    return np.stack([noise(seed, 18, 3) for seed in range(count)])


def pool(count: int = 17, tests: int = 0):
    return pool_of({"a": faces(count)}, {"t": faces(count)[:tests]} if tests else {})


def tiny() -> torch.nn.Module:
    torch.manual_seed(0)
    widths = {"face": fermodels.scaled(0.05, RESNET18)}
    small = {"hidden_width": 9, "projection_width": 7}
    return fermodels.build("contrastive", widths=widths, size=16, stem_halvings=0, **small)


def test_a_batch_is_both_views_of_its_faces():
    (batch, *_) = Pairs(pool(), CONFIG).epoch(3)
    stored = torch.from_numpy(faces(17))
    place = {"seed": CONFIG.train.seed, "epoch": 3}
    for view, half in enumerate(batch.views[0].chunk(2)):
        expected = augmented(stored, batch.labels, CONFIG.augment, **place, view=view)
        assert torch.allclose(half, expected, atol=1e-5)
    assert batch.views[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("count", "sizes"), [(17, [8, 8]), (16, [8, 8]), (18, [8, 8, 2]), (3, [3])])
def test_an_epoch_shows_every_face_once_but_a_single_last_one(count, sizes):
    pairs = Pairs(pool(count), CONFIG)
    index = [batch.labels for batch in pairs.epoch(0)]
    assert [len(one) for one in index] == sizes and len(pairs) == len(sizes)
    assert len(set(torch.cat(index).tolist())) == sum(sizes)


def test_an_epoch_is_a_function_of_seed_and_epoch_and_never_shows_a_test_picture():
    pairs = Pairs(pool(17, tests=5), CONFIG)
    first, again, other = ([batch.labels.tolist() for batch in pairs.epoch(epoch)] for epoch in (0, 0, 1))
    assert first == again != other
    assert min(map(min, first)) >= 5


def test_two_faces_are_the_fewest():
    with pytest.raises(ValueError, match="give two or more"):
        Pairs(pool(1), CONFIG)


@pytest.mark.parametrize(
    "wrong", [{"train": replace(TRAIN, batch=1)}, {"train": replace(TRAIN, accumulate=2)}, {"temperature": 0.0}]
)
def test_settings_that_cannot_be_are_a_sentence(wrong):
    with pytest.raises(ValueError, match=r"at least 2|above 0"):
        replace(CONFIG, **wrong)


def test_the_loss_logged_is_that_of_the_pairs():
    """With next to no learning rate the mean over the epoch is what the untrained network gives, batch by batch."""
    config = replace(CONFIG, train=replace(TRAIN, epochs=1, lr=1e-12))
    net, expected, count = tiny().train(), 0.0, 0
    with torch.no_grad():
        for batch in Pairs(pool(), config).epoch(0):
            first, second = net(*batch.views).logits[0].chunk(2)
            expected += len(batch.labels) * nt_xent(first, second, temperature=0.1).item()
            count += len(batch.labels)
    _, history = pretrain(tiny(), pool(), config)
    assert history.epochs[0]["losses"]["nt_xent"] == pytest.approx(expected / count, rel=1e-4)


def test_pretraining_learns_to_tell_faces_apart():
    """A network that takes all faces for the same has the loss log(2 b - 1)."""
    mild = replace(CONFIG.augment, crop_area=(0.9, 1.0), jitter=0.0, grey=0.0, blur=0.0, flip=0.0, occlude=0.3)
    config = PretrainConfig(train=replace(TRAIN, epochs=10, lr=0.02), augment=mild)
    striped = faces(16) // 4
    for place, face in enumerate(striped):
        face[:, place : place + 3] = 200
    _, history = pretrain(tiny(), pool_of({"striped": striped}, {}), config)
    losses = [entry["losses"]["nt_xent"] for entry in history.epochs]
    assert np.mean(losses[-3:]) < math.log(2 * 8 - 1) - 0.3


def test_a_killed_pretraining_ends_with_the_same_weights(tmp_path, monkeypatch):
    whole, _ = pretrain(tiny(), pool(), CONFIG)
    fresh = Pairs.epoch

    def killed(self, epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        return fresh(self, epoch)

    monkeypatch.setattr(Pairs, "epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain(tiny(), pool(), CONFIG, state=tmp_path / "state.pt")
    monkeypatch.setattr(Pairs, "epoch", fresh)
    resumed, history = pretrain(tiny(), pool(), CONFIG, state=tmp_path / "state.pt")
    assert [entry["epoch"] for entry in history.epochs] == [0, 1]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def summary(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def command(cache, out, *words: str) -> int:
    return main([*words, *WORDS, "--cache", str(cache), "--out", str(out)])


@pytest.mark.parametrize("backbone", ["resnet18", "vgg16"])
def test_the_command_writes_an_encoder_that_classifiers_start_from(backbone, cache, tmp_path, capsys):
    assert command(cache, tmp_path, SYNTHETIC, "--backbone", backbone) == 0
    said = summary(capsys)
    assert said["faces"] == 40 and said["dropped"] == 0 and said["epochs"] == 2
    assert 0 <= said["knn"] <= 1 and 0 <= said["linear"] <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.CONFIG, checkpoint.WEIGHTS]
    encoder, about = checkpoint.load(tmp_path)
    assert about["stored"] == 32 and about["preprocessing"]["size"] == 28 and about["classes"] is None
    assert [("knn" in epoch) for epoch in about["pretraining"]["history"]["epochs"]] == [False, True]
    assert "4 of synthetic" in " ".join(about["pretraining"]["notes"]) and "not measured" in told(about)
    assert set(about["pretraining"]["untrained"]) == {"knn", "linear"}
    small = {"widths": encoder.config.widths, "size": 28}
    started = [fermodels.build("ocl", **small, stem_halvings=0, region_size=16)]
    plain = ("resnet18", {"stem_halvings": 0}) if backbone == "resnet18" else ("vggnet", {"pools": 3})
    for net in [*started, fermodels.build(plain[0], **small, **plain[1])]:
        assert load_encoder(net, tmp_path).share == 1
        for name, tensor in encoder.trunks["face"].state_dict().items():
            assert name.endswith(COUNTER) or torch.equal(net.trunks["face"].state_dict()[name], tensor), name


def test_the_command_again_finds_it_done_and_another_one_is_refused(cache, tmp_path, capsys, monkeypatch):
    assert command(cache, tmp_path, SYNTHETIC) == 0
    first = summary(capsys)
    monkeypatch.setattr("fermodels.pretrain.pretrain", lambda *given, **named: pytest.fail("trained again"))
    assert command(cache, tmp_path, SYNTHETIC) == 0
    assert summary(capsys) == first
    for other in (["--seed", "1"], ["--no-occlusion"], ["--lr", "0.1"]):
        assert command(cache, tmp_path, SYNTHETIC, *other) == 2
        assert "belongs to another training: choose another --out" in capsys.readouterr().err
    assert command(cache, tmp_path, SYNTHETIC.replace("train=40", "train=41")) == 2


def test_the_command_takes_folders_without_labels_and_says_what_it_kept_out(cache, tmp_path, capsys):
    for seed in range(6):
        save(tmp_path / "mine" / f"{seed}.png", noise(seed, 18, 3))
        save(tmp_path / "tests" / f"{seed}.png", noise(seed + 4, 18, 3))
    words = [str(tmp_path / "mine"), "--keep-out", str(tmp_path / "tests")]
    assert command(cache, tmp_path / "out", *words) == 0
    output = capsys.readouterr()
    said = json.loads(output.out.strip().splitlines()[-1])
    assert (said["faces"], said["dropped"]) == (4, 2) and "knn" not in said
    assert "6 faces, 2 of them test pictures" in output.err
    about = checkpoint.describe(tmp_path / "out")
    assert about["pretraining"]["dropped"] == 2 and str(tmp_path) not in json.dumps(about)


def test_no_occlusion_is_the_same_but_for_the_rectangle():
    occluded, plain = (config_of(arguments(["synthetic", *more])) for more in ([], ["--no-occlusion"]))
    assert plain == replace(occluded, augment=simclr(occluded.augment)) != occluded


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "0"], "--epochs 0: at least 1"),
        (["--batch", "1"], "--batch 1: at least 2"),
        (["--size", "8"], "--size 8: at least 16"),
        (["--width", "0"], "--width 0.0: a number above 0"),
        (["--backbone", "vgg19"], "resnet18"),
    ],
)
def test_a_wrong_word_on_the_command_line_ends_with_a_sentence(words, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["synthetic", *words])
    assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_help_shows_commands_that_can_be_typed(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = [line.partition("#")[0].split() for line in capsys.readouterr().out.splitlines()]
    typed = [words[3:] for words in lines if words[:3] == ["python", "-m", "fermodels.pretrain"]]
    assert len(typed) == 4 and all(arguments(words).data for words in typed)


def test_an_encoder_of_other_widths_or_no_encoder_is_refused(tmp_path):
    about = dict.fromkeys(checkpoint.CLAIMS)
    fermodels.save(tiny(), tmp_path / "encoder", about)
    nearly = (*fermodels.scaled(0.05, RESNET18)[:-1], 9)
    wide = fermodels.build("resnet18", widths={"face": nearly}, size=16, stem_halvings=0)
    before = {name: tensor.clone() for name, tensor in wide.state_dict().items()}
    with pytest.raises(ValueError, match=r"does not fit this network.*build the network with widths=\[8, 8"):
        load_encoder(wide, tmp_path / "encoder")
    assert all(torch.equal(before[name], tensor) for name, tensor in wide.state_dict().items())
    fermodels.save(wide, tmp_path / "classifier", about)
    with pytest.raises(ValueError, match="holds resnet18, no encoder"):
        load_encoder(wide, tmp_path / "classifier")
    with pytest.raises(ValueError, match="Linear has no trunk"):
        load_encoder(torch.nn.Linear(2, 2), tmp_path / "encoder")


@pytest.mark.parametrize("name", ["contrastive", "ocl"])
def test_a_vgg_trunk_is_a_backbone_too(name):
    net = fermodels.build(name, widths={"face": VGG}, size=32, stem_halvings=0)
    assert type(net.trunks["face"]).__name__ == "VGGTrunk"
    assert net(*net.example(2)).logits.shape == (1, 2, 128 if name == "contrastive" else 7)
    assert type(network("vgg16", 0.1, 56).trunks["face"]).__name__ == "VGGTrunk"
