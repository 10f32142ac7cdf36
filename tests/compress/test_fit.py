"""`compress.fit` on networks and loaders of other people: it trains, thins out, learns from a teacher, goes on."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from compress import fit
from compress.slimming.sparsity import Proximal


def net(inputs=6, classes=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, classes))


def data(n=96):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(0))
    return x, x[:, :3].argmax(1)


def batches():
    x, y = data()
    return list(zip(x.split(16), y.split(16), strict=True))


def accuracy(trained):
    x, y = data()
    return float((trained(x).argmax(1) == y).double().mean())


HOW = {"epochs": 8, "lr": 0.1, "progress": False}


@pytest.mark.parametrize("loader", [batches(), DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True)])
def test_a_list_and_a_dataloader_train_any_network_in_place(loader):
    trained = net()
    history = fit(trained, loader, **HOW)
    assert accuracy(trained) > 0.85 and not trained.training
    assert [entry["images"] for entry in history.epochs] == [96] * 8
    assert history.epochs[-1]["losses"]["loss"] < history.epochs[0]["losses"]["loss"]


class Two(nn.Module):
    """Two inputs, and an answer in which the logits come last."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, left, right):
        return {"hidden": left, "logits": self.left(left) + self.right(right)}


def test_several_inputs_and_an_answer_that_is_no_tensor():
    x, y = data()
    pairs = [((left[:, :3], left[:, 3:]), right) for left, right in zip(x.split(16), y.split(16), strict=True)]
    torch.manual_seed(0)
    trained = Two()
    history = fit(trained, pairs, output=lambda answer: answer["logits"], **HOW)
    assert history.epochs[-1]["losses"]["loss"] < 0.5


def test_another_loss_for_targets_that_are_no_classes():
    x, _ = data()
    history = fit(net(classes=6), [(x, x)], loss=nn.functional.mse_loss, **HOW)
    assert history.epochs[-1]["losses"]["loss"] < history.epochs[0]["losses"]["loss"]


def test_a_shuffling_loader_goes_on_as_if_it_had_never_stopped(tmp_path):
    loader = DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True)
    whole, again = net(), net()
    fit(whole, loader, **HOW)

    def stop(trained):
        if stop.calls == 3:
            raise KeyboardInterrupt
        stop.calls += 1
        return {}

    stop.calls = 0
    with pytest.raises(KeyboardInterrupt):
        fit(net(), loader, monitor=stop, state=tmp_path / "state.pt", **HOW)
    fit(again, loader, state=str(tmp_path / "state.pt"), **HOW)
    pairs = zip(whole.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_best_epoch_stays_in_the_network():
    scores, kept = iter([0.1, 0.9, 0.2]), []

    def monitor(trained):
        kept.append(trained[0].weight.detach().clone())
        return {"validation": next(scores)}

    trained = net()
    history = fit(trained, batches(), monitor=monitor, **HOW | {"epochs": 3})
    assert history.chosen_epoch == 1 and torch.equal(trained[0].weight, kept[1])


def test_a_penalty_kills_gammas_and_a_teacher_pulls():
    sparse = net()
    fit(sparse, batches(), penalty=Proximal([sparse[1].weight], 1.0), **HOW)
    assert int((sparse[1].weight == 0).sum()) > 0
    teacher, student = net(), net()
    fit(teacher, batches(), **HOW)
    history = fit(student, batches(), teacher=teacher, loss=lambda answer, targets: 0 * answer.sum(), **HOW)
    assert set(history.epochs[-1]["losses"]) == {"loss", "distillation"} and accuracy(student) > 0.8


@pytest.mark.parametrize(
    ("loader", "how", "sentence"),
    [
        ([], {}, "batches is empty"),
        (iter(batches()), {}, "give a DataLoader with a length, or a list"),
        (7, {}, "batches is a int"),
        ([data()[0]], {}, "a batch is a Tensor"),
        ([{"x": 1}], {}, "a batch is a dict"),
        ([("x", torch.zeros(2))], {}, "tensor"),
        ([(data()[0], None)], {}, "targets are a NoneType"),
        ([data()], {"sped": 3}, "sped: no setting"),
        ([data()], {"lr": float("nan")}, "lr=nan"),
        ([data()], {"lr": 0}, "lr=0"),
        ([data()], {"momentum": 1.0}, "momentum=1"),
        ([data()], {"epochs": 1.5}, "epochs=1.5"),
        ([data()], {"epochs": "3"}, "epochs='3'"),
        ([data()], {"lr": "0.1"}, "lr='0.1'"),
        ([data()], {"warmup_epochs": float("nan")}, "warmup_epochs=nan"),
        ([data()], {"schedule": "step", "step_epochs": 0}, "step_epochs=0"),
        ([data()], {"label_smoothing": 2.0}, "label_smoothing=2"),
        ([data()], {"penalty": 1e-3}, r"penalty=0\.001: give one"),
        ([data()], {"penalty": Proximal([nn.Parameter(torch.ones(3))], 1e-3)}, "on another network's"),
        ([data()], {"penalty": Proximal([], 1e-3)}, "acts on no weight"),
        ([data()], {"teacher": "timm:resnet18"}, "teacher is a str"),
        ([data()], {"teacher": nn.Linear(7, 3)}, "the network fails on inputs of shape"),
        ([data()], {"loss": "mse"}, "loss='mse': give a function"),
        ([data()], {"monitor": lambda net: 0.5}, "monitor gives 0.5: give a dictionary"),
        ([data()], {"monitor": lambda net: {"validation": "good"}}, "monitor gives .*good"),
        ([(data()[0][:0], data()[1][:0])], {}, "holds no example"),
        ([(data()[0], data()[0][:, :2])], {}, "do not go together"),
    ],
)
def test_mistakes_are_sentences(loader, how, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit(net(), loader, **HOW | how)


def test_a_network_that_learns_nothing_is_a_sentence():
    with pytest.raises(ValueError, match="no parameter"):
        fit(net().requires_grad_(False), batches(), **HOW)


@pytest.mark.parametrize("content", [b"", b"nonsense", None, {"key": 3}, {"other": 1}, [1, 2]])
def test_a_foreign_state_file_is_named_with_the_mend(tmp_path, content):
    path = tmp_path / "state.pt"
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=r"state\.pt.*(delete it|give a file)"):
        fit(net(), batches(), state=path, **HOW)


def test_a_state_that_cannot_be_written_is_told_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        fit(net(), batches(), state=tmp_path / "file" / "state.pt", **HOW)


@pytest.mark.parametrize("loss", [lambda answer, targets: answer, lambda answer, targets: 3.0])
def test_a_loss_is_one_number(loss):
    with pytest.raises(ValueError, match="give one number that depends on what the network returns"):
        fit(net(), batches(), loss=loss, **HOW)


def test_only_a_network_is_trained():
    with pytest.raises(ValueError, match="net is a function"):
        fit(net, batches(), **HOW)


def test_a_finished_training_is_not_taken_for_a_sparse_one(tmp_path):
    """The settings of the loop are the same: what else is asked of the training stands in the file, too."""
    dense, path = net(), tmp_path / "state.pt"
    fit(dense, batches(), state=path, **HOW)
    for other in ({"penalty": Proximal([dense[1].weight], 1e-2)}, {"teacher": net()}):
        with pytest.raises(ValueError, match="another configuration, network, penalty or teacher"):
            fit(dense, batches(), state=path, **other, **HOW)
    assert len(fit(net(), batches(), state=path, **HOW).epochs) == 8
