"""Which channels of a network can be removed, what must go with them, and why the others stay.

The population is every output channel of a convolution or linear layer that a batch norm eats alone: its gamma is the
switch that sparsity training turns, and setting gamma and beta to 0 silences it. Sums tie channels to one group with
several gammas; depthwise convolutions and squeeze-and-excitation gates follow their channels. Whatever the dependency
graph or the proof (see `proof`) cannot vouch for stays whole, and the reason is told.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
import torch_pruning as tp
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch_pruning import ops

from compress.calling import Output
from compress.inputs import Example
from compress.shapes import on_shapes
from compress.slimming.specimen import Specimen, plain_numbers, specimen_of
from compress.slimming.trace import Shuffle, dependency_graph, is_gate, norm_behind

WIRES = (ops._ConcatOp, ops._SplitOp, ops._UnbindOp, ops._ReshapeOp, ops._SliceOp, ops._ElementWiseOp, ops._ExpandOp)
"""Operators of the graph without weights."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reader:
    """A convolution or linear layer that eats the channels of a group."""

    name: str
    columns: Int[Tensor, "channels span"]
    """Channel of the group -> its input columns in the reader (several when a map was flattened)."""
    norm: str = ""
    """The batch norm right behind it, if there is one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelGroup:
    """Channels that are removed together. Names are module paths, so a group also fits every copy of its network."""

    name: str
    """Path of the convolution that stands for the group, the first of `convs`, like "layer1.0.conv1"."""
    convs: tuple[str, ...]
    """All convolutions and linear layers that produce the channels; more than one when sums tie them."""
    norms: tuple[str, ...]
    """Their batch norms, and those behind depthwise convolutions."""
    readers: tuple[Reader, ...]
    size: int
    followers: tuple[str, ...] = ()
    """What follows its channels one by one: depthwise convolutions, PReLUs, the last layers of gates."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What can be cut and what can't."""

    groups: list[ChannelGroup]
    whole: dict[str, str] = field(default_factory=dict)
    """Convolution or linear layer whose outputs stay -> the reason."""


UNREAD = "no gradient leads from the answer to it: it is not used in evaluation, or stands before a detach()"


class _Whole(Exception):
    """Says why a group can't be cut."""


def channel_groups(net: nn.Module, example: Example, output: Output | None = None) -> list[ChannelGroup]:
    """Every group of removable channels of `net`, in the order of its modules. `net` is left as it was.

    Args:
        example: a tensor or a tuple of tensors that `net` can be called with.
        output: which tensor of its result is traced; the first one where None.

    Raises:
        ValueError: there is nothing to cut; the sentence says why.
    """
    with plain_numbers(net):
        return survey(specimen_of(net, example, output)).groups


def survey(specimen: Specimen) -> Survey:
    """The groups of a network whose cut is proved, and the layers that stay whole.

    Raises:
        ValueError: there is nothing to cut; the sentence says why.
    """
    from compress.slimming.proof import proved

    found = Survey(groups=[])
    if any(True for _ in specimen.net.parameters()):  # else its answer has no gradient to follow
        found = on_shapes(specimen.net, specimen.inputs, lambda net, inputs: _survey(net, inputs, specimen.output))
    groups, unproved = proved(specimen, found.groups)
    whole = found.whole | unproved
    if not groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(whole.items())[:3])
        raise ValueError(
            "there is nothing to slim in this network: channels go where a batch norm stands right behind a "
            f'convolution{f" ({reasons})" if reasons else ""}; fermodels networks need bn="all"'
        )
    return Survey(groups=groups, whole=whole)


def _survey(net: nn.Module, inputs: tuple[Tensor, ...], output: Output) -> Survey:
    """The groups as the graph has them, not proved yet."""
    reading = _Reading(net, dependency_graph(net, inputs, output))
    groups, whole, done = [], {}, set()
    for root in reading.producers():
        if root in done:
            continue
        made = [root]
        try:
            members = reading.members(root)
            made = [each.dep.target.module for each in members if reading.produced(each)]
            groups.append(reading.group_of(root, members))
        except _Whole as reason:
            whole |= {reading.names[module]: str(reason) for module in made}
        done.update(made)
    return Survey(groups=groups, whole=whole | dict.fromkeys(reading.unread(), UNREAD))


