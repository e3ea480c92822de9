"""log p(caption | image): its value, its exact and its truncated gradient, its chains, its errors."""

from typing import Any

import pytest
import torch
from test_captioner import tiny_captioner
from torch import Tensor
from torch.nn import functional

from ppgn.checks import check_condition
from ppgn.conditions import And, Caption, ClassLogProb, Not
from ppgn.networks import Captioner
from ppgn.types import Condition

TEXTS = ["a red handbag for women", "blue shoe", "handbags"]


def a_captioner() -> Captioner:
    """The tiny captioner with random weights under which words and images matter."""
    network, drawn = tiny_captioner(), torch.Generator().manual_seed(1)
    for weights in network.parameters():
        weights.normal_(0, 0.6, generator=drawn)
    return network


def some_images(chains: int = 3) -> Tensor:
    return torch.rand(chains, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def word_by_word(network: Captioner, image: Tensor, text: str, detached: bool = False) -> Tensor:
    """log p of one caption of one image `[1, ...]`, a word at a time."""
    vector, total = network.image_vector(image), image.new_zeros(())
    first, second, before = network.first.start(1), network.second.start(1), 0
    for word in network.words_of(text):
        if detached:
            second = (second[0].detach(), second[1].detach())
        log_probs, (first, second) = network.next_log_probs(torch.tensor([before]), (first, second), network.seen(vector))
        total, before = total + log_probs[0, word], word
    return total


def gradient(condition: Any, image: Tensor) -> Tensor:
    image = image.clone().requires_grad_()
    return torch.autograd.grad(condition(image).sum(), image)[0]


@pytest.mark.parametrize("truncated", [False, True])
def test_the_value_is_the_sum_over_words_computed_one_at_a_time(truncated: bool) -> None:
    network, image = a_captioner().double(), some_images()
    wanted = torch.stack([word_by_word(network, one[None], text) for one, text in zip(image, TEXTS, strict=True)])
    torch.testing.assert_close(Caption(network, TEXTS, truncated=truncated)(image), wanted, rtol=1e-12, atol=1e-12)
    one_text = torch.stack([word_by_word(network, one[None], TEXTS[0]) for one in image])
    torch.testing.assert_close(Caption(network, TEXTS[0], truncated=truncated)(image), one_text, rtol=1e-12, atol=1e-12)


def test_a_temperature_divides_the_scores_of_all_words() -> None:
    network, image = a_captioner().double(), some_images()
    cooled = a_captioner().double()
    for weights in (cooled.words.weight, cooled.words.bias):
        weights.data /= 3
    torch.testing.assert_close(Caption(network, TEXTS, temperature=3.0)(image), Caption(cooled, TEXTS)(image))
    torch.testing.assert_close(Caption(network, TEXTS).at(3.0)(image), Caption(cooled, TEXTS)(image))
    with pytest.raises(ValueError, match="temperature 0"):
        Caption(network, TEXTS, temperature=0)


def test_the_gradient_is_that_of_finite_differences_to_eight_digits() -> None:
    network, image = a_captioner().double(), some_images()
    assert torch.autograd.gradcheck(Caption(network, TEXTS), image.clone().requires_grad_(), eps=1e-6, rtol=1e-6, atol=1e-8)


def test_the_truncated_gradient_is_that_of_a_loop_with_its_state_detached_between_words() -> None:
    network, image = a_captioner().double(), some_images()

    def loop(pictures: Tensor) -> Tensor:
        return torch.stack([word_by_word(network, one[None], text, True) for one, text in zip(pictures, TEXTS, strict=True)])

    truncated, exact = (gradient(Caption(network, TEXTS, truncated=flag), image) for flag in (True, False))
    torch.testing.assert_close(truncated, gradient(loop, image), rtol=1e-10, atol=1e-12)
    assert float((truncated - exact).abs().max()) > 1e-3 * float(exact.abs().max())


def test_per_word_is_the_mean_over_words_and_the_end_mark() -> None:
    network, image = a_captioner().double(), some_images()
    counts = torch.tensor([6.0, 3.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(Caption(network, TEXTS, per_word=True)(image) * counts, Caption(network, TEXTS)(image))


def test_a_chain_alone_has_the_value_and_the_gradient_that_it_has_in_a_batch() -> None:
    network, image = a_captioner().double(), some_images()
    together = Caption(network, TEXTS)
    for row, text in enumerate(TEXTS):
        alone = Caption(network, [text])
        torch.testing.assert_close(alone(image[row : row + 1]), together(image)[row : row + 1], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            gradient(alone, image[row : row + 1]), gradient(together, image)[row : row + 1], rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("settings", [{}, {"per_word": True}, {"truncated": True}])
def test_it_keeps_the_contract_of_a_condition_alone_and_within_and_and_not(settings: dict[str, bool]) -> None:
    network, image = a_captioner(), some_images().float()
    caption = Caption(network, TEXTS[0], **settings)
    red = ClassLogProb(lambda seen: functional.linear(seen.flatten(1), torch.randn(3, 64, generator=torch.manual_seed(0))), 1)
    conditions: list[Condition] = [caption, Not(Caption(network, "blue shoe", **settings)), And(caption, red, weights=[0.5, 2.0])]
    for condition in conditions:
        check_condition(condition, image)
    torch.testing.assert_close(conditions[2](image), 0.5 * caption(image) + 2 * red(image))
    torch.testing.assert_close(conditions[1](image), torch.log1p(-Caption(network, "blue shoe", **settings)(image).exp()))


def test_what_needs_no_image_is_computed_once_and_the_image_seen_once_an_evaluation() -> None:
    network, image, calls = a_captioner(), some_images().float(), {"first": 0, "trunk": 0, "second": 0}
    for name in calls:
        getattr(network, name).register_forward_hook(lambda *_, name=name: calls.__setitem__(name, calls[name] + 1))
    condition = Caption(network, TEXTS)
    with torch.inference_mode():
        condition(image)
    trunk = {name: calls[name] for name in ("first", "second")}
    assert trunk == {"first": 1, "second": 1}
    assert bool(gradient(condition, image).abs().sum() > 0)  # what was kept under inference mode serves a gradient
    assert calls["first"] == 1 and calls["second"] == 2


def test_any_object_with_four_methods_is_a_captioner() -> None:
    class Counting:
        """Each word a says that the picture is bright; padded words say nothing."""

        def words_of(self, text: str) -> list[int]:
            return [len(word) for word in text.split()]

        def image_vector(self, image: Tensor) -> Tensor:
            return image.mean((1, 2, 3)).log()

        def word_inputs(self, words: Tensor) -> None:
            return None

        def word_log_probs(
            self, image_vector: Tensor, words: Tensor, *, word_inputs: None, truncated: bool, temperature: float
        ) -> Tensor:
            return (words * image_vector[:, None]).masked_fill(words < 0, 0.0)

    image = some_images(2)
    bright = image.mean((1, 2, 3)).log()
    torch.testing.assert_close(Caption(Counting(), ["one three", "a"])(image), bright * torch.tensor([8.0, 1.0]).double())


def test_another_number_of_captions_than_chains_and_strange_words_are_sentences() -> None:
    network = a_captioner()
    for captions in (["red shoe"], ["red shoe"] * 3, []):
        with pytest.raises(ValueError, match=f"got {len(captions)} captions for 2 chains, expected one per chain"):
            Caption(network, captions)(some_images(2).float())
    with pytest.raises(ValueError, match="unknown word shoee, expected .* nearest known words, shoe"):
        Caption(network, "red shoee")
