"""Faults planted in conditions: each is refused in one sentence with its cause and its fix, wherever the condition holds it."""

import functools

import pytest
import torch
from torch import nn

from ppgn import checks
from ppgn.conditions import And, Weighted


def make_image() -> torch.Tensor:
    return (0.5 + 0.5 * torch.cos(torch.arange(36, dtype=torch.float64))).reshape(3, 3, 2, 2)


def brightness(image):
    return image.mean((1, 2, 3))


def network(*layers):
    """Layers between the image and one number per chain, in eval mode, with weights that give no gradient near 0."""
    made = nn.Sequential(*layers, nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0)).double()
    made[-2].weight.data = torch.linspace(-1, 1, 12, dtype=torch.float64)[None]
    return made.eval()


class Jitter(nn.Module):
    """A random layer of no kind that is known by name."""

    def forward(self, image):
        return image + 0.1 * torch.rand_like(image) if self.training else image


class DropPath(nn.Module):
    """As timm has it: so seldom that no two calls show it."""

    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, image):
        return image


class Attention(nn.Module):
    """Attention between the rows of an image, with dropout as an argument."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, dropout=1e-9, batch_first=True)

    def forward(self, image):
        rows = image.flatten(2)
        return self.attention(rows, rows, rows, need_weights=False)[0]


def in_train_mode(*layers):
    return network(*layers).train()


def elsewhere():
    made = network()
    made[1].to("meta")
    return made


def with_backward():
    made = network()

    def score(image):
        made(image.detach()).sum().backward()
        return made(image)

    return score


def byte_pixels(image):
    if image.max() <= 1:
        raise TypeError("no 8-bit pixels")
    return brightness(image)


def calls_backward(image):
    value = brightness(image)
    value.sum().backward(retain_graph=True)
    return value


CAUSE_AND_FIX = {
    "mean over the batch": (lambda image: image.mean(), r"returned shape \(\), expected \(3,\)", "mean or a sum over the batch"),
    "mean kept as an axis": (lambda image: image.mean().reshape(1), r"shape \(1,\)", "reduce each chain's own axes only"),
    "one number per channel": (lambda image: image.mean((2, 3)), r"returned shape \(3, 3\)", "choose one entry per chain"),
    "an axis too many": (lambda image: brightness(image)[:, None], r"shape \(3, 1\)", r"drop it, value\.squeeze\(1\)"),
    "no chain axis alone": (lambda image: brightness(image).squeeze(), r"\(\) for one chain", "do not squeeze"),
    "a float": (lambda image: 0.5, "returned float, expected a tensor", "convert its result"),
    "divided by the batch": (
        lambda image: brightness(image) / len(image),
        "how many chains run: .* alone and in the batch",
        "divide",
    ),
    "spread over the batch": (
        lambda image: image.flatten(1).sum(1) / image.numel(),
        "a mean over the batch or divides by its size",
        "as len.image. or numel.. do",
    ),
    "centred on the batch": (
        lambda image: brightness(image - image.mean(0, keepdim=True)),
        "lets chains depend on each other: .* alone and in the batch",
        "take no mean, norm, maximum or softmax over the first axis",
    ),
    "softmax over the batch": (lambda image: brightness(image).log_softmax(0), "depend on each other", "over the first axis"),
    "batch norm": (in_train_mode(nn.BatchNorm2d(3)), "has BatchNorm in train mode: its module '0' .BatchNorm2d.", "call eval"),
    "instance norm": (
        in_train_mode(nn.InstanceNorm2d(3, affine=True, track_running_stats=True)),
        "has InstanceNorm in train mode: its module '0' .* overwrites its running statistics",
        "call eval",
    ),
    "batch norm without statistics": (
        network(nn.BatchNorm2d(3, track_running_stats=False)),
        "module '0' .BatchNorm2d. keeps no running statistics and normalises by the batch, even after eval",
        "track_running_stats=True, or use GroupNorm",
    ),
    "dropout": (
        in_train_mode(nn.Dropout2d(0.3)),
        "has dropout left on: its module '0' .Dropout2d. is in train mode",
        "call eval",
    ),
    "stochastic depth": (in_train_mode(DropPath(0.01)), "has dropout left on: its module '0' .DropPath.", "call eval"),
    "dropout of attention": (
        in_train_mode(Attention()),
        "dropout left on: its module '0.attention' .MultiheadAttention.",
        "call eval",
    ),
    "random layer": (in_train_mode(Jitter()), "is random or .* between two calls", "call eval.* ran in train mode"),
    "detached": (lambda image: brightness(image.detach()), "not connected to the image", "its graph is detached; remove detach"),
    "no grad": (torch.no_grad()(brightness), "not connected to the image", "no_grad or inference_mode"),
    "inference mode": (torch.inference_mode()(brightness), "not connected to the image", "no_grad or inference_mode"),
    "a class, not its score": (lambda image: image[:, :, 0, 0].argmax(1), "not connected to the image", "argmax"),
    "not finite": (lambda image: brightness(image).log() / 0, "returned infinity or NaN for chain 0", "a small constant there"),
    "gradient not finite": (
        lambda image: brightness((image * 0).abs().sqrt()),
        "infinite or NaN gradient to the image",
        "sqrt, log, a norm or a division at 0",
    ),
    "8-bit pixels": (byte_pixels, r"fails on pixels in \[0, 1\] and runs on 255 \* image", "TypeError: no 8-bit pixels"),
    "8-bit clamp": (
        lambda image: brightness(image.clamp(16, 235)),
        "a gradient of exactly 0 .*expects another range",
        r"begin it with image = 255 \* image",
    ),
    "negative pixels": (lambda image: brightness(image.clamp(max=0)), "another range", r"begin it with image = 2 \* image - 1"),
    "device": (elsewhere(), "device mismatch: its module '1' .Linear. is on meta and got a tensor on cpu", r"move it with \.to"),
    "device of a tensor": (
        lambda image, target=torch.zeros(3, 2, 2, device="meta", dtype=torch.float64): brightness(image - target),
        "device mismatch: it holds 'target' on meta and got a tensor on cpu",
        r"move it with \.to\('cpu'\)",
    ),
    "device of the value": (lambda image: brightness(image).to("meta"), "returned a tensor on meta for an input on cpu", "move"),
    "in place": (lambda image: brightness(image.mul_(2)), "changed its input in place", "mul_, clamp_"),
    "in place and back": (lambda image: brightness(image.clamp_(0, 1)), "changed its input in place", "a new tensor, or clone"),
    "in place unseen": (lambda image: brightness(image.detach().data.mul_(2) + image), "changed its input in place", "clone"),
    "random": (lambda image: brightness(image) + torch.rand(()), "is random or .* between two calls", "draw no random numbers"),
    "random gradient": (
        lambda image: brightness(image.detach() + torch.rand(()) * (image - image.detach())),
        "the gradient of the condition is random or remembers earlier calls",
        "draw no random numbers",
    ),
    "gradients in weights": (
        with_backward(),
        r"left a gradient behind in the \.grad of 'made\.1\.weight'",
        "torch.autograd.grad",
    ),
    "gradients in the image": (calls_backward, "left a gradient behind in the .grad of its input", "replace backward"),
    "gradient of 0": (lambda image: brightness(image.round()), "gradient of exactly 0 to the image", "rounding, thresholds"),
}


@pytest.mark.parametrize("fault", CAUSE_AND_FIX)
def test_each_planted_fault_of_a_condition_is_refused_with_its_cause_and_its_fix(fault):
    condition, cause, fix = CAUSE_AND_FIX[fault]
    with pytest.raises(ValueError, match=f"{cause}.*{fix}") as refused:
        checks.check_condition(condition, make_image())
    assert "\n" not in str(refused.value)


def test_a_condition_whose_gradient_alone_depends_on_the_batch_is_refused():
    def averaged_gradient(image):
        value = brightness(image)
        return value.detach() + (value - value.detach()) / len(image)

    with pytest.raises(ValueError, match="gradient of the condition depends on how many chains run: .* alone and in the batch"):
        checks.check_condition(averaged_gradient, make_image())


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(3), nn.InstanceNorm2d(3, affine=True, track_running_stats=True), nn.Dropout(0.5)]
)
def test_what_is_refused_in_train_mode_passes_in_eval_mode_and_keeps_no_hook(layer):
    made = in_train_mode(layer)
    with pytest.raises(ValueError, match="call eval"):
        checks.check_condition(made, make_image())
    checks.check_condition(made.eval(), make_image())
    assert not any(module._forward_pre_hooks for module in made.modules())


def test_modules_in_train_mode_that_do_not_run_or_change_nothing_are_no_fault():
    idle, harmless = in_train_mode(nn.Dropout(0.5)), in_train_mode(nn.InstanceNorm2d(3), nn.Dropout(0.0), DropPath(None))
    checks.check_condition(lambda image, idle=idle: harmless(image), make_image())


DROPOUT = in_train_mode(nn.Dropout(0.5))


class Holds:
    def __init__(self, network):
        self.network = network

    def __call__(self, image):
        return self.network(image)

    def method(self, image):
        return self.network(image)


class Slotted:
    __slots__ = ("network",)

    def __init__(self, network):
        self.network = network

    def __call__(self, image):
        return self.network(image)


class OfItsClass:
    network = DROPOUT

    def __call__(self, image):
        return self.network(image)


def of_a_closure(network):
    return lambda image: network(image)


def of_a_global(image):
    return torch.stack([DROPOUT(one[None])[0] for one in image])


PLACES = {
    "the callable itself": (DROPOUT, "0"),
    "an attribute": (Holds(DROPOUT), "network.0"),
    "a slot": (Slotted(DROPOUT), "network.0"),
    "its class": (OfItsClass(), "network.0"),
    "the object of a method": (Holds(DROPOUT).method, "network.0"),
    "a closure": (of_a_closure(DROPOUT), "network.0"),
    "a global": (of_a_global, "DROPOUT.0"),
    "a default": (lambda image, network=DROPOUT: network(image), "network.0"),
    "a partial": (functools.partial(lambda network, image: network(image), DROPOUT), "0.0"),
    "a list in a dictionary": (lambda image, held={"judges": [DROPOUT]}: held["judges"][0](image), "held.judges.0.0"),
    "conditions in conditions": (And(Weighted(Holds(DROPOUT), 2.0)), "conditions.0.condition.network.0"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_module_is_found_and_named_wherever_a_condition_holds_it(place):
    condition, name = PLACES[place]
    with pytest.raises(ValueError, match=f"has dropout left on: its module '{name}' .Dropout."):
        checks.check_condition(condition, make_image())