class _Reading:
    """A network's dependency graph with the names of its modules."""

    def __init__(self, net: nn.Module, graph: tp.DependencyGraph) -> None:
        self.net, self.graph = net, graph
        self.names = {module: name for name, module in net.named_modules()}
        self.order = {name: position for position, name in enumerate(self.names.values())}
        weights = [
            (module, id(each)) for module in self.names for each in module._parameters.values() if each is not None
        ]
        owners = Counter(weight for _, weight in weights)
        self.tied = {module for module, weight in weights if owners[weight] > 1}

    def producers(self) -> list[Any]:
        """Convolutions and linear layers that make channels of their own, in the order of the modules."""
        return [each for each in self.names if _makes(each) and each in self.graph.module2node]

    def unread(self) -> list[str]:
        """Convolutions and linear layers that the trace does not hold."""
        return [name for each, name in self.names.items() if _makes(each) and each not in self.graph.module2node]

    def members(self, root: Any) -> Any:
        """Torch-Pruning's group of all that goes with the channels of `root`.

        Raises:
            _Whole: it fails, as it does in many ways behind what it does not understand.
        """
        rule: Any = self.graph.get_pruner_of_module(root)
        try:
            return self.graph.get_pruning_group(root, rule.prune_out_channels, list(range(_width(root))))
        except Exception as error:  # Torch-Pruning's own rules fail by whatever they trip over
            raise _Whole("the dependency graph cannot follow its channels (a split, a slice or a shuffle)") from error

    def produced(self, item: Any) -> bool:
        """Whether `item` stands for the output channels of a layer that makes its own."""
        return _makes(item.dep.target.module) and not self.graph.is_in_channel_pruning_fn(item.dep.handler)

    def group_of(self, root: Any, members: Any) -> ChannelGroup:
        """The coupled `members` as a group.

        Raises:
            _Whole: they are not of the population.
        """
        size = _width(root)
        readers, norms, made, follow = [], [], [], []
        for item in members:
            module = item.dep.target.module
            if isinstance(module, Shuffle):
                raise _Whole("a reshape mixes its channels with each other or with positions")
            if isinstance(module, ops._OutputOp):
                raise _Whole("its channels are the network's answer")
            if isinstance(module, WIRES):
                continue
            name = self._checked(module)
            if _makes(module) and not self.produced(item):
                behind = norm_behind(self.graph, module)
                norm = "" if behind is None else self.names[behind]
                readers.append(Reader(name=name, columns=_columns(item, size), norm=norm))
                continue
            _one_by_one(item, size, name)
            (norms if isinstance(module, _BatchNorm) else made if _makes(module) else follow).append(name)
        gates = self._gates(made + follow)
        if not norms:
            raise _Whole(f"no batch norm stands right behind {self.names[root]}")
        if size == 1 or not readers:
            raise _Whole("it has one channel" if size == 1 else "no layer was found that reads its channels")
        return ChannelGroup(
            name=self.names[root],
            convs=self._ordered(set(made) - gates),
            norms=self._ordered(set(norms)),
            readers=tuple(readers),
            size=size,
            followers=self._ordered({*follow, *gates}),
        )

    def _ordered(self, names: set[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=self.order.__getitem__))

    def _gates(self, names: list[str]) -> set[str]:
        """Those of the layers `names` that need no batch norm behind them, because they only multiply others' channels.

        Raises:
            _Whole: another one has none: what it sends cannot be silenced.
        """
        gates = set()
        for name in names:
            module: Any = self.net.get_submodule(name)
            if isinstance(module, nn.PReLU) or norm_behind(self.graph, module) is not None:
                continue
            if is_gate(self.graph, module):
                gates.add(name)
            elif _makes(module) or module.bias is not None:
                raise _Whole(f"no batch norm stands right behind {name}")
        return gates

    def _checked(self, module: Any) -> str:
        """Name of `module`, which can be cut.

        Raises:
            _Whole: it can't.
        """
        if isinstance(module, nn.Parameter):
            raise _Whole("its channels meet a parameter outside a layer")
        name, kind = self.names[module], type(module).__name__
        if not isinstance(module, (_ConvNd, nn.Linear, _BatchNorm, nn.PReLU)) or getattr(module, "transposed", False):
            raise _Whole(f"its channels meet {name}, a {kind}")
        if getattr(module, "groups", 1) > 1 and not _depthwise(module):
            raise _Whole(f"{name} is a grouped convolution")
        if module in self.tied:
            raise _Whole(f"the weight of {name} is that of another layer, too")
        if module._parameters.get("weight") is None:
            raise _Whole(f"{name} has no weight of its own")
        return name


def _one_by_one(item: Any, size: int, name: str) -> None:
    """Raises _Whole unless channel i of the group is channel i of the layer `name`, and there are no others."""
    module = item.dep.target.module
    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        return
    own = module.weight.shape[0]
    if own != size or list(item.idxs) != list(item.root_idxs) or sorted(item.idxs) != list(range(size)):
        raise _Whole(f"its channels meet others in {name}, behind a concatenation, a split or a reshape")


def _makes(module: Any) -> bool:
    """Whether `module` is a layer that makes channels of its own."""
    return isinstance(module, (_ConvNd, nn.Linear)) and not _depthwise(module)


def _depthwise(module: Any) -> bool:
    return isinstance(module, _ConvNd) and module.groups == module.out_channels == module.in_channels > 1


def _width(module: Any) -> int:
    return module.out_channels if isinstance(module, _ConvNd) else module.out_features


def _columns(item: Any, size: int) -> Int[Tensor, "channels span"]:
    """Input columns of the reader in `item` for each of the `size` channels of the group.

    Raises:
        _Whole: some channels have more columns than others.
    """
    columns: list[list[int]] = [[] for _ in range(size)]
    for column, channel in zip(item.idxs, item.root_idxs, strict=True):
        columns[channel].append(column)
    if len({len(each) for each in columns}) > 1:
        raise _Whole("its channels part ways: a split or a slice gives some of them to one layer, some to another")
    return torch.tensor(columns)
